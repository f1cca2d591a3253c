#include "daemon/indexer/index.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace bastion::index {
namespace {

Row row(const std::string& session, std::uint64_t start_us) {
  Row r;
  r.session = session;
  r.day = "2026-11-25";
  r.user = "alice";
  r.login = "deploy";
  r.target = "web1";
  r.start_us = start_us;
  r.end_us = start_us + 5;
  r.state = "complete";
  return r;
}

Index memory() { return *Index::open("", Index::Mode::kWrite); }

std::vector<std::string> sessions(const Index& index, const Filter& filter) {
  std::vector<std::string> found;
  const auto all = index.find(filter);
  for (const Found& each : all.value()) {
    found.push_back(each.row.session);
  }
  return found;
}
using Sessions = std::vector<std::string>;

TEST(Index, GivesTheNewestFirstAndNoMoreThanAsked) {
  Index index = memory();
  ASSERT_TRUE(index.put(row("a", 10), {}));
  ASSERT_TRUE(index.put(row("b", 30), {}));
  ASSERT_TRUE(index.put(row("c", 20), {}));
  EXPECT_EQ(sessions(index, {}), (Sessions{"b", "c", "a"}));
  Filter filter;
  filter.limit = 2;
  EXPECT_EQ(sessions(index, filter), (Sessions{"b", "c"}));
  filter.since_us = 11;
  filter.until_us = 29;
  EXPECT_EQ(sessions(index, filter), Sessions{"c"});
}

TEST(Index, TwoOfOneMomentAreTwo) {
  Index index = memory();
  ASSERT_TRUE(index.put(row("a", 10), {}));
  ASSERT_TRUE(index.put(row("b", 10), {}));
  ASSERT_TRUE(index.put(row("c", UINT64_MAX), {}));
  EXPECT_EQ(index.count(), 3U);
  EXPECT_EQ(index.find({})->at(2).row.start_us, 10U);
}

TEST(Index, PutReplaces) {
  Index index = memory();
  ASSERT_TRUE(index.put(row("a", 10), {"", "before", "", ""}));
  ASSERT_TRUE(index.put(row("a", 10), {"", "after", "", ""}));
  EXPECT_EQ(index.count(), 1U);
  Filter filter;
  filter.text = "before";
  EXPECT_TRUE(sessions(index, filter).empty());
  filter.text = "after";
  EXPECT_EQ(sessions(index, filter), Sessions{"a"});
  ASSERT_TRUE(index.remove("a"));
  EXPECT_TRUE(sessions(index, filter).empty());
  EXPECT_EQ(index.count(), 0U);
}

TEST(Index, FiltersByWhoAndWhereWithAndWithoutText) {
  Index index = memory();
  Row other = row("b", 20);
  other.user = "bob\" OR 1";
  other.target = "db 1";
  ASSERT_TRUE(index.put(row("a", 10), {"ls", "", "", ""}));
  ASSERT_TRUE(index.put(other, {"ls", "", "", ""}));
  for (const char* text : {"", "ls"}) {
    Filter filter;
    filter.text = text;
    EXPECT_EQ(sessions(index, filter), (Sessions{"b", "a"}));
    filter.user = other.user;
    EXPECT_EQ(sessions(index, filter), Sessions{"b"});
    filter.target = "web1";
    EXPECT_TRUE(sessions(index, filter).empty());
    filter.user = "ali";  // a name is found whole
    EXPECT_TRUE(sessions(index, filter).empty());
  }
}

TEST(Index, FindsWordsInTheirPlaceAndTheirBeginnings) {
  Index index = memory();
  ASSERT_TRUE(
      index.put(row("a", 10), {"mysql -e 'DROP TABLE users'", "Query OK", "y", "/etc/shadow"}));
  const auto found = [&](auto set) {
    Filter filter;
    set(filter);
    return !sessions(index, filter).empty();
  };
  EXPECT_TRUE(found([](Filter& f) { f.text = "drop table"; }));
  EXPECT_TRUE(found([](Filter& f) { f.text = "drop tab"; }));
  EXPECT_TRUE(found([](Filter& f) { f.text = "/etc/shadow"; }));
  EXPECT_FALSE(found([](Filter& f) { f.text = "table drop"; }));
  EXPECT_FALSE(found([](Filter& f) { f.screen = "drop"; }));
  EXPECT_TRUE(found([](Filter& f) { f.command = "drop"; }));
  EXPECT_TRUE(found([](Filter& f) {
    f.file = "shadow";
    f.screen = "query";
  }));
  EXPECT_FALSE(found([](Filter& f) { f.text = "u616c696365"; }));  // the names' own words
}

TEST(Index, NoTextIsSyntax) {
  Index index = memory();
  ASSERT_TRUE(index.put(row("a", 10), {"echo \"NEAR(x)\" AND *", "", "", ""}));
  for (const std::string text :
       {"\"", "\"\"", "*", "AND", "NEAR(", "a OR b", "command:x", "-", "'", "{", "(", "^", "\0x"}) {
    Filter filter;
    filter.text = text;
    EXPECT_TRUE(index.find(filter)) << text;
  }
  Filter filter;
  filter.text = "\"NEAR(x)\" AND";
  EXPECT_EQ(sessions(index, filter), Sessions{"a"});
}

TEST(Index, EveryQueryUsesAnIndex) {
  const Index index = memory();
  for (const bool text : {false, true}) {
    for (const int who : {0, 1, 2, 3}) {
      Filter filter;
      filter.text = text ? "word" : "";
      (who == 1 ? filter.user : who == 2 ? filter.target : filter.login) = who == 0 ? "" : "x";
      const std::string plan = index.plan(filter).value();
      EXPECT_EQ(plan.find("TEMP B-TREE"), std::string::npos) << plan;  // nothing is sorted
      EXPECT_EQ(plan.find("SCAN r"), std::string::npos) << plan;
      if (text) {
        EXPECT_NE(plan.find("VIRTUAL TABLE INDEX"), std::string::npos) << plan;
      } else if (who != 0) {
        EXPECT_NE(plan.find("USING INDEX by_"), std::string::npos) << plan;
      }
    }
  }
}

class IndexFile : public testing::Test {
 protected:
  ~IndexFile() override { std::filesystem::remove_all(dir_); }
  std::filesystem::path dir_ = [] {
    char name[] = "/tmp/index-test-XXXXXX";
    return std::filesystem::path(mkdtemp(name));
  }();
  std::string path_ = dir_ / "i.sqlite";
};

TEST_F(IndexFile, IsKept) {
  EXPECT_FALSE(Index::open(path_, Index::Mode::kRead));
  ASSERT_TRUE(Index::open(path_, Index::Mode::kWrite)->put(row("a", 10), {}));
  EXPECT_EQ(Index::open(path_, Index::Mode::kRead)->count(), 1U);
  EXPECT_EQ(Index::open(path_, Index::Mode::kWrite)->count(), 1U);
}

TEST_F(IndexFile, WhatIsNoneIsSaid) {
  std::ofstream(path_) << std::string(5000, 'x');
  EXPECT_FALSE(Index::open(path_, Index::Mode::kRead));
  EXPECT_FALSE(Index::open(path_, Index::Mode::kWrite));
}

}  // namespace
}  // namespace bastion::index
