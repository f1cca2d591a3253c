#include "base/open_below.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

namespace bastion {
namespace {

class OpenBelow : public testing::Test {
 protected:
  OpenBelow() {
    std::string name = testing::TempDir() + "open-below-XXXXXX";
    top_ = mkdtemp(name.data());
    std::filesystem::create_directory(top_ / "in");
    std::filesystem::create_directory(top_ / "in/day");
    std::ofstream(top_ / "outside") << "secret";
    std::ofstream(top_ / "in/day/file") << "kept";
    std::filesystem::create_symlink(top_, top_ / "in/out");
    std::filesystem::create_symlink("../../outside", top_ / "in/day/link");
    folder_ = open((top_ / "in").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  }
  ~OpenBelow() override {
    close(folder_);
    std::filesystem::remove_all(top_);
  }

  /// error is 0 where the path opens, else errno.
  int error(std::string_view path, int flags = O_RDONLY) const {
    errno = 0;
    const int fd = open_below(folder_, path, flags, 0600);
    const int found = fd < 0 ? errno : 0;
    if (fd >= 0) {
      EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
      close(fd);
    }
    return found;
  }

  std::filesystem::path top_;
  int folder_ = -1;
};

TEST_F(OpenBelow, OpensAndMakesWhatIsBelow) {
  EXPECT_EQ(error("day/file"), 0);
  EXPECT_EQ(error("day", O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(error(".", O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(error("day/new", O_CREAT | O_EXCL | O_RDWR), 0);
  struct stat made{};
  ASSERT_EQ(stat((top_ / "in/day/new").c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0600U);
  EXPECT_EQ(error("day/new", O_CREAT | O_EXCL | O_RDWR), EEXIST);
  EXPECT_EQ(error("day/absent"), ENOENT);
  EXPECT_EQ(error("absent/file"), ENOENT);
}

TEST_F(OpenBelow, FollowsNoLinkAndLeavesNotTheFolder) {
  EXPECT_EQ(error("day/link"), ELOOP);
  EXPECT_EQ(error("day/link", O_CREAT | O_RDWR), ELOOP);
  EXPECT_EQ(error("out/outside"), ENOTDIR);
  EXPECT_EQ(error("day/file/more"), ENOTDIR);
  for (const std::string path : {"", "..", "../outside", "day/../../outside", "./day/file",
                                 "/etc/hostname", "day//file", "day/", "day/."}) {
    EXPECT_EQ(error(path), EINVAL) << path;
  }
  EXPECT_EQ(error(std::string_view("day/file\0x", 10)), EINVAL);
}

TEST_F(OpenBelow, LeavesNoDescriptorBehind) {
  const int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(before);
  for (const std::string_view path : {"day/file", "day/absent", "day/../x", "out/outside"}) {
    error(path);
  }
  const int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(after);
  EXPECT_EQ(after, before);
}

}  // namespace
}  // namespace bastion
