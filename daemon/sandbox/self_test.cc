#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/open_below.h"
#include "daemon/ipc/channel.h"
#include "daemon/process.h"
#include "daemon/ring/ring.h"
#include "daemon/sandbox/sandbox.h"

/// The self-test forks a child for each attempt: a child sets up what its role would have at that
/// moment, enters the sandbox, tries one thing and tells by its exit status what came of it.
namespace bastion::daemon::sandbox {
namespace {

using ipc::Role;

constexpr std::array kRoles = {Role::kGate, Role::kWorker, Role::kWarden, Role::kResolver,
                               Role::kRecorder};

/// Exit statuses of an attempt. Refused ones carry the errno above kRefused.
constexpr int kWorked = 0;
constexpr int kNotSetUp = 1;
constexpr int kRefused = 100;

/// Scene is what a role has when it begins to read peers: its channels at their fixed numbers, its
/// ring, and a connected TCP socket of a peer.
struct Scene {
  Role role{};
  std::unique_ptr<Ring> ring;
  int socket = -1;         // connected
  int ended = -1;          // was listening and is shut down: MSG_FASTOPEN could connect it
  sockaddr_in somebody{};  // who would take a connection
  int folder = -1;         // the recorder's
};

struct Attempt {
  const char* what;
  std::function<int(Scene&)> run;  // kWorked, or kRefused + errno
  std::vector<Role> allowed;       // where it is part of the role's work
  bool must_work = false;          // a control: it has to work in every role
  int landlock_abi = 0;            // where only Landlock of this version keeps a role from it
};

/// landlock_keeps: the resolver's network and files, the recorder's files. Filters of system calls
/// see no paths.
bool landlock_keeps(Role role, const Attempt& attempt) {
  return role == Role::kResolver || (role == Role::kRecorder && attempt.landlock_abi == 1);
}

int outcome(long result) {
  if (result >= 0) {
    return kWorked;
  }
  return kRefused + (errno < 150 ? errno : 150);
}

int ring_outcome(Scene& scene, const std::function<void(Ring&)>& queue) {
  if (!scene.ring) {
    errno = ENOSYS;
    return outcome(-1);
  }
  queue(*scene.ring);
  Completion completion;
  if (scene.ring->wait(after(mono_now(), 2 * kNsPerSecond), std::span(&completion, 1)) != 1) {
    return kNotSetUp;
  }
  errno = -completion.result;
  return outcome(completion.result);
}

/// raw_ring_outcome submits an operation that Ring has no call for, by the rings' shared memory.
int raw_ring_outcome(Scene& scene, std::uint8_t operation) {
  if (!scene.ring) {
    errno = ENOSYS;
    return outcome(-1);
  }
  scene.ring->submit_raw(operation, scene.socket, {1, 1, 1});
  Completion completion;
  if (scene.ring->wait(after(mono_now(), 2 * kNsPerSecond), std::span(&completion, 1)) != 1) {
    return kNotSetUp;
  }
  errno = -completion.result;
  return outcome(completion.result);
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// make_listener gives a listening socket of a loopback port.
UniqueFd make_listener(sockaddr_in& address) {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  address = loopback(0);
  socklen_t length = sizeof address;
  if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      listen(listener.get(), 64) != 0 ||
      getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    listener.reset();
  }
  return listener;
}

int fast_open(Scene& scene, int kind) {
  const int fd = scene.ended;
  sockaddr_in address = scene.somebody;
  char byte = 'x';
  iovec iov{&byte, 1};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_name = &address;
  message.msg_namelen = sizeof address;
  constexpr int kFlags = MSG_FASTOPEN | MSG_NOSIGNAL;
  if (kind == 0) {
    return outcome(
        sendto(fd, &byte, 1, kFlags, reinterpret_cast<sockaddr*>(&address), sizeof address));
  }
  if (kind == 1) {
    return outcome(sendmsg(fd, &message, kFlags));
  }
  mmsghdr many{message, 0};
  return outcome(sendmmsg(fd, &many, 1, kFlags));
}

/// to_channel_number puts a socket of a peer where sending is allowed, by closing the channel and
/// letting the next descriptor take its number, or by dup.
int to_channel_number(Scene& scene, bool by_dup) {
  if (by_dup) {
    return outcome(dup2(scene.socket, kWardenFd));
  }
  return outcome(close(kWardenFd));
}

int connect_again(int fd) {
  sockaddr address{};
  address.sa_family = AF_UNSPEC;
  return outcome(connect(fd, &address, sizeof address));
}

/// keep_file does a recorder's work: a file below a folder is made, written and removed.
int keep_file(int folder, const char* name) {
  const UniqueFd file(open_below(folder, name, O_CREAT | O_EXCL | O_RDWR, 0600));
  if (!file || pwrite(file.get(), "x", 1, 0) != 1) {
    return outcome(-1);
  }
  return outcome(unlinkat(folder, name, 0));
}

std::vector<Attempt> attempts() {
  const std::vector<Role> none;
  const std::vector<Role> resolver = {Role::kResolver};
  const std::vector<Role> both = {Role::kWarden, Role::kResolver};
  const std::vector<Role> closers = {Role::kWarden, Role::kResolver, Role::kRecorder};
  const std::vector<Role> recorder = {Role::kRecorder};
  std::vector<Attempt> list = {
      {"send on a channel",
       [](Scene&) {
         iovec iov{const_cast<char*>("x"), 1};
         msghdr message{};
         message.msg_iov = &iov;
         message.msg_iovlen = 1;
         return outcome(sendmsg(kSupervisorFd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
       },
       none, true},
      {"allocate memory", [](Scene&) { return std::vector<int>(1 << 20, 1)[77] == 1 ? 0 : 1; },
       none, true},
      {"write to the log", [](Scene&) { return outcome(write(STDERR_FILENO, "", 0)); }, none, true},
      {"open a file", [](Scene&) { return outcome(open("/etc/hostname", O_RDONLY)); }, resolver,
       false, 1},
      {"open a file for writing",
       [](Scene&) { return outcome(open("/tmp", O_TMPFILE | O_RDWR, 0600)); }, none, false, 1},
      {"open another folder", [](Scene&) { return outcome(open("/", O_RDONLY | O_DIRECTORY)); },
       none, false, 1},
      {"keep a file in its folder",
       [](Scene& scene) { return keep_file(scene.folder, "self-test"); }, recorder},
      {"keep a file elsewhere", [](Scene&) { return keep_file(AT_FDCWD, "self-test"); }, none,
       false, 1},
      {"execve",
       [](Scene&) {
         char* const argv[] = {const_cast<char*>("true"), nullptr};
         return outcome(execve("/bin/true", argv, nullptr));
       },
       none},
      {"fork", [](Scene&) { return outcome(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }, none},
      {"socket() for TCP", [](Scene&) { return outcome(socket(AF_INET, SOCK_STREAM, 0)); }, both},
      {"socket() for UDP", [](Scene&) { return outcome(socket(AF_INET, SOCK_DGRAM, 0)); },
       resolver},
      {"socket() of Unix", [](Scene&) { return outcome(socket(AF_UNIX, SOCK_STREAM, 0)); },
       resolver},
      {"socket() of packets", [](Scene&) { return outcome(socket(AF_PACKET, SOCK_RAW, 0)); }, none},
      {"connect a TCP socket",
       [](Scene& scene) {
         sockaddr_in address = scene.somebody;
         const int fd =
             scene.role == Role::kResolver ? socket(AF_INET, SOCK_STREAM, 0) : scene.ended;
         return outcome(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
       },
       none, false, 4},
      {"connect to AF_UNSPEC", [](Scene& scene) { return connect_again(scene.socket); }, resolver},
      {"bind to a port",
       [](Scene& scene) {
         // The resolver can make a socket for it, the others cannot.
         const int fd =
             scene.role == Role::kResolver ? socket(AF_INET, SOCK_STREAM, 0) : scene.ended;
         sockaddr_in address = loopback(0);
         return outcome(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
       },
       none, false, 4},
      {"listen", [](Scene& scene) { return outcome(listen(scene.ended, 1)); }, none},
      {"accept", [](Scene& scene) { return outcome(accept(scene.socket, nullptr, nullptr)); },
       none},
      {"MSG_FASTOPEN by sendto", [](Scene& scene) { return fast_open(scene, 0); }, resolver},
      {"MSG_FASTOPEN by sendmsg", [](Scene& scene) { return fast_open(scene, 1); }, resolver},
      {"MSG_FASTOPEN by sendmmsg", [](Scene& scene) { return fast_open(scene, 2); }, resolver},
      {"TCP_FASTOPEN_CONNECT",
       [](Scene& scene) {
         const int on = 1;
         return outcome(setsockopt(scene.ended, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on));
       },
       resolver},
      {"send on a peer's socket",
       [](Scene& scene) { return outcome(send(scene.socket, "x", 1, MSG_NOSIGNAL)); }, resolver},
      {"close a channel's number", [](Scene& scene) { return to_channel_number(scene, false); },
       closers},
      {"dup to a channel's number", [](Scene& scene) { return to_channel_number(scene, true); },
       none},
      {"io_uring_setup",
       [](Scene&) {
         io_uring_params params{};
         return outcome(syscall(SYS_io_uring_setup, 4, &params));
       },
       none},
      {"another ring buffer",
       [](Scene& scene) {
         io_uring_buf_reg registration{};
         registration.ring_entries = 4;
         registration.bgid = 9;
         return outcome(syscall(SYS_io_uring_register, scene.ring ? scene.ring->fd() : -1,
                                IORING_REGISTER_PBUF_RING, &registration, 1));
       },
       none},
      {"IORING_OP_CONNECT",
       [](Scene& scene) {
         const sockaddr_in address = scene.somebody;
         return ring_outcome(scene, [&](Ring& ring) {
           ring.connect(scene.ended, reinterpret_cast<const sockaddr*>(&address), sizeof address,
                        {1, 1, 1});
         });
       },
       {Role::kWarden}},
      {"IORING_OP_ACCEPT",
       [](Scene& scene) {
         return ring_outcome(scene, [&](Ring& ring) { ring.accept(scene.socket, {1, 1, 1}); });
       },
       none},
      {"mmap executable",
       [](Scene&) {
         void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return outcome(memory == MAP_FAILED ? -1 : 0);
       },
       resolver},
      {"mprotect executable",
       [](Scene&) {
         static unsigned char page[8192];
         auto start = (reinterpret_cast<std::uintptr_t>(page) + 4095) & ~std::uintptr_t{4095};
         return outcome(mprotect(reinterpret_cast<void*>(start), 4096, PROT_READ | PROT_EXEC));
       },
       none},
      {"be dumpable again", [](Scene&) { return outcome(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); },
       none},
      {"ptrace", [](Scene&) { return outcome(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }, none},
      {"kill the supervisor", [](Scene&) { return outcome(syscall(SYS_kill, getppid(), 0)); },
       none},
      {"change uid", [](Scene&) { return outcome(syscall(SYS_setuid, getuid())); }, none},
      {"unshare", [](Scene&) { return outcome(syscall(SYS_unshare, 0x10000000)); }, none},
      {"bpf", [](Scene&) { return outcome(syscall(SYS_bpf, 0, nullptr, 0)); }, none},
      {"shut a listener down",
       [](Scene&) {
         // There is none to shut down: no descriptor of this process accepts connections.
         for (int fd = 0; fd < 256; ++fd) {
           int listening = 0;
           socklen_t length = sizeof listening;
           if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 &&
               listening != 0) {
             return outcome(shutdown(fd, SHUT_RDWR));
           }
         }
         errno = ENOTSOCK;
         return outcome(-1);
       },
       none},
  };
  struct Operation {
    const char* what;
    std::uint8_t code;
  };
  for (const Operation operation : {Operation{"IORING_OP_SOCKET", IORING_OP_SOCKET},
                                    Operation{"IORING_OP_OPENAT", IORING_OP_OPENAT},
                                    Operation{"IORING_OP_OPENAT2", IORING_OP_OPENAT2},
                                    Operation{"IORING_OP_SEND", IORING_OP_SEND},
                                    Operation{"IORING_OP_SENDMSG", IORING_OP_SENDMSG},
                                    Operation{"IORING_OP_SHUTDOWN", IORING_OP_SHUTDOWN},
                                    Operation{"IORING_OP_WRITE", IORING_OP_WRITE},
                                    Operation{"IORING_OP_CLOSE", IORING_OP_CLOSE},
                                    Operation{"IORING_OP_MSG_RING", IORING_OP_MSG_RING},
                                    Operation{"IORING_OP_URING_CMD", IORING_OP_URING_CMD}}) {
    list.push_back({operation.what,
                    [code = operation.code](Scene& scene) { return raw_ring_outcome(scene, code); },
                    none});
  }
  return list;
}

/// prepare makes the scene in a fresh child and enters the sandbox.
bool prepare(Scene& scene, bool sandboxed) {
  std::signal(SIGPIPE, SIG_IGN);
  auto supervisor = ipc::socket_pair();
  auto warden = ipc::socket_pair();
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in unused;
  const UniqueFd ended = make_listener(unused);
  if (!supervisor || !warden || !ended ||
      connect(socket.get(), reinterpret_cast<sockaddr*>(&scene.somebody), sizeof scene.somebody) !=
          0 ||
      shutdown(ended.get(), SHUT_RDWR) != 0) {
    return false;
  }
  scene.socket = fcntl(socket.get(), F_DUPFD_CLOEXEC, 50);
  scene.ended = fcntl(ended.get(), F_DUPFD_CLOEXEC, 50);
  const int ours = fcntl((*supervisor)[0].get(), F_DUPFD_CLOEXEC, 50);
  const int theirs = fcntl((*warden)[0].get(), F_DUPFD_CLOEXEC, 50);
  const int peer_a = fcntl((*supervisor)[1].release(), F_DUPFD_CLOEXEC, 50);
  const int peer_b = fcntl((*warden)[1].release(), F_DUPFD_CLOEXEC, 50);
  if (peer_a < 0 || peer_b < 0 || dup2(ours, kSupervisorFd) < 0 || dup2(theirs, kWardenFd) < 0) {
    return false;
  }
  // The pairs' first ends had other numbers, maybe these two: they stay open until the end.
  (void)(*supervisor)[0].release();
  (void)(*warden)[0].release();

  if (scene.role == Role::kWorker &&
      (dup2(STDIN_FILENO, kRecordRingFd) < 0 || dup2(STDIN_FILENO, kRecordBellFd) < 0)) {
    return false;
  }
  Extras extras;
  if (scene.role == Role::kRecorder) {
    extras.folders = {scene.folder};
  }
  if (scene.role != Role::kResolver && scene.role != Role::kRecorder) {
    const bool parser = scene.role == Role::kGate || scene.role == Role::kWorker;
    auto ring = Ring::create({.buffer_count = parser ? 4u : 0u, .buffer_bytes = 4096});
    const RingProfile profile = scene.role == Role::kGate     ? RingProfile::kGate
                                : scene.role == Role::kWorker ? RingProfile::kWorker
                                                              : RingProfile::kWarden;
    if (!ring || !(*ring)->restrict_and_enable(profile)) {
      return false;
    }
    scene.ring = std::move(*ring);
  }
  if (!sandboxed) {
    return true;
  }
  const auto entered = enter(scene.role, extras);
  if (!entered) {
    std::fprintf(stderr, "%s\n", describe(entered.error()).c_str());
  }
  return entered.has_value();
}

/// try_in runs one attempt in a child and gives its wait status.
int try_in(Role role, const Attempt& attempt, bool sandboxed, UniqueFd& listener,
           const sockaddr_in& address, int folder) {
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(20);
    listener.reset();
    Scene scene;
    scene.role = role;
    scene.somebody = address;
    scene.folder = folder;
    _exit(prepare(scene, sandboxed) ? attempt.run(scene) : kNotSetUp);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  // What the child connected is taken out of the queue, which would fill up otherwise.
  fcntl(listener.get(), F_SETFL, O_NONBLOCK);
  while (UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))) {
  }
  return status;
}

std::string cell_text(int status) {
  if (WIFSIGNALED(status)) {
    return WTERMSIG(status) == SIGSYS ? "killed"
                                      : std::string("signal ") + std::to_string(WTERMSIG(status));
  }
  switch (const int code = WEXITSTATUS(status); code) {
    case kWorked: return "works";
    case kNotSetUp: return "no set-up";
    default: return code > kRefused ? strerrorname_np(code - kRefused) : std::to_string(code);
  }
}

bool refused(int status) {
  if (WIFSIGNALED(status)) {
    return WTERMSIG(status) == SIGSYS;
  }
  return WEXITSTATUS(status) > kRefused;
}

void append_cell(std::string& line, const std::string& text, std::size_t width) {
  line += text;
  line.append(text.size() < width ? width - text.size() : 1, ' ');
}

}  // namespace

bool self_test(std::string& out, bool sandboxed) {
  const int abi = landlock_abi();
  sockaddr_in address;
  UniqueFd listener = make_listener(address);
  char path[] = "/tmp/bastiond-self-test-XXXXXX";
  const char* made = mkdtemp(path);
  const UniqueFd first(made != nullptr ? open(made, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1);
  const UniqueFd folder(fcntl(first.get(), F_DUPFD_CLOEXEC, 60));  // out of the channels' way
  constexpr std::size_t kWhat = 30;
  constexpr std::size_t kCell = 14;
  bool good = true;
  append_cell(out, "tried", kWhat);
  for (const Role role : kRoles) {
    append_cell(out, std::string(role_name(role)), kCell);
  }
  out += "\n";
  std::fflush(stdout);
  for (const Attempt& attempt : attempts()) {
    append_cell(out, attempt.what, kWhat);
    for (const Role role : kRoles) {
      const int status = try_in(role, attempt, sandboxed, listener, address, folder.get());
      const bool is_allowed = std::ranges::find(attempt.allowed, role) != attempt.allowed.end();
      std::string text = cell_text(status);
      if (attempt.must_work ? text != "works" : !is_allowed && !refused(status)) {
        if (landlock_keeps(role, attempt) && attempt.landlock_abi > abi) {
          text = "(no Landlock)";
        } else {
          good = false;
          text = "! " + text;
        }
      } else if (is_allowed) {
        text = "(its work)";
      }
      append_cell(out, text, kCell);
    }
    out += "\n";
  }
  if (made != nullptr) {
    rmdir(made);
  }
  out += good ? "Everything that must not work was refused.\n"
              : "The cells with ! are wrong: the sandbox does not hold here.\n";
  return good;
}

}  // namespace bastion::daemon::sandbox
