#include "daemon/recorder/store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace bastion::daemon::recorder {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDay = "2020-02-02";

/// Each test has a folder of recordings, all of them of the year 2020.
class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "bastiond-store-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder = name;
    fs::create_directory(folder / kDay);
    fs::create_directory(folder / "open");
  }
  void TearDown() override { fs::remove_all(folder); }

  /// add makes a recording's file; gives its session.
  std::string add(char letter) const {
    const std::string session(26, letter);
    const fs::path path = folder / kDay / (session + ".rec");
    std::ofstream(path) << "recorded";
    const timespec old{1'580'600'000 + letter,
                       0};  // in the order of letters, as they are looked at
    const timespec times[] = {old, old};
    EXPECT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    return session;
  }
  bool has(const std::string& session) const {
    return fs::exists(folder / kDay / (session + ".rec"));
  }
  /// tidy runs the store's own thread until it has removed what `session` is.
  void tidy_until_gone(const std::string& session) const {
    Store store(UniqueFd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)));
    store.set_retention(3600, 0);
    store.start_threads();
    for (int i = 0; i < 1000 && has(session); ++i) {
      for (Expired& expired : store.take_expired()) {
        store.remove_expired(std::move(expired));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  /// expired waits until the store has found as much.
  static std::vector<Expired> expired(Store& store, std::size_t count) {
    std::vector<Expired> out;
    for (int i = 0; i < 1000 && out.size() < count; ++i) {
      std::ranges::move(store.take_expired(), std::back_inserter(out));
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return out;
  }

  fs::path folder;
};

TEST_F(StoreTest, WhatIsOldGoesUnlessItIsOpenOrHeld) {
  const std::string held = add('a');
  std::ofstream(folder / kDay / (held + ".hold")) << "";
  const std::string open = add('b');
  std::ofstream(folder / "open" / (std::string(kDay) + "." + open)) << "";
  const std::string old = add('z');
  tidy_until_gone(old);
  EXPECT_FALSE(has(old));
  EXPECT_TRUE(has(held));
  EXPECT_TRUE(has(open));
}

TEST_F(StoreTest, WhatCannotBeToldToBeClosedStays) {
  // A mark that cannot be opened is one: here a link, which is never followed.
  const std::string unclear = add('a');
  fs::create_symlink("elsewhere", folder / "open" / (std::string(kDay) + "." + unclear));
  const std::string old = add('z');
  tidy_until_gone(old);
  EXPECT_FALSE(has(old));
  EXPECT_TRUE(has(unclear));
}

TEST_F(StoreTest, NothingGoesThatIsNotPutOnRecordFirst) {
  const std::string old = add('a');
  const std::string held_meanwhile = add('b');
  const std::string last = add('z');
  Store store(UniqueFd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)));
  store.set_retention(3600, 0);
  store.start_threads();
  std::vector<Expired> found = expired(store, 3);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].day, kDay);
  EXPECT_EQ(found[0].session, old);
  EXPECT_EQ(found[0].why, "age");
  store.set_retention(3601, 0);  // it looks again, and gives nothing twice
  std::ofstream(folder / kDay / (held_meanwhile + ".hold")) << "";
  store.remove_expired(found[1]);
  store.remove_expired(found[2]);  // in their order
  for (int i = 0; i < 1000 && has(last); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(has(last));
  EXPECT_TRUE(has(held_meanwhile));
  EXPECT_TRUE(has(old)) << "nobody has put it on record";
  EXPECT_TRUE(store.take_expired().empty());
}

TEST_F(StoreTest, sec_081_LinksLeadNowhere) {
  const fs::path outside = folder / "outside";
  fs::create_directory(outside);
  std::ofstream(outside / (std::string(26, 'c') + ".rec")) << "another's";
  fs::create_directory_symlink(outside, folder / "2020-03-03");
  const std::string old = add('z');
  fs::create_symlink(outside / (std::string(26, 'c') + ".rec"),
                     folder / kDay / (std::string(26, 'd') + ".rec"));
  Store store(UniqueFd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)));
  EXPECT_FALSE(store.open("2020-03-03", std::string(26, 'c')));
  EXPECT_FALSE(store.create("2020-03-03", std::string(26, 'e')));
  EXPECT_FALSE(store.open(kDay, std::string(26, 'd')));
  EXPECT_TRUE(store.open(kDay, old));
  const std::vector<std::string> names = {"../x",
                                          "..",
                                          "/etc/passwd",
                                          "",
                                          std::string(26, '/'),
                                          std::string(26, 'a') + "/..",
                                          std::string(300, 'a')};
  for (const std::string& name : names) {
    EXPECT_FALSE(store.create(kDay, name)) << name;
    EXPECT_FALSE(store.open(name, old)) << name;
  }
  tidy_until_gone(old);
  EXPECT_TRUE(fs::exists(outside / (std::string(26, 'c') + ".rec")));
  EXPECT_FALSE(fs::exists(outside / (std::string(26, 'e') + ".rec")));
}

}  // namespace
}  // namespace bastion::daemon::recorder
