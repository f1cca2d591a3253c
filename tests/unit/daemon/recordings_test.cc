#include "daemon/recorder/recordings.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/recording/reader.h"
#include "tests/support/program.h"

namespace bastion::daemon::recorder {
namespace {

const std::string kSession(26, 'a');
constexpr std::uint64_t kStartUs = 1'764'000'000'000'000;  // 2025-11-24
constexpr std::uint32_t kSlot = 1;
constexpr std::uint64_t kNumber = 3;

/// Disk is one whose syncs take as long, and end, as the test says.
class Disk {
 public:
  int sync() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    most_ = std::max(most_, waiting_);
    changed_.notify_all();
    changed_.wait(lock, [this] { return !held_; });
    --waiting_;
    errno = once_ != 0 ? std::exchange(once_, 0) : error_;
    return errno == 0 ? 0 : -1;
  }
  /// hold has the next sync wait; wait_for_sync is for one to have begun.
  void hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  bool wait_for_sync() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20),
                             [this] { return waiting_ > 0 && held_; });
  }
  /// wait_for_two gives up soon: one is awaited in vain.
  bool wait_for_two() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(300), [this] { return waiting_ > 1; });
  }
  /// fail_once ends it and all that come, one of them with this errno.
  void fail_once(int error) {
    const std::lock_guard lock(mutex_);
    held_ = false;
    once_ = error;
    changed_.notify_all();
  }
  /// most is how many syncs there were at a time.
  int most() {
    const std::lock_guard lock(mutex_);
    return most_;
  }
  /// release ends it, and all that come: with this errno, or 0.
  void release(int error) {
    const std::lock_guard lock(mutex_);
    held_ = false;
    error_ = error;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  int waiting_ = 0;
  int most_ = 0;
  int error_ = 0;
  int once_ = 0;
};

/// Recorder is the part of one that keeps recordings, over a table and a ring that outlive it.
struct Recorder {
  Recorder(const std::filesystem::path& folder, UniqueFd& table_memory, Disk& disk)
      : store(UniqueFd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)),
              [&disk](int) { return disk.sync(); }) {
    EXPECT_TRUE(store.lock(0));
    EXPECT_TRUE(table.map(table_memory.get()));
    store.start_threads();
  }

  /// settle_until goes on as the recorder's loop does.
  bool settle_until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done() && std::chrono::steady_clock::now() < deadline) {
      recordings.settle(mono_now());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return done();
  }
  void answer_signatures() {
    for (const std::uint32_t request : std::exchange(asked, {})) {
      recordings.signed_head(request, {});
    }
  }

  Log log{"test", LogLevel::kError};
  Store store;
  Table table;
  std::vector<std::uint32_t> asked;  // for signatures
  std::vector<ipc::RecordingFailed> failed;
  std::vector<ipc::RecordingSealed> sealed;
  Recordings recordings{
      store, table, log,
      Recordings::Outward{
          .opened = [](const ipc::RecordingOpened&) {},
          .failed = [this](const ipc::RecordingFailed& message) { failed.push_back(message); },
          .sealed = [this](const ipc::RecordingSealed& message) { sealed.push_back(message); },
          .sign =
              [this](std::uint32_t request, const ipc::SignHead&) {
                asked.push_back(request);
                return true;
              },
          .removed = [](const std::string&, const std::string&) {}}};
};

class RecordingsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto memory = make_table_memory();
    ASSERT_TRUE(memory);
    table_memory = std::move(*memory);
    start();
  }
  void TearDown() override {
    disk.release(0);
    recorder.reset();
  }
  /// start is of a recorder; where there is one it dies.
  void start() {
    recorder.reset();
    recorder = std::make_unique<Recorder>(dir.path(), table_memory, disk);
  }
  void open(const std::string& session = kSession, std::uint32_t slot = kSlot,
            std::uint64_t number = kNumber) {
    ipc::OpenRecording message;
    message.session_number = number;
    message.slot = slot;
    message.session = session;
    message.start_us = kStartUs;
    recorder->recordings.open(message, port);
  }
  void record(std::string_view text) { ASSERT_TRUE(take(text)); }
  Status take(std::string_view text, std::uint32_t slot = kSlot, std::uint64_t number = kNumber) {
    const ByteView piece = as_bytes(text);
    EXPECT_TRUE(producer.put({.kind = static_cast<std::uint8_t>(recording::EntryKind::kStdout),
                              .slot = slot,
                              .channel = 0,
                              .time_us = kStartUs,
                              .session = number},
                             std::span(&piece, 1)));
    const auto frame = consumer.frame(consumer.tail(), *consumer.head());
    const Status taken = recorder->recordings.take(port.generation, frame.value());
    recorder->recordings.flush();
    consumer.pass(frame->end);
    return taken;
  }
  /// write_end_that_waits leaves a recording's end in the file, and its sync held.
  void write_end_that_waits() {
    open();
    record("echo");
    close();
    disk.hold();
    ASSERT_TRUE(recorder->settle_until([&] { return read().end.has_value(); }));
  }
  /// expect_sealed_as waits for the one recording's signature.
  void expect_sealed_as(std::string_view state) {
    ASSERT_TRUE(recorder->settle_until([&] { return !recorder->asked.empty(); }));
    recorder->answer_signatures();
    ASSERT_EQ(recorder->sealed.size(), 1U);
    EXPECT_EQ(recorder->sealed[0].state, state);
  }
  void close() { recorder->recordings.close({kSession, true, "the user left"}); }

  struct Found {
    std::string text;
    std::optional<recording::End> end;
    std::optional<recording::Problem> problem;
  };
  /// read gives what is in the file.
  Found read(const std::string& session = kSession) const {
    const Bytes file = dir.read("2025-11-24/" + session + ".rec");
    recording::Decompressor decompressor;
    recording::RecordingReader reader(decompressor, {});
    reader.feed(file);
    Found found;
    while (true) {
      auto item = reader.next();
      if (const auto* entry = std::get_if<recording::Entry>(&item)) {
        found.text += as_text(entry->bytes);
      } else if (const auto* end = std::get_if<recording::End>(&item)) {
        found.end = *end;
      } else if (const auto* problem = std::get_if<recording::Problem>(&item)) {
        found.problem = *problem;
        return found;
      } else if (std::holds_alternative<recording::RecordingReader::NeedBytes>(item)) {
        return found;
      }
    }
  }

  const test::TempDir dir;
  Disk disk;
  UniqueFd table_memory;
  UniqueFd ring_memory = *record::make_memory();
  record::Producer producer{*record::Mapping::map(ring_memory.get())};
  record::Consumer consumer{*record::Mapping::map(ring_memory.get())};
  RingPort port{1, &consumer};
  std::unique_ptr<Recorder> recorder;
};

TEST_F(RecordingsTest, AnEndIsSignedWhenTheDiskHasIt) {
  disk.hold();
  open();
  record("echo");
  ASSERT_TRUE(disk.wait_for_sync());
  close();
  recorder->recordings.settle(mono_now());
  ASSERT_TRUE(read().end) << "it is in the file";
  EXPECT_TRUE(recorder->recordings.ring_in_use(port.generation)) << "a successor needs its place";
  disk.release(0);
  ASSERT_TRUE(recorder->settle_until([&] { return !recorder->asked.empty(); }));
  EXPECT_GT(recorder->store.kept_sync(), 1U) << "the one under way had begun before it";
  EXPECT_FALSE(recorder->recordings.ring_in_use(port.generation));
  recorder->answer_signatures();
  ASSERT_EQ(recorder->sealed.size(), 1U);
  EXPECT_EQ(recorder->sealed[0].state, "complete");
  EXPECT_EQ(read().end->state, recording::EndState::kComplete);
}

TEST_F(RecordingsTest, AnEndHasTheTimeThatItsEntriesHave) {
  constexpr std::uint64_t kMinuteUs = 60'000'000;
  open();
  record("echo");
  // The clock was set ahead by an hour since.
  recorder->table[0].clock_ahead_us -= 60 * std::int64_t{kMinuteUs};
  start();
  recorder->recordings.recover({port});
  close();
  ASSERT_TRUE(recorder->settle_until([&] { return read().end.has_value(); }));
  const auto now_us = static_cast<std::uint64_t>(wall_now()) * 1'000'000;
  EXPECT_GT(read().end->end_us, now_us - 61 * kMinuteUs);
  EXPECT_LT(read().end->end_us, now_us - 59 * kMinuteUs);
}

TEST_F(RecordingsTest, AnEndThatTheDiskDidNotKeepIsNoneOfACompleteRecording) {
  write_end_that_waits();
  ASSERT_TRUE(disk.wait_for_sync());
  EXPECT_TRUE(recorder->asked.empty());
  disk.release(ENOSPC);
  ASSERT_TRUE(recorder->settle_until([&] { return !recorder->failed.empty(); }));
  EXPECT_EQ(recorder->failed[0].why, "no space left on the disk");
  disk.release(0);
  expect_sealed_as("failed");
  EXPECT_EQ(recorder->sealed[0].reason, "no space left on the disk");
  const Found found = read();
  EXPECT_EQ(found.text, "echo");
  EXPECT_FALSE(found.problem) << "nothing of the first end is left";
  ASSERT_TRUE(found.end);
  EXPECT_EQ(found.end->state, recording::EndState::kFailed);
}

TEST_F(RecordingsTest, OneWhoseFileIsRemovedWhileItsEndWaitsIsNotComplete) {
  write_end_that_waits();
  ASSERT_TRUE(disk.wait_for_sync());
  std::filesystem::remove(dir.path() / "2025-11-24" / (kSession + ".rec"));
  ASSERT_TRUE(recorder->settle_until([&] { return !recorder->failed.empty(); }));
  EXPECT_EQ(recorder->failed[0].why, "the file was removed");
  disk.release(0);
  expect_sealed_as("failed");
}

