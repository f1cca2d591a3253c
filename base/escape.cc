#include "base/escape.h"

namespace bastion {
namespace {

void append_hex(std::string& out, std::uint8_t octet) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += "\\x";
  out += kDigits[octet >> 4];
  out += kDigits[octet & 15];
}

/// utf8_length is the length of the well-formed UTF-8 sequence at the front of `text` (RFC 3629: no
/// overlong forms, no surrogates), and its code point; 0 where there is none.
std::size_t utf8_length(std::string_view text, char32_t& point) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = at(0);
  std::size_t length = 0;
  char32_t least = 0;
  if (first < 0x80) {
    point = first;
    return 1;
  }
  if ((first & 0xe0) == 0xc0) {
    length = 2, point = first & 0x1f, least = 0x80;
  } else if ((first & 0xf0) == 0xe0) {
    length = 3, point = first & 0x0f, least = 0x800;
  } else if ((first & 0xf8) == 0xf0) {
    length = 4, point = first & 0x07, least = 0x1'0000;
  } else {
    return 0;
  }
  if (text.size() < length) {
    return 0;
  }
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) {
      return 0;
    }
    point = point << 6 | (at(i) & 0x3f);
  }
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  return point < least || point > 0x10'ffff || surrogate ? 0 : length;
}

/// harmless says whether a code point may reach a terminal: no controls (C0, DEL, C1), no
/// bidirectional or invisible formatting, no separators that some viewers break lines at, nothing
/// private or unassigned for special use.
bool harmless(char32_t c) {
  if (c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad) {
    return false;
  }
  if (c == 0x061c || c == 0x180e || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
      (c >= 0x2060 && c <= 0x206f)) {
    return false;
  }
  if (c >= 0xe000 && c <= 0xf8ff) {
    return false;
  }
  if (c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) || (c & 0xfffe) == 0xfffe ||
      (c >= 0xfdd0 && c <= 0xfdef)) {
    return false;
  }
  return c < 0xe'0000;
}

}  // namespace

std::string escaped(std::string_view text, std::size_t bytes_max) {
  // Nearly everything is plain ASCII, for which the octets alone say that they are harmless.
  const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7f && c != '\\'; };
  std::size_t shown = 0;
  while (shown < text.size() && shown < bytes_max && is_plain(text[shown])) {
    ++shown;
  }
  std::string out(text.substr(0, shown));
  while (shown < text.size()) {
    char32_t point = 0;
    const std::size_t length = utf8_length(text.substr(shown), point);
    const std::size_t step = length == 0 ? 1 : length;
    if (shown + step > bytes_max) {
      return out + "…";
    }
    if (length != 0 && point == U'\\') {
      out += "\\\\";
    } else if (length != 0 && harmless(point)) {
      out += text.substr(shown, length);
    } else {
      for (std::size_t i = 0; i < step; ++i) {
        append_hex(out, static_cast<std::uint8_t>(text[shown + i]));
      }
    }
    shown += step;
  }
  return out;
}

std::optional<std::string> unescaped(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
    } else if (text.substr(i).starts_with("\\\\")) {
      out += '\\';
      ++i;
    } else if (i + 3 < text.size() && text[i + 1] == 'x' && digit(text[i + 2]) >= 0 &&
               digit(text[i + 3]) >= 0) {
      out += static_cast<char>(digit(text[i + 2]) << 4 | digit(text[i + 3]));
      i += 3;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace bastion
