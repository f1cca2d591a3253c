#include "daemon/worker/session.h"

#include <algorithm>

#include "base/wire.h"
#include "crypto/hash.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/worker/session_text.h"
#include "daemon/worker/worker.h"
#include "proto/messages.h"

namespace bastion::daemon {
namespace {

/// What is said at the end leaves within this time, or not at all.
constexpr std::int64_t kEndMsMax = 3'000;
/// Packets of one leg that are taken in one turn of the loop, so that a flood of small ones delays
/// nobody's keystroke by more than a fraction of a millisecond. A turn's full-size packets are
/// fewer: a receive is one slab.
constexpr std::uint64_t kPacketsPerTurn = 256;
/// A leg that makes us answer more than it reads is not read: twice what relaying may queue.
constexpr std::size_t kOwnAnswersMax = 2 * limits::kSendQueueBytesMax;
/// A leg in key exchange is read on, since its KEXINIT may lie behind data, until so much of that
/// waits for the other leg: a window more than in ordinary times.
constexpr std::size_t kKexQueueMax = limits::kSendQueueBytesMax + limits::kWindowBytesMax;
/// What is for it waits meanwhile. Windows bound the data; so much besides is what a peer made us
/// answer that goes on asking and never finishes the exchange.
constexpr std::size_t kKexAnswersMax = 3 * limits::kSendQueueBytesMax;

}  // namespace

WorkerSession::WorkerSession(Worker& worker, std::uint32_t slot, ipc::SessionId id,
                             ipc::Adopt adopt, std::shared_ptr<const ipc::Settings> settings)
    : worker_(worker),
      slot_(slot),
      id_(id),
      adopt_(std::move(adopt)),
      settings_(std::move(settings)) {}

WorkerSession::~WorkerSession() { worker_.timers().cancel(timer_); }

void WorkerSession::make_stream(proto::Leg which, UniqueFd socket) {
  const bool is_down = which == proto::Leg::kDownstream;
  leg(which).stream = std::make_unique<Stream>(
      worker_.ring(), std::move(socket),
      worker_.session_token(is_down ? TokenKind::kDownRead : TokenKind::kUpRead, slot_),
      worker_.session_token(is_down ? TokenKind::kDownWrite : TokenKind::kUpWrite, slot_));
  leg(which).heard = worker_.now();
}

Status WorkerSession::start(std::shared_ptr<const proto::TransportOptions> options,
                            UniqueFd socket) {
  make_stream(proto::Leg::kDownstream, std::move(socket));
  Reader reader(adopt_.state);
  auto state = proto::SessionState::decode(reader);
  if (!state) {
    return std::unexpected(state.error());
  }
  auto transport = proto::Transport::from_state(std::move(*state), std::move(options),
                                                worker_.pool(), crypto::system_random());
  if (!transport) {
    return std::unexpected(transport.error());
  }
  down().transport = std::move(*transport);
  down().stream->in().append(adopt_.input);
  SecretBytes().swap(adopt_.state);
  SecretBytes().swap(adopt_.input);
  switch (adopt_.mode) {
    case ipc::SessionMode::kRouted: break;
    case ipc::SessionMode::kMenu: serve_locally(proto::LocalOptions::Mode::kMenu, ""); break;
    case ipc::SessionMode::kRefused:
      serve_locally(proto::LocalOptions::Mode::kRefuse, adopt_.refusal);
      break;
  }
  after_work();
  return {};
}

// --- completions ---------------------------------------------------------------------------------

void WorkerSession::on_read(proto::Leg which, const Completion& completion) {
  SessionLeg& from = leg(which);
  switch (from.stream->on_receive(completion)) {
    case Stream::Received::kBytes:
      from.heard = worker_.now();
      from.keepalives = 0;
      if (from.flushing) {
        from.stream->in().park();
        break;
      }
      advance(which);
      break;
    case Stream::Received::kEnd: leg_gone(which, "closed the connection"); break;
    case Stream::Received::kFailed: leg_gone(which, "lost the connection"); break;
    case Stream::Received::kStarved: return worker_.starved(*this, *from.stream);
    case Stream::Received::kNothing: break;
  }
  after_work();
}

bool WorkerSession::rearm(Token token) {
  const auto kind = static_cast<TokenKind>(token.kind);
  if (kind == TokenKind::kTunnelRead) {
    Tunnel* tunnel = tunnel_at(token.index);
    if (tunnel == nullptr) {
      return false;
    }
    tunnel->stream->end_wait();
    arm_tunnel(*tunnel);
    return tunnel->stream->receiving();
  }
  const SessionLeg& starved = kind == TokenKind::kDownRead ? down() : up();
  if (starved.stream == nullptr) {
    return false;
  }
  starved.stream->end_wait();
  after_work();
  return starved.stream->receiving();
}

void WorkerSession::on_written(proto::Leg which, const Completion& completion) {
  SessionLeg& to = leg(which);
  if (!to.stream->on_write(completion, to.transport->output())) {
    leg_gone(which, "lost the connection");
    return after_work();
  }
  if (bridge_ != nullptr && !finished_) {
    bridge_->drained(which);
  }
  after_work();
}

// --- messages ------------------------------------------------------------------------------------

// may_take: a leg's bytes wait while what they turn into has not left. One in key exchange is read
// further; by then, where its peer began the exchange, only messages of that are to come.
bool WorkerSession::may_take(proto::Leg which) const {
  const SessionLeg& from = legs_[proto::index(which)];
  if (!from.live() || from.transport == nullptr) {
    return false;
  }
  if (which == proto::Leg::kDownstream &&
      (state_ == State::kDialling || state_ == State::kHandshake)) {
    return false;
  }
  if (waits_for_recorder() || waits_for_audit() || (logged_in_ && state_ == State::kHandshake)) {
    return false;
  }
  const SessionLeg& to = legs_[proto::index(proto::other(which))];
  const std::size_t ahead = to.transport == nullptr ? 0 : to.transport->queued_bytes();
  if (from.transport->in_key_exchange()) {
    return ahead < kKexQueueMax;
  }
  if (from.transport->queued_bytes() >= kOwnAnswersMax || tunnels_congested()) {
    return false;
  }
  return ahead < limits::kSendQueueBytesMax;
}

void WorkerSession::advance(proto::Leg which) {
  SessionLeg& from = leg(which);
  from.put_off = false;
  // Where nothing is left, nothing is put off: the receive that comes next must be armed.
  while (may_take(which) && (from.stream->in().empty() || within_share(which)) && step(which)) {
  }
  flush_batches();
  if (from.stream != nullptr && !from.stream->in().empty() && !may_take(which)) {
    from.put_off = false;
    from.stream->in().park();
    from.transport->count_copied(from.stream->in().take_copied());
  }
}

// within_share: what is left over waits where it lies for the next turn, which the others begin.
bool WorkerSession::within_share(proto::Leg which) {
  SessionLeg& from = leg(which);
  const std::uint64_t packets = from.transport->counters().packets_in;
  if (from.turn != worker_.turn()) {
    from.turn = worker_.turn();
    from.turn_packets = packets;
  }
  ipc::WorkerStats& stats = worker_.stats();
  const std::uint64_t taken = packets - from.turn_packets;
  stats.packets_per_turn_max = std::max(stats.packets_per_turn_max, taken);
  if (taken < kPacketsPerTurn && (taken == 0 || !worker_.overdue())) {
    return true;
  }
  from.put_off = true;
  if (from.put_off_turn != worker_.turn()) {
    from.put_off_turn = worker_.turn();
    ++stats.turns_put_off;
    worker_.again(*this);
  }
  return false;
}

void WorkerSession::go_on() {
  for (SessionLeg& each : legs_) {
    each.put_off = false;
  }
  after_work();
}

void WorkerSession::count_relayed() {
  ipc::WorkerStats& stats = worker_.stats();
  for (SessionLeg& each : legs_) {
    if (each.transport != nullptr) {
      const proto::TransportCounters now = each.transport->counters();
      stats.bytes_relayed += now.bytes_relayed - each.told.bytes_relayed;
      stats.bytes_copied += now.bytes_copied - each.told.bytes_copied;
      stats.packets += now.packets_in - each.told.packets_in;
      each.told = now;
    }
  }
}

bool WorkerSession::step(proto::Leg which) {
  SessionLeg& from = leg(which);
  InputBuffer& in = from.stream->in();
  auto result = from.transport->next(in.front(), worker_.now());
  if (!result) {
    leg_fault(which, result.error());
    return false;
  }
  const proto::Step step = *result;
  bool more = true;
  switch (step.kind) {
    case proto::StepKind::kNeedBytes:
      in.consume(step.consumed);
      flush_batches();  // they point at what incomplete may move
      more = in.incomplete(step.need_bytes);
      from.transport->count_copied(in.take_copied());
      return more;
    case proto::StepKind::kPayload:
      more = on_payload(which, step.payload);
      if (from.transport->in_key_exchange() && from.transport->queued_bytes() >= kKexAnswersMax &&
          from.live()) {
        leg_fault(which, Error{ErrorCode::kLimit, "too much was asked for in a key exchange", 0});
        more = false;
      }
      break;
    case proto::StepKind::kNeedHostSignature:
      from.awaiting = true;
      asked_[worker_.ask(*this, ipc::SignRekey{exchange_message(from.transport->exchange())})] = {
          Asked::What::kRekey};
      break;
    case proto::StepKind::kNeedHostVerification: on_host_verification(); break;
    case proto::StepKind::kKeysChanged:
      if (which == proto::Leg::kUpstream && state_ == State::kHandshake && !auth_) {
        auth_.emplace(proto::AuthClientOptions{}, *up().transport);
        auth_->start(adopt_.login);
      }
      from.exchange_timed = false;
      update_timer();
      break;
    case proto::StepKind::kDisconnected:
      leg_gone(which, disconnected_text(from.transport->disconnect_text()));
      return false;
    case proto::StepKind::kConsumed: break;
    case proto::StepKind::kWaiting: return false;
  }
  in.consume(step.consumed);
  return more;
}

bool WorkerSession::on_payload(proto::Leg which, const proto::Payload& payload) {
  if (which == proto::Leg::kUpstream && state_ == State::kHandshake) {
    return on_auth_message(payload.view());
  }
  if (payload.message() < proto::kMsgGlobalRequest) {
    // RFC 4252 5.1: requests to authenticate after success are ignored.
    if (payload.message() == proto::kMsgUserauthRequest && which == proto::Leg::kDownstream) {
      return true;
    }
    leg_fault(which, Error{ErrorCode::kProtocol, "a message that is not allowed any more",
                           payload.message()});
    return false;
  }
  const Status done = on_channel_message(which, payload);
  if (!done && done.error().code != ErrorCode::kUnsupported) {
    leg_fault(which, done.error());
    return false;
  }
  return true;
}

Status WorkerSession::on_channel_message(proto::Leg which, const proto::Payload& payload) {
  if (bridge_ != nullptr) {
    bridge_->set_now(worker_.now().ns / 1000);
    return bridge_->on_message(which, payload);
  }
  if (local_ == nullptr) {
    return fail(ErrorCode::kProtocol, "no channels yet");
  }
  auto data = local_->on_message(payload);
  if (!data) {
    return std::unexpected(data.error());
  }
  if (!data->data.empty()) {
    take_tunnel_data(*data);
  }
  return {};
}

// --- endings -------------------------------------------------------------------------------------

void WorkerSession::leg_fault(proto::Leg which, const Error& error) {
  const bool is_down = which == proto::Leg::kDownstream;
  disconnect(which, reason_for(error), error.text);
  if (is_down) {
    return leg_gone(which, "broke the SSH protocol: " + describe(error));
  }
  if (error.code == ErrorCode::kHostKey) {
    note(true, std::string(error.text));
    return leg_gone(which, "changed its host key during the session");
  }
  note(true, "the target broke the protocol: " + describe(error));
  leg_gone(which, "broke the SSH protocol (" + std::string(error.text) + ")");
}

void WorkerSession::leg_gone(proto::Leg which, std::string_view why) {
  if (which == proto::Leg::kUpstream) {
    if (!up().flushing) {
      close_leg(which);
    }
    if (state_ == State::kHandshake) {
      // sshd does this to an address that it holds something against, and all of ours have one.
      const bool said_nothing = up().transport != nullptr && up().transport->peer_ident().empty();
      return target_refused(adopt_.target + " " + std::string(why) +
                            (said_nothing ? " before it said that it speaks SSH; its log says why "
                                            "(OpenSSH: PerSourcePenalties or MaxStartups)."
                                          : "."));
    }
    if (bridge_ != nullptr && state_ == State::kBridged) {
      const std::string text = with_id(adopt_.target + " " + std::string(why) + ".");
      end_reason_ = "target " + std::string(why);
      end_text_ = text;
      end_deadline_ = after(worker_.now(), kEndMsMax * kNsPerMs);
      bridge_->upstream_lost(text);
      update_timer();
    }
    return;
  }
  if (!down().flushing) {
    close_leg(which);
  }
  if (bridge_ != nullptr && state_ == State::kBridged && !finished_) {
    bridge_->downstream_lost();
  }
  end("user " + std::string(why), "");
}

void WorkerSession::close_leg(proto::Leg which) {
  if (leg(which).stream != nullptr) {
    leg(which).stream->close();
  }
}

void WorkerSession::disconnect(proto::Leg which, proto::DisconnectReason reason,
                               std::string_view text) {
  SessionLeg& to = leg(which);
  if (to.stream == nullptr || to.stream->closing() || to.flushing || to.transport == nullptr) {
    return;
  }
  to.transport->disconnect(reason, text);
  to.flushing = true;
}

// end lets what is queued leave and closes both legs. `text` is what the user's client shows.
void WorkerSession::end(std::string reason, std::string_view text) {
  if (state_ == State::kEnding) {
    return;
  }
  if (bridge_ != nullptr && state_ == State::kBridged && !finished_) {
    bridge_->downstream_lost();  // its channels and files are told of, as far as they came
  }
  state_ = State::kEnding;
  if (end_reason_.empty()) {
    end_reason_ = std::move(reason);
  }
  disconnect(proto::Leg::kDownstream, proto::DisconnectReason::kByApplication, text);
  disconnect(proto::Leg::kUpstream, proto::DisconnectReason::kByApplication, "session ended");
  close_tunnels();
  end_deadline_ = after(worker_.now(), kEndMsMax * kNsPerMs);
  update_timer();
}

void WorkerSession::end_with(std::string_view text) {
  end_reason_ = end_text_ = text;
  if (state_ == State::kBridged && !finished_) {
    disconnect(proto::Leg::kUpstream, proto::DisconnectReason::kByApplication, "session ended");
    end_deadline_ = after(worker_.now(), kEndMsMax * kNsPerMs);
    bridge_->upstream_lost(text);
  } else if (state_ == State::kLocal) {
    end_deadline_ = after(worker_.now(), kEndMsMax * kNsPerMs);
    local_->shut_down(text);
    if (local_->num_channels() == 0) {
      end("", text);
    }
  } else {
    end("", text);
  }
  update_timer();
  after_work();
}

// finished: the bridge has closed every channel after its target was lost.
void WorkerSession::finished() { finished_ = true; }

// after_work arms what is next on both legs and notices ends.
void WorkerSession::after_work() {
  if (finished_ && state_ == State::kBridged) {
    end("", end_text_);
  }
  rekey_if_due();
  time_exchanges();
  for (const proto::Leg which : proto::kLegs) {
    SessionLeg& each = leg(which);
    if (each.live() && !each.put_off && !each.stream->in().empty() && may_take(which)) {
      advance(which);  // it had to wait, and need not any more
    }
  }
  // What either leg has become by now is to leave: writes are armed when both have been taken.
  const bool held = holds_back();
  for (const proto::Leg which : proto::kLegs) {
    SessionLeg& each = leg(which);
    if (each.stream == nullptr || each.stream->closing()) {
      continue;
    }
    if (each.transport != nullptr && !held) {
      each.stream->arm_write(each.transport->output());
    }
    if (may_take(which) && !each.awaiting && !each.put_off) {
      worker_.arm_receive(*this, *each.stream);
    }
    if (each.flushing && each.transport->output().empty() && !each.stream->writing()) {
      close_leg(which);
    }
  }
  if (state_ == State::kLocal && local_ != nullptr) {
    local_->ready_channels();  // each is looked at here anyhow
    for (const auto& tunnel : tunnels_) {
      // Its window opened, or our queue towards the user has room again.
      if (!tunnel->stream->closing() && !tunnel->stream->receiving()) {
        feed_user(*tunnel);
      }
    }
    if (down().stream != nullptr && !down().stream->closing() && !held) {
      down().stream->arm_write(down().transport->output());
    }
  }
  if (waits_for_recorder() || (recording_ != nullptr && recording_->owes())) {
    worker_.await_recorder(*this);
  }
  if (waits_for_audit() || held) {
    worker_.await_audit(*this);
  }
  worker_.changed(*this);
  reap_tunnels();
  check_idle();
}

void WorkerSession::check_idle() {
  if (state_ != State::kEnding) {
    return;
  }
  for (const SessionLeg& each : legs_) {
    if (each.stream != nullptr && !(each.stream->closing() && each.stream->idle())) {
      return;
    }
  }
  if (tunnels_.empty() && (recording_ == nullptr || !recording_->owes())) {
    worker_.ended(*this);
  }
}

ipc::SessionStats WorkerSession::stats() const {
  ipc::SessionStats stats;
  std::vector<proto::ChannelInfo> channels;
  if (bridge_ != nullptr) {
    stats.bytes_up = bridge_->bytes_up();
    stats.bytes_down = bridge_->bytes_down();
    channels = bridge_->channels();
  } else if (local_ != nullptr) {
    stats.bytes_up = local_->bytes_up();
    stats.bytes_down = local_->bytes_down();
    channels = local_->channels();
  }
  for (const proto::ChannelInfo& channel : channels) {
    stats.channels += stats.channels.empty() ? "" : ", ";
    stats.channels += escaped(short_name(channel), 32);
    if (stats.channels.size() > 200) {
      stats.channels += ", …";
      break;
    }
  }
  return stats;
}

}  // namespace bastion::daemon
