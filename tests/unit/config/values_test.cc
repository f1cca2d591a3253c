#include "config/values.h"

#include <gtest/gtest.h>

#include "config/suggest.h"

namespace bastion::config {
namespace {

TEST(Duration, HasANumberAndAUnit) {
  EXPECT_EQ(parse_duration("500ms"), 500);
  EXPECT_EQ(parse_duration("30s"), 30'000);
  EXPECT_EQ(parse_duration("2m"), 120'000);
  EXPECT_EQ(parse_duration("1h"), 3'600'000);
  EXPECT_EQ(parse_duration("1d"), 86'400'000);
  EXPECT_EQ(parse_duration("0"), 0);
  EXPECT_EQ(parse_duration("0s"), 0);
  for (const std::string_view bad : {"", "30", "s", "-1s", "+1s", "1.5s", "1 s", "1S", "01s", "1s ",
                                     "1h30m", "1w", "999999999999999999999s", "9999999d", "ms"}) {
    EXPECT_FALSE(parse_duration(bad).has_value()) << bad;
  }
  for (const std::string_view text : {"500ms", "30s", "2m", "1h", "1d", "90s", "1001ms", "0"}) {
    EXPECT_EQ(duration_text(*parse_duration(text)), text);
  }
}

TEST(Size, HasANumberAndAUnit) {
  EXPECT_EQ(parse_size("64KiB"), 65'536U);
  EXPECT_EQ(parse_size("1GiB"), 1U << 30);
  EXPECT_EQ(parse_size("512B"), 512U);
  for (const std::string_view bad :
       {"", "64", "64K", "64KB", "64kib", "1TiB", "-1B", "1.5MiB", "99999999999GiB"}) {
    EXPECT_FALSE(parse_size(bad).has_value()) << bad;
  }
  for (const std::string_view text : {"64KiB", "1GiB", "513B", "3MiB"}) {
    EXPECT_EQ(size_text(*parse_size(text)), text);
  }
}

TEST(DnsName, IsNeverASpellingOfAnAddress) {
  for (const std::string_view good : {"web1", "db-3.internal", "a.b.c.", "_srv.corp", "1st",
                                      "1.example", "xn--bcher-kva.example"}) {
    EXPECT_TRUE(is_dns_name(good)) << good;
  }
  for (const std::string_view bad : {"",
                                     ".",
                                     "..",
                                     ".a",
                                     "a..b",
                                     "-a",
                                     "a-",
                                     "a-.b",
                                     "a b",
                                     "a/b",
                                     "a:b",
                                     "a%b",
                                     "127.1",
                                     "1",
                                     "0x7f000001",
                                     "127.0x1",
                                     "a.0X1",
                                     "10.0.0.1",
                                     "017700000001",
                                     "b\xc3\xbc"
                                     "cher"}) {
    EXPECT_FALSE(is_dns_name(bad)) << bad;
  }
  EXPECT_TRUE(is_dns_name(std::string(63, 'a')));
  EXPECT_FALSE(is_dns_name(std::string(64, 'a')));
}

TEST(Suggest, FindsTheMisspeltWord) {
  const std::vector<std::string> keys = {"credential", "address", "host_keys", "host_ca", "port"};
  EXPECT_EQ(did_you_mean("credentail", keys), " (did you mean \"credential\"?)");
  EXPECT_EQ(did_you_mean("adress", keys), " (did you mean \"address\"?)");
  EXPECT_EQ(did_you_mean("Port", keys), " (did you mean \"port\"?)");
  EXPECT_EQ(did_you_mean("hostkeys", keys), " (did you mean \"host_keys\"?)");
  EXPECT_EQ(did_you_mean("frobnicate", keys), "");
  EXPECT_EQ(did_you_mean(std::string(10'000, 'a'), keys), "");
  EXPECT_EQ(did_you_mean("", keys), "");
}

TEST(Suggest, DistanceCountsEditsAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("abc", "abd"), 1U);
  EXPECT_EQ(edit_distance("abc", "acb"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

TEST(Suggest, QuotedTextIsSafeForATerminal) {
  EXPECT_EQ(in_quotes("a\x1b[31m\n\"b\xff"), "\"a?[31m??b?\"");
  EXPECT_EQ(in_quotes(std::string(100, 'a')), "\"" + std::string(64, 'a') + "...\"");
}

}  // namespace
}  // namespace bastion::config
