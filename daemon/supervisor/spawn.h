#pragma once

#include <sys/types.h>

#include <optional>

#include "base/result.h"
#include "daemon/ipc/message.h"
#include "daemon/log.h"
#include "daemon/supervisor/identity.h"
#include "daemon/unique_fd.h"

namespace bastion::daemon {

/// Programs are what children execute, opened once at the start: so a replaced package does not
/// change what runs, and no folder on the way must be readable by the child's uid.
struct Programs {
  UniqueFd bastiond;
  UniqueFd resolver;
};
/// open_programs finds ourselves, and bastiond-resolver beside us or in ../libexec/bastiond.
/// kIo where the resolver is not there.
Result<Programs> open_programs();

struct ChildSpec {
  ipc::Role role{};
  std::uint32_t index = 0;
  std::optional<Identity> identity;  // none: keep ours
  int supervisor_end = -1;           // becomes kSupervisorFd
  int warden_end = -1;               // becomes kWardenFd, where there is one
  LogLevel log_level = LogLevel::kInfo;
  int record_ring = -1;  // a worker's: becomes kRecordRingFd
  int record_bell = -1;  // … kRecordBellFd
};

/// spawn starts a child with exactly the descriptors of process.h, a small fixed environment and no
/// privileges but the identity's. kIo with errno. What fails after the fork is written to stderr
/// and ends the child with 127.
Result<pid_t> spawn(const Programs& programs, const ChildSpec& spec);

}  // namespace bastion::daemon
