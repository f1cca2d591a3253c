#include <algorithm>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "daemon/worker/session.h"
#include "daemon/worker/session_text.h"
#include "daemon/worker/worker.h"

/// What a session does because time has passed: rekeys, deadlines, keepalives.
namespace bastion::daemon {
namespace {

/// The timer is never set for sooner than this.
constexpr std::int64_t kLeastTimerNs = 10 * kNsPerMs;

}  // namespace

// We start an exchange of ours on one leg only while the other is in none, so that data which waits
// for one never waits for two.
void WorkerSession::rekey_if_due() {
  for (const proto::Leg which : proto::kLegs) {
    SessionLeg& each = leg(which);
    const SessionLeg& opposite = leg(proto::other(which));
    if (each.live() && each.transport != nullptr && each.transport->rekey_due(worker_.now()) &&
        !opposite.in_key_exchange()) {
      each.transport->request_rekey(worker_.now());
      update_timer();
    }
  }
}

// time_exchanges sets the timer for a key exchange that a peer has begun: it must end in time, too.
void WorkerSession::time_exchanges() {
  bool begun = false;
  for (SessionLeg& each : legs_) {
    begun = begun || (each.in_key_exchange() && !each.exchange_timed);
    each.exchange_timed = each.in_key_exchange();
  }
  if (begun) {
    update_timer();
  }
}

void WorkerSession::set_deadline(MonoTime deadline) {
  end_deadline_ = deadline;
  update_timer();
}

void WorkerSession::update_timer() {
  MonoTime next = kNever;
  const auto consider = [&next](MonoTime when) {
    if (when.ns != 0) {
      next = std::min(next, when);
    }
  };
  consider(end_deadline_);
  consider(first_to_leave());
  if (state_ == State::kHandshake) {
    consider(handshake_deadline_);
  }
  for (const SessionLeg& each : legs_) {
    if (!each.live() || each.transport == nullptr) {
      continue;
    }
    if (const auto deadline = each.transport->next_deadline()) {
      consider(*deadline);
    }
    if (settings_->keepalive_ms != 0 && (state_ == State::kBridged || state_ == State::kLocal)) {
      consider(after(each.heard,
                     (each.keepalives + 1) * std::int64_t{settings_->keepalive_ms} * kNsPerMs));
    }
  }
  if (next == kNever) {
    worker_.timers().cancel(timer_);
    return;
  }
  // What is due already and cannot be done yet (a rekey while the other leg is in one) is looked at
  // again in a moment, not at once.
  next = std::max(next, after(worker_.now(), kLeastTimerNs));
  if (!worker_.timers().move(timer_, next)) {
    timer_ = worker_.timers().set(next, worker_.session_token(TokenKind::kSessionTimer, slot_));
  }
}

void WorkerSession::on_timer() {
  const MonoTime now = worker_.now();
  if (state_ == State::kHandshake && now >= handshake_deadline_) {
    target_refused(logged_in_ ? std::string(kRecorderSilent)
                              : adopt_.target + " did not finish its SSH handshake within " +
                                    std::to_string(settings_->handshake_ms / 1000) + " s.");
  }
  if (end_deadline_.ns != 0 && now >= end_deadline_) {
    end_deadline_ = {};
    if (state_ != State::kEnding) {
      end(end_text_, end_text_);
    } else {
      close_leg(proto::Leg::kDownstream);
      close_leg(proto::Leg::kUpstream);
    }
  }
  end_overdue_tunnels();
  for (const proto::Leg which : proto::kLegs) {
    SessionLeg& each = leg(which);
    if (!each.live() || each.transport == nullptr) {
      continue;
    }
    if (const Status in_time = each.transport->check_deadlines(now); !in_time) {
      if (!may_take(which) && !each.awaiting && !leg(proto::other(which)).in_key_exchange()) {
        each.transport->restart_deadline(now);  // its messages lie unread for the other leg's sake
      } else {
        leg_fault(which, in_time.error());
        continue;
      }
    }
    keep_alive(which);
  }
  after_work();
  update_timer();
}

void WorkerSession::keep_alive(proto::Leg which) {
  SessionLeg& each = leg(which);
  const std::int64_t interval = std::int64_t{settings_->keepalive_ms} * kNsPerMs;
  if (interval == 0 || (state_ != State::kBridged && state_ != State::kLocal) ||
      worker_.now() < after(each.heard, (each.keepalives + 1) * interval)) {
    return;
  }
  if (each.keepalives >= settings_->keepalive_missed) {
    return leg_gone(which, "does not answer any more");
  }
  ++each.keepalives;
  const bool sent = bridge_ != nullptr ? bridge_->send_keepalive(which)
                                       : local_ != nullptr && local_->send_keepalive();
  if (!sent) {
    leg_gone(which, "does not answer any more");
  }
}

}  // namespace bastion::daemon
