#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <memory>
#include <string_view>

#include "daemon/process.h"
#include "daemon/sandbox/sandbox.h"

namespace bastion::daemon::sandbox {
namespace {

using ipc::Role;

/// These kill: no part of ours calls them after start-up, so whoever does has taken us over.
constexpr const char* kDeadly[] = {
    "execve",
    "execveat",
    "fork",
    "vfork",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "io_uring_setup",
    "io_uring_register",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "open_by_handle_at",
    "name_to_handle_at",
    "pidfd_open",
    "pidfd_getfd",
    "pidfd_send_signal",
    "kcmp",
    "modify_ldt",
    "iopl",
    "ioperm",
    "swapon",
    "swapoff",
    "reboot",
    "acct",
    "quotactl",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "setfsuid",
    "setfsgid",
    "capset",
    "personality",
    "memfd_create",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "fsconfig",
    "mount_setattr",
    "lookup_dcookie",
    "vmsplice",
    "splice",
    "tee",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "sethostname",
};

/// These kill in gates, workers and the warden.
constexpr const char* kDeadlyNetwork[] = {
    "bind", "listen", "accept", "accept4", "connect", "sendto", "sendmmsg", "socketpair",
};

/// These say EACCES: libraries try them and can live without.
constexpr const char* kFiles[] = {
    "open",      "openat",    "openat2",       "creat",     "stat",       "lstat",      "statx",
    "access",    "faccessat", "faccessat2",    "readlink",  "readlinkat", "getdents64", "unlink",
    "unlinkat",  "rename",    "renameat",      "renameat2", "mkdir",      "mkdirat",    "rmdir",
    "link",      "linkat",    "symlink",       "symlinkat", "chmod",      "fchmodat",   "chown",
    "fchownat",  "lchown",    "truncate",      "chdir",     "fchdir",     "mknod",      "mknodat",
    "utimensat", "statfs",    "inotify_init1", "getcwd",
};

/// What of kFiles the recorder calls: below its folders only, by Landlock and open_below.
constexpr std::string_view kRecorderFiles[] = {"openat",     "unlinkat", "mkdirat",
                                               "getdents64", "statx",    "renameat2"};

/// What every role may call freely.
constexpr const char* kCommon[] = {
    "munmap",
    "mremap",
    "madvise",
    "brk",
    "futex",
    "rt_sigprocmask",
    "rt_sigaction",
    "rt_sigreturn",
    "sigaltstack",
    "exit",
    "exit_group",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "getpid",
    "gettid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getppid",
    "getrandom",
    "sched_yield",
    "restart_syscall",
    "poll",
    "ppoll",
    "getrusage",
    "set_robust_list",
    "rseq",
    "membarrier",
    "uname",
    "sysinfo",
    "fstat",
    "read",
    "getpeername",
    "getsockname",
    "shutdown",
    "sched_getaffinity",
    "getcpu",
};

constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
constexpr int kReceiveFlags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;

/// Filter collects rules; the first failure sticks.
class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), &seccomp_release) {
    if (!context_) {
      error_ = ENOMEM;
      return;
    }
    note(seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
    note(seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_TSYNC, 1));
    // A binary tree of numbers instead of a list: the filter is on the path of each enter.
    note(seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
  }

  void add(std::uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> when = {}) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || !context_) {
      return;  // newer than this libseccomp: falls under the default
    }
    note(seccomp_rule_add_array(context_.get(), action, number, static_cast<unsigned>(when.size()),
                                when.begin()));
  }
  void allow(const char* name, std::initializer_list<scmp_arg_cmp> when = {}) {
    add(SCMP_ACT_ALLOW, name, when);
  }
  void allow_all(const auto& names) {
    for (const char* name : names) {
      allow(name);
    }
  }
  void kill(const char* name, std::initializer_list<scmp_arg_cmp> when = {}) {
    add(SCMP_ACT_KILL_PROCESS, name, when);
  }
  void kill_all(const auto& names) {
    for (const char* name : names) {
      kill(name);
    }
  }

  Status load() {
    if (error_ == 0) {
      note(seccomp_load(context_.get()));
    }
    if (error_ != 0) {
      return fail(ErrorCode::kIo, "cannot enter the seccomp filter", error_);
    }
    return {};
  }

 private:
  void note(int result) {
    if (result < 0 && error_ == 0) {
      error_ = -result;
    }
  }
  std::unique_ptr<void, decltype(&seccomp_release)> context_;
  int error_ = 0;
};

