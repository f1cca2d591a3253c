// Any bytes as a user name: what is parsed is made of allowed names only, and put together again is
// the same text.
#include <string>

#include "base/bytes.h"
#include "config/user_name.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bastion;
  using namespace bastion::config;
  const std::string_view text = as_text({data, size});
  const auto name = parse_user_name(text);
  if (!name) {
    return 0;
  }
  const bool has_target = name->has_target();
  const bool good =
      (name->identity.empty() || is_account_name(name->identity)) &&
      (!has_target || (is_account_name(name->login) && is_target_name(name->target))) &&
      (has_target || (name->identity.empty() && name->port == 0));
  std::string joined = name->identity.empty() ? "" : std::string(name->identity) + "+";
  joined += name->login;
  if (has_target) {
    joined += (text.find('@') != text.npos ? "@" : "+") + std::string(name->target);
  }
  joined += name->port == 0 ? "" : "+" + std::to_string(name->port);
  if (!good || joined != text) {
    __builtin_trap();
  }
  return 0;
}
