#include "daemon/screen/screen.h"

#include <gtest/gtest.h>

namespace bastion::screen {
namespace {

using Lines = std::vector<std::string>;

TEST(Screen, ShowsWhatStandsThereNotWhatWasSent) {
  Screen screen(20, 5, false);
  screen.write(as_bytes("pasX\bsword\r\n\x1b[31mred\x1b[0m\x1b]0;title\x07"));
  EXPECT_EQ(screen.transcript(), (Lines{"password", "red"}));
}

TEST(Screen, TextWrittenInPiecesIsOneLine) {
  Screen screen(40, 5, false);
  screen.write(as_bytes("\x1b[3;5Hpin\x1b[3;8Hnacle"));
  EXPECT_EQ(screen.transcript(), (Lines{"", "", "    pinnacle"}));
}

TEST(Screen, KeepsWhatScrollsOff) {
  Screen screen(10, 2, true);
  screen.write(as_bytes("1\n2\n3\n4"));
  EXPECT_EQ(screen.transcript(), (Lines{"1", "2", "3", "4"}));
}

TEST(Screen, AnEditorsScreenStandsWhereItWasOpened) {
  Screen screen(20, 5, false);
  screen.write(as_bytes("$ vi\r\n"));
  screen.write(as_bytes("\x1b[?1049h\x1b[2J\x1b[Hnotes"));
  (void)screen.shown();
  screen.write(as_bytes("\x1b[?1049l$ exit"));
  EXPECT_EQ(screen.transcript(), (Lines{"$ vi", "notes", "$ exit"}));
}

TEST(Screen, ShownGivesWhatChangedSinceTheLastLook) {
  Screen screen(20, 3, false);
  screen.write(as_bytes("one\r\n"));
  EXPECT_EQ(screen.shown(), Lines{"one"});
  EXPECT_EQ(screen.shown(), Lines{});
  screen.write(as_bytes("two"));
  EXPECT_EQ(screen.shown(), Lines{"two"});
}

TEST(Screen, AnySizeIsTaken) {
  for (const std::uint32_t size : {0U, 1U, 4'000'000'000U}) {
    Screen screen(size, size, false);
    screen.write(as_bytes("x\r\ny\x1b[999;999Hz"));
    screen.resize(4'000'000'000U, 0);
    screen.resize(0, 4'000'000'000U);
    screen.write(as_bytes("w"));
    EXPECT_FALSE(screen.transcript().empty());
  }
}

TEST(Screen, ASizeThatTheClientDoesNotKnowLeavesWordsWhole) {
  for (const bool resized : {false, true}) {
    Screen screen(resized ? 40 : 0, resized ? 10 : 0, false);
    if (resized) {
      screen.resize(0, 0);
    }
    screen.write(as_bytes("the quick brown fox jumps\r\nover the lazy dog\r\n"));
    EXPECT_EQ(screen.shown(), (Lines{"the quick brown fox jumps", "over the lazy dog"}));
    EXPECT_EQ(screen.transcript(), (Lines{"the quick brown fox jumps", "over the lazy dog"}));
  }
}

TEST(Screen, ASingleRowKeepsWhatScrollsOff) {
  Screen screen(40, 1, false);
  screen.write(as_bytes("one\r\ntwo\r\nthree"));
  EXPECT_EQ(screen.transcript(), (Lines{"one", "two", "three"}));
}

TEST(Screen, AWordBrokenAtTheEdgeIsShownWhole) {
  Screen screen(20, 3, false);
  screen.write(as_bytes("select 1; drop table users\r\n"));
  EXPECT_EQ(screen.shown(),
            (Lines{"select 1; drop table", " users", "select 1; drop table users"}));
  EXPECT_EQ(screen.shown(), Lines{});
  // One that goes on after the last look, and one whose beginning has scrolled off.
  Screen typed(20, 3, false);
  typed.write(as_bytes("$ echo to the pinnac"));
  (void)typed.shown();
  typed.write(as_bytes("le\r\n\r\n"));
  EXPECT_EQ(typed.shown(), (Lines{"$ echo to the pinnac", "le", "$ echo to the pinnacle"}));
  EXPECT_EQ(typed.transcript(), (Lines{"$ echo to the pinnac", "le"})) << "as it stood";
}

TEST(Screen, TooSmallASizeLeavesWordsWhole) {
  for (const std::uint32_t columns : {1U, 3U, 19U}) {
    Screen screen(columns, 1, false);
    screen.write(as_bytes("pinnacle\r\navalanche\r\n"));
    EXPECT_EQ(screen.transcript(), (Lines{"pinnacle", "avalanche"}));
  }
}

TEST(Screen, LinesThatAreJoinedAreBounded) {
  Screen screen(100, 10, false);
  screen.write(as_bytes(std::string(100'000, 'x')));
  for (const std::string& line : screen.shown()) {
    EXPECT_LE(line.size(), Screen::kJoinedBytesMax + 100 * 4);
  }
}

TEST(Screen, ARepeatedCharacterIsShownAndEndsNothing) {
  // libvterm 0.1.4 never came back from the first five of these; 0.3.3 does not from two of them.
  const std::pair<const char*, const char*> cases[] = {
      {"\x1b[b", ""},
      {"\x1b#[9b", ""},
      {"\x1b#\xfb[9b", ""},
      {"\x1b[H\xcc\x80\x1b[3b|", "|"},
      {"\x1b\n[\x01"
       "5\x7f"
       "b",
       ""},
      {"hel\x1b[1bo", "hello"},
      {"-\x1b[4b+\x1b[;7b", "-----++"},
      {"caf\xc3\xa9\x1b[2b", "caf\xc3\xa9\xc3\xa9\xc3\xa9"},
      {"a\x1b]0;title\x07\x1b[2b", "aaa"},
      {"a\x1b(B\x1b[31m\x1b[2b", "aaa"},
      {"a\x1b[?2bb", "ab"},
      {"ab\x1b[99999999999b", "abbbbbbbbbbbbbbbbbbb"}};
  for (const auto& [sent, shown] : cases) {
    SCOPED_TRACE(sent);
    const std::string text = sent;
    for (std::size_t at = 0; at <= text.size(); ++at) {
      Screen screen(20, 5, false);
      screen.write(to_bytes(text.substr(0, at)));
      screen.write(to_bytes(text.substr(at)));
      std::string seen;
      for (const std::string& line : screen.transcript()) {
        seen += line.substr(line.find_first_not_of(' ') == line.npos ? line.size()
                                                                     : line.find_first_not_of(' '));
      }
      EXPECT_EQ(seen.substr(0, std::string(shown).size()), shown) << "split at " << at;
    }
  }
}

TEST(Screen, WhatAFewOctetsMakeOfItIsBounded) {
  Screen::Budget budget{.cells = 300'000};
  Screen screen(500, 200, false, &budget);
  screen.write(to_bytes("before\r\n"));
  EXPECT_EQ(screen.shown(), std::vector<std::string>{"before"});
  EXPECT_FALSE(screen.used_up());
  // Each fills the screen with the letter E: all of them would take minutes.
  std::string fills;
  for (int i = 0; i < 20'000; ++i) {
    fills += "\x1b#8";
  }
  screen.write(to_bytes(fills));
  EXPECT_TRUE(screen.used_up());
  EXPECT_GE(screen.shown().size(), 200U);
  screen.write(to_bytes("\x1b[2J\x1b[Hafter"));
  screen.resize(80, 24);
  EXPECT_EQ(screen.transcript().front(), std::string(500, 'E'));
}

TEST(Screen, AlternateScreensThatAreKeptAreBounded) {
  Screen screen(20, 200, false);
  for (int i = 0; i < 1'000; ++i) {
    screen.write(to_bytes("\x1b[?1049h\x1b#8"));
    (void)screen.shown();
    screen.write(to_bytes("\x1b[?1049l"));
  }
  const std::size_t lines = screen.transcript().size();
  EXPECT_GT(lines, 100'000U);
  EXPECT_LE(lines, 128U * 1024 + 200);
}

TEST(Screen, GivesNoControlCharacterWhateverComes) {
  Screen screen(80, 24, false);
  Bytes all;
  for (int round = 0; round < 3; ++round) {
    for (int octet = 0; octet < 256; ++octet) {
      all.push_back(static_cast<std::uint8_t>(octet));
    }
  }
  screen.write(all);
  screen.write(as_bytes("\xe2\x80\xae right to left \xc2\x9b"));
  for (const std::string& line : screen.transcript()) {
    for (const char c : line) {
      EXPECT_FALSE((c >= 0 && c < 0x20) || c == 0x7f);
    }
    EXPECT_EQ(line.find("\xe2\x80\xae"), std::string::npos);
    EXPECT_EQ(line.find("\xc2\x9b"), std::string::npos);
  }
}

TEST(Screen, ACharacterSplitBetweenTwoWritesIsOne) {
  Screen screen(20, 2, false);
  screen.write(as_bytes("caf\xc3"));
  screen.write(as_bytes("\xa9"));
  EXPECT_EQ(screen.transcript(), Lines{"caf\xc3\xa9"});
}

}  // namespace
}  // namespace bastion::screen