scmp_arg_cmp is(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}
/// low_is compares the low 32 bits: what an int argument is, whatever lies above it.
scmp_arg_cmp low_is(unsigned argument, int value) {
  return {argument, SCMP_CMP_MASKED_EQ, 0xffff'ffff, static_cast<std::uint32_t>(value)};
}
scmp_arg_cmp bits(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

void allow_memory(Filter& filter, Role role) {
  filter.allow("mprotect", {bits(2, PROT_EXEC, 0)});
  filter.kill("mprotect", {bits(2, PROT_EXEC, PROT_EXEC)});
  if (role == Role::kResolver) {
    filter.allow("mmap");  // name service modules are loaded when they are needed
    return;
  }
  filter.allow("mmap", {bits(2, PROT_EXEC, 0)});
  filter.kill("mmap", {bits(2, PROT_EXEC, PROT_EXEC)});
}

void allow_socket_options(Filter& filter) {
  struct Option {
    int level, name;
  };
  constexpr Option kSet[] = {
      {IPPROTO_TCP, TCP_NODELAY},      {IPPROTO_TCP, TCP_KEEPIDLE},
      {IPPROTO_TCP, TCP_KEEPINTVL},    {IPPROTO_TCP, TCP_KEEPCNT},
      {IPPROTO_TCP, TCP_USER_TIMEOUT}, {SOL_SOCKET, SO_KEEPALIVE},
      {SOL_SOCKET, SO_RCVLOWAT},       {IPPROTO_IP, IP_TOS},
      {IPPROTO_IPV6, IPV6_TCLASS},     {SOL_SOCKET, SO_LINGER},
      {IPPROTO_TCP, TCP_CORK},
  };
  for (const Option& option : kSet) {
    filter.allow("setsockopt", {low_is(1, option.level), low_is(2, option.name)});
  }
  constexpr Option kGet[] = {
      {SOL_SOCKET, SO_ERROR},      {SOL_SOCKET, SO_TYPE},     {SOL_SOCKET, SO_DOMAIN},
      {SOL_SOCKET, SO_ACCEPTCONN}, {SOL_SOCKET, SO_PROTOCOL}, {IPPROTO_TCP, TCP_INFO},
  };
  for (const Option& option : kGet) {
    filter.allow("getsockopt", {low_is(1, option.level), low_is(2, option.name)});
  }
}

/// allow_threads lets pthread_create work, or not, and kills fork. The flags of clone3 are out of
/// seccomp's reach: it gets the default, ENOSYS, upon which libc takes clone.
void allow_threads(Filter& filter, bool allowed) {
  if (!allowed) {
    filter.kill("clone");
    return;
  }
  filter.allow("clone", {bits(0, CLONE_THREAD, CLONE_THREAD)});
  filter.kill("clone", {bits(0, CLONE_THREAD, 0)});
}

/// Gates and workers: the ring, their two channels, the log; and no way to get another descriptor
/// to the numbers of the channels.
void add_parser_rules(Filter& filter, Role role) {
  for (const int fd : {kSupervisorFd, kWardenFd}) {
    filter.allow("sendmsg", {low_is(0, fd), low_is(2, kSendFlags)});
    filter.allow("recvmmsg", {low_is(0, fd), low_is(3, kReceiveFlags)});
  }
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    filter.allow("write", {low_is(0, fd)});
  }
  // A worker writes a tunnel's data from where it was opened, without waiting; like WRITEV on the
  // ring it carries neither address nor MSG_FASTOPEN.
  filter.allow("pwritev2", {low_is(5, RWF_NOWAIT)});
  // A worker rings the recorder's bell by write; in its place is always something.
  const int last_fixed = role == Role::kWorker ? kRecordBellFd : kWardenFd;
  if (role == Role::kWorker) {
    filter.allow("write", {low_is(0, kRecordBellFd)});
  }
  filter.allow("close", {{0, SCMP_CMP_GT, static_cast<std::uint64_t>(last_fixed), 0}});
  for (const int command : {F_GETFD, F_GETFL, F_DUPFD_CLOEXEC}) {
    filter.allow("fcntl", {low_is(1, command)});
  }
  filter.kill("socket");
  filter.kill_all(kDeadlyNetwork);
  allow_threads(filter, false);
}

void add_warden_rules(Filter& filter) {
  filter.allow("sendmsg", {low_is(2, kSendFlags)});
  filter.allow("recvmmsg", {low_is(3, kReceiveFlags)});
  for (const int domain : {AF_INET, AF_INET6}) {
    for (const int type : {int{SOCK_STREAM}, SOCK_STREAM | SOCK_CLOEXEC}) {
      for (const int protocol : {0, int{IPPROTO_TCP}}) {
        filter.allow("socket", {low_is(0, domain), low_is(1, type), low_is(2, protocol)});
      }
    }
  }
  for (const char* name : {"write", "close", "pread64", "lseek", "eventfd2"}) {
    filter.allow(name);
  }
  filter.allow("newfstatat", {bits(3, AT_EMPTY_PATH, AT_EMPTY_PATH)});
  filter.allow("getsockopt", {low_is(1, SOL_SOCKET), low_is(2, SO_PEERCRED)});
  for (const int command : {F_GETFD, F_GETFL, F_DUPFD_CLOEXEC, F_GET_SEALS}) {
    filter.allow("fcntl", {low_is(1, command)});
  }
  filter.kill_all(kDeadlyNetwork);
  allow_threads(filter, true);
}

/// The recorder keeps files, and maps rings that it is given. Its threads sync them. Where the
/// audit log goes to others as well, it makes sockets to them: to files, by UDP, and by TCP to the
/// one port that Landlock lets it connect to.
void add_recorder_rules(Filter& filter, const Extras& extras) {
  for (const int fd : {kSupervisorFd, kWardenFd}) {
    filter.allow("sendmsg", {low_is(0, fd), low_is(2, kSendFlags)});
    filter.allow("recvmmsg", {low_is(0, fd), low_is(3, kReceiveFlags)});
  }
  for (const std::string_view name : kRecorderFiles) {
    filter.allow(name.data());
  }
  for (const char* name :
       {"write", "close", "pread64", "pwrite64", "lseek", "eventfd2", "fallocate", "ftruncate",
        "fsync", "fdatasync", "syncfs", "fstatfs", "flock"}) {
    filter.allow(name);
  }
  filter.allow("newfstatat", {bits(3, AT_EMPTY_PATH, AT_EMPTY_PATH)});
  for (const int command : {F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC, F_GET_SEALS}) {
    filter.allow("fcntl", {low_is(1, command)});
  }
  if (!extras.sockets) {
    filter.kill("socket");
    filter.kill_all(kDeadlyNetwork);
  } else {
    for (const int domain : {AF_UNIX, AF_INET, AF_INET6}) {
      filter.allow("socket", {low_is(0, domain)});
    }
    filter.allow("connect");
    filter.allow("sendto", {low_is(3, MSG_DONTWAIT | MSG_NOSIGNAL), {4, SCMP_CMP_EQ, 0, 0}});
    filter.allow("sendmsg", {low_is(2, MSG_DONTWAIT | MSG_NOSIGNAL)});
    filter.allow("memfd_create");
    filter.allow("fcntl", {low_is(1, F_ADD_SEALS)});
    for (const char* name : kDeadlyNetwork) {
      if (std::string_view(name) != "connect" && std::string_view(name) != "sendto") {
        filter.kill(name);
      }
    }
  }
  allow_threads(filter, true);
}

/// The resolver runs the system's name service modules, so its list is wider: it may read files
/// (Landlock says which) and talk to name servers and local daemons.
void add_resolver_rules(Filter& filter) {
  for (const char* name : {"open",
                           "openat",
                           "stat",
                           "lstat",
                           "newfstatat",
                           "statx",
                           "access",
                           "faccessat",
                           "faccessat2",
                           "readlink",
                           "readlinkat",
                           "getdents64",
                           "lseek",
                           "pread64",
                           "readv",
                           "write",
                           "writev",
                           "close",
                           "dup",
                           "fcntl",
                           "ioctl",
                           "connect",
                           "bind",
                           "sendto",
                           "sendmsg",
                           "sendmmsg",
                           "recvfrom",
                           "recvmsg",
                           "recvmmsg",
                           "setsockopt",
                           "getsockopt",
                           "socketpair",
                           "epoll_create1",
                           "epoll_ctl",
                           "epoll_wait",
                           "epoll_pwait",
                           "eventfd2",
                           "select",
                           "pselect6",
                           "statfs",
                           "fstatfs",
                           "getcwd",
                           "timerfd_create",
                           "timerfd_settime",
                           "sched_getparam",
                           "sched_getscheduler",
                           "prlimit64",
                           "getrlimit",
                           "flock",
                           "inotify_init1"}) {
    filter.allow(name);
  }
  for (const int domain : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}) {
    filter.allow("socket", {low_is(0, domain)});
  }
  for (const char* name : {"listen", "accept", "accept4"}) {
    filter.kill(name);
  }
  allow_threads(filter, true);
}

}  // namespace

