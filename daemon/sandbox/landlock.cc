#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "daemon/sandbox/sandbox.h"
#include "daemon/unique_fd.h"

namespace bastion::daemon::sandbox {
namespace {

/// The kernel's structure as of ABI 6, whatever headers this is built with: an older kernel is
/// given less of it.
struct Ruleset {
  std::uint64_t handled_access_fs = 0;
  std::uint64_t handled_access_net = 0;
  std::uint64_t scoped = 0;
};
constexpr std::size_t kSizeAbi1 = 8;
constexpr std::size_t kSizeAbi4 = 16;
constexpr std::size_t kSizeAbi6 = 24;

struct NetPort {
  std::uint64_t allowed_access = 0;
  std::uint64_t port = 0;
};
constexpr int kRuleNetPort = 2;

constexpr std::uint64_t kFsAbi1 = (1u << 13) - 1;
constexpr std::uint64_t kFsRefer = 1u << 13;     // ABI 2
constexpr std::uint64_t kFsTruncate = 1u << 14;  // ABI 3
constexpr std::uint64_t kFsIoctl = 1u << 15;     // ABI 5
constexpr std::uint64_t kNetBind = 1u << 0;      // ABI 4
constexpr std::uint64_t kNetConnect = 1u << 1;
constexpr std::uint64_t kScopeAbstractSockets = 1u << 0;  // ABI 6
constexpr std::uint64_t kScopeSignals = 1u << 1;

/// What getaddrinfo and the name service modules read: configuration, the modules themselves and
/// what they link, and the state of local resolvers.
constexpr const char* kResolverReads[] = {
    "/etc",
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/usr/share/zoneinfo",
    "/run/resolvconf",
    "/run/systemd/resolve",
    "/run/nscd",
    "/run/NetworkManager",
    "/var/lib/misc",
    "/proc/sys/kernel",
    "/dev/urandom",
    "/dev/null",
};

long create_ruleset(const Ruleset* ruleset, std::size_t size, std::uint32_t flags) {
  return syscall(SYS_landlock_create_ruleset, ruleset, size, flags);
}

Status allow_reading(int ruleset, const char* path) {
  const UniqueFd fd(open(path, O_PATH | O_CLOEXEC));
  if (!fd) {
    return {};  // not on this machine
  }
  landlock_path_beneath_attr rule{};
  rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
  rule.parent_fd = fd.get();
  if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0) {
    return {};
  }
  // A file, unlike a folder, has no READ_DIR.
  rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE;
  if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    return fail(ErrorCode::kIo, "cannot add a Landlock rule", errno);
  }
  return {};
}

/// allow_keeping lets files and folders below `folder` be made, written, read and removed.
Status allow_keeping(int ruleset, int folder, std::uint64_t handled) {
  landlock_path_beneath_attr rule{};
  rule.allowed_access =
      (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
       LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
       LANDLOCK_ACCESS_FS_REMOVE_DIR | kFsTruncate) &
      handled;
  rule.parent_fd = folder;
  if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    return fail(ErrorCode::kIo, "cannot add a Landlock rule", errno);
  }
  return {};
}

}  // namespace

int landlock_abi() {
  const long abi = create_ruleset(nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return abi < 1 ? 0 : static_cast<int>(abi);
}

Result<int> enter_landlock(ipc::Role role, const Extras& extras) {
  const int abi = landlock_abi();
  if (abi == 0) {
    return 0;
  }
  Ruleset ruleset;
  std::size_t size = kSizeAbi1;
  ruleset.handled_access_fs = kFsAbi1;
  if (abi >= 2) {
    ruleset.handled_access_fs |= kFsRefer;
  }
  if (abi >= 3) {
    ruleset.handled_access_fs |= kFsTruncate;
  }
  if (abi >= 4) {
    size = kSizeAbi4;
    ruleset.handled_access_net = kNetBind;
    if (role != ipc::Role::kWarden) {
      ruleset.handled_access_net |= kNetConnect;
    }
  }
  if (abi >= 5) {
    ruleset.handled_access_fs |= kFsIoctl;
  }
  if (abi >= 6) {
    size = kSizeAbi6;
    ruleset.scoped = kScopeAbstractSockets | kScopeSignals;
  }
  const UniqueFd fd(static_cast<int>(create_ruleset(&ruleset, size, 0)));
  if (!fd) {
    return fail(ErrorCode::kIo, "cannot make a Landlock rule set", errno);
  }
  if (role == ipc::Role::kResolver) {
    for (const char* path : kResolverReads) {
      BASTION_TRY(allow_reading(fd.get(), path));
    }
    if (abi >= 4) {
      const NetPort dns{kNetConnect, 53};
      if (syscall(SYS_landlock_add_rule, fd.get(), kRuleNetPort, &dns, 0) != 0) {
        return fail(ErrorCode::kIo, "cannot add a Landlock rule", errno);
      }
    }
  }
  if (abi >= 4 && extras.tcp_port != 0) {
    const NetPort log_host{kNetConnect, extras.tcp_port};
    if (syscall(SYS_landlock_add_rule, fd.get(), kRuleNetPort, &log_host, 0) != 0) {
      return fail(ErrorCode::kIo, "cannot add a Landlock rule", errno);
    }
  }
  for (const int folder : extras.folders) {
    BASTION_TRY(allow_keeping(fd.get(), folder, ruleset.handled_access_fs));
  }
  if (syscall(SYS_landlock_restrict_self, fd.get(), 0) != 0) {
    return fail(ErrorCode::kIo, "cannot enter the Landlock rule set", errno);
  }
  return abi;
}

}  // namespace bastion::daemon::sandbox
