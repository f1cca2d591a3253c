#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/wire.h"
#include "crypto/keys.h"
#include "proto/transport.h"
#include "tests/support/test_random.h"

namespace bastion::test {

/// host_key_for gives a private key, made once per run, that fits a host key algorithm name.
inline const crypto::PrivateKey& host_key_for(std::string_view algorithm) {
  static std::vector<std::pair<crypto::KeyType, crypto::PrivateKey>> keys;
  const crypto::KeyType type = crypto::find_signature_algorithm(algorithm)->key_type;
  for (const auto& [known, key] : keys) {
    if (known == type) {
      return key;
    }
  }
  keys.reserve(16);
  return keys.emplace_back(type, *crypto::PrivateKey::generate(type, 2048)).second;
}

inline proto::HostKey offered_host_key(const std::string& algorithm) {
  return {algorithm, host_key_for(algorithm).public_key().blob()};
}

inline std::shared_ptr<proto::TransportOptions> server_options() {
  auto options = std::make_shared<proto::TransportOptions>();
  options->role = proto::Role::kServer;
  options->host_keys = {offered_host_key("ssh-ed25519")};
  return options;
}

inline std::shared_ptr<proto::TransportOptions> client_options() {
  auto options = std::make_shared<proto::TransportOptions>();
  options->role = proto::Role::kClient;
  return options;
}

/// answer_exchange does what the warden does: signs, or verifies. False where a signature is bad.
inline bool answer_exchange(proto::Transport& transport) {
  const proto::Exchange exchange = transport.exchange();
  const crypto::Digest hash = crypto::exchange_hash(exchange.kex->hash, exchange.parts);
  if (transport.role() == proto::Role::kServer) {
    const auto signature = host_key_for(exchange.host_key_algorithm->name)
                               .sign(*exchange.host_key_algorithm, hash.view());
    return signature.has_value() && transport.provide_host_signature(hash, *signature).has_value();
  }
  const auto key = crypto::PublicKey::parse(exchange.parts.host_key_blob);
  return key.has_value() &&
         key->verify(*exchange.host_key_algorithm, hash.view(), exchange.signature).has_value() &&
         transport.provide_host_verified(hash).has_value();
}

/// Leg is a transport with what an owner keeps for it: input that has come, messages that were
/// delivered. It logs in by itself where `auto_auth` is set.
class Leg {
 public:
  Leg(std::shared_ptr<const proto::TransportOptions> options, ChunkPool& pool, std::uint64_t seed)
      : pool_(&pool),
        random_(std::make_unique<TestRandom>(seed)),
        options_(std::move(options)),
        transport_(std::make_unique<proto::Transport>(options_, pool, *random_)) {}

  proto::Transport& operator*() { return *transport_; }
  proto::Transport* operator->() { return transport_.get(); }

  bool auto_auth = true;
  bool answer = true;  // answer exchange() at once
  MonoTime now;
  std::vector<Bytes> delivered;
  std::vector<proto::StepKind> reports;  // all but kNeedBytes and kPayload
  std::optional<Error> error;
  std::size_t last_need_bytes = 0;
  std::function<void(proto::Payload)> on_payload;  // instead of `delivered`

  /// receive appends bytes of the peer and works on them.
  void receive(ByteView bytes) {
    inbox_.insert(inbox_.end(), bytes.begin(), bytes.end());
    work();
  }

  /// work calls next until it needs more. After an error it does nothing.
  void work() {
    std::size_t pos = 0;
    while (!error.has_value()) {
      const auto step = transport_->next(MutBytes(inbox_).subspan(pos), now);
      if (!step) {
        error = step.error();
        break;
      }
      pos += step->consumed;
      if (step->kind == proto::StepKind::kNeedBytes) {
        last_need_bytes = step->need_bytes;
        break;
      }
      if (step->kind == proto::StepKind::kPayload) {
        deliver(step->payload);
        continue;
      }
      reports.push_back(step->kind);
      if (step->kind == proto::StepKind::kDisconnected || step->kind == proto::StepKind::kWaiting) {
        break;
      }
      if ((step->kind == proto::StepKind::kNeedHostSignature ||
           step->kind == proto::StepKind::kNeedHostVerification) &&
          answer && !answer_exchange(*transport_)) {
        error = Error{ErrorCode::kHostKey, "the test's host signature is bad", 0};
      }
    }
    inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<std::ptrdiff_t>(pos));
  }

