#include "daemon/resolver/lookups.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <latch>

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
  Lookups lookups(2, [](const std::string& name) {
    ipc::Resolved resolved;
    resolved.error = "nothing for " + name;
    return resolved;
  });
  lookups.ask(7, "web1", mono_now());
  const auto answers = wait_for_answers(lookups);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].request, 7u);
  EXPECT_EQ(answers[0].resolved.error, "nothing for web1");
  EXPECT_EQ(answers[0].resolved.name, "web1");
  EXPECT_EQ(lookups.next_deadline(), kNever);
}

TEST(Lookups, RefuseWhatIsNoHostName) {
  Lookups lookups(1, [](const std::string&) { return ipc::Resolved{}; });
  lookups.ask(1, "a b", mono_now());
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
    Lookups lookups(1, [&](const std::string& name) {
      if (name == "slow") {
        begun.count_down();
        release.wait();
        returned.count_down();
      }
      return ipc::Resolved{};
    });
    const MonoTime begin = mono_now();
    lookups.ask(1, "slow", begin);
    begun.wait();
    lookups.ask(2, "behind", begin);
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
    lookups.ask(3, "next", mono_now());
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
  Lookups lookups(1, [&](const std::string&) {
    release.wait();
    return ipc::Resolved{};
  });
  for (std::uint32_t i = 0; i <= Lookups::kWaitingMax; ++i) {
    lookups.ask(i, "x", mono_now());
  }
  const auto answers = wait_for_answers(lookups);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].request, Lookups::kWaitingMax);
  EXPECT_EQ(answers[0].resolved.error, "too many lookups at once");
  release.count_down();
}

TEST(LookUp, FindsLocalhostAndNotWhatCannotExist) {
  const ipc::Resolved local = look_up("localhost");
  EXPECT_EQ(local.error, "");
  EXPECT_FALSE(local.addresses.empty());
  const ipc::Resolved none = look_up("no-such-host.invalid");
  EXPECT_NE(none.error, "");
  EXPECT_TRUE(none.addresses.empty());
}

}  // namespace
}  // namespace bastion::daemon
