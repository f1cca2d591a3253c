#include "daemon/indexer/update.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/unit/recording/recording_support.h"

namespace bastion::index {
namespace {

namespace fs = std::filesystem;
using recording::EntryKind;

class UpdaterTest : public testing::Test {
 protected:
  UpdaterTest() { fs::create_directories(dir_ / "2023-11-14"); }
  ~UpdaterTest() override { fs::remove_all(dir_); }

  static std::string session(char which) {
    std::string name = recording::test::kSession;
    name[3] = which;
    return name;
  }
  fs::path path(char which) { return dir_ / "2023-11-14" / (session(which) + ".rec"); }
  void put(char which, ByteView bytes) {
    std::ofstream(path(which), std::ios::binary) << as_text(bytes);
  }
  /// row updates the index and gives what it says of one.
  Row row(char which) {
    EXPECT_TRUE(updater_.update());
    const auto rows = index_.by_prefix(session(which), 2).value();
    return rows.size() == 1 ? rows.front() : Row();
  }

  fs::path dir_ = [] {
    char name[] = "/tmp/update-test-XXXXXX";
    return fs::path(mkdtemp(name));
  }();
  Files files_ = *Files::open(dir_);
  Index index_ = *Index::open("", Index::Mode::kWrite);
  /// Each look at the clock takes so long.
  std::int64_t look_ns_ = 0;
  MonoTime now_{kNsPerSecond};
  Updater updater_{files_, index_, {}, [this] { return now_ = after(now_, look_ns_); }};
};

TEST_F(UpdaterTest, TakesWhatIsThere) {
  put('a', recording::test::make(recording::test::a_shell(), 3, {}, session('a')).file);
  const Row found = row('a');
  EXPECT_EQ(found.user, "alice");
  EXPECT_EQ(found.what, "shell");
  EXPECT_EQ(found.state, "complete");
  Filter filter;
  filter.screen = "secret.txt";
  EXPECT_EQ(index_.find(filter)->size(), 1U);
}

/// A user chooses the size of their terminal, and may not hide words by it.
TEST_F(UpdaterTest, FindsWordsWhateverTheTerminalsSize) {
  const auto found = [&](char which, recording::Size first, recording::Size then) {
    constexpr std::uint64_t kStart = 1'700'000'000'000'000;
    const std::vector<recording::test::Said> said = {
        {kStart + 10, 1, EntryKind::kChannelOpen, encode(recording::ChannelOpen{"session"})},
        {kStart + 20, 1, EntryKind::kPty, encode(recording::Pty{first, "xterm"})},
        {kStart + 30, 1, EntryKind::kStart,
         encode(recording::Start{recording::StartKind::kShell, ""})},
        {kStart + 40, 1, EntryKind::kStdout, to_bytes("pinnacle of the mountain\r\n")},
        {kStart + 50, 1, EntryKind::kResize, encode(then)},
        {kStart + 60, 1, EntryKind::kStdout, to_bytes("avalanche\r\n")},
        {kStart + 70, 1, EntryKind::kChannelClose, {}},
    };
    put(which, recording::test::make(said, 3, {}, session(which)).file);
    row(which);
    std::size_t hits = 0;
    for (const char* word : {"pinnacle", "avalanche"}) {
      Filter filter;
      filter.screen = word;
      const auto rows = index_.find(filter).value();
      hits += static_cast<std::size_t>(std::ranges::count_if(
          rows, [&](const Found& hit) { return hit.row.session == session(which); }));
    }
    return hits;
  };
  EXPECT_EQ(found('a', {80, 24}, {80, 24}), 2U);
  EXPECT_EQ(found('b', {0, 0}, {0, 0}), 2U) << "a client whose stdin is no terminal";
  EXPECT_EQ(found('c', {80, 24}, {1, 1}), 2U);
  EXPECT_EQ(found('d', {3, 100}, {80, 1}), 2U);
  EXPECT_EQ(found('e', {80, 1}, {2, 2}), 2U);
}

/// A user may make the index work in vain, but not for long, and it says so.
TEST_F(UpdaterTest, WhatWouldTakeTooLongIsCutAndSaid) {
  constexpr std::uint64_t kStart = 1'700'000'000'000'000;
  std::string turns;
  while (turns.size() < 60'000) {
    turns += "\x1b[?1049h\x1b[?1049l";
  }
  std::vector<recording::test::Said> said = {
      {kStart + 10, 1, EntryKind::kChannelOpen, encode(recording::ChannelOpen{"session"})},
      {kStart + 20, 1, EntryKind::kPty, encode(recording::Pty{{500, 200}, "xterm"})},
      {kStart + 30, 1, EntryKind::kStart,
       encode(recording::Start{recording::StartKind::kShell, ""})},
      {kStart + 40, 1, EntryKind::kStdout, to_bytes("pinnacle\r\n")},
      {kStart + 200'000, 1, EntryKind::kStdout, to_bytes(turns)}};
  for (std::uint64_t i = 1; i < 5; ++i) {
    said.push_back({kStart + (200'000 * (i + 1)), 1, EntryKind::kStdout, to_bytes(turns)});
  }
  said.push_back({kStart + 2'000'000, 1, EntryKind::kStdout, to_bytes("avalanche\r\n")});
  put('a', recording::test::make(said, 3, {}, session('a')).file);
  EXPECT_EQ(row('a').what, "shell (only the beginning can be searched)");
  Filter filter;
  filter.screen = "pinnacle";
  EXPECT_EQ(index_.find(filter)->size(), 1U);
  filter.screen = "avalanche";
  EXPECT_EQ(index_.find(filter)->size(), 0U);
}

TEST_F(UpdaterTest, FollowsAFileThatGrowsAndForgetsOneThatIsGone) {
  const auto made = recording::test::make(recording::test::a_shell(), 2, {}, session('a'));
  put('a', ByteView(made.file).first(made.ends[2] + 10));
  EXPECT_EQ(row('a').state, "open");
  std::ofstream(path('a'), std::ios::binary | std::ios::app)
      << as_text(ByteView(made.file).subspan(made.ends[2] + 10));
  EXPECT_EQ(row('a').state, "complete");
  fs::remove(path('a'));
  EXPECT_EQ(row('a').session, "");
}

TEST_F(UpdaterTest, LetsAnOpenFileThatTookLongRestForAWhile) {
  const auto made = recording::test::make(recording::test::a_shell(), 2, {}, session('a'));
  const std::size_t at[] = {made.ends[1] + 10, made.ends[2] + 10, made.file.size()};
  const auto grown = [&](std::size_t to) { put('a', ByteView(made.file).first(to)); };
  grown(at[0]);
  look_ns_ = Updater::kQuickNs;
  EXPECT_EQ(updater_.update()->read, 1U);
  look_ns_ = 0;
  grown(at[1]);
  EXPECT_EQ(updater_.update()->read, 0U);
  EXPECT_EQ(row('a').size, at[0]);
  // A new recording in its folder has that looked into, and not this one read.
  put('b', recording::test::make(recording::test::a_shell(), 3, {}, session('b')).file);
  EXPECT_EQ(updater_.update()->read, 1U);
  EXPECT_EQ(row('a').size, at[0]);
  now_ = after(now_, Updater::kQuickNs * Updater::kRest);
  EXPECT_EQ(row('a').size, at[1]);
  // It took no time then, and so is read at once when it has ended.
  grown(at[2]);
  EXPECT_EQ(row('a').state, "complete");
}

TEST_F(UpdaterTest, LetsNoneRestForMoreThanMinutes) {
  const auto made = recording::test::make(recording::test::a_shell(), 2, {}, session('a'));
  put('a', ByteView(made.file).first(made.ends[2] + 10));
  look_ns_ = 3600 * kNsPerSecond;
  EXPECT_EQ(row('a').state, "open");
  look_ns_ = 0;
  put('a', made.file);
  EXPECT_EQ(row('a').state, "open");
  now_ = after(now_, Updater::kRestNsMax);
  EXPECT_EQ(row('a').state, "complete");
}

TEST_F(UpdaterTest, OfAnEncryptedOneMetadataOnly) {
  const auto recipient = recording::Identity::generate().recipient();
  put('a',
      recording::test::make(recording::test::a_shell(), 2, std::span(&recipient, 1), session('a'))
          .file);
  const Row found = row('a');
  EXPECT_TRUE(found.encrypted);
  EXPECT_EQ(found.what, "");
  EXPECT_EQ(found.end_us, 1'700'000'009'000'000U);
  Filter filter;
  filter.text = "secret";
  EXPECT_TRUE(index_.find(filter)->empty());
}

TEST_F(UpdaterTest, SaysWhatIsDamaged) {
  auto file = recording::test::make(recording::test::a_shell(), 2, {}, session('a')).file;
  file[file.size() / 2] ^= 1;
  put('a', file);
  EXPECT_EQ(row('a').state, "damaged");
  put('b', as_bytes("not a recording"));
  EXPECT_EQ(row('b').state, "damaged");
}

TEST_F(UpdaterTest, FollowsNoLinkAndReadsNoOtherName) {
  const auto made = recording::test::make(recording::test::a_shell(), 2, {}, session('a'));
  const fs::path elsewhere = dir_ / "elsewhere.rec";
  std::ofstream(elsewhere, std::ios::binary) << as_text(made.file);
  fs::create_symlink(elsewhere, path('a'));
  fs::create_directory_symlink(dir_ / "2023-11-14", dir_ / "2023-11-15");
  std::ofstream(dir_ / "2023-11-14" / "short.rec") << "x";
  EXPECT_TRUE(updater_.update());
  EXPECT_EQ(index_.count(), 0U);
}

TEST_F(UpdaterTest, AnUnchangedFileIsNotReadAgain) {
  put('a', recording::test::make(recording::test::a_shell(), 3, {}, session('a')).file);
  EXPECT_EQ(updater_.update()->read, 1U);
  EXPECT_EQ(updater_.update()->read, 0U);
  Updater second(files_, index_, {});
  EXPECT_EQ(second.update()->read, 0U);
}

}  // namespace
}  // namespace bastion::index
