#include "daemon/bastionctl/asciicast.h"

#include <gtest/gtest.h>

namespace bastion::ctl {
namespace {

using recording::Entry;
using recording::EntryKind;

Asciicast::Header header() { return {80, 24, 10'000'000, "", "", "xterm"}; }

TEST(Asciicast, HasTheHeaderOfItsVersion) {
  EXPECT_EQ(Asciicast(2, header()).header(),
            "{\"env\":{\"TERM\":\"xterm\"},\"height\":24,\"timestamp\":10,\"version\":2,"
            "\"width\":80}\n");
  EXPECT_EQ(Asciicast(3, header()).header(),
            "{\"term\":{\"cols\":80,\"rows\":24,\"type\":\"xterm\"},\"timestamp\":10,"
            "\"version\":3}\n");
}

TEST(Asciicast, TimesAreSinceTheBeginningInTwoAndSinceTheLastInThree) {
  for (const auto& [version, second] : {std::pair{2, "[1.500000, "}, std::pair{3, "[0.500000, "}}) {
    Asciicast cast(version, header());
    EXPECT_EQ(cast.event({11'000'000, 1, EntryKind::kStdout, as_bytes("a\n")}),
              "[1.000000, \"o\", \"a\\n\"]\n");
    EXPECT_EQ(cast.event({11'500'000, 1, EntryKind::kStdin, as_bytes("b")}),
              std::string(second) + "\"i\", \"b\"]\n");
  }
}

TEST(Asciicast, NeverGoesBack) {
  Asciicast cast(2, header());
  (void)cast.event({12'000'000, 1, EntryKind::kStdout, as_bytes("a")});
  EXPECT_EQ(cast.event({11'000'000, 1, EntryKind::kStdout, as_bytes("b")}),
            "[2.000000, \"o\", \"b\"]\n");
  EXPECT_EQ(cast.event({9'000'000, 1, EntryKind::kStdout, as_bytes("b")}),
            "[2.000000, \"o\", \"b\"]\n");
}

TEST(Asciicast, ACharacterIsNeverSplit) {
  const std::string text = "\xf0\x9f\x99\x82";
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    Asciicast cast(2, header());
    const ByteView bytes = as_bytes(text);
    EXPECT_EQ(cast.event({10'000'000, 1, EntryKind::kStdout, bytes.first(cut)}), "");
    EXPECT_EQ(cast.event({10'000'000, 1, EntryKind::kStdout, bytes.subspan(cut)}),
              "[0.000000, \"o\", \"\\ud83d\\ude42\"]\n");
  }
  Asciicast cast(2, header());
  (void)cast.event({10'000'000, 1, EntryKind::kStdout, as_bytes("\xe2")});
  EXPECT_EQ(cast.finish(), "[0.000000, \"o\", \"\\ufffd\"]\n");
  EXPECT_EQ(cast.event({10'000'000, 1, EntryKind::kStdout, as_bytes("\xff")}),
            "[0.000000, \"o\", \"\\ufffd\"]\n");
}

TEST(Asciicast, WhatIsTypedIsNotLostEither) {
  Asciicast cast(3, header());
  EXPECT_EQ(cast.event({10'000'000, 1, EntryKind::kStdin, as_bytes("\xe2\x82")}), "");
  EXPECT_EQ(cast.finish(), "[0.000000, \"i\", \"\\ufffd\"]\n");
}

TEST(Asciicast, SizesAreWhatPlayersTake) {
  for (const auto& [size, shown] :
       {std::pair{recording::Size{0, 0}, "80x24"}, std::pair{recording::Size{0, 50}, "80x50"},
        std::pair{recording::Size{4'000'000'000, 1001}, "1000x1000"}}) {
    Asciicast cast(3, {size.columns, size.rows, 0, "", "", "xterm"});
    EXPECT_EQ(cast.event({0, 1, EntryKind::kResize, recording::encode(size)}),
              "[0.000000, \"r\", \"" + std::string(shown) + "\"]\n");
  }
  EXPECT_EQ(Asciicast(3, {0, 0, 0, "", "", ""}).header(),
            "{\"term\":{\"cols\":80,\"rows\":24},\"timestamp\":0,\"version\":3}\n");
  EXPECT_EQ(Asciicast(2, {5000, 0, 0, "", "", ""}).header(),
            "{\"height\":24,\"timestamp\":0,\"version\":2,\"width\":1000}\n");
}

TEST(Asciicast, SaysResizesAndExits) {
  Asciicast two(2, header());
  Asciicast three(3, header());
  const Bytes size = recording::encode(recording::Size{120, 40});
  const Bytes status = recording::encode_number(3);
  EXPECT_EQ(two.event({10'000'000, 1, EntryKind::kResize, size}),
            "[0.000000, \"r\", \"120x40\"]\n");
  EXPECT_EQ(two.event({10'000'000, 1, EntryKind::kExitStatus, status}), "");
  EXPECT_EQ(two.finish(), "") << "version 2 has no such event";
  EXPECT_EQ(three.event({11'000'000, 1, EntryKind::kExitStatus, status}), "");
  EXPECT_EQ(three.event({12'000'000, 1, EntryKind::kStdout, as_bytes("later\xe2")}),
            "[2.000000, \"o\", \"later\"]\n");
  EXPECT_EQ(three.finish(), "[0.000000, \"o\", \"\\ufffd\"]\n[0.000000, \"x\", \"3\"]\n")
      << "it is the last";
  EXPECT_EQ(three.finish(), "");
}

}  // namespace
}  // namespace bastion::ctl
