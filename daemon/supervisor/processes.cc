#include <sys/wait.h>

#include <algorithm>
#include <csignal>

#include "daemon/ipc/supervisor_messages.h"
#include "daemon/process.h"
#include "daemon/supervisor/supervisor.h"

namespace bastion::daemon {
namespace {

/// A gate that has so much waiting for it (over 3,000 connections) does not run any more.
constexpr std::size_t kGateQueueBytesMax = 128 * 1024;
/// Messages taken from one child before the others have their turn.
constexpr int kMessagesPerTurn = 64;
/// Recorded sessions wait two seconds for a recorder's successor, not longer.
constexpr std::int64_t kRecorderDelayMsMax = 500;

}  // namespace

std::uint32_t Supervisor::place_of(const Child& child) const {
  return static_cast<std::uint32_t>(&child - children_.data());
}

/// start_child starts the process of a place, with new pairs to us and, but for the warden itself,
/// to the warden.
void Supervisor::start_child(Child& child, MonoTime now) {
  const auto again = [&](const Error& error) {
    log_.error("cannot start a process", {{"process", child.name()}, {"error", describe(error)}});
    child.start_again = after(now, child.delay.next_ms(0) * kNsPerMs);
  };
  auto ours = ipc::socket_pair();
  if (!ours) {
    return again(ours.error());
  }
  std::array<UniqueFd, 2> to_warden;
  if (child.role != ipc::Role::kWarden) {
    auto pair = ipc::socket_pair();
    if (!pair) {
      return again(pair.error());
    }
    to_warden = std::move(*pair);
  }
  ChildSpec spec{child.role,
                 child.index,
                 std::nullopt,
                 (*ours)[1].get(),
                 to_warden[1].get(),
                 to_log_level(service_.log_level),
                 -1,
                 -1};
  if (identities_.change) {
    spec.identity = identities_.roles.at(child.role);
  }
  const bool records = child.role == ipc::Role::kWorker && recorder() != nullptr;
  if (records) {
    if (const Status added = add_ring(child, spec); !added) {
      return again(added.error());
    }
  }
  const Result<pid_t> pid = spawn(programs_, spec);
  if (!pid) {
    if (records) {
      record_rings_.pop_back();
    }
    return again(pid.error());
  }
  if (records) {
    tell_ring(record_rings_.back());
  }
  child.pid = *pid;
  ++child.generation;
  child.started = now;
  child.why.clear();
  child.write_armed = false;
  child.channel.emplace(std::move((*ours)[0]));
  ring_->poll_in(child.channel->fd(), {kChildRead, place_of(child), child.generation});
  log_.debug("started", {{"process", child.name()}, {"pid", child.pid}});
  if (child.role != ipc::Role::kWarden) {
    const int end = to_warden[0].get();
    send_to(warden(), {},
            ipc::AddPeer{child.role, child.index, static_cast<std::uint32_t>(child.pid)},
            std::span(&end, 1));
  }
  if (child.role == ipc::Role::kGate) {
    arm_all_accepts();
  }
  if (child.role == ipc::Role::kRecorder) {
    brief_recorder();
  }
}

void Supervisor::on_child_message(std::uint32_t place, MonoTime now) {
  Child& child = children_[place];
  const std::uint32_t generation = child.generation;
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    auto received = child.channel->receive();
    if (!received) {
      return end_child(child, std::string(received.error().text));
    }
    if (received->state == ipc::Received::State::kNothing) {
      break;
    }
    if (received->state == ipc::Received::State::kClosed) {
      // Its end is told by SIGCHLD; a process that only closed its channel is of no use either.
      return end_child(child, child.why.empty() ? "it closed its channel" : child.why);
    }
    bool understood = false;
    if (child.role == ipc::Role::kGate) {
      understood = on_gate_message(child, *received);
    } else if (child.role == ipc::Role::kWarden) {
      understood = on_warden_message(*received, now);
    } else if (child.role == ipc::Role::kRecorder) {
      understood = on_recorder_message(*received);
    }
    if (!child.channel || child.generation != generation) {
      return;
    }
    if (!understood) {
      return end_child(child, "it sent a message that it may not send");
    }
  }
  ring_->poll_in(child.channel->fd(), {kChildRead, place, generation});
}

bool Supervisor::on_gate_message(Child& gate, const ipc::Received& received) {
  if (received.header.type == ipc::Type::kConnectionDone) {
    const auto done = ipc::decode<ipc::ConnectionDone>(received.body);
    // One that we dropped at the same time is gone already; another gate's is not its to end.
    if (done && connections_.belongs(done->connection, gate.index)) {
      if (const auto limit = StrangerLimits::limit_of(done->end)) {
        stranger_limits_.reached(*limit, connections_.source_of(done->connection));
      }
      connections_.remove(done->connection);
    }
    return done.has_value();
  }
  if (received.header.type == ipc::Type::kConnectionSpoke) {
    const auto spoke = ipc::decode<ipc::ConnectionSpoke>(received.body);
    if (spoke && connections_.belongs(spoke->connection, gate.index)) {
      connections_.spoke(spoke->connection);
    }
    return spoke.has_value();
  }
  return false;
}

