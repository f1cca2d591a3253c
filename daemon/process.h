#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "daemon/ipc/message.h"
#include "daemon/log.h"
#include "daemon/ring/ring.h"
#include "daemon/sandbox/sandbox.h"
#include "daemon/unique_fd.h"

namespace bastion::daemon {

/// The descriptors that a child starts with beside 0 (/dev/null), 1 and 2 (the log); all others are
/// closed. They are fixed because seccomp compares them: a gate or worker may send on these only.
/// kSupervisorFd is the pair with the supervisor, kWardenFd the one with the warden (gate, worker,
/// resolver). The warden gets its peers by AddPeer.
inline constexpr int kSupervisorFd = 3;
inline constexpr int kWardenFd = 4;
/// A worker has its recording ring (daemon/record_ring) here, where sessions are recorded, and the
/// eventfd that wakes the recorder.
inline constexpr int kRecordRingFd = 5;
inline constexpr int kRecordBellFd = 6;

std::string_view role_name(ipc::Role role);
Result<ipc::Role> parse_role(std::string_view name);

/// ProcessContext is what main gives the function of a role. In unit tests the descriptors are ends
/// of pairs that the test made, and `sandboxed` is false.
struct ProcessContext {
  ipc::Role role{};
  std::uint32_t index = 0;  // among those of its role
  Log& log;
  UniqueFd supervisor;  // kSupervisorFd
  UniqueFd warden;      // kWardenFd; none in the warden
  bool sandboxed = true;
  UniqueFd record_ring{};  // kRecordRingFd, kRecordBellFd; none where nothing is recorded
  UniqueFd record_bell{};
  sandbox::Extras extras{};  // what this process needs beyond its role's rules
};

/// start_role prepares a freshly executed child: checks its descriptors, ignores SIGPIPE, SIGXFSZ
/// (a file at its limit is a write that fails), SIGHUP, SIGINT and SIGTERM (the supervisor ends
/// children by closing their channel, so that a terminal's Ctrl-C leaves the order to it), dies
/// with the supervisor. What a user waits for (gate, worker, warden) asks the scheduler for short
/// slices.
Status start_role(ipc::Role role);

/// seal ends the start-up: the ring (may be null in a role without one) is restricted and enabled,
/// then the sandbox of the role is entered. Call it when the descriptors that the role starts with
/// are made and before the first byte of a peer is read; threads are started after it (Landlock and
/// capabilities are each thread's own, and only the warden and the resolver may have threads).
/// With `sandboxed` false only the ring is restricted and enabled.
Status seal(ProcessContext& context, Ring* ring);

/// Each role's entry point is declared in its own folder and returns the exit status:
/// int gate_main(ProcessContext&), worker_main, warden_main, recorder_main. It returns when its
/// channel with the supervisor ends.

}  // namespace bastion::daemon
