#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

/// A member of what the daemon sent, whatever that is: where it is missing or of another type, "",
/// 0 or null.
namespace bastion::ctl {

std::string text(const nlohmann::json& json, const char* key);
std::int64_t number(const nlohmann::json& json, const char* key);
std::uint64_t count(const nlohmann::json& json, const char* key);
nlohmann::json part(const nlohmann::json& json, const char* key);

}  // namespace bastion::ctl
