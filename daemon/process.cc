#include "daemon/process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "daemon/sandbox/sandbox.h"

namespace bastion::daemon {
namespace {

/// A fifth of a millisecond: as long as it takes to relay half a slab of bulk data.
constexpr std::uint64_t kSliceNs = 200'000;

bool is_channel(int fd) {
  int type = 0;
  socklen_t length = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

RingProfile ring_profile(ipc::Role role) {
  switch (role) {
    case ipc::Role::kGate: return RingProfile::kGate;
    case ipc::Role::kWorker: return RingProfile::kWorker;
    case ipc::Role::kWarden:
    case ipc::Role::kResolver:
    case ipc::Role::kRecorder: return RingProfile::kWarden;
    case ipc::Role::kSupervisor: return RingProfile::kSupervisor;
  }
  return RingProfile::kGate;
}

/// SchedulingAttributes is the kernel's struct sched_attr as it is since Linux 3.14.
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0;  // of SCHED_OTHER since Linux 6.12: its slice; before, without use
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};
static_assert(sizeof(SchedulingAttributes) == 48);

/// ask_for_short_slices: the scheduler lets us run sooner and for less long at a time, and as much
/// in all. On two busy processors a keystroke beside bulk data waits a quarter less for it. No
/// privilege is needed, and nothing depends on it.
void ask_for_short_slices() {
  SchedulingAttributes attributes;
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0 &&
      attributes.policy == SCHED_OTHER) {
    attributes.size = sizeof attributes;
    attributes.flags = 0;
    attributes.runtime_ns = kSliceNs;
    syscall(SYS_sched_setattr, 0, &attributes, 0);
  }
}

}  // namespace

std::string_view role_name(ipc::Role role) {
  switch (role) {
    case ipc::Role::kSupervisor: return "supervisor";
    case ipc::Role::kGate: return "gate";
    case ipc::Role::kWorker: return "worker";
    case ipc::Role::kWarden: return "warden";
    case ipc::Role::kResolver: return "resolver";
    case ipc::Role::kRecorder: return "recorder";
  }
  return "unknown";
}

Result<ipc::Role> parse_role(std::string_view name) {
  for (const ipc::Role role : {ipc::Role::kGate, ipc::Role::kWorker, ipc::Role::kWarden,
                               ipc::Role::kResolver, ipc::Role::kRecorder}) {
    if (name == role_name(role)) {
      return role;
    }
  }
  return fail(ErrorCode::kMalformed, "no role of that name");
}

Status start_role(ipc::Role role) {
  // What a dead supervisor's workers had accepted is still to be written down: the recorder ends by
  // itself, when its channel says that it is alone.
  if (role != ipc::Role::kRecorder) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  }
  prctl(PR_SET_NAME, role_name(role).data(), 0, 0, 0);
  if (role == ipc::Role::kGate || role == ipc::Role::kWorker || role == ipc::Role::kWarden) {
    ask_for_short_slices();
  }
  for (const int signal : {SIGPIPE, SIGXFSZ, SIGHUP, SIGINT, SIGTERM}) {
    std::signal(signal, SIG_IGN);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const bool has_warden = role != ipc::Role::kWarden;
  if (!is_channel(kSupervisorFd) || (has_warden && !is_channel(kWardenFd))) {
    return fail(ErrorCode::kIo,
                "--role is for the supervisor only: its channels are not at their descriptors");
  }
  return {};
}

Status seal(ProcessContext& context, Ring* ring) {
  if (ring != nullptr) {
    BASTION_TRY(ring->restrict_and_enable(ring_profile(context.role)));
  }
  if (!context.sandboxed) {
    return {};
  }
  const auto state = sandbox::enter(context.role, context.extras);
  if (!state) {
    return std::unexpected(state.error());
  }
  if (state->landlock_abi == 0) {
    context.log.warning("this kernel has no Landlock; seccomp and the ring's restrictions hold");
  }
  return {};
}

}  // namespace bastion::daemon
