#include "base/glob.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace bastion {
namespace {

/// slow_match is the definition, by recursion.
bool slow_match(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) {
    return text.empty();
  }
  if (pattern.front() == '*') {
    return slow_match(pattern.substr(1), text) ||
           (!text.empty() && slow_match(pattern, text.substr(1)));
  }
  return !text.empty() && (pattern.front() == '?' || pattern.front() == text.front()) &&
         slow_match(pattern.substr(1), text.substr(1));
}

std::vector<std::string> all_texts(std::string_view alphabet, std::size_t len_max) {
  std::vector<std::string> texts = {""};
  for (std::size_t from = 0, len = 0; len < len_max; ++len) {
    const std::size_t to = texts.size();
    for (; from < to; ++from) {
      for (const char c : alphabet) {
        texts.push_back(texts[from] + c);
      }
    }
  }
  return texts;
}

TEST(Glob, AgreesWithItsDefinitionOnAllShortTexts) {
  const auto texts = all_texts("ab", 5);
  for (const std::string& pattern : all_texts("ab*?", 4)) {
    for (const std::string& text : texts) {
      ASSERT_EQ(glob_match(pattern, text), slow_match(pattern, text)) << pattern << " " << text;
    }
  }
}

TEST(Glob, OverlapIsWhetherSomeTextMatchesBoth) {
  const auto texts = all_texts("ab", 7);
  const auto patterns = all_texts("ab*?", 3);
  for (const std::string& a : patterns) {
    for (const std::string& b : patterns) {
      bool common = false;
      for (const std::string& text : texts) {
        common = common || (glob_match(a, text) && glob_match(b, text));
      }
      ASSERT_EQ(globs_overlap(a, b), common) << a << " " << b;
    }
  }
}

TEST(Glob, CaseIsLetterForLetterUnlessAskedOtherwise) {
  EXPECT_FALSE(glob_match("WEB*", "web1"));
  EXPECT_TRUE(glob_match_nocase("WEB*", "wEb1"));
  EXPECT_FALSE(glob_match_nocase("[", "{")) << "only letters have a case";
}

TEST(Glob, BoundsBothSides) {
  EXPECT_TRUE(glob_match("*", std::string(kGlobTextBytesMax, 'a')));
  EXPECT_FALSE(glob_match("*", std::string(kGlobTextBytesMax + 1, 'a')));
  EXPECT_TRUE(glob_match(std::string(kGlobPatternBytesMax, '*'), "a"));
  EXPECT_FALSE(glob_match(std::string(kGlobPatternBytesMax + 1, '*'), "a"));
}

TEST(sec_091_Glob, HostilePatternsTakeABoundedNumberOfSteps) {
  // Exponential matchers do not end on these before the machine does.
  std::string stars;
  for (int i = 0; i < 100; ++i) {
    stars += "*a";
  }
  EXPECT_FALSE(glob_match(stars + "b", std::string(kGlobTextBytesMax, 'a')));
  EXPECT_FALSE(glob_match(stars + "*", std::string(65'536, 'a')));
  EXPECT_FALSE(glob_match("*" + std::string(200, '?') + "b", std::string(kGlobTextBytesMax, 'a')));
  EXPECT_FALSE(globs_overlap(stars + "b", stars + "c"));
}

}  // namespace
}  // namespace bastion
