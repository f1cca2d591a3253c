#include "daemon/recorder/store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
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

TEST_F(StoreTest, AClockThatIsSetAheadMakesNothingOld) {
  constexpr WallTime kThen = 1'580'600'000 + 1000;  // when what is here was recorded
  constexpr WallTime kYear = 365 * 86'400;
  const std::string kept = add('a');
  std::atomic<WallTime> wall = kThen;
  const auto note_of = [](Store& store, std::string_view words) {
    for (int i = 0; i < 1000; ++i) {
      for (const Store::Note& note : store.take_notes()) {
        if (note.text.find(words) != std::string::npos) {
          return true;
        }
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  };
  Store store(UniqueFd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), ::syncfs,
              [&wall] { return wall.load(); });
  store.start_threads();
  for (int i = 0; i < 1000 && store.bytes() == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // it has looked once
  }
  wall = kThen + kYear;
  store.set_retention(7200, 0);  // and looks again
  EXPECT_TRUE(note_of(store, "the clock was set ahead"));
  // What is too much goes all the same: whatever was found too old was found before it.
  store.set_retention(7200, 1);
  const std::vector<Expired> found = expired(store, 1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].session, kept);
  EXPECT_EQ(found[0].why, "size");
}

TEST_F(StoreTest, ASuccessorDoubtsTheClockAsTheOneBeforeItDid) {
  constexpr WallTime kThen = 1'580'600'000 + 1000;
  const std::string old = add('a');
  std::atomic<WallTime> wall = kThen;
  ClockDoubt doubt;
  std::optional<Store> store;
  const auto start = [&] {
    store.emplace(UniqueFd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), ::syncfs,
                  [&wall] { return wall.load(); });
    store->keep_doubt_in(doubt);
    store->set_retention(600, 1);
    store->start_threads();
  };
  start();
  ASSERT_EQ(expired(*store, 1).size(), 1U);
  wall = kThen + 365 * 86'400;
  for (int i = 0; i < 2; ++i) {  // the second finds the clock as the first has left it
    start();
    const std::vector<Expired> found = expired(*store, 1);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].why, "size") << i;
  }
  wall = kThen;
  start();
  const std::vector<Expired> found = expired(*store, 1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].session, old);
  EXPECT_EQ(found[0].why, "age");
}

TEST(ClockDoubt, EndsWithTheDayOrWhereTheClockIsSetRight) {
  constexpr WallTime kThen = 1'580'600'000;
  constexpr WallTime kYear = 365 * 86'400;
  const auto at = [](std::int64_t seconds) { return MonoTime{seconds * kNsPerSecond}; };
  ClockDoubt doubt;
  EXPECT_FALSE(doubt.look(kThen, at(0)));
  EXPECT_TRUE(doubt.believed(at(0)));
  EXPECT_FALSE(doubt.look(kThen + 3600 + 30, at(30))) << "an hour is nothing";
  EXPECT_FALSE(doubt.look(kThen + 60, at(60)));
  EXPECT_EQ(doubt.look(kThen + 90 + kYear, at(90)), kYear);
  EXPECT_FALSE(doubt.believed(at(90)));
  EXPECT_FALSE(doubt.look(kThen + 120 + kYear - 7200, at(120)));
  EXPECT_FALSE(doubt.believed(at(120))) << "less wrong is not right";
  EXPECT_EQ(doubt.look(kThen + 150 + kYear, at(150)), 7200);
  EXPECT_FALSE(doubt.look(kThen + 180 + 1800, at(180)));
  EXPECT_TRUE(doubt.believed(at(180))) << "it was set right";
  EXPECT_EQ(doubt.look(kThen + 210 + kYear, at(210)), kYear - 1800);
  constexpr std::int64_t kOneDay = 86'400;
  EXPECT_FALSE(doubt.look(kThen + 209 + kOneDay + kYear, at(209 + kOneDay)));
  EXPECT_FALSE(doubt.believed(at(209 + kOneDay)));
  EXPECT_TRUE(doubt.believed(at(210 + kOneDay))) << "nobody has set it back for a day";
  EXPECT_FALSE(doubt.look(kThen + 211 + kOneDay + kYear, at(211 + kOneDay)));
  EXPECT_TRUE(doubt.believed(at(211 + kOneDay)));
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

/// held has the store's thread hold or release, and gives its answer.
ipc::RecordingHeld held(Store& store, ipc::HoldStep step, bool hold, const std::string& id) {
  store.ask_hold(7, {step, hold, id, "uid 0", "incident \"4711\"", 1'764'000'000'000'000});
  for (int i = 0; i < 1000; ++i) {
    for (const Store::Held& done : store.take_held()) {
      EXPECT_EQ(done.request, 7U);
      return done.answer;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ADD_FAILURE() << "no answer";
  return {};
}

TEST_F(StoreTest, WhatIsHeldByRequestStaysUntilItIsReleased) {
  using enum ipc::HoldStep;
  const std::string kept = add('a');
  const std::string old = add('z');
  const fs::path file = folder / kDay / (kept + ".hold");
  {
    Store store(UniqueFd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)));
    store.start_threads();
    EXPECT_EQ(held(store, kFind, false, "aa").why, "it is not held");
    const auto found = held(store, kFind, true, "aa");
    EXPECT_EQ(found.why, "");
    EXPECT_EQ(found.session, kept);
    EXPECT_FALSE(fs::exists(file)) << "nothing is done before it is on record";
    EXPECT_EQ(held(store, kDo, true, kept).why, "");
    std::ifstream in(file);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}),
              R"({"by":"uid 0","reason":"incident \"4711\"","time_us":1764000000000000})"
              "\n");
    EXPECT_EQ(held(store, kFind, true, kept).why, "it is held already");
    EXPECT_EQ(held(store, kDo, true, kept).why, "") << "asked again by a warden";
  }
  tidy_until_gone(old);
  EXPECT_TRUE(has(kept));
  Store store(UniqueFd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)));
  store.start_threads();
  EXPECT_EQ(held(store, kFind, false, kept).why, "");
  EXPECT_TRUE(fs::exists(file));
  EXPECT_EQ(held(store, kDo, false, kept).why, "");
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(held(store, kDo, false, kept).why, "") << "likewise";
}

TEST_F(StoreTest, OneRecordingIsHeldAndNothingElse) {
  using enum ipc::HoldStep;
  add('a');
  const fs::path second = folder / kDay / ("ab" + std::string(24, 'c') + ".rec");
  std::ofstream(second) << "recorded";
  Store store(UniqueFd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)));
  store.start_threads();
  for (const ipc::HoldStep step : {kFind, kDo}) {
    EXPECT_EQ(held(store, step, true, "a").why, "several recordings begin with a");
    EXPECT_EQ(held(store, step, true, "b").why, "no recording begins with b");
    for (const char* name : {"", "../x", "/", "A", "a*", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
      EXPECT_EQ(held(store, step, true, name).why, "an id has small letters and digits only");
    }
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / kDay), fs::directory_iterator()), 2);
  EXPECT_EQ(held(store, kDo, true, "ab").why, "");
  EXPECT_TRUE(fs::exists(second.parent_path() / (second.stem().string() + ".hold")));
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
