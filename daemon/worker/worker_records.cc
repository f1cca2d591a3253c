#include <unistd.h>

#include <utility>

#include "daemon/ipc/session_messages.h"
#include "daemon/worker/worker.h"

/// What sessions leave on record, and when they wait for that: the audit log by way of the warden,
/// recordings by way of the ring that is shared with the recorder.
namespace bastion::daemon {
namespace {

/// How often a session that waits for room looks again, and how often it is seen whether the
/// recorder is there.
constexpr std::int64_t kRoomNs = kNsPerMs;
constexpr std::int64_t kWatchNs = 500 * kNsPerMs;

}  // namespace

// --- the audit log -------------------------------------------------------------------------------

void Worker::tell_audit(WorkerSession& session, const ipc::AuditNote& note) {
  // What the warden keeps of an event beside its bytes: 72 octets for each field.
  constexpr std::size_t kKeptBytes = 1024;
  told_.push_back(ipc::encode(ipc::Header{.session = session.id()}, note));
  audit_open_.push_back(told_.back().size() + kKeptBytes);
  audit_open_bytes_ += audit_open_.back();
  audit_fresh_ = true;
  told_later();
}

void Worker::push_audit() {
  if (audit_fresh_) {
    flush_told();
  }
}

void Worker::on_audit_accepted(std::uint32_t count) {
  for (; count > 0 && !audit_open_.empty(); --count) {
    audit_open_bytes_ -= audit_open_.front();
    audit_open_.pop_front();
  }
  wake_audit_waiters();
}

void Worker::await_audit(WorkerSession& session) {
  if (!session.awaits_audit_flag) {
    session.awaits_audit_flag = true;
    waiting_for_audit_.push_back({session.slot(), slots_[session.slot()].generation});
  }
}

void Worker::wake_audit_waiters() {
  if (audit_full()) {
    return;
  }
  std::vector<Place> places;
  places.swap(waiting_for_audit_);
  for (const Place& place : places) {
    if (WorkerSession* session = find(place)) {
      session->awaits_audit_flag = false;
      session->on_audit();
    }
  }
}

// --- the recorder --------------------------------------------------------------------------------

// ring_bell wakes the recorder where a session waits for it or much is in the ring; else it looks
// by itself, so that a keystroke costs no system call.
void Worker::ring_bell() {
  if (!record_ring_) {
    return;
  }
  const bool wanted = !waiting_for_recorder_.empty() || record_ring_->used_up();
  if (wanted && !bell_rung_) {
    const std::uint64_t one = 1;
    bell_rung_ =
        write(context_.record_bell.get(), &one, sizeof one) == static_cast<ssize_t>(sizeof one);
  } else if (!wanted) {
    bell_rung_ = false;
  }
}

void Worker::await_recorder(WorkerSession& session) {
  if (session.waits_flag) {
    return;
  }
  session.waits_flag = true;
  if (waiting_for_recorder_.empty()) {
    bell_rung_ = false;
  }
  waiting_for_recorder_.push_back(session.slot());
  arm_recorder_timer(kRoomNs);
}

void Worker::begin_watching_recorder() {
  recorder_watched_ = now_;
  arm_recorder_timer(kWatchNs);
}

void Worker::arm_recorder_timer(std::int64_t ns) {
  const MonoTime when = after(now_, ns);
  if (!timers_.move(recorder_timer_, when)) {
    recorder_timer_ =
        timers_.set(when, {.kind = static_cast<std::uint8_t>(TokenKind::kRecorderTimer)});
  }
}

// watch_recorder lets the sessions go on that waited for room, and ends all recorded ones where the
// recorder is gone, also those that have room left.
void Worker::watch_recorder() {
  std::vector<std::uint32_t> waiting;
  waiting.swap(waiting_for_recorder_);
  for (const std::uint32_t slot : waiting) {
    if (WorkerSession* session = slots_[slot].session.get(); session != nullptr) {
      session->waits_flag = false;
      session->on_recorder();
    }
  }
  // Where we were stopped ourselves, it is too early to judge.
  const bool judged = now_ < after(recorder_watched_, 3 * kWatchNs);
  if (now_ >= after(recorder_watched_, kWatchNs)) {
    recorder_watched_ = now_;
  }
  if (judged && record_ring_ && now_ >= after(record_ring_->recorder_seen(), kRecorderNsMax)) {
    for (const Slot& slot : slots_) {
      if (slot.session != nullptr && slot.session->is_recorded()) {
        slot.session->on_recorder_gone();
      }
    }
  }
  if (num_recorded_ > 0) {
    arm_recorder_timer(waiting_for_recorder_.empty() ? kWatchNs : kRoomNs);
  }
}

}  // namespace bastion::daemon
