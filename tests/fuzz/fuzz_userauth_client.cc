// A target's messages into AuthClient, one after another, each a 2-byte length and the payload. It
// is given a credential whenever it wants one.
#include <cstdlib>

#include "base/wire.h"
#include "proto/auth_client.h"

namespace {

using namespace bastion;
using namespace bastion::proto;

class CountingSink : public PacketSink {
 public:
  void send(ByteView) override { ++messages; }
  void send_in_place(Payload payload) override { send(payload.view()); }
  std::size_t queued_bytes() const override { return 0; }
  int messages = 0;
};

void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  CountingSink sink;
  AuthClient client({}, sink);
  client.start("deploy");
  Reader input({data, size});
  int signatures = 0;
  while (input.ok() && !input.rest().empty()) {
    const std::size_t high = input.u8();
    const std::size_t len = high << 8 | input.u8();
    const ByteView payload = input.bytes(len);
    if (!input.ok()) {
      break;
    }
    const Bytes exact = to_bytes(payload);
    const auto step = client.on_message(exact);
    if (!step) {
      check(client.state() == AuthClient::State::kBroken);
      break;
    }
    switch (step->kind) {
      case ClientAuthStep::Kind::kNeedCredential:
      case ClientAuthStep::Kind::kRefused:
        check(step->methods.size() <= AuthClient::kMethodsShownMax);
        for (const char c : step->methods) {
          check(c > 0x20 && c < 0x7f);
        }
        check(client.provide_signed("ssh-ed25519", exact, exact).has_value());
        ++signatures;
        break;
      case ClientAuthStep::Kind::kSuccess:
        check(signatures > 0 && client.state() == AuthClient::State::kDone);
        break;
      case ClientAuthStep::Kind::kBanner: check(step->banner.size() <= exact.size()); break;
      case ClientAuthStep::Kind::kNone: break;
    }
  }
  check(sink.messages == signatures + 1);
  return 0;
}
