#include "proto/window.h"

#include <gtest/gtest.h>

#include "tests/support/random.h"

namespace bastion::proto {
namespace {

constexpr std::uint32_t kMax = limits::kWindowBytesMax;

TEST(WindowLedger, GrantsWhatTheReceiverGives) {
  WindowLedger window;
  EXPECT_EQ(window.open(65536, false), 65536U);
  EXPECT_EQ(window.injectable(), 0U);
}

TEST(WindowLedger, KeepsAReserveOfLargeWindowsOnly) {
  WindowLedger window;
  EXPECT_EQ(window.open(65536, true), 65536U - WindowLedger::kReserveBytes);
  EXPECT_EQ(window.injectable(), WindowLedger::kReserveBytes);
  EXPECT_EQ(window.open(WindowLedger::kReserveWindowMin - 1, true),
            WindowLedger::kReserveWindowMin - 1);
  EXPECT_EQ(window.injectable(), 0U);
}

TEST(WindowLedger, NeverGrantsMoreThanTheMaximumOfAHugeWindow) {
  WindowLedger window;
  EXPECT_EQ(window.open(0x7fffffff, false), kMax);
  EXPECT_EQ(window.open(UINT32_MAX, true), kMax);
  EXPECT_EQ(window.injectable(), UINT32_MAX - kMax);
}

TEST(WindowLedger, RefusesDataBeyondTheGrantAndChangesNothing) {
  WindowLedger window;
  window.open(100, false);
  EXPECT_FALSE(window.relay(101));
  EXPECT_FALSE(window.swallow(101));
  EXPECT_EQ(window.granted(), 100U);
  EXPECT_EQ(window.credit(), 100U);
  EXPECT_TRUE(window.relay(100));
  EXPECT_FALSE(window.relay(1));
}

TEST(WindowLedger, RefusesAWindowBeyond32Bits) {
  WindowLedger window;
  window.open(0xfffffff0, false);
  EXPECT_FALSE(window.adjust(0x10));
  EXPECT_TRUE(window.adjust(0x0f));
  EXPECT_EQ(window.credit(), UINT32_MAX);
  EXPECT_FALSE(window.adjust(1));
  EXPECT_TRUE(window.adjust(0));
}

TEST(WindowLedger, PassesAdjustmentsOnInEffect) {
  WindowLedger window;
  window.open(1000, false);
  ASSERT_TRUE(window.relay(600));
  EXPECT_EQ(window.grantable(), 0U);
  ASSERT_TRUE(window.adjust(600));
  EXPECT_EQ(window.grantable(), 600U);
}

TEST(WindowLedger, FillsTheReserveAgainBeforeItGrants) {
  WindowLedger window;
  window.open(65536, true);
  ASSERT_TRUE(window.inject(1000));
  ASSERT_TRUE(window.relay(2000));
  ASSERT_TRUE(window.adjust(3000));
  EXPECT_EQ(window.grantable(), 2000U);
}

TEST(WindowLedger, GivesTheReserveUpWhereNothingElseIsLeft) {
  WindowLedger window;
  const std::uint32_t first = window.open(65536, true);
  ASSERT_TRUE(window.relay(first));
  EXPECT_EQ(window.grantable(), WindowLedger::kReserveBytes);
}

TEST(WindowLedger, GrantsSwallowedBytesAnew) {
  WindowLedger window;
  window.open(1000, false);
  ASSERT_TRUE(window.swallow(400));
  EXPECT_EQ(window.grantable(), 400U);
  EXPECT_FALSE(window.worth_granting(400)) << "600 are left: not worth a message yet";
  ASSERT_TRUE(window.swallow(200));
  EXPECT_TRUE(window.worth_granting(window.grantable()));
}

TEST(WindowLedger, HoldsItsInvariantsInARandomWalk) {
  bastion::test::SeededRandom random(20261122);
  const auto below = [&](std::uint64_t n) { return random.next() % n; };
  for (int run = 0; run < 200; ++run) {
    WindowLedger window;
    std::uint64_t given = below(2) == 0 ? below(100'000) : below(UINT32_MAX);
    std::uint64_t used = 0;
    window.open(static_cast<std::uint32_t>(given), below(2) == 0);
    for (int step = 0; step < 500; ++step) {
      const auto n = static_cast<std::uint32_t>(below(50'000));
      switch (below(5)) {
        case 0: given += window.adjust(n) ? n : 0; break;
        case 1: used += window.relay(n) ? n : 0; break;
        case 2: (void)window.swallow(n); break;
        case 3: used += window.inject(n) ? n : 0; break;
        default: window.grant(window.grantable()); break;
      }
      ASSERT_EQ(window.credit(), given - used);
      ASSERT_LE(window.granted(), window.credit());
      ASSERT_LE(window.granted(), kMax);
      ASSERT_EQ(window.injectable(), window.credit() - window.granted());
    }
    window.grant(window.grantable());
    if (given > used) {
      EXPECT_GT(window.granted(), 0U) << "a sender with nothing to hope for would wait for ever";
    }
  }
}

}  // namespace
}  // namespace bastion::proto
