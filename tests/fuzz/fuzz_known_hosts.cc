// Any bytes as a known_hosts file: a key is accepted only if a line has it, and never if a line
// revokes it.
#include <algorithm>

#include "config/host_key_policy.h"
#include "tests/fuzz/config_fixture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bastion;
  using namespace bastion::config;
  const std::string_view text = as_text({data, size});
  auto parsed = KnownHosts::parse(text);
  if (!parsed) {
    must(!parsed.error().empty());
    return 0;
  }
  HostKeyPolicy policy;
  policy.known_hosts = std::make_shared<const KnownHosts>(std::move(*parsed));
  const std::vector<std::string> names = {"web1", "10.0.0.1"};
  for (const std::uint16_t port : {std::uint16_t{22}, std::uint16_t{2222}}) {
    for (std::uint8_t number = 1; number <= 3; ++number) {
      const std::string line = fuzz_key(number);
      const Bytes blob = *crypto::base64_decode(std::string_view(line).substr(12));
      const HostKeyVerdict verdict = policy.verify(blob, "web1", names, port, 0);
      const auto has = [&](KnownHosts::Marker marker) {
        return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
          const auto found = policy.known_hosts->matches(name, port, marker);
          return std::any_of(found.begin(), found.end(),
                             [&](const auto* entry) { return entry->key_blob == blob; });
        });
      };
      must(verdict.ok() == (has(KnownHosts::Marker::kNone) && !has(KnownHosts::Marker::kRevoked)));
      must(verdict.ok() || !verdict.text.empty());
    }
    const std::vector<std::string> preference = {"ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"};
    must(policy.algorithms(preference, names, port).size() == preference.size());
  }
  return 0;
}
