#include "daemon/worker/worker.h"

#include <malloc.h>

#include <algorithm>
#include <array>

#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/ipc/supervisor_messages.h"
#include "daemon/worker/worker_main.h"

namespace bastion::daemon {
namespace {

/// Sixteen slabs of 1 MiB: real ssh gives 40-56 KiB a receive, rsync through `-J` up to a slab.
/// Each ends in one short receive that completes a packet, which must be rare beside the long ones.
constexpr std::uint32_t kSlabs = 16;
constexpr std::uint32_t kSlabBytes = 1024 * 1024;
/// A receive of so many bytes is bulk data, and long work: it comes after all that is short.
constexpr std::int32_t kLongBytes = 16 * 1024;
/// While somebody types, long work goes on for so long in one turn: half a slab, and an eighth of
/// what a keystroke may take beside bulk data.
constexpr std::int64_t kWorkNs = 250'000;
/// Somebody types who sent little, and neither much nor anything from the other side came for as
/// long. Where nobody does, turns are as long as the work is: fewer cost less.
constexpr std::int64_t kTypingNs = kNsPerSecond;
constexpr std::int64_t kStatsNs = kNsPerSecond;
/// After so long without a byte the memory that traffic took goes back to the system.
constexpr std::int64_t kRestNs = 5 * kNsPerSecond;
/// One-way messages leave together: this late at most, or so many at once.
constexpr std::int64_t kTellNs = 10 * kNsPerMs;
constexpr std::size_t kToldMax = 64;

bool is_read(const Completion& completion) {
  const auto kind = static_cast<TokenKind>(completion.token.kind);
  return kind == TokenKind::kDownRead || kind == TokenKind::kUpRead ||
         kind == TokenKind::kTunnelRead;
}
bool is_write(const Completion& completion) {
  const auto kind = static_cast<TokenKind>(completion.token.kind);
  return kind == TokenKind::kDownWrite || kind == TokenKind::kUpWrite ||
         kind == TokenKind::kTunnelWrite;
}

}  // namespace

Worker::Worker(ProcessContext& context, std::unique_ptr<Ring> ring)
    : context_(context),
      ring_(std::move(ring)),
      supervisor_(std::move(context.supervisor)),
      warden_(std::move(context.warden)),
      slab_queue_(*ring_),
      now_(mono_now()) {}

Status Worker::map_record_ring() {
  if (!context_.record_ring) {
    return {};
  }
  char kind = 0;
  if (pread(context_.record_ring.get(), &kind, 1, 0) != 1) {
    return {};  // /dev/null: nothing is recorded
  }
  auto mapping = record::Mapping::map(context_.record_ring.get());
  if (!mapping) {
    return std::unexpected(mapping.error());
  }
  record_ring_.emplace(std::move(*mapping));
  return {};
}

Token Worker::session_token(TokenKind kind, std::uint32_t slot) const {
  return {static_cast<std::uint8_t>(kind), slot, slots_[slot].generation};
}

Token Worker::tunnel_token(TokenKind kind, std::uint32_t tunnel_slot) const {
  return {static_cast<std::uint8_t>(kind), tunnel_slot, tunnels_[tunnel_slot].generation};
}

std::uint32_t Worker::add_tunnel(std::uint32_t session_slot) {
  if (free_tunnels_.empty()) {
    free_tunnels_.push_back(static_cast<std::uint32_t>(tunnels_.size()));
    tunnels_.emplace_back();
  }
  const std::uint32_t slot = free_tunnels_.back();
  free_tunnels_.pop_back();
  tunnels_[slot].session_slot = session_slot;
  tunnels_[slot].used = true;
  ++tunnels_[slot].generation;
  return slot;
}

void Worker::remove_tunnel(std::uint32_t tunnel_slot) {
  tunnels_[tunnel_slot].used = false;
  free_tunnels_.push_back(tunnel_slot);
}

int Worker::run() {
  ring_->poll_in(supervisor_.fd(), {.kind = static_cast<std::uint8_t>(TokenKind::kSupervisor)});
  ring_->poll_in(warden_.fd(), {.kind = static_cast<std::uint8_t>(TokenKind::kWarden)});
  std::array<Completion, 256> completions;
  while (running_) {
    const bool has_work = !work_.empty() || slab_queue_.due();
    const MonoTime deadline = has_work ? MonoTime{} : timers_.next_deadline();
    const std::size_t n = ring_->wait(deadline, completions);
    now_ = mono_now();
    ++stats_.turns;
    serve(std::span(completions).first(n));
    while (const std::optional<Token> expired = timers_.pop_expired(now_)) {
      on_timer(*expired);
    }
    do_work();
    bury();
    slab_queue_.serve([this](Token who) {
      const bool tunnel = static_cast<TokenKind>(who.kind) == TokenKind::kTunnelRead;
      WorkerSession* session = tunnel ? find_tunnel(who) : find({who.index, who.generation});
      return session != nullptr && session->rearm(who);
    });
    ring_bell();
  }
  return 0;
}

// serve does what is short at once; large receives wait for do_work. While somebody types, what
// came of the short is on its way before anything that takes long begins.
void Worker::serve(std::span<const Completion> completions) {
  bool served = false;
  bool long_writes = false;
  for (const Completion& completion : completions) {
    const bool is_long = completion.result >= kLongBytes;
    if (is_write(completion)) {
      long_writes = long_writes || is_long;
      continue;
    }
    if (is_read(completion) && completion.result > 0) {
      WorkerSession* session = session_of(completion);
      if (session != nullptr && is_long) {
        session->bulk_until = after(now_, kTypingNs);
      } else if (session != nullptr && now_ >= session->bulk_until) {
        attentive_until_ = after(now_, kTypingNs);
      }
      if (is_long) {
        work_.push_back({completion, {}, turn()});
        continue;
      }
    }
    on_completion(completion);
    served = true;
  }
  if (served && attentive() && (long_writes || !work_.empty())) {
    ring_->submit();
  }
  for (const Completion& completion : completions) {
    if (is_write(completion)) {
      on_completion(completion);
    }
  }
}

// do_work does what takes long, each in its turn, until it is overdue.
void Worker::do_work() {
  if (work_.empty()) {
    return;
  }
  working_ = true;
  work_began_ = mono_now();
  for (std::size_t left = work_.size(); left > 0; --left) {
    const Work work = work_.front();
    work_.pop_front();
    if (work.received) {
      on_completion(*work.received);
    } else if (work.turn == turn()) {
      work_.push_back(work);  // its share of this turn is used up
    } else if (WorkerSession* session = find(work.place)) {
      session->go_on();
    }
    if (left > 1 && overdue()) {
      ++stats_.turns_put_off;
      break;
    }
  }
  working_ = false;
}

bool Worker::overdue() const {
  return working_ && attentive() && ring_->has_more() && mono_now() >= after(work_began_, kWorkNs);
}

WorkerSession* Worker::find(Place place) {
  const bool live = place.slot < slots_.size() && slots_[place.slot].session != nullptr &&
                    (slots_[place.slot].generation & Token::kGenerationMask) ==
                        (place.generation & Token::kGenerationMask);
  return live ? slots_[place.slot].session.get() : nullptr;
}

WorkerSession* Worker::find_tunnel(Token token) {
  if (token.index >= tunnels_.size() || !tunnels_[token.index].used ||
      (tunnels_[token.index].generation & Token::kGenerationMask) != token.generation) {
    return nullptr;
  }
  return slots_[tunnels_[token.index].session_slot].session.get();
}

WorkerSession* Worker::find_session(ipc::SessionId id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : slots_[found->second].session.get();
}

WorkerSession* Worker::session_of(const Completion& completion) {
  const Token& token = completion.token;
  return static_cast<TokenKind>(token.kind) == TokenKind::kTunnelRead
             ? find_tunnel(token)
             : find({token.index, token.generation});
}

void Worker::on_completion(const Completion& completion) {
  const Token& token = completion.token;
  const auto kind = static_cast<TokenKind>(token.kind);
  switch (kind) {
    case TokenKind::kSupervisor:
      running_ = false;  // it says nothing to us but that it is gone
      return;
    case TokenKind::kWarden: return on_warden();
    case TokenKind::kWardenWrite:
      warden_write_armed_ = false;
      running_ = warden_.on_writable().has_value() && running_;
      arm_warden_write();
      return wake_audit_waiters();
    case TokenKind::kTunnelRead:
    case TokenKind::kTunnelWrite:
      if (WorkerSession* session = find_tunnel(token)) {
        return kind == TokenKind::kTunnelRead ? session->on_tunnel_read(token.index, completion)
                                              : session->on_tunnel_written(token.index, completion);
      }
      break;
    default:
      if (WorkerSession* session = find({token.index, token.generation})) {
        switch (kind) {
          case TokenKind::kDownRead: return session->on_read(proto::Leg::kDownstream, completion);
          case TokenKind::kDownWrite:
            return session->on_written(proto::Leg::kDownstream, completion);
          case TokenKind::kUpRead: return session->on_read(proto::Leg::kUpstream, completion);
          case TokenKind::kUpWrite: return session->on_written(proto::Leg::kUpstream, completion);
          default: break;
        }
      }
      break;
  }
  if (completion.has_buffer) {
    ring_->recycle(completion.buffer);  // of something that is gone
  }
}

void Worker::told_later() {
  if (told_.size() >= kToldMax) {
    return flush_told();
  }
  if (!timers_.active(tell_timer_)) {
    tell_timer_ = timers_.set(after(now_, kTellNs),
                              {.kind = static_cast<std::uint8_t>(TokenKind::kTellTimer)});
  }
}

void Worker::flush_told() {
  timers_.cancel(tell_timer_);
  for (SecretBytes& packet : told_) {
    if (!warden_.send_packet(std::move(packet))) {
      running_ = false;
    }
  }
  told_.clear();
  audit_fresh_ = false;
  arm_warden_write();
}

void Worker::arm_warden_write() {
  if (warden_.wants_writable() && !warden_write_armed_) {
    warden_write_armed_ = true;
    ring_->poll_out(warden_.fd(), {.kind = static_cast<std::uint8_t>(TokenKind::kWardenWrite)});
  }
}

void Worker::on_warden() {
  while (running_) {
    auto received = warden_.receive();
    if (!received || received->state == ipc::Received::State::kClosed) {
      running_ = false;
      return;
    }
    if (received->state == ipc::Received::State::kNothing) {
      break;
    }
    on_warden_message(*received);
  }
  ring_->poll_in(warden_.fd(), {.kind = static_cast<std::uint8_t>(TokenKind::kWarden)});
}

void Worker::on_warden_message(ipc::Received& received) {
  switch (received.header.type) {
    case ipc::Type::kSettings:
      if (auto settings = ipc::decode<ipc::Settings>(received.body)) {
        settings_ = std::make_shared<const ipc::Settings>(std::move(*settings));
        server_options_ = server_options(*settings_);
        target_options_.clear();
        context_.log.set_level(settings_->log_level);
      }
      return;
    case ipc::Type::kAdopt:
      if (auto adopt = ipc::decode<ipc::Adopt>(received.body); adopt && received.fds[0]) {
        return this->adopt(received.header, std::move(*adopt), std::move(received.fds[0]));
      }
      return;
    case ipc::Type::kAuditAccepted:
      if (const auto accepted = ipc::decode<ipc::AuditAccepted>(received.body)) {
        on_audit_accepted(accepted->count);
      }
      return;
    case ipc::Type::kShutdown:
      if (const auto shutdown = ipc::decode<ipc::Shutdown>(received.body)) {
        for (const Slot& slot : slots_) {
          if (slot.session != nullptr) {
            slot.session->end_with(shutdown->text);
          }
        }
      }
      return;
    default: break;
  }
  if (received.header.request != 0) {
    const auto asked = waiting_.find(received.header.request);
    if (asked == waiting_.end()) {
      return;
    }
    WorkerSession* session = find(asked->second);
    waiting_.erase(asked);
    if (session != nullptr) {
      session->on_answer(received.header.request, received);
    }
    return;
  }
  WorkerSession* session = find_session(received.header.session);
  if (session == nullptr) {
    return;
  }
  if (received.header.type == ipc::Type::kTargetConnected) {
    if (const auto message = ipc::decode<ipc::TargetConnected>(received.body)) {
      session->on_target_connected(*message, std::move(received.fds[0]));
    }
  } else if (received.header.type == ipc::Type::kTargetFailed) {
    if (const auto message = ipc::decode<ipc::TargetFailed>(received.body)) {
      session->on_target_failed(*message);
    }
  } else if (received.header.type == ipc::Type::kRecordingReady) {
    if (const auto message = ipc::decode<ipc::RecordingReady>(received.body)) {
      session->on_recording_ready(*message);
    }
  } else if (received.header.type == ipc::Type::kEndSession) {
    if (const auto message = ipc::decode<ipc::EndSession>(received.body)) {
      session->end_with(message->text);
    }
  }
}

void Worker::adopt(const ipc::Header& header, ipc::Adopt message, UniqueFd socket) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  ++slots_[slot].generation;
  slots_[slot].session =
      std::make_unique<WorkerSession>(*this, slot, header.session, std::move(message), settings_);
  by_id_[header.session] = slot;
  if (slots_[slot].session->is_recorded() && ++num_recorded_ == 1) {
    begin_watching_recorder();
  }
  const Status started = slots_[slot].session->start(server_options_, std::move(socket));
  if (!started) {
    context_.log.error("a session cannot be adopted", {{"error", describe(started.error())}});
    ended(*slots_[slot].session);
  }
}

