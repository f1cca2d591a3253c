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
