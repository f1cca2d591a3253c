// How long a list and a search take among many sessions: 20,000 in a short run, a million with
// BASTION_LONG=1. The times are said, and asserted nowhere: that the plans use the indexes is
// (index_test.cc), and here that they give the right rows.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "daemon/indexer/index.h"
#include "tests/support/test_random.h"

namespace bastion::index {
namespace {

TEST(IndexLarge, ListsAndSearches) {
  const char* configured = std::getenv("BASTION_LONG");
  const bool is_long = configured != nullptr && std::string_view(configured) == "1";
  const std::uint64_t num = is_long ? 1'000'000 : 20'000;
  Index index = *Index::open("", Index::Mode::kWrite);
  bastion::test::TestRandom random(3);
  ASSERT_TRUE(index.begin());
  for (std::uint64_t i = 0; i < num; ++i) {
    Row row;
    row.session = "s" + std::to_string(i);
    row.day = "2026-01-" + std::to_string(10 + i % 20);
    row.user = "user" + std::to_string(i % 1000);
    row.login = i % 3 == 0 ? "root" : "deploy";
    row.target = "web" + std::to_string(i % 777);
    row.start_us = 1'700'000'000'000'000 + i * 30'000'000;
    row.state = "complete";
    Content content;
    content.command = "ls -la /srv/app" + std::to_string(random.below(5000));
    content.screen = "total 8\ndrwxr-xr-x root root\n";
    for (int word = 0; word < 20; ++word) {
      content.screen += "word" + std::to_string(random.below(20'000)) + " ";
    }
    content.screen += i == num / 3 ? "needle" : "";
    ASSERT_TRUE(index.put(row, content));
  }
  ASSERT_TRUE(index.commit());
  const auto timed = [&](const char* what, const Filter& filter) {
    const auto begun = std::chrono::steady_clock::now();
    const auto found = index.find(filter);
    const auto ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun);
    std::printf("%-44s %8.2f ms, %zu rows\n", what, ms.count(), found.value().size());
    return found->size();
  };
  Filter filter;
  EXPECT_EQ(timed("the newest 50", filter), 50U);
  filter.user = "user7";
  EXPECT_EQ(timed("of one user", filter), std::min<std::uint64_t>(50, num / 1000));
  filter.target = "web7";
  filter.login = "deploy";
  EXPECT_GE(timed("of one user, as deploy, on one target", filter), 1U);
  filter = {};
  filter.text = "needle";
  EXPECT_EQ(timed("a word of one session", filter), 1U);
  filter.text = "root root";
  EXPECT_EQ(timed("words of every session", filter), 50U);
  filter.user = "user7";
  EXPECT_EQ(timed("words of every session, of one user", filter),
            std::min<std::uint64_t>(50, num / 1000));
  filter.text = "needle";
  EXPECT_LE(timed("a word that this user has not", filter), 1U);
  filter = {};
  filter.screen = "word123";
  EXPECT_GT(timed("a word's beginning", filter), 0U);
}

}  // namespace
}  // namespace bastion::index
