#include "config/user_name.h"

#include <array>

#include "base/ip.h"
#include "base/limits.h"

namespace bastion::config {
namespace {

constexpr std::size_t kNameBytesMax = 64;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_';
}

/// is_name: letters, digits, `.`, `_`, `-`, with a letter, digit or `_` first; and `extra` where it
/// is not NUL, neither first nor last.
bool is_name(std::string_view text, char extra = '\0', std::size_t extra_max = 0) {
  if (text.empty() || text.size() > kNameBytesMax || !is_word(text.front())) {
    return false;
  }
  std::size_t num_extra = 0;
  for (const char c : text) {
    if (extra != '\0' && c == extra) {
      ++num_extra;
    } else if (!is_word(c) && c != '.' && c != '-') {
      return false;
    }
  }
  return num_extra <= extra_max && (num_extra == 0 || text.back() != extra);
}

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

std::unexpected<Error> malformed(std::string_view text) {
  return fail(ErrorCode::kMalformed, text);
}

constexpr std::string_view kBadLogin = "the login is not a name";
constexpr std::string_view kBadIdentity = "the identity before the login is not a name";
constexpr std::string_view kBadTarget = "the target is not a name";
constexpr std::string_view kBadPort = "the port after the target is not a number from 1 to 65535";

Result<std::uint16_t> port_of(std::string_view text) {
  const auto port = parse_port(text);
  if (!port || *port == 0) {
    return malformed(kBadPort);
  }
  return *port;
}

/// parse_with_at takes `[identity+]login` and `target[+port]`.
Result<UserName> parse_with_at(std::string_view left, std::string_view right) {
  UserName name;
  const std::size_t plus = left.find('+');
  name.login = left;
  if (plus != left.npos) {
    name.identity = left.substr(0, plus);
    name.login = left.substr(plus + 1);
    if (!is_account_name(name.identity)) {
      return malformed(kBadIdentity);
    }
  }
  if (!is_account_name(name.login)) {
    return malformed(kBadLogin);
  }
  const std::size_t port_plus = right.find('+');
  name.target = right.substr(0, port_plus);
  if (!is_target_name(name.target)) {
    return malformed(kBadTarget);
  }
  if (port_plus != right.npos) {
    const auto port = port_of(right.substr(port_plus + 1));
    if (!port) {
      return std::unexpected(port.error());
    }
    name.port = *port;
  }
  return name;
}

/// parse_with_plus takes names joined by `+`; there is at least one `+`.
Result<UserName> parse_with_plus(std::string_view text) {
  std::array<std::string_view, 4> parts;
  std::size_t num_parts = 0;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t plus = text.find('+', from);
    if (num_parts == parts.size()) {
      return malformed("more than an identity, a login, a target and a port");
    }
    parts[num_parts++] = text.substr(from, plus == text.npos ? text.npos : plus - from);
    if (plus == text.npos) {
      break;
    }
    from = plus + 1;
  }
  UserName name;
  if (is_digits(parts[num_parts - 1])) {
    const auto port = port_of(parts[--num_parts]);
    if (!port) {
      return std::unexpected(port.error());
    }
    name.port = *port;
  }
  if (num_parts < 2) {
    return malformed("a port without a target");
  }
  if (num_parts > 3) {
    return malformed(kBadPort);
  }
  if (num_parts == 3) {
    name.identity = parts[0];
    if (!is_name(name.identity)) {
      return malformed(kBadIdentity);
    }
  }
  name.login = parts[num_parts - 2];
  name.target = parts[num_parts - 1];
  if (!is_name(name.login)) {
    return malformed(kBadLogin);
  }
  if (!is_target_name(name.target)) {
    return malformed(kBadTarget);
  }
  return name;
}

}  // namespace

bool is_account_name(std::string_view text) { return is_name(text, '@', 1); }

// A dot at the end would make a second name of a host (in the DNS it is the same one), which rules
// and targets of the first do not cover but a pattern may.
bool is_target_name(std::string_view text) {
  return is_name(text) && !text.ends_with('.') && text.find("..") == text.npos;
}

Result<UserName> parse_user_name(std::string_view text) {
  if (text.empty() || text.size() > limits::kUserNameBytesMax) {
    return malformed("the user name is empty or too long");
  }
  const std::size_t at = text.rfind('@');
  if (at != text.npos) {
    return parse_with_at(text.substr(0, at), text.substr(at + 1));
  }
  if (text.find('+') != text.npos) {
    return parse_with_plus(text);
  }
  if (!is_name(text, '\\', 1)) {
    return malformed("the user name has bytes that no name has");
  }
  UserName name;
  name.login = text;
  return name;
}

}  // namespace bastion::config
