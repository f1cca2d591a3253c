#include "daemon/supervisor/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/limits.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/version.h"
#include "daemon/process.h"

namespace bastion::daemon {
namespace {

std::string own_folder() {
  char path[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof path);
  const std::string text(path, n > 0 ? static_cast<std::size_t>(n) : 0);
  return text.substr(0, text.rfind('/'));
}

/// environment is all that a child sees: no locale, no time zone file, nothing of the caller's but
/// where the log goes and what the sanitizers are told (their leak check needs ptrace, which the
/// sandbox bars).
std::vector<std::string> environment() {
  std::vector<std::string> out = {"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/bin"};
  for (const char* name : {"JOURNAL_STREAM", "UBSAN_OPTIONS", "LOCALDOMAIN", "RES_OPTIONS"}) {
    if (const char* value = std::getenv(name); value != nullptr) {
      out.push_back(std::string(name) + "=" + value);
    }
  }
  const char* asan = std::getenv("ASAN_OPTIONS");
  out.push_back("ASAN_OPTIONS=" + (asan != nullptr ? std::string(asan) + ":" : "") +
                "detect_leaks=0");
  return out;
}

[[noreturn]] void child_failed(const char* what) {
  const std::string line =
      std::string("bastiond: cannot start a process: ") + what + ": " + std::strerror(errno) + "\n";
  (void)!write(STDERR_FILENO, line.data(), line.size());
  _exit(127);
}

void place_descriptors(const ChildSpec& spec, int program, int& program_copy) {
  // First out of the way of the numbers that are given out, then to them.
  constexpr int kAbove = 100;
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  const int supervisor = fcntl(spec.supervisor_end, F_DUPFD_CLOEXEC, kAbove);
  const int warden = spec.warden_end < 0 ? -1 : fcntl(spec.warden_end, F_DUPFD_CLOEXEC, kAbove);
  program_copy = fcntl(program, F_DUPFD_CLOEXEC, kAbove);
  const auto kept = [](int fd) { return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, kAbove); };
  const int ring = kept(spec.record_ring);
  const int bell = kept(spec.record_bell);
  if (null < 0 || supervisor < 0 || program_copy < 0 || (spec.warden_end >= 0 && warden < 0)) {
    child_failed("descriptors");
  }
  if (dup2(null, STDIN_FILENO) < 0 || dup2(supervisor, kSupervisorFd) < 0) {
    child_failed("descriptors");
  }
  if (warden >= 0) {
    if (dup2(warden, kWardenFd) < 0) {
      child_failed("descriptors");
    }
  } else {
    close(kWardenFd);
  }
  int last = kWardenFd;
  if (spec.role == ipc::Role::kWorker) {
    // Both numbers are taken in any case: a worker may write to the bell's.
    last = kRecordBellFd;
    if (dup2(ring < 0 ? null : ring, kRecordRingFd) < 0 ||
        dup2(bell < 0 ? null : bell, kRecordBellFd) < 0) {
      child_failed("descriptors");
    }
  }
  // Everything else goes at the exec, the copies above included.
  if (syscall(SYS_close_range, last + 1, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) != 0) {
    child_failed("close_range");
  }
}

void become(const Identity& identity) {
  // The kernel counts the rings of all processes of a uid against what they may lock; the unit says
  // the same by LimitMEMLOCK. Where it may not be raised, what there is has to do.
  const rlimit all{RLIM_INFINITY, RLIM_INFINITY};
  (void)setrlimit(RLIMIT_MEMLOCK, &all);
  if (setgroups(0, nullptr) != 0 || setresgid(identity.gid, identity.gid, identity.gid) != 0 ||
      setresuid(identity.uid, identity.uid, identity.uid) != 0) {
    child_failed("giving up privileges");
  }
  if (setuid(0) == 0) {
    child_failed("privileges could be taken back");
  }
}

}  // namespace

Result<Programs> open_programs() {
  Programs programs;
  programs.bastiond.reset(open("/proc/self/exe", O_PATH | O_CLOEXEC));
  if (!programs.bastiond) {
    return fail(ErrorCode::kIo, "/proc is needed to start processes", errno);
  }
  // Beside us in the build tree; else where it is installed, also below another root.
  const std::string folder = own_folder();
  for (const std::string& place :
       {folder, folder + "/../libexec/bastiond", std::string(kProgramDir)}) {
    programs.resolver.reset(open((place + "/bastiond-resolver").c_str(), O_PATH | O_CLOEXEC));
    if (programs.resolver) {
      return programs;
    }
  }
  return fail(ErrorCode::kIo,
              "bastiond-resolver is neither beside bastiond nor where it is installed", errno);
}

Result<pid_t> spawn(const Programs& programs, const ChildSpec& spec) {
  const bool resolver = spec.role == ipc::Role::kResolver;
  const int program = (resolver ? programs.resolver : programs.bastiond).get();
  std::array<std::string, 7> words = {resolver ? "bastiond-resolver" : "bastiond",
                                      "--role",
                                      std::string(role_name(spec.role)),
                                      "--index",
                                      std::to_string(spec.index),
                                      "--log-level",
                                      std::string(log_level_name(spec.log_level))};
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  std::vector<std::string> variables = environment();
  std::vector<char*> envp;
  for (std::string& variable : variables) {
    envp.push_back(variable.data());
  }
  envp.push_back(nullptr);

  const pid_t pid = fork();
  if (pid < 0) {
    return fail(ErrorCode::kIo, "cannot fork", errno);
  }
  if (pid > 0) {
    return pid;
  }
  int copy = -1;
  place_descriptors(spec, program, copy);
  if (spec.identity) {
    become(*spec.identity);
  }
  syscall(SYS_execveat, copy, "", argv.data(), envp.data(), AT_EMPTY_PATH);
  child_failed("exec");
}

}  // namespace bastion::daemon
