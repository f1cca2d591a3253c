#include "base/glob.h"

#include <cstring>
#include <string>
#include <vector>

namespace bastion {
namespace {

/// segment_at compares a part of a pattern without `*` at one place of the text.
bool segment_at(std::string_view segment, std::string_view text, std::size_t at) {
  if (text.size() - at < segment.size()) {
    return false;
  }
  for (std::size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] != '?' && segment[i] != text[at + i]) {
      return false;
    }
  }
  return true;
}

/// find_segment finds the first place, or npos. Without `?` it is memmem, which is linear.
std::size_t find_segment(std::string_view segment, std::string_view text, std::size_t from) {
  if (segment.find('?') == segment.npos) {
    const void* found =
        memmem(text.data() + from, text.size() - from, segment.data(), segment.size());
    return found == nullptr
               ? text.npos
               : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
  }
  for (std::size_t at = from; at + segment.size() <= text.size(); ++at) {
    if (segment_at(segment, text, at)) {
      return at;
    }
  }
  return text.npos;
}

std::string folded(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    c = ascii_lower(c);
  }
  return out;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  if (pattern.size() > kGlobPatternBytesMax || text.size() > kGlobTextBytesMax) {
    return false;
  }
  const std::size_t first_star = pattern.find('*');
  if (first_star == pattern.npos) {
    return pattern.size() == text.size() && segment_at(pattern, text, 0);
  }
  const std::string_view head = pattern.substr(0, first_star);
  const std::size_t last_star = pattern.rfind('*');
  const std::string_view tail = pattern.substr(last_star + 1);
  if (text.size() < head.size() + tail.size() || !segment_at(head, text, 0) ||
      !segment_at(tail, text, text.size() - tail.size())) {
    return false;
  }
  // Between head and tail the earliest place for each segment is as good as any other: what follows
  // it begins with `*`. So no choice is ever taken back.
  const std::string_view body = text.substr(0, text.size() - tail.size());
  std::size_t at = head.size();
  std::size_t star = first_star;
  while (star < last_star) {
    const std::size_t next = pattern.find('*', star + 1);
    const std::string_view segment = pattern.substr(star + 1, next - star - 1);
    if (!segment.empty()) {
      at = find_segment(segment, body, at);
      if (at == body.npos) {
        return false;
      }
      at += segment.size();
    }
    star = next;
  }
  return true;
}

bool glob_match_nocase(std::string_view pattern, std::string_view text) {
  if (pattern.size() > kGlobPatternBytesMax || text.size() > kGlobTextBytesMax) {
    return false;
  }
  return glob_match(folded(pattern), folded(text));
}

bool globs_overlap(std::string_view a, std::string_view b) {
  if (a.size() > kGlobPatternBytesMax || b.size() > kGlobPatternBytesMax) {
    return false;
  }
  // overlap[j]: the rest of `a` from i and the rest of `b` from j have a text in common; rows from
  // the ends to the beginnings.
  const auto all_stars = [](std::string_view rest) {
    return rest.find_first_not_of('*') == rest.npos;
  };
  std::vector<char> below(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    below[j] = all_stars(b.substr(j)) ? 1 : 0;
  }
  for (std::size_t i = a.size(); i-- > 0;) {
    std::vector<char> row(b.size() + 1);
    row[b.size()] = all_stars(a.substr(i)) ? 1 : 0;
    for (std::size_t j = b.size(); j-- > 0;) {
      bool hit = false;
      if (a[i] == '*' || b[j] == '*') {
        // The star takes nothing, or one more byte of the other side: the same two rests, whichever
        // side has it.
        hit = below[j] != 0 || row[j + 1] != 0;
      } else if (a[i] == b[j] || a[i] == '?' || b[j] == '?') {
        hit = below[j + 1] != 0;
      }
      row[j] = hit ? 1 : 0;
    }
    below = std::move(row);
  }
  return below[0] != 0;
}

}  // namespace bastion