  /// take_output empties the send queue, up to `bytes_max`.
  Bytes take_output(std::size_t bytes_max = SIZE_MAX) {
    Bytes taken;
    std::array<ByteView, 8> parts;
    while (!transport_->output().empty() && taken.size() < bytes_max) {
      const std::size_t n = transport_->output().gather(parts);
      std::size_t used = 0;
      for (std::size_t i = 0; i < n && taken.size() < bytes_max; ++i) {
        const ByteView part = parts[i].first(std::min(parts[i].size(), bytes_max - taken.size()));
        taken.insert(taken.end(), part.begin(), part.end());
        used += part.size();
      }
      transport_->output().consume(used);
    }
    return taken;
  }

  /// move_process exports the transport, encodes and decodes it, and goes on with the copy, as a
  /// hand-over between processes does. The unread input stays with the leg.
  Status move_process() {
    const auto state = transport_->export_state();
    BASTION_TRY(state);
    SecretWriter writer;
    state->encode(writer);
    Reader reader(writer.view());
    auto decoded = proto::SessionState::decode(reader);
    BASTION_TRY(decoded);
    if (!reader.done()) {
      return fail(ErrorCode::kMalformed, "bytes behind a session state");
    }
    return import_state(std::move(*decoded));
  }
  Status import_state(proto::SessionState state) {
    auto moved = proto::Transport::from_state(std::move(state), options_, *pool_, *random_);
    BASTION_TRY(moved);
    transport_ = std::move(*moved);
    return {};
  }

  std::size_t num_reports(proto::StepKind kind) const {
    return static_cast<std::size_t>(std::count(reports.begin(), reports.end(), kind));
  }
  const Bytes& unread() const { return inbox_; }

 private:
  void deliver(proto::Payload payload) {
    const std::uint8_t message = payload.message();
    if (auto_auth && message < 80) {
      switch (message) {
        case proto::kMsgServiceRequest:
          transport_->send(message_with_text(proto::kMsgServiceAccept, "ssh-userauth"));
          return;
        case proto::kMsgServiceAccept:
          transport_->send(message_with_text(proto::kMsgUserauthRequest, "tester"));
          return;
        case proto::kMsgUserauthRequest: {
          const std::uint8_t success = proto::kMsgUserauthSuccess;
          transport_->send({&success, 1});
          transport_->set_authenticated();
          return;
        }
        case proto::kMsgUserauthSuccess: transport_->set_authenticated(); return;
        default: break;
      }
    }
    if (on_payload) {
      on_payload(payload);
    } else {
      delivered.push_back(to_bytes(payload.view()));
    }
  }

 public:
  static Bytes message_with_text(std::uint8_t message, std::string_view text) {
    Writer writer;
    writer.u8(message).text(text);
    return writer.take();
  }

 private:
  ChunkPool* pool_;
  std::unique_ptr<TestRandom> random_;
  std::shared_ptr<const proto::TransportOptions> options_;
  std::unique_ptr<proto::Transport> transport_;
  Bytes inbox_;
};

/// TransportPair is a server and a client that talk in memory.
class TransportPair {
 public:
  TransportPair() : TransportPair(server_options(), client_options()) {}
  TransportPair(std::shared_ptr<const proto::TransportOptions> server_side,
                std::shared_ptr<const proto::TransportOptions> client_side)
      : server(std::move(server_side), pool, 11), client(std::move(client_side), pool, 22) {}

  ChunkPool pool{64 * 1024};
  Leg server;
  Leg client;
  std::size_t piece_bytes = SIZE_MAX;  // bytes that travel at once

  void set_now(MonoTime now) { server.now = client.now = now; }

  void start() {
    server->start(std::nullopt, server.now);
    client->start(std::nullopt, client.now);
  }

  /// step moves one piece each way; false where nothing was there to move.
  bool step() {
    const Bytes to_server = client.take_output(piece_bytes);
    const Bytes to_client = server.take_output(piece_bytes);
    if (!to_server.empty()) {
      server.receive(to_server);
    }
    if (!to_client.empty()) {
      client.receive(to_client);
    }
    return !to_server.empty() || !to_client.empty();
  }
  void pump() {
    while (step() && !server.error && !client.error) {
    }
  }

  /// log_in runs both from the start to Phase::kAuthenticated.
  void log_in() {
    start();
    pump();
    client->send(Leg::message_with_text(proto::kMsgServiceRequest, "ssh-userauth"));
    pump();
  }
};

/// channel_data makes a message of the connection layer with a running number and some bulk.
inline Bytes channel_data(std::uint32_t number, std::size_t bulk_bytes = 0) {
  Writer writer;
  writer.u8(proto::kMsgChannelData).u32(number);
  writer.string(Bytes(bulk_bytes, static_cast<std::uint8_t>(number)));
  return writer.take();
}

}  // namespace bastion::test
