#include "base/escape.h"

#include <gtest/gtest.h>

namespace bastion {
namespace {

TEST(Escaped, KeepsPrintableText) {
  EXPECT_EQ(escaped("deploy@web1 Grüße 日本 🙂"), "deploy@web1 Grüße 日本 🙂");
}

TEST(Escaped, LetsNoControlByteThrough) {
  for (int octet = 0; octet < 256; ++octet) {
    const std::string text(1, static_cast<char>(octet));
    const std::string shown = escaped(text);
    if (octet == '\\') {
      EXPECT_EQ(shown, "\\\\");
    } else if (octet >= 0x20 && octet < 0x7f) {
      EXPECT_EQ(shown, text);
    } else {
      ASSERT_EQ(shown.size(), 4u) << octet;
      EXPECT_EQ(shown.substr(0, 2), "\\x");
    }
  }
}

TEST(Escaped, LetsNoHiddenCodePointThrough) {
  EXPECT_EQ(escaped("\u202e"), "\\xe2\\x80\\xae") << "right-to-left override";
  EXPECT_EQ(escaped("\u2066"), "\\xe2\\x81\\xa6") << "isolate";
  EXPECT_EQ(escaped("\u0085"), "\\xc2\\x85") << "C1 next line";
  EXPECT_EQ(escaped("\u009b"), "\\xc2\\x9b") << "C1 control sequence introducer";
  EXPECT_EQ(escaped("\u2028"), "\\xe2\\x80\\xa8") << "line separator";
  EXPECT_EQ(escaped("\ufeff"), "\\xef\\xbb\\xbf") << "byte order mark";
  EXPECT_EQ(escaped("\U000e0041"), "\\xf3\\xa0\\x81\\x81") << "tag letter";
}

TEST(Escaped, ShowsWhatIsNotUtf8AsOctets) {
  EXPECT_EQ(escaped("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
  EXPECT_EQ(escaped("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
  EXPECT_EQ(escaped("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond Unicode";
  EXPECT_EQ(escaped("a\xe2\x82"), "a\\xe2\\x82") << "cut short";
  EXPECT_EQ(escaped("\xe2z"), "\\xe2z");
}

TEST(Escaped, SaysThatThereWasMore) {
  EXPECT_EQ(escaped("abcdef", 3), "abc…");
  EXPECT_EQ(escaped("abc", 3), "abc");
  EXPECT_EQ(escaped("ab\u00fc", 3), "ab…") << "a code point is shown whole or not at all";
}

TEST(Unescaped, GivesTheBytesBack) {
  std::string every;
  for (int octet = 0; octet < 256; ++octet) {
    every += static_cast<char>(octet);
  }
  EXPECT_EQ(unescaped(escaped(every)), every);
  EXPECT_EQ(unescaped(escaped("\\x41 \xe2\x80\xae Gr\xc3\xbc\xc3\x9f")),
            "\\x41 \xe2\x80\xae Gr\xc3\xbc\xc3\x9f");
}

TEST(Unescaped, RefusesWhatWasNotEscaped) {
  for (const std::string_view text : {"\\", "a\\", "\\x4", "\\xZZ", "\\x4g", "\\n", "\\X41"}) {
    EXPECT_FALSE(unescaped(text)) << text;
  }
}

}  // namespace
}  // namespace bastion
