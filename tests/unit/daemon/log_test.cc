#include "daemon/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
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

/// Ends is where a log goes and where it is read: what stderr may be.
struct Ends {
  UniqueFd writer, reader;
};
enum class Kind : std::uint8_t { kPipe, kSocket, kTerminal, kFile };
Ends ends_of(Kind kind) {
  int pair[2] = {-1, -1};
  switch (kind) {
    case Kind::kPipe:
      EXPECT_EQ(pipe2(pair, O_CLOEXEC), 0);
      return {UniqueFd(pair[1]), UniqueFd(pair[0])};
    case Kind::kSocket:
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
      return {UniqueFd(pair[1]), UniqueFd(pair[0])};
    case Kind::kTerminal:
      EXPECT_EQ(openpty(&pair[0], &pair[1], nullptr, nullptr, nullptr), 0);
      return {UniqueFd(pair[1]), UniqueFd(pair[0])};
    case Kind::kFile: {
      UniqueFd file(memfd_create("log", MFD_CLOEXEC));
      // Another description of the same file, so that it is read from its beginning.
      const std::string path = "/proc/self/fd/" + std::to_string(file.get());
      UniqueFd reader(open(path.c_str(), O_RDONLY | O_CLOEXEC));
      return {std::move(file), std::move(reader)};
    }
  }
  return {};
}

std::string read_all(int fd) {
  fcntl(fd, F_SETFL, O_NONBLOCK);
  std::string all;
  char buffer[65536];
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) {
    all.append(buffer, static_cast<std::size_t>(n));
  }
  return all;
}

class LogTo : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Stderr, LogTo,
                         testing::Values(Kind::kPipe, Kind::kSocket, Kind::kTerminal, Kind::kFile));

TEST_P(LogTo, WritesOneLineAnEvent) {
  const Ends ends = ends_of(GetParam());
  Log log("gate 2", LogLevel::kInfo);
  {
    const StderrTo redirect(ends.writer.get());
    log.debug("not this one");
    log.warning("that one", {{"n", 1}});
    log.info("another");
  }
  const std::string text = read_all(ends.reader.get());
  const std::size_t first = text.find("Z warning gate 2: that one n=1");
  EXPECT_NE(first, std::string::npos) << text;
  EXPECT_NE(text.find("Z info gate 2: another", first), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
}

TEST_P(LogTo, sec_090_TakesNothingOfAPeersForAFormat) {
  const std::string hostile = "%n%s%x%99999d{}{0}{:>99999}%";
  const Ends ends = ends_of(GetParam());
  Log log("gate 2", LogLevel::kInfo);
  {
    const StderrTo redirect(ends.writer.get());
    log.info(hostile, {{"name", hostile}});
  }
  const std::string text = read_all(ends.reader.get());
  EXPECT_NE(text.find("Z info gate 2: " + hostile + " name=" + hostile), std::string::npos) << text;
}

class LogToReader : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Stderr, LogToReader,
                         testing::Values(Kind::kPipe, Kind::kSocket, Kind::kTerminal));

TEST_P(LogToReader, IsNeverWaitedFor) {
  const Ends ends = ends_of(GetParam());
  const std::string filler(900, 'x');
  std::string all;
  {
    const StderrTo redirect(ends.writer.get());
    Log log("worker 1", LogLevel::kInfo);
    for (int i = 0; i < 1000; ++i) {  // more than any of them holds: waiting would hang here
      log.info("event", {{"filler", filler}});
    }
    all = read_all(ends.reader.get());
    EXPECT_LT(std::count(all.begin(), all.end(), '\n'), 1000);
    log.info("after");
  }
  all = read_all(ends.reader.get());
  EXPECT_NE(all.find("lines were lost"), std::string::npos);
  EXPECT_NE(all.find("worker 1: after"), std::string::npos);
}

}  // namespace
}  // namespace bastion::daemon
