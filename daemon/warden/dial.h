#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "config/policy.h"
#include "daemon/ipc/message.h"
#include "daemon/timers.h"
#include "daemon/warden/io.h"

namespace bastion::daemon {

using DialIndex = std::uint32_t;

/// Dial is one way to a target under way: names are resolved, addresses tried in their order, all
/// within one deadline. What is dialled is what the policy resolved for this session, never what a
/// gate or worker named.
struct Dial {
  enum class Purpose : std::uint8_t { kTarget, kTunnel };
  enum class State : std::uint8_t { kFree, kResolving, kConnecting };

  State state = State::kFree;
  Purpose purpose = Purpose::kTarget;
  std::uint32_t generation = 0;  // counts attempts too: each token is used once
  ipc::SessionId session = 0;
  // kTunnel: where the answer goes.
  PeerId worker;
  std::uint32_t request = 0;
  std::uint32_t channel = 0;

  config::ResolvedTarget target;
  std::vector<IpAddress> addresses;
  std::size_t next = 0;
  MonoTime deadline;          // of all attempts
  Timers::Handle timer;       // of the current one, within them
  std::int64_t limit_ms = 0;  // what `deadline` was made from, for the message
  int last_error = 0;         // errno of the last attempt; ETIMEDOUT for ours
  std::string resolve_error;
};

/// dial_failure_text is the line that a user reads, without session id: "web2 (10.0.1.12:22) did
/// not answer within 10 s."
std::string dial_failure_text(const Dial& dial);

}  // namespace bastion::daemon
