// A user's messages into AuthServer, one after another, with the warden's answers taken from the
// input too. Each message is a 2-byte length, a byte of which the low bits are the answer if one
// becomes due, and the payload.
#include <cstdlib>

#include "base/wire.h"
#include "proto/auth_server.h"

namespace {

using namespace bastion;
using namespace bastion::proto;

class CountingSink : public PacketSink {
 public:
  void send(ByteView payload) override {
    if (payload[0] == kMsgUserauthSuccess) {
      ++successes;
    }
  }
  void send_in_place(Payload payload) override { send(payload.view()); }
  std::size_t queued_bytes() const override { return 0; }
  int successes = 0;
};

void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  CountingSink sink;
  AuthServer server(
      {.failures = 6,
       .key_offers = 64,
       .methods = std::string(kMethodPublicKey),
       .algorithms = {"ssh-ed25519", "rsa-sha2-512", "ssh-ed25519-cert-v01@openssh.com"}},
      sink);
  Reader input({data, size});
  int granted = 0;
  while (input.ok() && !input.rest().empty()) {
    const std::size_t high = input.u8();
    const std::size_t len = high << 8 | input.u8();
    const std::uint8_t answer = input.u8();
    const ByteView payload = input.bytes(len);
    if (!input.ok()) {
      break;
    }
    // A copy of its exact size: a read past the end is a finding.
    const Bytes exact = to_bytes(payload);
    const auto step = server.on_message(exact);
    if (!step) {
      check(server.state() == AuthServer::State::kBroken);
      check(!server.on_message(exact).has_value());
      break;
    }
    if (step->kind == AuthStep::Kind::kNeedKeyQuery) {
      check(step->user.size() <= limits::kUserNameBytesMax);
      (void)server.provide_key_query((answer & 1) != 0);
    } else if (step->kind == AuthStep::Kind::kNeedKeyVerify) {
      check(step->key_blob.size() <= limits::kKeyBlobBytesMax);
      const auto verdict = static_cast<AuthVerdict>(answer % 3);
      granted += verdict == AuthVerdict::kSuccess ? 1 : 0;
      (void)server.provide_verdict(verdict, kMethodPublicKey);
    }
    check(sink.successes == granted && granted <= 1);
    check(server.authenticated() == (granted == 1));
  }
  check(sink.successes == granted);
  return 0;
}
