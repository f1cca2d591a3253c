#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/ipc/message.h"

/// The sandbox of each role, entered after start-up and before the first byte of a peer, with or
/// without root, in production and in every test of real processes:
///   - no_new_privs, not dumpable, no core files, no capabilities;
///   - Landlock: no files (the resolver: what name lookups read; the recorder: all below the
///   folders
///     that it is given), no TCP bind, no TCP connect
///     (the warden may connect, the resolver to port 53), no signals or abstract sockets outside;
///   - seccomp: a list of what the role calls. Everything dangerous kills the process, opening
///     files gives EACCES, the rest ENOSYS.
/// Ring operations are not seen by seccomp; Ring::restrict_and_enable is the other half.
namespace bastion::daemon::sandbox {

/// State says what was entered. seccomp is mandatory; a kernel without Landlock (before 5.13, or
/// switched off) is told of in the log, and `landlock_abi` is 0.
struct State {
  int landlock_abi = 0;
};

/// Extras is what one process needs beyond its role's rules.
struct Extras {
  bool sockets = false;        // the recorder sends its log to others
  std::uint16_t tcp_port = 0;  // … and connects to this port only; 0: to none
  std::vector<int> folders{};  // open; the recorder may make, write, read and remove below them
};

/// enter is for good. The supervisor keeps its privileges; for it only dumping is switched off.
/// Errors: kIo with errno.
Result<State> enter(ipc::Role role, const Extras& extras = {});

/// enter_landlock, enter_seccomp: the parts, for enter.
Result<int> enter_landlock(ipc::Role role, const Extras& extras);
Status enter_seccomp(ipc::Role role, const Extras& extras = {});

/// landlock_abi is the version that this kernel has; 0: none.
int landlock_abi();

/// self_test applies each role's profile in children of this process and tries what must not work,
/// and a few things that must; `out` gets a table of it. True where everything was as it should be.
/// With `sandboxed` false the same is tried without a sandbox, which shows that the attempts are
/// real ones.
bool self_test(std::string& out, bool sandboxed = true);

}  // namespace bastion::daemon::sandbox
