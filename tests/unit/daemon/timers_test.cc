#include "daemon/timers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "daemon/ring/ring.h"

namespace bastion::daemon {
namespace {

Token token(std::uint32_t index) { return {1, index, 0}; }

TEST(Timers, HaveNoDeadlineWhenEmpty) {
  Timers timers;
  EXPECT_EQ(timers.next_deadline(), kNever);
  EXPECT_FALSE(timers.pop_expired({1}).has_value());
}

TEST(Timers, FireInOrderOfTheirDeadlines) {
  Timers timers;
  std::mt19937 random(7);
  std::vector<std::int64_t> deadlines;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    deadlines.push_back(static_cast<std::int64_t>(random() % 500));
    timers.set({deadlines.back()}, token(i));
  }
  std::int64_t last = -1;
  std::size_t fired = 0;
  while (const auto expired = timers.pop_expired({10'000})) {
    EXPECT_GE(deadlines[expired->index], last);
    last = deadlines[expired->index];
    ++fired;
  }
  EXPECT_EQ(fired, 2000u);
}

TEST(Timers, FireAtTheirDeadlineAndNotBefore) {
  Timers timers;
  timers.set({100}, token(1));
  EXPECT_EQ(timers.next_deadline(), MonoTime{100});
  EXPECT_FALSE(timers.pop_expired({99}).has_value());
  EXPECT_EQ(timers.pop_expired({100})->index, 1u);
  EXPECT_EQ(timers.next_deadline(), kNever);
}

TEST(Timers, CancelledOnesDoNotFire) {
  Timers timers;
  std::vector<Timers::Handle> handles;
  for (std::uint32_t i = 0; i < 100; ++i) {
    handles.push_back(timers.set({i}, token(i)));
  }
  for (std::uint32_t i = 0; i < 100; i += 2) {
    timers.cancel(handles[i]);
  }
  for (std::uint32_t i = 1; i < 100; i += 2) {
    EXPECT_EQ(timers.pop_expired({1000})->index, i);
  }
  EXPECT_FALSE(timers.pop_expired({1000}).has_value());
}

TEST(Timers, MovedOnesFireAtTheirNewDeadline) {
  Timers timers;
  const auto early = timers.set({10}, token(1));
  const auto late = timers.set({20}, token(2));
  EXPECT_TRUE(timers.move(early, {30}));
  EXPECT_TRUE(timers.move(late, {5}));
  EXPECT_EQ(timers.pop_expired({100})->index, 2u);
  EXPECT_EQ(timers.pop_expired({100})->index, 1u);
}

TEST(Timers, AStaleHandleReachesNobodyElse) {
  Timers timers;
  const auto first = timers.set({1}, token(1));
  timers.pop_expired({1});
  const auto second = timers.set({2}, token(2));
  EXPECT_EQ(first.slot, second.slot) << "the slot is used again";
  EXPECT_FALSE(timers.active(first));
  EXPECT_FALSE(timers.move(first, {99}));
  timers.cancel(first);
  timers.cancel({});
  EXPECT_TRUE(timers.active(second));
  EXPECT_EQ(timers.next_deadline(), MonoTime{2});
}

TEST(Timers, KeepTheirOrderUnderRandomChanges) {
  Timers timers;
  std::mt19937 random(11);
  struct Set {
    Timers::Handle handle;
    std::int64_t deadline;
  };
  std::vector<Set> model;
  for (int step = 0; step < 20'000; ++step) {
    const auto deadline = static_cast<std::int64_t>(random() % 1000);
    const std::size_t at = model.empty() ? 0 : random() % model.size();
    switch (random() % 4) {
      case 0:
      case 1: model.push_back({timers.set({deadline}, token(0)), deadline}); break;
      case 2:
        if (!model.empty()) {
          timers.cancel(model[at].handle);
          model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
        }
        break;
      default:
        if (!model.empty()) {
          ASSERT_TRUE(timers.move(model[at].handle, {deadline}));
          model[at].deadline = deadline;
        }
    }
    const auto least = std::min_element(model.begin(), model.end(), [](const Set& a, const Set& b) {
      return a.deadline < b.deadline;
    });
    ASSERT_EQ(timers.next_deadline(), model.empty() ? kNever : MonoTime{least->deadline});
    ASSERT_EQ(timers.size(), model.size());
  }
}

}  // namespace
}  // namespace bastion::daemon
