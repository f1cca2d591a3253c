#include "daemon/supervisor/connections.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace bastion::daemon {
namespace {

IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }
IpAddress numbered(int i) {
  return ip("10." + std::to_string(i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
            std::to_string(i % 256));
}

TEST(ConnectionTable, CountsPerSource) {
  ConnectionTable table({.total = 10, .per_source = 5});
  const auto a = table.add(ip("10.0.0.1"), 0);
  table.add(ip("10.0.0.1"), 1);
  table.add(ip("10.0.0.2"), 1);
  EXPECT_EQ(table.size(), 3u);
  EXPECT_EQ(table.num_from(ip("10.0.0.1")), 2u);
  EXPECT_EQ(table.num_at(1), 2u);
  EXPECT_TRUE(table.belongs(a.id, 0));
  EXPECT_FALSE(table.belongs(a.id, 1));
  EXPECT_TRUE(table.remove(a.id));
  EXPECT_FALSE(table.remove(a.id));
  EXPECT_EQ(table.num_from(ip("10.0.0.1")), 1u);
}

TEST(ConnectionTable, TakesAnIpv6NetworkAndAMappedAddressAsOneSource) {
  ConnectionTable table({.total = 10, .per_source = 5});
  table.add(ip("2001:db8:1:2::1"), 0);
  table.add(ip("2001:db8:1:2:ffff::9"), 0);
  table.add(ip("2001:db8:1:3::1"), 0);
  EXPECT_EQ(table.num_from(ip("2001:db8:1:2::77")), 2u);
  table.add(ip("::ffff:10.0.0.1"), 0);
  EXPECT_EQ(table.num_from(ip("10.0.0.1")), 1u);
}

TEST(ConnectionTable, ASourceAtItsLimitLosesItsOldestSilentOne) {
  ConnectionTable table({.total = 100, .per_source = 3});
  std::vector<ipc::ConnectionId> ids;
  for (int i = 0; i < 3; ++i) {
    ids.push_back(table.add(ip("10.0.0.1"), 7).id);
  }
  table.spoke(ids[0]);
  const auto added = table.add(ip("10.0.0.1"), 8);
  ASSERT_EQ(added.dropped.size(), 1u);
  EXPECT_EQ(added.dropped[0].id, ids[1]) << "the oldest speaks already";
  EXPECT_EQ(added.dropped[0].gate, 7u);
  EXPECT_EQ(table.num_from(ip("10.0.0.1")), 3u);
}

TEST(ConnectionTable, WhereAllHaveSpokenTheOldestGoes) {
  ConnectionTable table({.total = 100, .per_source = 2});
  const auto a = table.add(ip("10.0.0.1"), 0).id;
  const auto b = table.add(ip("10.0.0.1"), 0).id;
  table.spoke(b);
  table.spoke(a);
  table.spoke(a);
  EXPECT_EQ(table.add(ip("10.0.0.1"), 0).dropped[0].id, b) << "b has spoken for longer";
}

TEST(ConnectionTable, WhenFullTheBusiestSourcePays) {
  ConnectionTable table({.total = 6, .per_source = 5});
  const auto quiet = table.add(ip("10.0.0.9"), 0).id;
  std::vector<ipc::ConnectionId> flood;
  for (int i = 0; i < 5; ++i) {
    flood.push_back(table.add(ip("10.0.0.1"), 0).id);
  }
  const auto added = table.add(ip("10.0.0.2"), 0);
  ASSERT_EQ(added.dropped.size(), 1u);
  EXPECT_EQ(added.dropped[0].id, flood[0]);
  EXPECT_TRUE(table.belongs(quiet, 0));
}

TEST(ConnectionTable, AmongEquallyBusySourcesTheOldestSilentOneGoes) {
  ConnectionTable table({.total = 3, .per_source = 5});
  const auto first = table.add(ip("10.0.0.1"), 0).id;
  const auto second = table.add(ip("10.0.0.2"), 0).id;
  table.add(ip("10.0.0.3"), 0);
  table.spoke(first);
  EXPECT_EQ(table.add(ip("10.0.0.4"), 0).dropped[0].id, second);
}

TEST(ConnectionTable, NeverRefusesANewSourceAndNeverGrowsBeyondItsLimit) {
  ConnectionTable table({.total = 1000, .per_source = 64});
  for (int i = 0; i < 20'000; ++i) {
    const auto added = table.add(numbered(i), 0);
    EXPECT_NE(added.id, 0u);
    EXPECT_LE(table.size(), 1000u);
  }
  EXPECT_EQ(table.num_sources(), 1000u) << "what is forgotten leaves nothing";
}

TEST(ConnectionTable, ForgetsADeadGatesConnections) {
  ConnectionTable table({.total = 100, .per_source = 64});
  for (int i = 0; i < 10; ++i) {
    table.add(numbered(i), i % 2 == 0 ? 0 : 1);
  }
  EXPECT_EQ(table.remove_gate(1), 5u);
  EXPECT_EQ(table.size(), 5u);
  EXPECT_EQ(table.num_at(1), 0u);
}

TEST(ConnectionTable, ALowerLimitIsReachedWithTheNextConnection) {
  ConnectionTable table({.total = 10, .per_source = 10});
  for (int i = 0; i < 10; ++i) {
    table.add(ip("10.0.0.1"), 0);
  }
  table.set_limits({.total = 10, .per_source = 4});
  EXPECT_EQ(table.add(ip("10.0.0.1"), 0).dropped.size(), 7u);
  EXPECT_EQ(table.size(), 4u);
}

TEST(ConnectionTable, SaysWhichLimitDroppedAConnectionAndWhereItWasFrom) {
  ConnectionTable table({.total = 3, .per_source = 2});
  const auto first = table.add(ip("10.0.0.1"), 0).id;
  table.add(ip("10.0.0.1"), 0);
  EXPECT_EQ(table.source_of(first), ip("10.0.0.1"));
  const auto by_source = table.add(ip("10.0.0.1"), 0).dropped;
  ASSERT_EQ(by_source.size(), 1u);
  EXPECT_TRUE(by_source[0].by_source);
  EXPECT_EQ(table.source_of(first), IpAddress()) << "it is gone";
  table.add(ip("10.0.0.2"), 0);
  const auto by_total = table.add(ip("10.0.0.3"), 0).dropped;
  ASSERT_EQ(by_total.size(), 1u);
  EXPECT_FALSE(by_total[0].by_source);
}

TEST(ConnectionTable, ComesBackToNothingAfterRandomUse) {
  ConnectionTable table({.total = 50, .per_source = 8});
  std::mt19937 random(3);
  std::vector<ipc::ConnectionId> ids;
  for (int step = 0; step < 50'000; ++step) {
    switch (random() % 4) {
      case 0:
      case 1:
        ids.push_back(table
                          .add(numbered(static_cast<int>(random() % 40)),
                               static_cast<std::uint32_t>(random() % 3))
                          .id);
        break;
      case 2:
        if (!ids.empty()) {
          table.spoke(ids[random() % ids.size()]);
        }
        break;
      default:
        if (!ids.empty()) {
          table.remove(ids[random() % ids.size()]);
        }
    }
    ASSERT_LE(table.size(), 50u);
  }
  for (const auto id : ids) {
    table.remove(id);
  }
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.num_sources(), 0u);
}

}  // namespace
}  // namespace bastion::daemon
