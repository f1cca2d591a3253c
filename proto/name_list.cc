#include "proto/name_list.h"

#include "base/limits.h"

namespace bastion::proto {

std::string_view take_name(std::string_view& list) {
  const std::size_t comma = list.find(',');
  const std::string_view name = list.substr(0, comma);
  list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  return name;
}

bool list_contains(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    if (take_name(list) == name) {
      return !name.empty();
    }
  }
  return false;
}

std::string_view first_name(std::string_view list) { return take_name(list); }

std::string_view first_common(std::string_view preferred, std::string_view other) {
  while (!preferred.empty()) {
    if (const std::string_view name = take_name(preferred); list_contains(other, name)) {
      return name;
    }
  }
  return {};
}

Status check_name_list(std::string_view list) {
  std::size_t name_len = 0;
  for (const char c : list) {
    if (c == ',') {
      name_len = 0;
      continue;
    }
    if (c <= 0x20 || c >= 0x7f) {
      return fail(ErrorCode::kProtocol, "name-list is not printable ASCII");
    }
    if (++name_len > limits::kAlgorithmNameMax) {
      return fail(ErrorCode::kProtocol, "name of more than 64 characters in a name-list");
    }
  }
  return {};
}

}  // namespace bastion::proto
