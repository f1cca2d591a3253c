#include "bench/relay/handshake.h"

#include <array>

#include "base/limits.h"
#include "bench/peers/files.h"
#include "crypto/kex.h"
#include "proto/auth_client.h"
#include "proto/auth_server.h"

namespace bastion::bench {
namespace {

void send_output(int socket, proto::Transport& transport) {
  while (!transport.output().empty()) {
    std::array<ByteView, 1> front;
    transport.output().gather(front);
    if (!send_all(socket, front[0])) {
      die("the peer left during the login");
    }
    transport.output().consume(front[0].size());
  }
}

/// drive gives the transport bytes until `on_step` says that the login is done.
template <typename OnStep>
Bytes drive(int socket, proto::Transport& transport, OnStep on_step) {
  transport.start(std::nullopt, mono_now());
  Bytes in;
  std::size_t begin = 0;
  send_output(socket, transport);
  while (true) {
    auto step = transport.next(MutBytes(in).subspan(begin), mono_now());
    if (!step) {
      die("login: " + std::string(step.error().text));
    }
    const bool more = step->kind == proto::StepKind::kNeedBytes || on_step(*step);
    begin += step->consumed;
    send_output(socket, transport);
    if (!more) {
      return {in.begin() + static_cast<std::ptrdiff_t>(begin), in.end()};
    }
    if (step->kind == proto::StepKind::kNeedBytes) {
      const std::size_t end = in.size();
      in.resize(end + 64 * 1024);
      const std::size_t n = receive_some(socket, MutBytes(in).subspan(end));
      if (n == 0) {
        die("the peer left during the login");
      }
      in.resize(end + n);
    }
  }
}

Leg leg_of(proto::Transport& transport, Bytes unread) {
  const auto state = transport.export_state();
  if (!state) {
    die("the login is not done");
  }
  Leg leg;
  leg.opener = std::move(*crypto::make_opener(state->in.keys));
  leg.sealer = std::move(*crypto::make_sealer(state->out.keys));
  leg.open_seq = state->in.seq;
  leg.seal_seq = state->out.seq;
  leg.unread = std::move(unread);
  return leg;
}

}  // namespace

Leg log_in_user(int socket, const crypto::PrivateKey& host_key, const std::string& cipher) {
  ChunkPool pool;
  proto::Transport transport(server_options(host_key, cipher), pool, crypto::system_random());
  proto::AuthServer auth({.algorithms = proto::standard_algorithms().public_keys}, transport);
  Bytes unread = drive(socket, transport, [&](const proto::Step& step) {
    if (step.kind == proto::StepKind::kNeedHostSignature) {
      const proto::Exchange exchange = transport.exchange();
      const auto hash = crypto::exchange_hash(exchange.kex->hash, exchange.parts);
      const auto signature = host_key.sign(*exchange.host_key_algorithm, hash.view());
      return signature && transport.provide_host_signature(hash, *signature);
    }
    if (step.kind != proto::StepKind::kPayload) {
      return step.kind == proto::StepKind::kKeysChanged;
    }
    const auto asked = auth.on_message(step.payload.view());
    if (!asked) {
      die("login: " + std::string(asked.error().text));
    }
    if (asked->kind == proto::AuthStep::Kind::kNeedKeyQuery) {
      return auth.provide_key_query(true).has_value();
    }
    if (asked->kind == proto::AuthStep::Kind::kNeedKeyVerify) {
      if (auth.provide_verdict(proto::AuthVerdict::kSuccess)) {
        transport.set_authenticated();
      }
      return false;
    }
    return true;
  });
  return leg_of(transport, std::move(unread));
}

Leg log_in_at(int socket, const crypto::PrivateKey& key, const std::string& user,
              const std::string& cipher) {
  ChunkPool pool;
  proto::Transport transport(client_options(cipher), pool, crypto::system_random());
  proto::AuthClient auth({}, transport);
  Bytes unread = drive(socket, transport, [&](const proto::Step& step) {
    if (step.kind == proto::StepKind::kNeedHostVerification) {
      const proto::Exchange exchange = transport.exchange();
      const auto hash = crypto::exchange_hash(exchange.kex->hash, exchange.parts);
      return transport.provide_host_verified(hash).has_value();
    }
    if (step.kind == proto::StepKind::kKeysChanged) {
      auth.start(user);
      return true;
    }
    if (step.kind != proto::StepKind::kPayload) {
      die("the target left during the login");
    }
    const auto next = auth.on_message(step.payload.view());
    if (!next || next->kind == proto::ClientAuthStep::Kind::kRefused) {
      die("the target refused the login");
    }
    if (next->kind == proto::ClientAuthStep::Kind::kNeedCredential) {
      const Bytes& blob = key.public_key().blob();
      const Bytes data = proto::userauth_signed_data({.session_id = transport.session_id(),
                                                      .user = user,
                                                      .service = proto::kServiceConnection,
                                                      .algorithm = "ssh-ed25519",
                                                      .key_blob = blob,
                                                      .host_key_blob = std::nullopt});
      const auto signature = key.sign(*crypto::find_signature_algorithm("ssh-ed25519"), data);
      return signature && auth.provide_signed("ssh-ed25519", blob, *signature);
    }
    if (next->kind == proto::ClientAuthStep::Kind::kSuccess) {
      transport.set_authenticated();
      return false;
    }
    return true;
  });
  return leg_of(transport, std::move(unread));
}

std::size_t packet_len(const Leg& leg, ByteView in) {
  const std::size_t prefix_len = leg.opener->length_prefix_len();
  if (in.size() < prefix_len) {
    return 0;
  }
  const std::uint32_t length = leg.opener->packet_length(leg.open_seq, in.first(prefix_len));
  if (length > limits::kPacketLengthMax) {
    die("a packet's length is out of range");
  }
  return 4 + std::size_t{length} + leg.opener->tag_len();
}

MutBytes open_packet(Leg& leg, MutBytes packet) {
  if (!leg.opener->open(leg.open_seq++, packet)) {
    die("a packet's tag is wrong");
  }
  return packet.first(packet.size() - leg.opener->tag_len());
}

ByteView payload_of(ByteView clear) { return clear.subspan(5, clear.size() - 5 - clear[4]); }

Frame frame_of(const Leg& leg, std::size_t payload_len) {
  const std::size_t block = leg.sealer->block_len();
  std::size_t padding = block - (5 - leg.sealer->aad_len() + payload_len) % block;
  padding += padding < 4 ? block : 0;
  const std::size_t clear_len = 5 + payload_len + padding;
  return {clear_len, clear_len + leg.sealer->tag_len()};
}

void seal_frame(Leg& leg, std::uint8_t* packet, std::size_t payload_len) {
  const Frame frame = frame_of(leg, payload_len);
  store_u32(packet, static_cast<std::uint32_t>(frame.clear_len - 4));
  packet[4] = static_cast<std::uint8_t>(frame.clear_len - 5 - payload_len);
  leg.sealer->seal(leg.seal_seq++, {packet, frame.clear_len}, {packet, frame.wire_len});
}

}  // namespace bastion::bench
