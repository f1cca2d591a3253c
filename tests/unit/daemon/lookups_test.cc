#include "daemon/resolver/lookups.h"
#include "daemon/ipc/resolver_messages.h"

#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <latch>
#include <set>

#include "daemon/ring/ring.h"

namespace bastion::daemon {
namespace {

std::vector<Lookups::Answer> wait_for_answers(Lookups& lookups) {
  pollfd ready{lookups.wake_fd(), POLLIN, 0};
  EXPECT_EQ(poll(&ready, 1, 10'000), 1);
  return lookups.take(mono_now());
}

TEST(HostName, IsLettersDigitsDotsAndDashes) {
  for (const char* good : {"web1", "a.b.c", "db-3.internal.", "under_score", "10.0.0.1"}) {
    EXPECT_TRUE(is_host_name(good)) << good;
  }
  for (const char* bad : {"", "-x", ".x", "a b", "a/b", "a%eth0", "ü", "a\n", "::1"}) {
    EXPECT_FALSE(is_host_name(bad)) << bad;
  }
  EXPECT_TRUE(is_host_name(std::string(253, 'a')));
  EXPECT_FALSE(is_host_name(std::string(254, 'a')));
}

TEST(Lookups, AnswerWithTheRequestsNumber) {
  Lookups lookups(2, [](const ipc::Resolve& question) {
    ipc::Resolved resolved;
    resolved.error = "nothing for " + question.name;
    return resolved;
  });
  lookups.ask(7, {"web1"}, mono_now());
  const auto answers = wait_for_answers(lookups);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].request, 7u);
  EXPECT_EQ(answers[0].resolved.error, "nothing for web1");
  EXPECT_EQ(answers[0].resolved.name, "web1");
  EXPECT_EQ(lookups.next_deadline(), kNever);
}

TEST(Lookups, RefuseWhatIsNoHostName) {
  Lookups lookups(1, [](const ipc::Resolve&) { return ipc::Resolved{}; });
  lookups.ask(1, {"a b"}, mono_now());
  const auto answers = wait_for_answers(lookups);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].resolved.error, "not a host name");
  EXPECT_EQ(answers[0].resolved.name, "a b");
}

TEST(Lookups, OneThatTakesTooLongIsAnsweredAtItsDeadlineAndOnlyOnce) {
  std::latch begun(1);
  std::latch release(1);
  std::latch returned(1);
  {
    Lookups lookups(1, [&](const ipc::Resolve& question) {
      if (question.name == "slow") {
        begun.count_down();
        release.wait();
        returned.count_down();
      }
      return ipc::Resolved{};
    });
    const MonoTime begin = mono_now();
    lookups.ask(1, {"slow"}, begin);
    begun.wait();
    lookups.ask(2, {"behind"}, begin);
    const MonoTime deadline = after(begin, Lookups::kDeadlineMs * kNsPerMs);
    EXPECT_EQ(lookups.next_deadline(), deadline);
    EXPECT_TRUE(lookups.take(after(deadline, -1)).empty());
    const auto answers = lookups.take(deadline);
    ASSERT_EQ(answers.size(), 2u);
    EXPECT_EQ(answers[0].request, 1u);
    EXPECT_FALSE(answers[0].resolved.error.empty());
    EXPECT_EQ(answers[0].resolved.name, "slow");
    release.count_down();
    returned.wait();
    lookups.ask(3, {"next"}, mono_now());
    std::vector<Lookups::Answer> late;
    while (late.empty()) {
      late = wait_for_answers(lookups);
    }
    ASSERT_EQ(late.size(), 1u) << "the late result of the first is thrown away";
    EXPECT_EQ(late[0].request, 3u);
  }
}

TEST(Lookups, AreBounded) {
  std::latch release(1);
  Lookups lookups(1, [&](const ipc::Resolve&) {
    release.wait();
    return ipc::Resolved{};
  });
  for (std::uint32_t i = 0; i <= Lookups::kWaitingMax; ++i) {
    lookups.ask(i, {"x"}, mono_now());
  }
  const auto answers = wait_for_answers(lookups);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].request, Lookups::kWaitingMax);
  EXPECT_EQ(answers[0].resolved.error, "too many lookups at once");
  release.count_down();
}

TEST(LookUp, FindsLocalhostAndNotWhatCannotExist) {
  const ipc::Resolved local = look_up({"localhost"});
  EXPECT_EQ(local.error, "");
  EXPECT_FALSE(local.addresses.empty());
  const ipc::Resolved none = look_up({"no-such-host.invalid"});
  EXPECT_NE(none.error, "");
  EXPECT_TRUE(none.addresses.empty());
}

