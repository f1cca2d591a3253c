#include "daemon/warden/slow_pool.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <latch>
#include <string>

namespace bastion::daemon {
namespace {

constexpr PeerId kGate{ipc::Role::kGate, 0};
constexpr PeerId kWorker{ipc::Role::kWorker, 0};
constexpr PeerId kOtherWorker{ipc::Role::kWorker, 1};

/// One thread that is kept busy until `go`, so that a test knows what waits behind that job.
class BusyPool : public ::testing::Test {
 protected:
  BusyPool() : pool(1) { occupy(); }

  void occupy() {
    EXPECT_TRUE(pool.submit(
        kOtherWorker,
        [this]() -> Result<Bytes> {
          running.count_down();
          go.wait();
          return Bytes();
        },
        [this](const Result<Bytes>&) { ++done; }));
    running.wait();
  }
  bool submit(PeerId owner, const std::string& name) {
    return pool.submit(
        owner,
        [this, name]() -> Result<Bytes> {
          order += name;  // one thread runs them, and wait_for is behind it
          return Bytes();
        },
        [this](const Result<Bytes>& result) {
          EXPECT_TRUE(result);
          ++done;
        });
  }
  void wait_for(std::size_t count) {
    while (done < count) {
      pollfd ready{pool.wake_fd(), POLLIN, 0};
      ASSERT_EQ(poll(&ready, 1, 20'000), 1);
      pool.run_completed();
    }
  }

  std::latch running{1};
  std::latch go{1};
  std::string order;
  std::size_t done = 0;
  SlowPool pool;
};

TEST_F(BusyPool, PeersTakeTurnsHoweverManyJobsOneOfThemHas) {
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(submit(kWorker, "w"));
  }
  ASSERT_TRUE(submit(kGate, "g"));
  ASSERT_TRUE(submit(kGate, "g"));
  go.count_down();
  wait_for(13);
  EXPECT_EQ(order, "wgwgwwwwwwww");
}

TEST_F(BusyPool, OnePeersQuotaLeavesTheOthersTheirs) {
  for (std::size_t i = 0; i < SlowPool::kJobsOfPeerMax; ++i) {
    ASSERT_TRUE(submit(kWorker, ""));
  }
  EXPECT_FALSE(submit(kWorker, "")) << "one more than may wait";
  EXPECT_TRUE(submit(kGate, "g"));
  go.count_down();
  wait_for(SlowPool::kJobsOfPeerMax + 2);
  EXPECT_EQ(order, "g");
  EXPECT_EQ(pool.pending(kWorker), 0U);
  EXPECT_TRUE(submit(kWorker, "")) << "what is done makes room";
  wait_for(SlowPool::kJobsOfPeerMax + 3);
}

TEST_F(BusyPool, JobsOfADeadPeerAreDroppedAndThoseOfItsSuccessorRun) {
  for (std::size_t i = 0; i < SlowPool::kJobsOfPeerMax; ++i) {
    ASSERT_TRUE(submit(kWorker, "old"));
  }
  ASSERT_TRUE(submit(kGate, "g"));
  pool.forget(kWorker);
  EXPECT_EQ(pool.pending(kWorker), 0U);
  EXPECT_TRUE(submit(kWorker, "new"));
  pool.forget(kOtherWorker);  // whose one job runs: it ends, and is counted to its end
  EXPECT_EQ(pool.pending(kOtherWorker), 1U);
  go.count_down();
  wait_for(3);
  EXPECT_EQ(order, "gnew");
  EXPECT_EQ(pool.pending(kOtherWorker), 0U);
}

TEST(SlowPool, GivesTheJobsResultAndItsError) {
  SlowPool pool(2);
  std::size_t values = 0;
  std::size_t errors = 0;
  ASSERT_TRUE(pool.submit(
      kGate, []() -> Result<Bytes> { return Bytes{7}; },
      [&](const Result<Bytes>& result) { values += result && *result == Bytes{7} ? 1 : 0; }));
  ASSERT_TRUE(pool.submit(
      kGate, []() -> Result<Bytes> { return fail(ErrorCode::kInternal, "no"); },
      [&](const Result<Bytes>& result) { errors += result ? 0 : 1; }));
  while (values + errors < 2) {
    pollfd ready{pool.wake_fd(), POLLIN, 0};
    ASSERT_EQ(poll(&ready, 1, 20'000), 1);
    pool.run_completed();
  }
  EXPECT_EQ(values, 1U);
  EXPECT_EQ(errors, 1U);
}

}  // namespace
}  // namespace bastion::daemon
