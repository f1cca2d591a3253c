#include <gtest/gtest.h>

#include "tests/evil/attack.h"

/// What one gate or worker can make the warden hold in descriptors, and that the others still get
/// theirs. The world has two gates and a worker; the warden keeps 64 descriptors and one for each
/// of its channels for itself.
namespace bastion::test {
namespace {

namespace ipc = daemon::ipc;
using daemon::UniqueFd;

constexpr std::size_t kShare = 20;
constexpr std::size_t kPeers = 4;  // the resolver is one

class DescriptorShare : public ::testing::Test {
 protected:
  DescriptorShare() { limit(kPeers); }
  /// limit makes kShare the share of each gate and worker.
  void limit(std::size_t num_peers) {
    world.io.open_files_max = 64 + num_peers + (num_peers - 1) * kShare;
  }
  void add_worker() {
    world.warden.add_peer(kWorker1, 102);
    limit(kPeers + 1);
  }
  std::string open_tunnel(const Connection& menu, std::uint32_t channel) {
    return world.refusal(world.say(kWorker0, menu.session, ipc::OpenTunnel{channel, "lab1", 22}));
  }
  bool can_log_in(daemon::PeerId gate) {
    const Connection connection = world.connect(gate);
    if (connection.session == 0 || !world.log_in(connection, "deploy@web1")) {
      return false;
    }
    const std::size_t adopted = world.count(ipc::Type::kAdopt);
    world.hand_over(connection);
    return world.count(ipc::Type::kAdopt) == adopted + 1;
  }
  World world;
};

TEST_F(DescriptorShare, AGateThatShowsSocketsWithoutEndKeepsTheOtherGateItsOwn) {
  std::vector<Connection> held;
  while (true) {
    held.push_back(world.connect(kGate0));
    if (held.back().session == 0) {
      break;
    }
    ASSERT_LE(held.size(), kShare);
  }
  EXPECT_EQ(held.size() - 1, kShare / 2) << "a session may hold the user's and the target's";
  EXPECT_TRUE(world.io.ended.empty()) << "an honest gate may get there, too";
  EXPECT_TRUE(can_log_in(kGate1));
  world.say(kGate0, held[0].session, ipc::ConnectionGone{"left"});
  EXPECT_TRUE(can_log_in(kGate0));
}

TEST_F(DescriptorShare, AWorkerOpensNoMoreTunnelsAtOnce) {
  const Connection menu = world.adopted("alice");
  for (std::uint32_t channel = 0; channel < kShare; ++channel) {
    ASSERT_EQ(open_tunnel(menu, channel), "-");
  }
  EXPECT_EQ(open_tunnel(menu, 99), "the bastion is opening too many connections: try again");
  EXPECT_EQ(world.io.connects.size(), kShare);
  EXPECT_TRUE(world.io.ended.empty());

  EXPECT_TRUE(world.connect_target());
  EXPECT_EQ(open_tunnel(menu, 100), "-") << "one is done";
  EXPECT_NE(open_tunnel(menu, 101), "-");
  world.fail_target(ECONNREFUSED);
  EXPECT_EQ(open_tunnel(menu, 102), "-");
  EXPECT_NE(open_tunnel(menu, 103), "-");

  EXPECT_FALSE(can_log_in(kGate1)) << "there is no other worker";
  EXPECT_TRUE(world.io.logged("no worker can take a session"));
  EXPECT_EQ(world.warden.num_sessions(), 1U) << "and that session is gone";
  add_worker();
  EXPECT_TRUE(can_log_in(kGate1));
  EXPECT_TRUE(world.last<ipc::Adopt>(kWorker1));
}

TEST_F(DescriptorShare, DialsEndWithTheirSession) {
  const Connection menu = world.adopted("alice");
  const Connection other = world.adopted("alice");
  for (std::uint32_t channel = 0; channel < kShare; ++channel) {
    ASSERT_EQ(open_tunnel(menu, channel), "-");
  }
  EXPECT_NE(open_tunnel(other, 1), "-") << "the share is the worker's and not the session's";
  world.say(kWorker0, menu.session, ipc::SessionEnded{"logout", 0, 0});
  for (std::uint32_t channel = 0; channel < kShare; ++channel) {
    EXPECT_EQ(open_tunnel(other, channel), "-");
  }
  EXPECT_NE(open_tunnel(other, 99), "-");
}

TEST_F(DescriptorShare, DialsMoveToTheWorkerWithTheirSession) {
  const Connection menu = world.adopted("alice");
  EXPECT_TRUE(can_log_in(kGate1));  // whose target does not answer
  for (std::uint32_t channel = 0; channel < kShare - 1; ++channel) {
    ASSERT_EQ(open_tunnel(menu, channel), "-");
  }
  EXPECT_NE(open_tunnel(menu, 99), "-");
}

TEST_F(DescriptorShare, AWorkerThatTakesNothingGetsNoMoreSessions) {
  add_worker();
  world.io.queued[kWorker0] = kShare;
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(can_log_in(kGate1));
  }
  EXPECT_FALSE(world.last<ipc::Adopt>(kWorker0));
  world.io.queued[kWorker0] = 0;
  EXPECT_TRUE(can_log_in(kGate1));
  EXPECT_TRUE(world.last<ipc::Adopt>(kWorker0)) << "it has the fewest";
}

}  // namespace
}  // namespace bastion::test
