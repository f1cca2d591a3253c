#include "daemon/sandbox/sandbox.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace bastion::daemon::sandbox {
namespace {

Status drop_capabilities() {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  // Without CAP_SETPCAP the bounding set stays; no_new_privs keeps it from ever mattering.
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
      break;
    }
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) {
    return fail(ErrorCode::kIo, "cannot drop the capabilities", errno);
  }
  return {};
}

}  // namespace

Result<State> enter(ipc::Role role, const Extras& extras) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
#if defined(__SANITIZE_ADDRESS__)
  // The sanitizer's leak check at the supervisor's end traces it from within.
  const bool dumpable = role == ipc::Role::kSupervisor;
#else
  const bool dumpable = false;
#endif
  if (!dumpable && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return fail(ErrorCode::kIo, "cannot switch dumping off", errno);
  }
  if (role == ipc::Role::kSupervisor) {
    return State{};
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail(ErrorCode::kIo, "cannot set no_new_privs", errno);
  }
  BASTION_TRY(drop_capabilities());
  const Result<int> abi = enter_landlock(role, extras);
  if (!abi) {
    return std::unexpected(abi.error());
  }
  BASTION_TRY(enter_seccomp(role, extras));
  return State{*abi};
}

}  // namespace bastion::daemon::sandbox
