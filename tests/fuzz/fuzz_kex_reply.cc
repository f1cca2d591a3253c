// The key exchange messages with a peer's values: the first byte chooses method and role, the rest
// is the INIT (towards our server) or the REPLY (towards our client) without its number.
#include <cstdlib>

#include "tests/support/raw_peer.h"

using namespace bastion;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const auto& methods = proto::compatible_algorithms().kex;
  const proto::Role role = data[0] % 2 == 0 ? proto::Role::kServer : proto::Role::kClient;
  const std::string& method = methods[data[0] / 2 % methods.size()];
  auto options = role == proto::Role::kServer ? test::server_options() : test::client_options();
  options->algorithms = proto::compatible_algorithms();
  test::Duel duel(options);
  duel.peer.lists.kex = {method};
  duel.leg.answer = role == proto::Role::kServer;
  duel.ident();
  duel.kexinit();
  Writer message;
  message.u8(role == proto::Role::kServer ? proto::kMsgKexMethodInit : proto::kMsgKexMethodReply);
  message.bytes({data + 1, size - 1});
  duel.peer.packet(message.view());
  duel.leg.receive(duel.peer.take());
  if (duel.leg.error.has_value()) {
    return 0;
  }
  // What was taken must be shown to the warden as it was sent.
  if (role == proto::Role::kClient) {
    const proto::Exchange exchange = duel.leg->exchange();
    Writer again;
    again.string(exchange.parts.host_key_blob).bytes(exchange.parts.server_field);
    again.string(exchange.signature);
    if (!equal(again.view(), message.view().subspan(1))) {
      std::abort();
    }
  }
  return 0;
}
