#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

/// What bastionctl is answered: one JSON object, with "ok" and, where that is false, "error".
namespace bastion::daemon {

inline std::string control_success(nlohmann::json json) {
  json["ok"] = true;
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

inline std::string control_failure(std::string_view text) {
  const nlohmann::json json = {{"ok", false}, {"error", text}};
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace bastion::daemon
