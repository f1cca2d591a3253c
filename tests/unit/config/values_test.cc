#include "config/values.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "config/suggest.h"
#include "tests/support/test_random.h"

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

/// edit_distance is Levenshtein's with swaps of neighbours, by its whole table.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> rows(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        rows[i][j] = i + j;
        continue;
      }
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1,
                             rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
      }
    }
  }
  return rows[a.size()][b.size()];
}

/// nearest_by_table is what nearest() promises, slowly.
std::vector<std::size_t> nearest_by_table(std::string_view word,
                                          std::span<const std::string> candidates,
                                          std::size_t num_max) {
  std::vector<std::pair<std::size_t, std::size_t>> near;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const std::size_t distance = edit_distance(folded(word), folded(candidates[i]));
    if (distance <= std::max<std::size_t>(1, (word.size() + 2) / 3) &&
        distance < std::max(word.size(), candidates[i].size()) &&
        std::find(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(i),
                  candidates[i]) == candidates.begin() + static_cast<std::ptrdiff_t>(i)) {
      near.emplace_back(distance, i);
    }
  }
  std::sort(near.begin(), near.end());
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < std::min(near.size(), num_max); ++i) {
    out.push_back(near[i].second);
  }
  return out;
}

TEST(Suggest, DistanceCountsEditsAndSwaps) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  const std::vector<std::string> words = {"sitten", "ktiten", "sitting", "KITTEN", "mittens"};
  EXPECT_EQ(nearest("kitten", words, 10), (std::vector<std::size_t>{3, 0, 1, 4}));
  EXPECT_EQ(nearest("kitten", words, 2), (std::vector<std::size_t>{3, 0}));
  EXPECT_TRUE(nearest("kitten", words, 0).empty());
}

TEST(Suggest, TheNearestAreThoseOfTheWholeTable) {
  test::TestRandom random(5);
  const auto pick = [&](std::size_t n) { return random.below(n); };
  std::size_t found = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::size_t letters = 1 + pick(4);  // few, so that many are alike
    const auto word_of = [&](std::size_t size) {
      std::string word;
      while (word.size() < size) {
        word += static_cast<char>((pick(4) == 0 ? 'A' : 'a') + pick(letters));
      }
      return word;
    };
    const std::string word = word_of(pick(round % 10 == 0 ? 67 : 12));
    std::vector<std::string> candidates;
    for (int i = 0; i < 12; ++i) {
      candidates.push_back(pick(2) == 0 ? word_of(pick(90)) : word);
      for (std::size_t edits = pick(5); edits > 0 && !candidates.back().empty(); --edits) {
        std::string& text = candidates.back();
        const std::size_t at = pick(text.size());
        switch (pick(4)) {
          case 0: text.erase(at, 1); break;
          case 1: text.insert(at, 1, static_cast<char>('a' + pick(letters))); break;
          case 2: text[at] = static_cast<char>('a' + pick(letters)); break;
          default: std::swap(text[at], text[pick(text.size())]);
        }
      }
    }
    const std::size_t num_max = pick(6);
    const auto expected =
        word.size() > 64 ? std::vector<std::size_t>() : nearest_by_table(word, candidates, num_max);
    ASSERT_EQ(nearest(word, candidates, num_max), expected)
        << word << " among " << join(candidates, ", ", "'") << ", at most " << num_max;
    found += expected.size();
  }
  EXPECT_GT(found, 3000U);
}

TEST(Suggest, QuotedTextIsSafeForATerminal) {
  EXPECT_EQ(in_quotes("a\x1b[31m\n\"b\xff"), "\"a?[31m??b?\"");
  EXPECT_EQ(in_quotes(std::string(100, 'a')), "\"" + std::string(64, 'a') + "...\"");
}

}  // namespace
}  // namespace bastion::config