bool Supervisor::on_warden_message(const ipc::Received& received, MonoTime now) {
  switch (received.header.type) {
    case ipc::Type::kConfigurationResult: {
      const auto result = ipc::decode<ipc::ConfigurationResult>(received.body);
      if (result) {
        on_configuration_result(received.header, *result);
      }
      return result.has_value();
    }
    case ipc::Type::kControlReply: {
      auto reply = ipc::decode<ipc::ControlReply>(received.body);
      if (reply) {
        on_control_reply(received.header, std::move(*reply));
      }
      return reply.has_value();
    }
    case ipc::Type::kEndPeer: {
      const auto end = ipc::decode<ipc::EndPeer>(received.body);
      if (!end) {
        return false;
      }
      for (Child& child : children_) {
        if (child.role == end->role && child.index == end->index &&
            child.role != ipc::Role::kWarden && static_cast<std::uint32_t>(child.pid) == end->pid) {
          end_child(child, "the warden found: " + end->why);
        }
      }
      return true;
    }
    case ipc::Type::kDrained:
      if (state_ == State::kDraining) {
        begin_ending(now);
      }
      return true;
    default: return false;
  }
}

/// end_child kills a child that cannot be kept; its place is filled again when it has been reaped.
void Supervisor::end_child(Child& child, std::string why) {
  if (child.channel) {
    ring_->cancel({kChildRead, place_of(child), child.generation});
    ring_->cancel({kChildWrite, place_of(child), child.generation});
    child.channel.reset();
  }
  child.why = std::move(why);
  if (child.alive()) {
    kill(child.pid, SIGKILL);
  }
}

void Supervisor::reap(MonoTime now) {
  for (Child& child : children_) {
    int status = 0;
    if (child.alive() && waitpid(child.pid, &status, WNOHANG) == child.pid) {
      on_death(child, status, now);
    }
  }
}

void Supervisor::on_death(Child& child, int status, MonoTime now) {
  const pid_t pid = std::exchange(child.pid, 0);
  const std::string why = child.why;
  end_child(child, "");
  const bool ending = state_ == State::kEnding;
  if (!ending) {
    log_.error(child.name() + " ended " + how_it_ended(status),
               {{"pid", pid}, {"because", why.empty() ? "unknown" : why}});
  }
  if (child.role == ipc::Role::kGate) {
    connections_.remove_gate(child.index);
  }
  if (child.role == ipc::Role::kWorker) {
    retire_ring(child);
  }
  if (child.role == ipc::Role::kWarden) {
    answer_all_questions("the warden has ended and is being replaced");
    // What is left talks to a warden that is no more: no session of theirs can go on.
    for (Child& other : children_) {
      if (other.alive()) {
        end_child(other, "its warden is gone");
      }
    }
    if (pending_ && state_ == State::kRunning) {
      pending_.reset();
      reload_again_ = false;
      log_.error("the warden ended during a reload; nothing was changed: reload again",
                 {{"by", pending_by_}});
      if (const std::uint64_t client = std::exchange(pending_client_, 0); client != 0) {
        control_->reply(client, control_error("the warden ended; nothing was changed"));
      }
    }
  } else {
    send_to(warden(), {}, ipc::PeerGone{child.role, child.index, static_cast<std::uint32_t>(pid)});
  }
  switch (state_) {
    case State::kStarting:
      log_.error("a process did not start; giving up");
      exit_status_ = 1;
      return begin_ending(now);
    case State::kRunning: {
      std::int64_t delay_ms = child.delay.next_ms((now.ns - child.started.ns) / kNsPerMs);
      if (child.role == ipc::Role::kRecorder) {
        delay_ms = std::min(delay_ms, kRecorderDelayMsMax);
      }
      child.start_again = after(now, delay_ms * kNsPerMs);
    }
      return;
    case State::kDraining:
      if (child.role == ipc::Role::kWarden) {
        begin_ending(now);
      }
      return;
    case State::kEnding: return;
  }
}

Child* Supervisor::least_loaded_gate() {
  Child* best = nullptr;
  for (Child& child : children_) {
    if (child.role != ipc::Role::kGate || !child.channel) {
      continue;
    }
    if (child.channel->queued_bytes() > kGateQueueBytesMax) {
      end_child(child, "it does not take connections any more");
      continue;
    }
    if (best == nullptr || connections_.num_at(child.index) < connections_.num_at(best->index)) {
      best = &child;
    }
  }
  return best;
}

}  // namespace bastion::daemon
