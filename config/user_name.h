#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace bastion::config {

/// UserName is the user name of a USERAUTH_REQUEST, taken apart. The views point into the text that
/// was parsed. Empty: not given.
struct UserName {
  std::string_view identity;  // who they say they are; a key or certificate decides
  std::string_view login;     // the account on the target; without a target: the client's own name
  std::string_view target;    // as typed: compare without case
  std::uint16_t port = 0;     // 0: the target's own

  bool has_target() const { return !target.empty(); }
  friend bool operator==(const UserName&, const UserName&) = default;
};

/// parse_user_name takes the forms of a user name, at most limits::kUserNameBytesMax bytes:
///
///   [identity+]login@target[+port]   the last `@` ends the login
///   login+target[+port]              for clients and URIs that cannot carry two `@`
///   identity+login+target[+port]
///   name                             no target: the client machine's account name
///
/// Without an `@`, the number of names decides, after a last name of digits alone has been taken as
/// the port: `root+web1+2222` is a login, a target and a port; `alice+root+web1` an identity, a
/// login and a target; `root+2222` a port without a target, which is an error. After an `@` a name
/// of digits alone is the target; no policy has such a target.
///
/// Each name is 1 to 64 bytes of letters, digits, `.`, `_` and `-`, and begins with a letter, a
/// digit or `_`: so none is an option, a path, a pattern or an expansion to anything that gets to
/// see it. Identities and logins before an `@` may hold one more `@`
/// (alice@corp.example+root@web1). A name without a target may hold `\` too (Windows: CORP\alice),
/// since nobody acts on it. Ports are 1 to 65535 without a leading zero.
///
/// Error: kMalformed with a constant text; nothing is allocated.
Result<UserName> parse_user_name(std::string_view text);

/// is_account_name: whether it can be a login or an identity as parse_user_name gives one.
bool is_account_name(std::string_view text);
/// is_target_name: whether it can be a target as parse_user_name gives one.
bool is_target_name(std::string_view text);

}  // namespace bastion::config
