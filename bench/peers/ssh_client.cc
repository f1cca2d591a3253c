#include "bench/peers/ssh_client.h"

#include "base/wire.h"
#include "crypto/kex.h"
#include "proto/connection_messages.h"
#include "proto/requests.h"

namespace bastion::bench {
namespace {

constexpr std::uint32_t kOwnChannel = 0;
constexpr std::uint32_t kMaxPacket = 32 * 1024;
/// A grant goes out when so much of the window is used.
constexpr std::uint32_t kGrantBytes = kWindowBytes / 8;

}  // namespace

SshClient::SshClient(const Identity& identity, std::string user, ClientEvents& events)
    : identity_(identity),
      user_(std::move(user)),
      events_(events),
      transport_(identity.options, *identity.pool, crypto::system_random()),
      auth_({}, transport_) {}

void SshClient::start(MonoTime now) { transport_.start(std::nullopt, now); }

bool SshClient::fail(std::string_view text) {
  if (!dead_) {
    dead_ = true;
    events_.failed(text);
  }
  return false;
}

void SshClient::receive(MutBytes bytes, MonoTime now) {
  if (!dead_ && !inbox_.feed(transport_, bytes, now,
                             [this](const proto::Step& step) { return on_step(step); })) {
    fail(inbox_.error().text);
  }
}

bool SshClient::on_step(const proto::Step& step) {
  switch (step.kind) {
    case proto::StepKind::kPayload:
      return authenticated_ ? on_message(step.payload) : on_auth(step.payload.view());
    case proto::StepKind::kNeedHostVerification: return verify_host();
    case proto::StepKind::kKeysChanged:
      if (auth_.state() == proto::AuthClient::State::kIdle) {
        auth_.start(user_);
      }
      return true;
    case proto::StepKind::kDisconnected: return fail(transport_.disconnect_text());
    default: return fail("a step that a client does not have");
  }
}

bool SshClient::verify_host() {
  const proto::Exchange exchange = transport_.exchange();
  const crypto::Digest hash = crypto::exchange_hash(exchange.kex->hash, exchange.parts);
  const auto key = crypto::PublicKey::parse(exchange.parts.host_key_blob);
  if (!key || !key->verify(*exchange.host_key_algorithm, hash.view(), exchange.signature)) {
    return fail("the host's signature is wrong");
  }
  return transport_.provide_host_verified(hash).has_value() || fail("the exchange failed");
}

bool SshClient::on_auth(ByteView payload) {
  const auto step = auth_.on_message(payload);
  if (!step) {
    return fail(step.error().text);
  }
  switch (step->kind) {
    case proto::ClientAuthStep::Kind::kNeedCredential: {
      const Bytes& blob = identity_.key->public_key().blob();
      const auto& algorithm =
          *crypto::pick_signature_algorithms(identity_.key->public_key().type()).front();
      const Bytes data = proto::userauth_signed_data({.session_id = transport_.session_id(),
                                                      .user = user_,
                                                      .service = proto::kServiceConnection,
                                                      .algorithm = algorithm.name,
                                                      .key_blob = blob,
                                                      .host_key_blob = std::nullopt});
      const auto signature = identity_.key->sign(algorithm, data);
      return (signature && auth_.provide_signed(algorithm.name, blob, *signature)) ||
             fail("signing failed");
    }
    case proto::ClientAuthStep::Kind::kRefused: return fail("the login was refused");
    case proto::ClientAuthStep::Kind::kSuccess:
      transport_.set_authenticated();
      authenticated_ = true;
      events_.logged_in();
      return !dead_;
    default: return true;
  }
}

bool SshClient::on_message(const proto::Payload& payload) {
  Reader reader(payload.view());
  const std::uint8_t number = reader.u8();
  if (number == proto::kMsgGlobalRequest) {
    reader.string();
    if (reader.lenient_boolean()) {
      proto::send_global_reply(transport_, false);
    }
    return true;
  }
  reader.u32();  // the channel: there is one
  switch (number) {
    case proto::kMsgChannelOpenConfirmation:
      peer_channel_ = reader.u32();
      window_out_ = reader.u32();
      max_packet_ = std::min(reader.u32(), kMaxPacket);
      close_sent_ = false;
      ungranted_ = 0;
      events_.opened();
      break;
    case proto::kMsgChannelOpenFailure: reader.u32(); return fail(reader.text());
    case proto::kMsgChannelWindowAdjust:
      window_out_ += reader.u32();
      events_.window_opened();
      break;
    case proto::kMsgChannelData: {
      const ByteView data = reader.string();
      grant(data.size());
      events_.data(payload.bytes().last(data.size()));
      break;
    }
    case proto::kMsgChannelExtendedData:
      reader.u32();
      return fail(reader.text());  // nothing that is measured writes to stderr
    case proto::kMsgChannelRequest: on_request(payload.view()); break;
    case proto::kMsgChannelSuccess: events_.started(); break;
    case proto::kMsgChannelFailure: return fail("a channel request was refused");
    case proto::kMsgChannelClose:
      close_channel();
      events_.closed();
      break;
    default: break;
  }
  return !dead_;
}

void SshClient::on_request(ByteView message) {
  const auto request = proto::parse_channel_request(message);
  if (request && request->want_reply) {
    proto::send_channel_reply(transport_, peer_channel_, false);
  }
}

void SshClient::grant(std::size_t n) {
  ungranted_ += static_cast<std::uint32_t>(n);
  if (ungranted_ >= kGrantBytes) {
    proto::send_window_adjust(transport_, peer_channel_, ungranted_);
    ungranted_ = 0;
  }
}

void SshClient::open_session() {
  Writer writer;
  writer.u8(proto::kMsgChannelOpen).text("session").u32(kOwnChannel).u32(kWindowBytes);
  writer.u32(kMaxPacket);
  transport_.send(writer.view());
}

void SshClient::open_tunnel(std::string_view host, std::uint16_t port) {
  Writer writer;
  writer.u8(proto::kMsgChannelOpen).text("direct-tcpip").u32(kOwnChannel).u32(kWindowBytes);
  writer.u32(kMaxPacket).text(host).u32(port).text("127.0.0.1").u32(1);
  transport_.send(writer.view());
}

void SshClient::exec(std::string_view command) {
  proto::send_exec(transport_, peer_channel_, command, true);
}

void SshClient::shell() {
  Writer pty;
  pty.u8(proto::kMsgChannelRequest).u32(peer_channel_).text("pty-req").boolean(false);
  pty.text("xterm").u32(80).u32(24).u32(0).u32(0).text(std::string_view("\0", 1));
  transport_.send(pty.view());
  Writer shell;
  shell.u8(proto::kMsgChannelRequest).u32(peer_channel_).text("shell").boolean(true);
  transport_.send(shell.view());
}

void SshClient::send_data(ByteView bytes) {
  while (!bytes.empty()) {
    const ByteView part = bytes.first(std::min<std::size_t>(bytes.size(), max_packet_));
    proto::send_channel_data(transport_, peer_channel_, as_text(part));
    window_out_ -= static_cast<std::uint32_t>(part.size());
    bytes = bytes.subspan(part.size());
  }
}

void SshClient::close_channel() {
  if (!close_sent_ && !dead_) {
    close_sent_ = true;
    proto::send_channel_close(transport_, peer_channel_);
  }
}

void SshClient::disconnect() {
  if (!dead_) {
    dead_ = true;
    transport_.disconnect(proto::DisconnectReason::kByApplication, "");
  }
}

}  // namespace bastion::bench
