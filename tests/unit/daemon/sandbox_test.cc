#include "daemon/sandbox/sandbox.h"

#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string>

namespace bastion::daemon::sandbox {
namespace {

/// rows maps what was tried to the line with its results.
std::map<std::string, std::string> rows(const std::string& table) {
  std::map<std::string, std::string> out;
  std::istringstream in(table);
  for (std::string line; std::getline(in, line);) {
    if (line.size() > 30) {
      std::string what = line.substr(0, 30);
      what.erase(what.find_last_not_of(' ') + 1);
      out[what] = line.substr(30);
    }
  }
  return out;
}

TEST(Sandbox, RefusesEverythingThatItMust) {
  std::string table;
  EXPECT_TRUE(self_test(table)) << table;
}

TEST(Sandbox, TheAttemptsAreRealOnes) {
  std::string table;
  EXPECT_FALSE(self_test(table, false));
  const auto tried = rows(table);
  for (const char* what :
       {"open a file", "open another folder", "execve", "fork", "socket() for TCP",
        "socket() of Unix", "connect to AF_UNSPEC", "MSG_FASTOPEN by sendto",
        "send on a peer's socket", "close a channel's number", "dup to a channel's number",
        "io_uring_setup", "mmap executable", "be dumpable again", "kill the supervisor"}) {
    ASSERT_TRUE(tried.contains(what)) << table;
    EXPECT_TRUE(tried.at(what).starts_with("! works")) << what << ": " << tried.at(what);
  }
}

}  // namespace
}  // namespace bastion::daemon::sandbox
