#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/wire.h"
#include "proto/auth_server.h"
#include "proto/payload.h"

namespace bastion::proto::test {

/// RecordingSink keeps every message that was sent.
class RecordingSink : public PacketSink {
 public:
  void send(ByteView payload) override { sent.push_back(to_bytes(payload)); }
  void send_in_place(Payload payload) override { send(payload.view()); }
  std::size_t queued_bytes() const override { return 0; }

  /// numbers gives the message numbers sent so far, in order.
  std::vector<int> numbers() const {
    std::vector<int> out;
    for (const Bytes& message : sent) {
      out.push_back(message.at(0));
    }
    return out;
  }
  std::size_t count(Message number) const {
    std::size_t n = 0;
    for (const Bytes& message : sent) {
      n += message.at(0) == number ? 1U : 0U;
    }
    return n;
  }

  std::vector<Bytes> sent;
};

/// key_blob makes bytes that begin as a public key blob of that type does; the machines look no
/// further.
inline Bytes key_blob(std::string_view type, std::string_view rest = "key A") {
  Writer writer;
  return writer.text(type).text(rest).take();
}

inline Bytes ed25519_blob(std::string_view rest = "key A") { return key_blob("ssh-ed25519", rest); }

struct Request {
  std::string user = "root@web1";
  std::string service{kServiceConnection};
  std::string algorithm = "ssh-ed25519";
  Bytes blob = ed25519_blob();
  bool hostbound = false;
  Bytes host_key = key_blob("ssh-ed25519", "host key");
  std::string signature = "signature by A";

  Bytes query() const { return encode(std::nullopt); }
  Bytes sign() const { return encode(as_bytes(signature)); }

 private:
  Bytes encode(std::optional<ByteView> signed_by) const {
    return encode_publickey_request(user, service,
                                    {.algorithm = algorithm,
                                     .key_blob = blob,
                                     .hostbound = hostbound,
                                     .host_key_blob = hostbound ? ByteView(host_key) : ByteView{},
                                     .signature = signed_by});
  }
};

/// method_request is a USERAUTH_REQUEST of any method, known or not.
inline Bytes method_request(std::string_view method, ByteView data = {},
                            std::string_view user = "root@web1",
                            std::string_view service = kServiceConnection) {
  Writer writer;
  return writer.u8(kMsgUserauthRequest).text(user).text(service).text(method).bytes(data).take();
}

inline AuthServerOptions default_options() {
  return {.failures = 6,
          .key_offers = 64,
          .methods = std::string(kMethodPublicKey),
          .algorithms = {"ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-512",
                         "rsa-sha2-256", "rsa-sha2-512-cert-v01@openssh.com", "ecdsa-sha2-nistp256",
                         "sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com"}};
}

/// ServerRig is a machine with its sink, past the service request where `ready`.
struct ServerRig {
  explicit ServerRig(AuthServerOptions options = default_options(), bool ready = true)
      : server(std::move(options), sink) {
    if (ready) {
      (void)server.on_message(encode_service_request(kServiceUserauth));
      sink.sent.clear();
    }
  }
  RecordingSink sink;
  AuthServer server;
};

}  // namespace bastion::proto::test
