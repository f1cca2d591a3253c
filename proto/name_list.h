#pragma once

#include <string_view>

#include "base/result.h"

/// Name-lists (RFC 4251 5) as the text that they are on the wire: views, never taken apart.
namespace bastion::proto {

/// check_name_list: every name has at most 64 printable ASCII characters. An empty list has no
/// names. Empty names, which RFC 4251 5 forbids, pass: libssh 0.10 ends its list of ciphers with a
/// comma. They are never found and never chosen.
[[nodiscard]] Status check_name_list(std::string_view list);
/// take_name removes the first name, and its comma, from `list` and gives it.
std::string_view take_name(std::string_view& list);
std::string_view first_name(std::string_view list);
/// list_contains finds whole names only, and never the empty one.
bool list_contains(std::string_view list, std::string_view name);
/// first_common is the first of `preferred` that is in `other`, too; empty if there is none.
std::string_view first_common(std::string_view preferred, std::string_view other);

}  // namespace bastion::proto
