#include "daemon/bastionctl/player.h"

#include <gtest/gtest.h>

#include "daemon/bastionctl/recordings.h"
#include "daemon/bastionctl/terminal.h"

namespace bastion::ctl {
namespace {

std::vector<PlayKey> keys(std::string_view sent) {
  KeyReader reader;
  std::vector<PlayKey> found;
  for (const char c : sent) {
    if (const PlayKey key = reader.take(static_cast<std::uint8_t>(c)); key != PlayKey::kNone) {
      found.push_back(key);
    }
  }
  return found;
}

TEST(KeyReader, KnowsItsKeys) {
  EXPECT_EQ(keys(" .+-q"), (std::vector{PlayKey::kPause, PlayKey::kStep, PlayKey::kFaster,
                                        PlayKey::kSlower, PlayKey::kQuit}));
  EXPECT_EQ(keys("\x1b[C\x1bOD"), (std::vector{PlayKey::kForward, PlayKey::kBack}));
}

TEST(KeyReader, ATerminalsAnswersAreNoKeys) {
  // Device attributes, a cursor's position, a colour, a DCS reply: with letters that would be keys.
  EXPECT_TRUE(keys("\x1b[?62;22c\x1b[12;40R\x1b]11;rgb:q q/ ..\x07\x1bP>|q -+ \x1b\\").empty());
  EXPECT_EQ(keys("\x1b[?62c "), std::vector{PlayKey::kPause});
}

TEST(PlayClock, WaitsAsItWas) {
  PlayClock clock(2, 0);
  EXPECT_EQ(clock.wait_us(1'000'000), 0U);
  EXPECT_EQ(clock.wait_us(3'000'000), 1'000'000U);
  EXPECT_EQ(clock.wait_us(2'000'000), 0U);  // the clock went back
  EXPECT_EQ(clock.wait_us(3'000'002), 1U);
  EXPECT_EQ(clock.played_us(), 2'000'002U);
}

TEST(PlayClock, NoFileMakesItWaitForEver) {
  PlayClock clock(0.5, 0);
  (void)clock.wait_us(0);
  constexpr std::uint64_t kMonthUs = std::uint64_t{30} * 86'400 * 1'000'000;
  EXPECT_EQ(clock.wait_us(UINT64_MAX), kMonthUs);
  EXPECT_EQ(clock.played_us(), kMonthUs);
}

TEST(ShownEntry, ContentCannotPassForALineOfOurs) {
  const auto shown = [](recording::EntryKind kind, std::string_view text) {
    return shown_entry({.time_us = 1, .channel = 0, .kind = kind, .bytes = as_bytes(text)});
  };
  const std::string ours = shown(recording::EntryKind::kNotice, "over");
  EXPECT_EQ(ours, "\n\\-- bastion: over\n");
  for (const recording::EntryKind kind :
       {recording::EntryKind::kStdout, recording::EntryKind::kStderr}) {
    EXPECT_EQ(shown(kind, ours), "\n\\\\-- bastion: over\n");
    EXPECT_EQ(shown(kind, "\n\x1b[2K\\-- bastion: over\n").find(ours), std::string::npos);
  }
}

TEST(PlayClock, CutsPauses) {
  PlayClock clock(1, 500'000);
  (void)clock.wait_us(0);
  EXPECT_EQ(clock.wait_us(3'600'000'000), 500'000U);
  EXPECT_EQ(clock.played_us(), 500'000U);
}

TEST(ShownEntry, RunsNothing) {
  using recording::EntryKind;
  const std::string evil =
      "a\x1b]52;c;AAAA\x07\r\nb\x9b"
      "31m\rc";
  for (const EntryKind kind : {EntryKind::kStdout, EntryKind::kStderr, EntryKind::kStdin,
                               EntryKind::kNotice, EntryKind::kFile, EntryKind::kForward}) {
    const std::string shown = shown_entry({0, 1, kind, as_bytes(evil)});
    EXPECT_NE(shown.find("\\x1b]52"), std::string::npos);
    for (const char c : shown) {
      EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << static_cast<int>(c);
    }
  }
  EXPECT_EQ(lines_shown("one\r\ntwo\n"), "one\ntwo\n");
}

TEST(ParseTime, TakesWhatItSays) {
  constexpr std::int64_t kNow = 1'700'000'000;
  EXPECT_EQ(parse_time("7d", kNow), std::uint64_t{kNow - 7 * 86'400} * 1'000'000);
  EXPECT_EQ(parse_time("30m", kNow), std::uint64_t{kNow - 1800} * 1'000'000);
  EXPECT_TRUE(parse_time("today", kNow));
  EXPECT_TRUE(parse_time("2026-11-25", kNow));
  EXPECT_TRUE(parse_time("2026-11-25 14:02", kNow));
  EXPECT_EQ(parse_time("2026-11-25T14:02:30", kNow), parse_time("2026-11-25 14:02:30", kNow));
  for (const char* text : {"", "d", "7", "7y", "soon", "2026-11-25 ", "2026-11-25 14"}) {
    EXPECT_FALSE(parse_time(text, kNow)) << text;
  }
}

}  // namespace
}  // namespace bastion::ctl