std::shared_ptr<const proto::TransportOptions> Worker::options_for(
    const std::shared_ptr<const ipc::Settings>& settings, const ipc::TargetConnected& target) {
  auto found = std::ranges::find_if(target_options_, [&](const TargetOptions& made) {
    return made.settings == settings && made.target == target;
  });
  if (found == target_options_.end()) {
    if (target_options_.size() == kTargetOptionsMax) {
      target_options_.pop_back();
    }
    target_options_.push_back({settings, target, client_options(*settings, target)});
    found = std::prev(target_options_.end());
  }
  std::rotate(target_options_.begin(), found, std::next(found));
  return target_options_.front().options;
}

void Worker::on_timer(Token token) {
  if (static_cast<TokenKind>(token.kind) == TokenKind::kStatsTimer) {
    return send_stats();
  }
  if (static_cast<TokenKind>(token.kind) == TokenKind::kTellTimer) {
    return flush_told();
  }
  if (static_cast<TokenKind>(token.kind) == TokenKind::kRestTimer) {
    return rest();
  }
  if (static_cast<TokenKind>(token.kind) == TokenKind::kRecorderTimer) {
    return watch_recorder();
  }
  if (WorkerSession* session = find({token.index, token.generation})) {
    session->on_timer();
  }
}

void Worker::changed(WorkerSession& session) {
  if (!session.changed_flag) {
    session.changed_flag = true;
    changed_.push_back(session.slot());
  }
  if (!stats_armed_) {
    stats_armed_ = true;
    timers_.set(after(now_, kStatsNs), {.kind = static_cast<std::uint8_t>(TokenKind::kStatsTimer)});
  }
}

