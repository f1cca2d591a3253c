#include "daemon/supervisor/stranger_limits.h"

#include <gtest/gtest.h>

#include "daemon/ring/ring.h"

namespace bastion::daemon {
namespace {

using Limit = StrangerLimits::Limit;

const config::ServiceLimits kLimits;
constexpr MonoTime kStart{100 * kNsPerSecond};

IpAddress ip(const char* text) { return *IpAddress::parse(text); }

TEST(StrangerLimits, TellAtOnceAndThenOnceASecondHowOften) {
  StrangerLimits limits;
  EXPECT_TRUE(limits.take(kLimits, kStart).empty());
  EXPECT_EQ(limits.next_deadline(), kNever);
  limits.reached(Limit::kUnauthenticatedPerSource, ip("192.0.2.1"));
  EXPECT_LE(limits.next_deadline(), kStart);
  const auto first = limits.take(kLimits, kStart);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].limit, "unauthenticated_per_source");
  EXPECT_EQ(first[0].value, 64U);
  EXPECT_EQ(first[0].count, 1U);
  EXPECT_EQ(first[0].from, "192.0.2.1");
  for (int i = 0; i < 1000; ++i) {
    limits.reached(Limit::kUnauthenticatedPerSource, ip("192.0.2.2"));
    EXPECT_TRUE(limits.take(kLimits, after(kStart, kNsPerSecond - 1)).empty());
  }
  EXPECT_EQ(limits.next_deadline(), after(kStart, kNsPerSecond)) << "nobody need come for the rest";
  const auto rest = limits.take(kLimits, after(kStart, kNsPerSecond));
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].count, 1000U);
  EXPECT_EQ(rest[0].from, "192.0.2.2");
  EXPECT_EQ(limits.next_deadline(), kNever);
}

TEST(StrangerLimits, EachHasANameAndAValueAndIsCountedAlone) {
  StrangerLimits limits;
  const std::vector<std::pair<std::string, std::uint64_t>> wanted = {
      {"unauthenticated", 1024}, {"unauthenticated_per_source", 64},
      {"first_factor", 30'000},  {"login_grace", 120'000},
      {"auth_failures", 6},      {"key_offers", 64}};
  ASSERT_EQ(wanted.size(), StrangerLimits::kLimits);
  for (std::size_t i = 0; i < StrangerLimits::kLimits; ++i) {
    limits.reached(static_cast<Limit>(i), ip("2001:db8::1"));
    const auto told = limits.take(kLimits, kStart);
    ASSERT_EQ(told.size(), 1U) << i;
    EXPECT_EQ(std::pair(told[0].limit, told[0].value), wanted[i]);
  }
}

TEST(StrangerLimits, AConnectionThatEndsOtherwiseReachesNone) {
  using ipc::ConnectionEnd;
  EXPECT_EQ(StrangerLimits::limit_of(ConnectionEnd::kOther), std::nullopt);
  EXPECT_EQ(StrangerLimits::limit_of(ConnectionEnd::kFirstFactor), Limit::kFirstFactor);
  EXPECT_EQ(StrangerLimits::limit_of(ConnectionEnd::kLoginGrace), Limit::kLoginGrace);
  EXPECT_EQ(StrangerLimits::limit_of(ConnectionEnd::kAuthFailures), Limit::kAuthFailures);
  EXPECT_EQ(StrangerLimits::limit_of(ConnectionEnd::kKeyOffers), Limit::kKeyOffers);
}

}  // namespace
}  // namespace bastion::daemon
