#include "config/user_name.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "base/limits.h"

namespace bastion::config {
namespace {

struct Case {
  std::string_view text;
  UserName expected;
};

class GoodUserName : public ::testing::TestWithParam<Case> {};

TEST_P(GoodUserName, IsTakenApart) {
  const auto name = parse_user_name(GetParam().text);
  ASSERT_TRUE(name.has_value()) << GetParam().text;
  EXPECT_EQ(*name, GetParam().expected) << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(UserName, GoodUserName,
                         ::testing::Values(
                             // identity, login, target, port
                             Case{"root@web1", {"", "root", "web1", 0}},
                             Case{"root@web1+2222", {"", "root", "web1", 2222}},
                             Case{"root@web1+1", {"", "root", "web1", 1}},
                             Case{"root@web1+65535", {"", "root", "web1", 65535}},
                             Case{"alice+root@web1", {"alice", "root", "web1", 0}},
                             Case{"alice+root@web1+22", {"alice", "root", "web1", 22}},
                             Case{"root@10.0.0.1", {"", "root", "10.0.0.1", 0}},
                             Case{"root@2222", {"", "root", "2222", 0}},
                             Case{"_svc-x.y@db-3.dc2", {"", "_svc-x.y", "db-3.dc2", 0}},
                             // the last @ ends the login
                             Case{"alice@corp.example@web1", {"", "alice@corp.example", "web1", 0}},
                             Case{"alice@corp.example+root@web1",
                                  {"alice@corp.example", "root", "web1", 0}},
                             // with + only, the number of names decides
                             Case{"root+web1", {"", "root", "web1", 0}},
                             Case{"root+web1+2222", {"", "root", "web1", 2222}},
                             Case{"alice+root+web1", {"alice", "root", "web1", 0}},
                             Case{"alice+root+web1+2222", {"alice", "root", "web1", 2222}},
                             Case{"22+web1", {"", "22", "web1", 0}},
                             // no target
                             Case{"alice", {"", "alice", "", 0}}, Case{"2222", {"", "2222", "", 0}},
                             Case{"CORP\\alice", {"", "CORP\\alice", "", 0}}));

TEST(UserName, RefusesWhatIsNoneOfItsForms) {
  for (const std::string_view bad : {"",
                                     "@",
                                     "+",
                                     "++",
                                     "@web1",
                                     "root@",
                                     "root@+22",
                                     "root@web1.",
                                     "root@web..1",
                                     "root+web1.",
                                     "root@web1+",
                                     "root@web1+0",
                                     "root@web1+022",
                                     "root@web1+65536",
                                     "root@web1+99999999999999999999",
                                     "root@web1+22x",
                                     "root@web1+22+22",
                                     "a+b+c@web1",
                                     "+root@web1",
                                     "alice+@web1",
                                     "alice+",
                                     "+web1",
                                     "root++web1",
                                     "root+2222",
                                     "root+web1+0",
                                     "root+web1+65536",
                                     "2222+22",
                                     "a+b+c+d",
                                     "a+b+c+d+22",
                                     "a+b+c+d+e",
                                     "root@web1:22",
                                     "root@[::1]",
                                     "-oProxyCommand=x@web1",
                                     "root@-oProxyCommand=x",
                                     "root@.",
                                     "root@..",
                                     ".@web1",
                                     "a@b@c@web1",
                                     "@a@web1",
                                     "a@@web1",
                                     "CORP\\alice@web1",
                                     "CORP\\alice+web1",
                                     "\\alice",
                                     "alice\\",
                                     "a\\b\\c",
                                     "root@web1/",
                                     "root@../../x",
                                     "ro%hot@web1",
                                     "root@%h",
                                     "ro ot@web1",
                                     "root@web 1",
                                     " root@web1",
                                     "root@web1 ",
                                     "alice bob",
                                     "root@w\xc3\xa9"
                                     "b",
                                     "r\xc3\xb6ot",
                                     "root$@web1",
                                     "root;id@web1",
                                     "`id`@web1",
                                     "$(id)@web1",
                                     "root@web1\n",
                                     "root\r@web1",
                                     "ro\x1b[mot@web1",
                                     "root@web1\x7f",
                                     "root@*",
                                     "root@web?",
                                     "{user}@web1",
                                     "root@\"web1\"",
                                     "~root@web1",
                                     "root=x@web1",
                                     "root@web1#",
                                     "root@web1\\"}) {
    EXPECT_FALSE(parse_user_name(bad).has_value()) << bad;
  }
  EXPECT_FALSE(parse_user_name(std::string_view("root\0@web1", 10)).has_value());
  EXPECT_FALSE(parse_user_name(std::string_view("root@web1\0", 10)).has_value());
}

TEST(sec_089_UserName, NoByteButTheListedOnesIsInAnyName) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool word =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    const bool inner = word || c == '.' || c == '-';
    EXPECT_EQ(is_target_name(std::string("a") + c + "b"), inner) << byte;
    EXPECT_EQ(is_target_name(std::string(1, c)), word) << byte;
    EXPECT_EQ(is_account_name(std::string("a") + c + "b"), inner || c == '@') << byte;
    EXPECT_EQ(is_account_name(std::string(1, c)), word) << byte;
  }
}

TEST(UserName, NamesAndTheWholeAreBounded) {
  const std::string longest(64, 'a');
  EXPECT_TRUE(parse_user_name(longest + "+" + longest + "@" + longest + "+65535").has_value());
  EXPECT_FALSE(parse_user_name(longest + "a@web1").has_value());
  EXPECT_FALSE(parse_user_name("root@" + longest + "a").has_value());
  EXPECT_FALSE(parse_user_name(longest + "a+root@web1").has_value());
  EXPECT_FALSE(parse_user_name(std::string(limits::kUserNameBytesMax + 1, 'a')).has_value());
  EXPECT_FALSE(parse_user_name(std::string(1'000'000, '+')).has_value());
}

TEST(UserName, WhatIsParsedCanBePutTogetherAgain) {
  // A parsed name never loses or invents a byte: joined by the same rules it parses to the same.
  std::mt19937 random(20240501);
  constexpr std::string_view kAlphabet = "ab1+@.-\\%";
  int num_parsed = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    for (std::size_t len = random() % 12; len > 0; --len) {
      text += kAlphabet[random() % kAlphabet.size()];
    }
    const auto name = parse_user_name(text);
    if (!name) {
      continue;
    }
    ++num_parsed;
    const bool at = text.find('@') != std::string::npos;
    std::string joined;
    if (!name->identity.empty()) {
      joined += std::string(name->identity) + "+";
    }
    joined += name->login;
    if (name->has_target()) {
      joined += (at ? "@" : "+") + std::string(name->target);
    }
    if (name->port != 0) {
      joined += "+" + std::to_string(name->port);
    }
    ASSERT_EQ(joined, text);
  }
  EXPECT_GT(num_parsed, 1000);
}

}  // namespace
}  // namespace bastion::config
