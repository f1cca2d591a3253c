// KEXINIT payloads, and what is negotiated with them in either role.
#include <cstdlib>

#include "proto/kexinit.h"
#include "proto/negotiate.h"

using namespace bastion;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto peer = proto::parse_kexinit({data, size});
  if (!peer) {
    return 0;
  }
  static const Bytes our_payload = [] {
    const proto::AlgorithmLists& lists = proto::compatible_algorithms();
    const std::vector<std::string_view> host_keys(lists.host_keys.begin(), lists.host_keys.end());
    const std::string_view markers[] = {proto::kExtInfoServer, proto::kStrictKexServer};
    return proto::encode_kexinit(Bytes(16, 1), lists, host_keys, markers);
  }();
  const auto ours = proto::parse_kexinit(our_payload);
  for (const auto& names : {proto::negotiate(*peer, *ours), proto::negotiate(*ours, *peer)}) {
    if (names && (names->kex == nullptr || names->host_key == nullptr ||
                  names->cipher_to_client == nullptr || names->cipher_to_server == nullptr ||
                  (names->mac_to_client == nullptr) != names->cipher_to_client->aead ||
                  (names->mac_to_server == nullptr) != names->cipher_to_server->aead)) {
      std::abort();
    }
  }
  (void)proto::guessed_right(*peer, *ours);
  return 0;
}
