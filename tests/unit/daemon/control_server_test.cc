#include "daemon/control/server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "daemon/bastionctl/client.h"

namespace bastion::daemon {
namespace {

class ControlTest : public testing::Test {
 protected:
  ControlTest() {
    char pattern[] = "/tmp/bastiond-control-XXXXXX";
    folder_ = mkdtemp(pattern);
    path_ = folder_ + "/control.sock";
  }
  ~ControlTest() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
  std::string path_;
};

TEST(ControlAccess, IsByUidAndGroup) {
  const ControlGroups groups{100, 200};
  EXPECT_EQ(access_of({0, {}}, 500, groups), Access::kAdmin);
  EXPECT_EQ(access_of({500, {}}, 500, groups), Access::kAdmin);
  EXPECT_EQ(access_of({501, {7, 100}}, 500, groups), Access::kAdmin);
  EXPECT_EQ(access_of({501, {200}}, 500, groups), Access::kViewer);
  EXPECT_EQ(access_of({501, {200, 100}}, 500, groups), Access::kAdmin);
  EXPECT_EQ(access_of({501, {7}}, 500, groups), Access::kNone);
  EXPECT_EQ(access_of({501, {0}}, 500, {}), Access::kNone);
}

TEST_F(ControlTest, TheSocketIsOfTheGroupsOnly) {
  ASSERT_TRUE(bind_control_socket(path_, {}).has_value());
  struct stat status{};
  ASSERT_EQ(lstat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660u);
}

TEST_F(ControlTest, ADeadDaemonsSocketIsReplacedALivingOnesIsNot) {
  auto first = bind_control_socket(path_, {});
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(bind_control_socket(path_, {}).has_value());
  first->reset();
  EXPECT_TRUE(bind_control_socket(path_, {}).has_value());
}

TEST_F(ControlTest, SomethingElseOfThatNameIsKept) {
  std::filesystem::create_directory(path_);
  const auto bound = bind_control_socket(path_, {});
  ASSERT_FALSE(bound.has_value());
  EXPECT_TRUE(std::filesystem::is_directory(path_));
  EXPECT_FALSE(bind_control_socket("/tmp/" + std::string(200, 'x'), {}).has_value());
}

struct Running {
  std::unique_ptr<Ring> ring;
  std::unique_ptr<ControlServer> server;
  std::vector<ControlServer::Request> requests;

  explicit Running(const std::string& path) : ring(std::move(*Ring::create({}))) {
    EXPECT_TRUE(ring->restrict_and_enable(RingProfile::kSupervisor).has_value());
    server = std::make_unique<ControlServer>(
        *ring, std::move(*bind_control_socket(path, {})), ControlGroups{}, 1, 2,
        [this](ControlServer::Request request) { requests.push_back(std::move(request)); });
  }
  /// turn handles what has completed.
  void turn() {
    Completion completions[8];
    const std::size_t n = ring->wait(after(mono_now(), kNsPerSecond / 50), completions);
    for (std::size_t i = 0; i < n; ++i) {
      server->on_completion(completions[i], mono_now());
    }
    server->on_time(mono_now());
  }
};

TEST_F(ControlTest, AnswersARequestLineWithAReplyLine) {
  Running running(path_);
  std::atomic<bool> done = false;
  std::string reply;
  std::thread client([&] {
    reply = ctl::ask(path_, R"({"command":"status"})").value_or("failed");
    done = true;
  });
  // Longer than a socket's buffer, so that it is written in pieces.
  const std::string answer = R"({"ok":true,"filler":")" + std::string(3'000'000, 'x') + "\"}";
  bool answered = false;
  while (!done) {
    running.turn();
    if (!running.requests.empty() && !answered) {
      answered = true;
      running.server->reply(running.requests[0].client, answer);
    }
  }
  client.join();
  ASSERT_EQ(running.requests.size(), 1u);
  EXPECT_EQ(running.requests[0].json, R"({"command":"status"})");
  EXPECT_NE(running.requests[0].client, 0u) << "0 is nobody";
  EXPECT_TRUE(running.requests[0].admin) << "our own uid";
  EXPECT_EQ(reply, answer);
}

TEST_F(ControlTest, CutsARequestThatDoesNotEnd) {
  Running running(path_);
  std::atomic<bool> done = false;
  std::thread client([&] {
    EXPECT_FALSE(ctl::ask(path_, std::string(100'000, 'x')).has_value());
    done = true;
  });
  while (!done) {
    running.turn();
  }
  client.join();
  EXPECT_TRUE(running.requests.empty());
}

TEST_F(ControlTest, CutsWhoeverSaysNothing) {
  Running running(path_);
  std::vector<UniqueFd> silent;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  for (std::size_t i = 0; i < ControlServer::kClientsMax; ++i) {
    silent.emplace_back(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(silent.back().get(), reinterpret_cast<sockaddr*>(&address), sizeof address),
              0);
    running.turn();
  }
  EXPECT_NE(running.server->next_deadline(), kNever);
  running.server->on_time(after(mono_now(), 31 * kNsPerSecond));
  EXPECT_EQ(running.server->next_deadline(), kNever) << "no client is left";
  running.turn();  // until its operations are cancelled, the ring keeps a socket open
  char byte;
  EXPECT_EQ(recv(silent[0].get(), &byte, 1, 0), 0);
}

}  // namespace
}  // namespace bastion::daemon
