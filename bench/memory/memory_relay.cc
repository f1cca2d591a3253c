#include "bench/memory/memory_relay.h"

#include <array>
#include <cstring>

#include "base/wire.h"
#include "bench/peers/files.h"
#include "crypto/kex.h"

namespace bastion::bench {
namespace {

/// The writable bytes around what was received, as a ring's slab has them.
constexpr std::size_t kMargin = 64;
constexpr MonoTime kNow{kNsPerSecond};

crypto::PrivateKey make_key() {
  return std::move(*crypto::PrivateKey::generate(crypto::KeyType::kEd25519));
}

void must(bool fine, std::string_view what) {
  if (!fine) {
    die("in memory: " + std::string(what));
  }
}

}  // namespace

MemoryRelay::MemoryRelay(const std::string& cipher) : key_(make_key()) {
  identity_ = {client_options(cipher), &key_, &peers_pool_};
  setup_ = {server_options(key_, cipher), &key_, &peers_pool_};
  user_.emplace(identity_, "root@web1", *this);
  target_ = std::make_unique<SshServer>(setup_);
  down_options_ = server_options(key_, cipher);
  down_ = std::make_unique<proto::Transport>(down_options_, pool_, crypto::system_random());
  up_.emplace(client_options(cipher), pool_, crypto::system_random());
  permissions_.shell = permissions_.exec = permissions_.pty = true;
}

void MemoryRelay::failed(std::string_view text) { die("in memory: " + std::string(text)); }

void MemoryRelay::log_in() {
  user_->start(kNow);
  bastion_start();
  while (!bridge_ && turn()) {
    if (auth_client_ && auth_client_->state() == proto::AuthClient::State::kDone &&
        down_->output().empty()) {
      bastion_hand_over();
    }
  }
  while (!open_ && turn()) {
  }
  must(open_, "the login did not end");
}

void MemoryRelay::pull(std::uint64_t bytes) {
  const std::uint64_t end = received_ + bytes;
  user_->exec("source " + std::to_string(bytes));
  while (received_ < end && turn()) {
  }
  must(received_ == end, "bytes are missing");
  while (open_ && turn()) {
  }
  user_->open_session();
  while (!open_ && turn()) {
  }
}

double MemoryRelay::copied_share() const {
  const auto& down = down_->counters();
  const auto& up = up_->counters();
  return static_cast<double>(down.bytes_copied + up.bytes_copied) /
         static_cast<double>(down.bytes_relayed + up.bytes_relayed);
}

MutBytes MemoryRelay::take(proto::SendQueue& queue) {
  wire_.resize(2 * kMargin + queue.bytes());
  std::size_t end = kMargin;
  while (!queue.empty()) {
    std::array<ByteView, 1> front;
    queue.gather(front);
    std::memcpy(wire_.data() + end, front[0].data(), front[0].size());
    end += front[0].size();
    queue.consume(front[0].size());
  }
  return MutBytes(wire_).subspan(kMargin, end - kMargin);
}

bool MemoryRelay::turn() {
  bool moved = false;
  // A worker does not read its user before the target is there; a gate's login ends before that.
  const bool waits = auth_server_->authenticated() && !bridge_;
  if (!waits && !user_->output().empty()) {
    bastion_from_user(take(user_->output()));
    moved = true;
  }
  if (dialled_ && !target_->output().empty()) {
    bastion_from_target(take(target_->output()));
    target_->drained();
    moved = true;
  }
  for (const proto::Leg leg : proto::kLegs) {
    proto::SendQueue& queue = leg == proto::Leg::kDownstream ? down_->output() : up_->output();
    if (queue.empty()) {
      continue;
    }
    const MutBytes bytes = take(queue);
    bastion_sent(leg, bytes.size());
    moved = true;
    if (leg == proto::Leg::kDownstream) {
      user_->receive(bytes, kNow);
    } else {
      target_->receive(bytes, kNow);
    }
  }
  return moved;
}

// --- what a gate and a worker do -----------------------------------------------------------------

void MemoryRelay::bastion_start() {
  auth_server_.emplace(
      proto::AuthServerOptions{.algorithms = down_options_->algorithms.public_keys}, *down_);
  down_->start(std::nullopt, kNow);
}

void MemoryRelay::bastion_from_user(MutBytes bytes) {
  while (true) {
    const auto step = down_->next(bytes, kNow);
    must(step.has_value(), "the user's bytes");
    const bool more = user_step(*step);
    bytes = bytes.subspan(step->consumed);
    if (!more) {
      must(bytes.empty(), "a packet in pieces");
      return;
    }
  }
}

void MemoryRelay::bastion_from_target(MutBytes bytes) {
  while (true) {
    const auto step = up_->next(bytes, kNow);
    must(step.has_value(), "the target's bytes");
    const bool more = target_step(*step);
    bytes = bytes.subspan(step->consumed);
    if (!more) {
      must(bytes.empty(), "a packet in pieces");
      return;
    }
  }
}

bool MemoryRelay::user_step(const proto::Step& step) {
  switch (step.kind) {
    case proto::StepKind::kPayload:
      return bridge_ ? bridged(proto::Leg::kDownstream, step.payload)
                     : gate_message(step.payload.view());
    case proto::StepKind::kNeedHostSignature: {
      const proto::Exchange exchange = down_->exchange();
      const crypto::Digest hash = crypto::exchange_hash(exchange.kex->hash, exchange.parts);
      const auto signature = key_.sign(*exchange.host_key_algorithm, hash.view());
      must(signature && down_->provide_host_signature(hash, *signature), "the first exchange");
      return true;
    }
    default: return step.kind == proto::StepKind::kKeysChanged;
  }
}

bool MemoryRelay::gate_message(ByteView payload) {
  const auto step = auth_server_->on_message(payload);
  must(step.has_value(), "a message of userauth");
  if (step->kind == proto::AuthStep::Kind::kNeedKeyVerify) {
    must(auth_server_->provide_verdict(proto::AuthVerdict::kSuccess).has_value(), "the verdict");
    down_->set_authenticated();
    up_->start(std::nullopt, kNow);
    dialled_ = true;
  }
  return true;
}

bool MemoryRelay::target_step(const proto::Step& step) {
  switch (step.kind) {
    case proto::StepKind::kPayload: {
      if (bridge_) {
        return bridged(proto::Leg::kUpstream, step.payload);
      }
      const auto asked = auth_client_->on_message(step.payload.view());
      must(asked.has_value(), "the target's answer");
      if (asked->kind == proto::ClientAuthStep::Kind::kNeedCredential) {
        // The warden's signature; the target does not look at it.
        static const Bytes kSignature(83, 's');
        must(auth_client_->provide_signed("ssh-ed25519", key_.public_key().blob(), kSignature)
                 .has_value(),
             "the target's login");
      } else if (asked->kind == proto::ClientAuthStep::Kind::kSuccess) {
        up_->set_authenticated();
      }
      return true;
    }
    case proto::StepKind::kNeedHostVerification: {
      const proto::Exchange exchange = up_->exchange();
      const crypto::Digest hash = crypto::exchange_hash(exchange.kex->hash, exchange.parts);
      must(up_->provide_host_verified(hash).has_value(), "the target's exchange");
      return true;
    }
    case proto::StepKind::kKeysChanged:
      auth_client_.emplace(proto::AuthClientOptions{}, *up_);
      auth_client_->start("root");
      return true;
    default: return false;
  }
}

void MemoryRelay::bastion_hand_over() {
  const auto state = down_->export_state();
  must(state.has_value(), "the state");
  SecretBytes bytes;
  SecretWriter writer(bytes);
  state->encode(writer);
  Reader reader(bytes);
  auto decoded = proto::SessionState::decode(reader);
  must(decoded.has_value(), "the state's bytes");
  auto moved = proto::Transport::from_state(std::move(*decoded), down_options_, pool_,
                                            crypto::system_random());
  must(moved.has_value(), "the moved transport");
  down_ = std::move(*moved);
  bridge_.emplace(permissions_, *down_, *up_, *this);
  bridge_->set_names({"alice", "root", "web1", "7q2n"});
}

void MemoryRelay::bastion_sent(proto::Leg leg, std::size_t /*n*/) {
  if (bridge_) {
    bridge_->drained(leg);
  }
}

bool MemoryRelay::bridged(proto::Leg from, proto::Payload payload) {
  must(bridge_->on_message(from, payload).has_value(), "a channel message");
  return true;
}

}  // namespace bastion::bench