TEST_F(RecordingsTest, ASuccessorMakesAnEndAnewThatWasNotKnownToBeKept) {
  write_end_that_waits();
  disk.release(0);
  start();
  recorder->recordings.recover({port});
  EXPECT_FALSE(read().end);
  close();  // the warden tells it again
  recorder->recordings.resync();
  expect_sealed_as("complete");
  EXPECT_EQ(read().text, "echo");
}

TEST_F(RecordingsTest, ASuccessorOnAFullDiskHasWhatThatHadPromised) {
  write_end_that_waits();
  disk.release(0);
  start();
  recorder->recordings.set_reserve(std::uint64_t{1} << 62);
  recorder->recordings.recover({port});
  ASSERT_FALSE(read().end);
  EXPECT_TRUE(recorder->failed.empty());
  close();
  expect_sealed_as("complete");
}

TEST_F(RecordingsTest, WhereTheLastSyncFailsTheNextRecorderFindsNoEnd) {
  disk.hold();
  open();
  record("echo");
  ASSERT_TRUE(disk.wait_for_sync());
  close();
  recorder->recordings.settle(mono_now());
  ASSERT_TRUE(read().end);
  disk.release(EIO);
  recorder->recordings.end_all("the bastion ended");
  EXPECT_FALSE(read().end);
  EXPECT_EQ(read().text, "echo");
  disk.release(0);
  recorder.reset();
  table_memory = *make_table_memory();
  start();
  recorder->recordings.sweep();
  expect_sealed_as("interrupted");
  EXPECT_GE(read().end->end_us, kStartUs) << "the time of what is the last in it";
  EXPECT_LT(read().end->end_us, kStartUs + 60'000'000);
}

TEST_F(RecordingsTest, AFailureThatOneSyncHearsOfIsThatOfTheLastEnds) {
  write_end_that_waits();
  ASSERT_TRUE(disk.wait_for_sync());
  std::thread kernel([&] {
    (void)disk.wait_for_two();
    disk.fail_once(EIO);
  });
  recorder->recordings.end_all("the bastion ended");
  kernel.join();
  EXPECT_EQ(disk.most(), 1);
  const Found found = read();
  ASSERT_TRUE(found.end);
  EXPECT_EQ(found.end->state, recording::EndState::kFailed);
}

TEST_F(RecordingsTest, AnEndThatAnotherServiceLeftIsSignedWhenTheDiskHasIt) {
  open();
  record("echo");
  close();
  recorder->recordings.settle(mono_now());
  recorder->recordings.end_all("the bastion ended");
  ASSERT_TRUE(read().end);
  recorder.reset();
  table_memory = *make_table_memory();
  disk.hold();
  start();
  recorder->recordings.sweep();
  ASSERT_TRUE(disk.wait_for_sync());
  recorder->recordings.settle(mono_now());
  EXPECT_TRUE(recorder->asked.empty());
  disk.release(EIO);
  ASSERT_TRUE(recorder->settle_until([&] { return !recorder->failed.empty(); }));
  disk.release(0);
  expect_sealed_as("failed");
  const Found found = read();
  EXPECT_EQ(found.text, "echo");
  EXPECT_FALSE(found.problem);
}

TEST_F(RecordingsTest, NothingIsTakenFromAWorkerFarBeyondItsCredit) {
  open();
  const std::string other(26, 'b');
  open(other, kSlot + 1, kNumber + 1);
  const std::string kept(60'000, 'x');
  std::uint64_t taken = 0;
  // As if the disk were full: no credit is added.
  recorder->recordings.set_reserve(std::uint64_t{1} << 62);
  Status last;
  for (int i = 0; last && i < 1000; ++i) {
    last = take(kept);
    taken += last ? kept.size() : 0;
  }
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code, ErrorCode::kLimit);
  EXPECT_GT(taken, std::uint64_t{1} << 20) << "the end of a session has its room";
  EXPECT_LT(taken, std::uint64_t{4} << 20);
  EXPECT_FALSE(take("x")) << "what fits again is not what came next";
  EXPECT_TRUE(take("echo", kSlot + 1, kNumber + 1)) << "it is not to blame";
  EXPECT_EQ(read().text.size(), taken);
  EXPECT_EQ(read(other).text, "echo");
  recorder->recordings.ring_retired(port.generation);
  ASSERT_TRUE(recorder->settle_until([&] { return recorder->asked.size() == 2; }));
  recorder->answer_signatures();
  ASSERT_EQ(recorder->sealed.size(), 2U);
  EXPECT_NE(recorder->sealed[0].state, "complete");
  EXPECT_NE(recorder->sealed[1].state, "complete");
  EXPECT_EQ(read().text.size(), taken);
}

}  // namespace
}  // namespace bastion::daemon::recorder
