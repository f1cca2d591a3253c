#include "daemon/bastionctl/reply.h"

#include <algorithm>

namespace bastion::ctl {

using Json = nlohmann::json;

std::string text(const Json& json, const char* key) {
  const auto at = json.is_object() ? json.find(key) : json.end();
  return json.is_object() && at != json.end() && at->is_string() ? at->get<std::string>() : "";
}

std::int64_t number(const Json& json, const char* key) {
  const auto at = json.is_object() ? json.find(key) : json.end();
  return json.is_object() && at != json.end() && at->is_number() ? at->get<std::int64_t>() : 0;
}

std::uint64_t count(const Json& json, const char* key) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, number(json, key)));
}

Json part(const Json& json, const char* key) {
  const auto at = json.is_object() ? json.find(key) : json.end();
  return json.is_object() && at != json.end() ? *at : Json();
}

}  // namespace bastion::ctl
