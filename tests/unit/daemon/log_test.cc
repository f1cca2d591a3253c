#include "daemon/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "daemon/unique_fd.h"

namespace bastion::daemon {
namespace {

/// StderrTo sends descriptor 2 elsewhere for as long as it lives.
class StderrTo {
 public:
  explicit StderrTo(int fd) : saved_(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10)) {
    dup2(fd, STDERR_FILENO);
  }
  ~StderrTo() { dup2(saved_.get(), STDERR_FILENO); }
  StderrTo(const StderrTo&) = delete;
  StderrTo& operator=(const StderrTo&) = delete;

 private:
  UniqueFd saved_;
};

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

TEST(FormatLine, QuotesValuesThatNeedIt) {
  EXPECT_EQ(format_line("session began", {{"user", "alice"}, {"port", 22}, {"recorded", true}}),
            "session began user=alice port=22 recorded=yes");
  EXPECT_EQ(format_line("x", {{"a", "two words"}, {"b", ""}, {"c", "say \"hi\""}}),
            "x a=\"two words\" b=\"\" c=\"say \\\"hi\\\"\"");
}

TEST(FormatLine, CannotBeSplitOrForgedByAPeer) {
  EXPECT_EQ(format_line("login refused", {{"name", "x\nsession began user=root\x1b[2J"}}),
            "login refused name=\"x\\x0asession began user=root\\x1b[2J\"");
}

TEST(Describe, NamesTheErrno) {
  EXPECT_EQ(describe({ErrorCode::kIo, "cannot open it", ENOENT}),
            "cannot open it: No such file or directory");
  EXPECT_EQ(describe({ErrorCode::kLimit, "too long", 70000}), "too long (70000)");
}

TEST(Log, WritesOneLineAnEvent) {
  int pair[2];
  ASSERT_EQ(pipe2(pair, O_CLOEXEC), 0);
  const UniqueFd reader(pair[0]);
  const UniqueFd writer(pair[1]);
  Log log("gate 2", LogLevel::kInfo);
  {
    const StderrTo redirect(writer.get());
    log.debug("not this one");
    log.warning("that one", {{"n", 1}});
  }
  char buffer[512];
  const ssize_t n = read(reader.get(), buffer, sizeof buffer);
  const std::string line(buffer, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  EXPECT_NE(line.find("Z warning gate 2: that one n=1\n"), std::string::npos) << line;
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

TEST(Log, NeverWaitsForAReader) {
  int pair[2];
  ASSERT_EQ(pipe2(pair, O_CLOEXEC), 0);
  const UniqueFd reader(pair[0]);
  const UniqueFd writer(pair[1]);
  Log log("worker 1", LogLevel::kInfo);
  const std::string filler(900, 'x');
  std::string all;
  {
    const StderrTo redirect(writer.get());
    for (int i = 0; i < 1000; ++i) {  // ten times what a pipe holds: waiting would hang here
      log.info("event", {{"filler", filler}});
    }
    char buffer[65536];
    ASSERT_GT(read(reader.get(), buffer, sizeof buffer), 0);
    log.info("after");
  }
  fcntl(reader.get(), F_SETFL, O_NONBLOCK);
  char buffer[65536];
  for (ssize_t n; (n = read(reader.get(), buffer, sizeof buffer)) > 0;) {
    all.append(buffer, static_cast<std::size_t>(n));
  }
  EXPECT_NE(all.find("lines were lost"), std::string::npos);
  EXPECT_NE(all.find("worker 1: after\n"), std::string::npos);
}

}  // namespace
}  // namespace bastion::daemon
