#include "bench/peers/ssh_server.h"

#include <charconv>

#include "base/wire.h"
#include "bench/peers/ssh_client.h"
#include "crypto/kex.h"
#include "proto/connection_messages.h"
#include "proto/requests.h"

namespace bastion::bench {
namespace {

constexpr std::uint32_t kOwnChannel = 0;
constexpr std::uint32_t kMaxPacket = 32 * 1024;
constexpr std::uint32_t kGrantBytes = kWindowBytes / 8;
/// Sealed bytes that wait for the socket at most while a source pours.
constexpr std::size_t kQueueBytesMax = 1024 * 1024;

std::uint64_t number_in(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

SshServer::SshServer(const TargetSetup& setup)
    : setup_(setup),
      transport_(setup.options, *setup.pool, crypto::system_random()),
      auth_({.algorithms = setup.options->algorithms.public_keys}, transport_) {
  transport_.start(std::nullopt, mono_now());
}

void SshServer::receive(MutBytes bytes, MonoTime now) {
  if (!dead_ && !inbox_.feed(transport_, bytes, now,
                             [this](const proto::Step& step) { return on_step(step); })) {
    dead_ = true;
  }
}

bool SshServer::on_step(const proto::Step& step) {
  switch (step.kind) {
    case proto::StepKind::kPayload:
      return auth_.authenticated() ? on_message(step.payload) : on_auth(step.payload.view());
    case proto::StepKind::kNeedHostSignature: {
      const proto::Exchange exchange = transport_.exchange();
      const crypto::Digest hash = crypto::exchange_hash(exchange.kex->hash, exchange.parts);
      const auto signature = setup_.host_key->sign(*exchange.host_key_algorithm, hash.view());
      return signature && transport_.provide_host_signature(hash, *signature);
    }
    case proto::StepKind::kKeysChanged: return true;
    default: return false;
  }
}

bool SshServer::on_auth(ByteView payload) {
  const auto step = auth_.on_message(payload);
  if (!step) {
    return false;
  }
  switch (step->kind) {
    case proto::AuthStep::Kind::kNeedKeyQuery: return auth_.provide_key_query(true).has_value();
    case proto::AuthStep::Kind::kNeedKeyVerify:
      if (!auth_.provide_verdict(proto::AuthVerdict::kSuccess)) {
        return false;
      }
      transport_.set_authenticated();
      return true;
    default: return true;
  }
}

bool SshServer::on_message(const proto::Payload& payload) {
  Reader reader(payload.view());
  switch (reader.u8()) {
    case proto::kMsgGlobalRequest:
      reader.string();
      if (reader.lenient_boolean()) {
        proto::send_global_reply(transport_, false);
      }
      return true;
    case proto::kMsgChannelOpen:
      reader.string();
      peer_channel_ = reader.u32();
      window_out_ = reader.u32();
      max_packet_ = std::min(reader.u32(), kMaxPacket);
      command_ = Command::kNone;
      closed_ = false;
      proto::send_open_confirmation(transport_, peer_channel_, kOwnChannel, kWindowBytes,
                                    kMaxPacket);
      return true;
    case proto::kMsgChannelWindowAdjust:
      reader.u32();
      window_out_ += reader.u32();
      pour();
      return true;
    case proto::kMsgChannelData: reader.u32(); return on_data(reader.string());
    case proto::kMsgChannelRequest: on_request(payload.view()); return true;
    case proto::kMsgChannelEof: end_command(); return true;
    case proto::kMsgChannelClose: end_command(); return true;
    default: return true;
  }
}

bool SshServer::on_data(ByteView data) {
  ungranted_ += static_cast<std::uint32_t>(data.size());
  if (ungranted_ >= kGrantBytes) {
    proto::send_window_adjust(transport_, peer_channel_, std::exchange(ungranted_, 0));
  }
  if (command_ == Command::kEcho) {
    const std::size_t n = std::min<std::size_t>(data.size(), window_out_);
    proto::send_channel_data(transport_, peer_channel_, as_text(data.first(n)));
    window_out_ -= static_cast<std::uint32_t>(n);
  } else if (command_ == Command::kSink) {
    left_ -= std::min<std::uint64_t>(left_, data.size());
    if (left_ == 0) {
      end_command();
    }
  }
  return true;
}

void SshServer::on_request(ByteView message) {
  const auto request = proto::parse_channel_request(message);
  if (!request) {
    return;
  }
  const bool runs = request->type == proto::ChannelRequestType::kExec ||
                    request->type == proto::ChannelRequestType::kShell;
  const bool known = runs || request->type == proto::ChannelRequestType::kPty ||
                     request->type == proto::ChannelRequestType::kEnv;
  if (request->want_reply) {
    proto::send_channel_reply(transport_, peer_channel_, known);
  }
  if (runs) {
    run(request->type == proto::ChannelRequestType::kShell ? "echo" : request->text);
  }
}

void SshServer::run(std::string_view command) {
  if (command.starts_with("source ")) {
    command_ = Command::kSource;
    left_ = number_in(command.substr(7));
    pour();
  } else if (command.starts_with("sink ")) {
    command_ = Command::kSink;
    left_ = number_in(command.substr(5));
  } else if (command == "echo") {
    command_ = Command::kEcho;
  } else if (command == "hold") {
    command_ = Command::kHold;
  } else {
    end_command();
  }
}

void SshServer::pour() {
  if (command_ != Command::kSource || closed_) {
    return;
  }
  static const std::string kBytes(kMaxPacket, 'x');
  while (left_ > 0 && window_out_ > 0 && transport_.queued_bytes() < kQueueBytesMax) {
    const std::size_t n = std::min({left_, std::uint64_t{window_out_}, std::uint64_t{max_packet_}});
    proto::send_channel_data(transport_, peer_channel_, std::string_view(kBytes).substr(0, n));
    window_out_ -= static_cast<std::uint32_t>(n);
    left_ -= n;
  }
  if (left_ == 0) {
    end_command();
  }
}

void SshServer::end_command() {
  if (!closed_) {
    closed_ = true;
    proto::send_exit_status(transport_, peer_channel_, 0);
    proto::send_channel_eof(transport_, peer_channel_);
    proto::send_channel_close(transport_, peer_channel_);
  }
}

}  // namespace bastion::bench