Status enter_seccomp(Role role, const Extras& extras) {
  Filter filter;
  filter.kill_all(kDeadly);
  filter.allow_all(kCommon);
  allow_memory(filter, role);
  // raise and abort; with no_new_privs and Landlock's scope other processes are out of reach
  // anyhow.
  filter.allow("tgkill", {is(0, static_cast<std::uint64_t>(getpid()))});
  filter.allow("pwritev2", {low_is(0, STDERR_FILENO), low_is(5, RWF_NOWAIT)});  // the log
  filter.allow("prctl", {low_is(0, PR_SET_NAME)});
  filter.allow("prctl", {low_is(0, PR_GET_DUMPABLE)});
#ifdef PR_SET_VMA
  filter.allow("prctl", {low_is(0, PR_SET_VMA)});
#endif
  if (role != Role::kResolver) {
    if (role != Role::kRecorder) {
      filter.allow("io_uring_enter");
      allow_socket_options(filter);
    }
    for (const char* name : kFiles) {
      const bool kept =
          role == Role::kRecorder &&
          std::ranges::find(kRecorderFiles, std::string_view(name)) != std::end(kRecorderFiles);
      if (!kept) {
        filter.add(SCMP_ACT_ERRNO(EACCES), name);
      }
    }
    // libc's fstat; by name it is refused like the rest.
    filter.add(SCMP_ACT_ERRNO(EACCES), "newfstatat", {bits(3, AT_EMPTY_PATH, 0)});
  }
  switch (role) {
    case Role::kGate:
    case Role::kWorker: add_parser_rules(filter, role); break;
    case Role::kWarden: add_warden_rules(filter); break;
    case Role::kResolver: add_resolver_rules(filter); break;
    case Role::kRecorder: add_recorder_rules(filter, extras); break;
    case Role::kSupervisor: return {};
  }
  return filter.load();
}

}  // namespace bastion::daemon::sandbox