void Worker::send_stats() {
  stats_armed_ = false;
  std::vector<std::uint32_t> slots;
  slots.swap(changed_);
  for (const std::uint32_t slot : slots) {
    WorkerSession* session = slots_[slot].session.get();
    if (session != nullptr && session->changed_flag) {
      session->changed_flag = false;
      tell(*session, session->stats());
      session->count_relayed();
    }
  }
  flush_told();
  transmit({}, stats_);
  if (!timers_.move(rest_timer_, after(now_, kRestNs))) {
    rest_timer_ = timers_.set(after(now_, kRestNs),
                              {.kind = static_cast<std::uint8_t>(TokenKind::kRestTimer)});
  }
}

// rest: nothing has changed for a while. Slabs and freed memory are traffic's, not idle sessions'.
void Worker::rest() {
  if (!stats_armed_) {
    ring_->drop_buffers();
    malloc_trim(0);
  }
}

void Worker::again(WorkerSession& session) {
  work_.push_back({std::nullopt, {session.slot(), slots_[session.slot()].generation}, turn()});
}

void Worker::ended(WorkerSession& session) {
  if (!session.dead_flag) {
    session.dead_flag = true;
    dead_.push_back(session.slot());
  }
}

// bury frees what ended in this turn, when nobody up the stack looks at it any more.
void Worker::bury() {
  for (const std::uint32_t slot : dead_) {
    WorkerSession& session = *slots_[slot].session;
    const ipc::SessionStats stats = session.stats();
    // The warden need not answer for a session that is gone.
    std::erase_if(waiting_, [slot](const auto& asked) { return asked.second.slot == slot; });
    session.count_relayed();
    tell(session, ipc::SessionEnded{session.end_reason(), stats.bytes_up, stats.bytes_down});
    by_id_.erase(session.id());
    num_recorded_ -= session.is_recorded() ? 1 : 0;
    slots_[slot].session.reset();
    ++slots_[slot].generation;
    free_.push_back(slot);
  }
  if (!dead_.empty()) {
    dead_.clear();
    flush_told();
  }
}

int worker_main(ProcessContext& context) {
  auto ring = Ring::create(
      {.entries = 1024, .cq_entries = 16'384, .buffer_count = kSlabs, .buffer_bytes = kSlabBytes});
  if (!ring) {
    context.log.error("the worker cannot start", {{"error", describe(ring.error())}});
    return 1;
  }
  Ring* raw = ring->get();
  Worker worker(context, std::move(*ring));
  if (const Status mapped = worker.map_record_ring(); !mapped) {
    context.log.error("the worker cannot map its recording ring",
                      {{"error", describe(mapped.error())}});
    return 1;
  }
  if (const Status sealed = seal(context, raw); !sealed) {
    context.log.error("the worker cannot enter its sandbox", {{"error", describe(sealed.error())}});
    return 1;
  }
  return worker.run();
}

}  // namespace bastion::daemon
