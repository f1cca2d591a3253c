#include <gtest/gtest.h>

#include <string>

#include "daemon/worker/echo_filter.h"

namespace bastion::daemon {
namespace {

/// Terminal collects what a filter shows.
struct Terminal {
  EchoFilter filter;
  std::string shown;
  std::uint64_t hidden = 0;

  void note(const EchoFilter::Shown& part) {
    shown += part.text;
    hidden += part.num_hidden;
  }
  Terminal& types(std::string_view text) {
    note(filter.typed(as_bytes(text)));
    return *this;
  }
  Terminal& prints(std::string_view text) {
    note(filter.output(as_bytes(text)));
    return *this;
  }
  Terminal& ends() {
    note(filter.finish());
    return *this;
  }
};

TEST(EchoFilter, ShowsWhatIsEchoedLetterByLetter) {
  Terminal terminal;
  for (const char c : std::string("ls -l")) {
    terminal.types({&c, 1}).prints({&c, 1});
  }
  terminal.types("\r").prints("\r\ntotal 0\r\n").ends();
  EXPECT_EQ(terminal.shown, "ls -l\r");
  EXPECT_EQ(terminal.hidden, 0u);
}

TEST(EchoFilter, CountsAPasswordAndForgetsIt) {
  Terminal terminal;
  terminal.types("hunter2").types("\r").prints("\r\nhello unter2\r\n").ends();
  EXPECT_EQ(terminal.shown, "\r");
  EXPECT_EQ(terminal.hidden, 7u);
}

TEST(EchoFilter, APasswordTypedLetterByLetterShowsNoneOfThem) {
  Terminal terminal;
  for (const char c : std::string("secret\r")) {
    terminal.types({&c, 1});
  }
  terminal.prints("\r\n").prints("secrets of the house\r\n").ends();
  EXPECT_EQ(terminal.shown, "\r");
  EXPECT_EQ(terminal.hidden, 6u);
}

TEST(EchoFilter, AnAnswerThatBeginsAsThePasswordDoesShowsNothingOfIt) {
  Terminal terminal;
  terminal.types("hunter2\r").prints("hidden\r\n").ends();
  EXPECT_EQ(terminal.shown, "\r");
  EXPECT_EQ(terminal.hidden, 7u);
}

TEST(EchoFilter, ALineThatWasOverBeforeItsEchoIsShownWhole) {
  Terminal terminal;
  terminal.types("ls\rpwd\r").prints("ls\r\npwd\r\n").ends();
  EXPECT_EQ(terminal.shown, "ls\rpwd\r");
  EXPECT_EQ(terminal.hidden, 0u);
}

TEST(EchoFilter, StarsAreNoEcho) {
  Terminal terminal;
  for (const char c : std::string("abc")) {
    terminal.types({&c, 1}).prints("*");
  }
  terminal.types("\r").prints("\r\n").ends();
  EXPECT_EQ(terminal.shown, "\r");
  EXPECT_EQ(terminal.hidden, 3u);
}

TEST(EchoFilter, APasteIsEchoedInPieces) {
  Terminal terminal;
  terminal.types("echo one two").prints("echo").prints(" one").prints(" two");
  EXPECT_EQ(terminal.shown, "echo one two");
}

TEST(EchoFilter, CursorSequencesAroundAnEchoAreNothing) {
  Terminal terminal;
  terminal.types("l").prints("\x1b[1ml\x1b[0m").types("s").prints("\b\x1b[32mls");
  EXPECT_EQ(terminal.shown.front(), 'l');
  terminal.types("\x1b[A").ends();
  EXPECT_NE(terminal.shown.find('\x1b'), std::string::npos) << "a cursor key is no secret";
}

TEST(EchoFilter, AnEditorThatEchoesNothingLeavesNoRemains) {
  Terminal terminal;
  terminal.types("j").prints("\x1b[2;1H").prints("second line").types("j").prints("third");
  terminal.types(":q\r").prints(":q\r\n$ ").types("x").prints("x").ends();
  EXPECT_EQ(terminal.shown, ":q\rx");
  EXPECT_EQ(terminal.hidden, 2u);
}

TEST(EchoFilter, CtrlCEndsALineThatWasTypedUnseen) {
  Terminal terminal;
  terminal.types("pass\x03").prints("^C\r\n$ ").types("l").prints("l").ends();
  EXPECT_EQ(terminal.shown, "\x03l");
  EXPECT_EQ(terminal.hidden, 4u);
}

TEST(EchoFilter, HoldsNoMoreThanALine) {
  Terminal terminal;
  terminal.types(std::string(3 * EchoFilter::kWaitingMax, 'x'));
  EXPECT_EQ(terminal.hidden, 2 * EchoFilter::kWaitingMax);
  terminal.ends();
  EXPECT_EQ(terminal.hidden, 3 * EchoFilter::kWaitingMax);
  EXPECT_EQ(terminal.shown, "");
}

TEST(EchoFilter, WhatIsNeverAnsweredIsCountedAtTheEnd) {
  Terminal terminal;
  terminal.types("abc").ends();
  EXPECT_EQ(terminal.hidden, 3u);
}

}  // namespace
}  // namespace bastion::daemon