/// in_private_network runs a check in a child process with a network and a resolv.conf of its own;
/// the check gives the child's exit status.
int in_private_network(const std::string& resolv_conf, const std::function<int()>& check) {
  const auto write_file = [](const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  };
  std::string folder = (std::filesystem::temp_directory_path() / "bastiond-dns-XXXXXX").string();
  EXPECT_NE(mkdtemp(folder.data()), nullptr);
  write_file(folder + "/resolv.conf", resolv_conf);
  write_file(folder + "/nsswitch.conf", "hosts: files dns\n");
  const pid_t child = fork();
  if (child == 0) {
    const uid_t uid = geteuid();
    const gid_t gid = getegid();
    if (unshare((uid == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWNS | CLONE_NEWNET) != 0) {
      _exit(100);
    }
    if (uid != 0) {
      write_file("/proc/self/setgroups", "deny");
      write_file("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1\n");
      write_file("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1\n");
    }
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      _exit(101);
    }
    for (const std::string name : {"resolv.conf", "nsswitch.conf"}) {
      if (mount((folder + "/" + name).c_str(), ("/etc/" + name).c_str(), nullptr, MS_BIND,
                nullptr) != 0) {
        _exit(102);
      }
    }
    const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq loopback{};
    std::strcpy(loopback.ifr_name, "lo");
    loopback.ifr_flags = IFF_UP;
    if (ioctl(any.get(), SIOCSIFFLAGS, &loopback) != 0) {
      _exit(103);
    }
    _exit(check());
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  std::filesystem::remove_all(folder);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// NameServer knows one name, which is 10.6.6.6, and remembers what it was asked for.
class NameServer {
 public:
  explicit NameServer(std::string known)
      : known_(std::move(known)), socket_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(53);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ok_ = bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    if (ok_) {
      std::thread([this] { serve(); }).detach();  // the process ends with the test
    }
  }
  bool ok() const { return ok_; }
  std::set<std::string> asked() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(asked_, {});
  }

 private:
  void serve() {
    std::array<std::uint8_t, 512> packet{};
    sockaddr_in from{};
    socklen_t from_len = sizeof from;
    while (true) {
      const ssize_t got = recvfrom(socket_.get(), packet.data(), packet.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &from_len);
      std::string name;
      std::size_t at = 12;
      while (got > 0 && at < static_cast<std::size_t>(got) && packet[at] != 0) {
        name.append(reinterpret_cast<const char*>(&packet[at + 1]), packet[at]).append(".");
        at += packet[at] + 1U;
      }
      const bool is_a = packet[at + 2] == 1;
      {
        const std::scoped_lock lock(mutex_);
        asked_.insert(name);
      }
      Bytes answer(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(at) + 5);
      answer[2] = 0x81;
      answer[3] = name == known_ ? 0x80 : 0x83;  // or: there is no such name
      std::fill(answer.begin() + 6, answer.begin() + 12, std::uint8_t{0});
      if (name == known_ && is_a) {
        answer[7] = 1;
        const std::uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 6, 6, 6};
        answer.insert(answer.end(), std::begin(record), std::end(record));
      }
      sendto(socket_.get(), answer.data(), answer.size(), 0,
             reinterpret_cast<const sockaddr*>(&from), from_len);
    }
  }

  std::string known_;
  UniqueFd socket_;
  bool ok_ = false;
  std::mutex mutex_;
  std::set<std::string> asked_;
};

TEST(LookUp, AWholeNameIsNotCompletedByDomainsToSearch) {
  for (const char* options : {"", "options ndots:5\n", "options ndots:0\n"}) {
    const std::string resolv_conf =
        std::string("nameserver 127.0.0.1\nsearch wide.open.test\n") + options;
    const int status = in_private_network(resolv_conf, [] {
      NameServer server("db-1.internal.wide.open.test.");
      if (!server.ok()) {
        return 1;
      }
      for (int round = 0; round < 2; ++round) {
        // What an administrator wrote is completed as resolv.conf says,
        const ipc::Resolved completed = look_up({"db-1.internal", false});
        if (!server.asked().contains("db-1.internal.wide.open.test.") ||
            completed.addresses != std::vector<Bytes>{{10, 6, 6, 6}}) {
          return 2;
        }
        // and a name that a user had a part in is not, also on a thread that did otherwise before.
        const ipc::Resolved whole = look_up({"db-1.internal", true});
        if (whole.error.empty() || server.asked() != std::set<std::string>{"db-1.internal."}) {
          return 3;
        }
        if (look_up({"db-1.internal.wide.open.test", true}).addresses != completed.addresses) {
          return 4;
        }
        server.asked();
      }
      return 0;
    });
    EXPECT_EQ(status, 0) << resolv_conf;
  }
}

}  // namespace
}  // namespace bastion::daemon
