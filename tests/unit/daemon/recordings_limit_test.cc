#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <span>
#include <string>

#include "base/clock.h"
#include "daemon/record_ring/record_ring.h"
#include "daemon/recorder/recordings.h"
#include "daemon/recording/verify.h"
#include "tests/support/program.h"

/// The largest file that the recorder may make, and what the disk has promised: whatever a session
/// sends, its file is ended within.
namespace bastion::daemon::recorder {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kGeneration = 1;
constexpr std::uint32_t kSlot = 2;
constexpr std::uint64_t kNumber = 3;

class RecordingsLimit : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = std::make_unique<Store>(
        UniqueFd(::open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    ASSERT_TRUE(store_->lock(0));
    ASSERT_TRUE(table_.map(table_memory_->get()));
    store_->start_threads();
    recordings_ = std::make_unique<Recordings>(
        *store_, table_, log_,
        Recordings::Outward{
            .opened = [this](const ipc::RecordingOpened& message) { opened_ = message.recording; },
            .failed = [this](const ipc::RecordingFailed& message) { failed_ = message.why; },
            .sealed = [this](const ipc::RecordingSealed& message) { sealed_ = message.state; },
            .sign =
                [this](std::uint32_t request, const ipc::SignHead&) {
                  request_ = request;
                  return true;
                },
            .removed = [](const std::string&, const std::string&) {}});
  }
  void TearDown() override {
    recordings_.reset();
    store_.reset();
  }

  void open() {
    ipc::OpenRecording message;
    message.session_number = kNumber;
    message.slot = kSlot;
    message.session = session_;
    message.start_us = 1'580'600'000'000'000;
    recordings_->open(message, {kGeneration, &consumer_});
  }
  /// send is one packet's frame, as far as there is credit for it, in a block of its own.
  void send(ByteView payload) {
    const auto total = static_cast<std::uint32_t>(record::frame_bytes(payload.size()));
    if (charged_ + total <= consumer_.granted(kSlot)) {
      charged_ += total;
      position_ += total;
      record::Frame frame{.header = {.total_len = total,
                                     .kind = 7,
                                     .slot = kSlot,
                                     .channel = 0,
                                     .time_us = 1'580'600'000'000'001,
                                     .session = kNumber},
                          .payload = payload,
                          .end = position_};
      recordings_->take(kGeneration, frame);
    }
    recordings_->flush();
    recordings_->settle(mono_now());
  }
  void send_until_it_fails(std::size_t payload_len) {
    std::minstd_rand chance(1);
    std::string payload(payload_len, '\0');
    const MonoTime deadline = after(mono_now(), 60 * kNsPerSecond);
    while (failed_.empty() && mono_now() < deadline) {
      for (char& c : payload) {
        c = static_cast<char>(chance());  // so that it does not shrink
      }
      send(as_bytes(payload));
    }
  }
  /// ended has the session closed and its file signed, and gives the file's size.
  std::uint64_t ended() {
    recordings_->close({session_, true, ""});
    // Its end waits for the disk to have it.
    const MonoTime deadline = after(mono_now(), 20 * kNsPerSecond);
    while (request_ == 0 && mono_now() < deadline) {
      recordings_->settle(mono_now());
      usleep(5'000);
    }
    EXPECT_NE(request_, 0u);
    ipc::HeadSigned signature;
    signature.key = "ssh-ed25519 " + std::string(68, 'A');
    signature.signature = Bytes(83, 1);
    recordings_->signed_head(request_, signature);
    EXPECT_EQ(sealed_, "failed");
    std::ifstream in(folder_.path() / opened_, std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(in), {}};
    recording::Verifier verifier(session_, {});
    verifier.feed(as_bytes(whole));
    const recording::VerifyResult result = verifier.finish();
    EXPECT_TRUE(result.end && result.end->state == recording::EndState::kFailed);
    EXPECT_TRUE(result.signature);
    return whole.size();
  }

  const std::string session_ = std::string(26, 'a');
  const test::TempDir folder_;
  Result<UniqueFd> table_memory_ = make_table_memory();
  Result<UniqueFd> ring_memory_ = record::make_memory();
  record::Consumer consumer_{*record::Mapping::map(ring_memory_->get())};
  Log log_{"recorder", LogLevel::kError};
  std::unique_ptr<Store> store_;
  Table table_;
  std::unique_ptr<Recordings> recordings_;
  std::string opened_, failed_, sealed_;
  std::uint32_t request_ = 0;
  std::uint64_t charged_ = 0;
  std::uint64_t position_ = 0;
};

/// The parameter is how many bytes each frame has, which is a block by itself.
class RecordingsLimitOf : public RecordingsLimit,
                          public ::testing::WithParamInterface<std::size_t> {};

TEST_P(RecordingsLimitOf, AFileIsEndedWithinTheLargestSize) {
  constexpr std::uint64_t kLimit = 1'000'000;
  recordings_->set_file_bytes_max(kLimit);
  open();
  ASSERT_FALSE(opened_.empty()) << failed_;
  send_until_it_fails(GetParam());
  EXPECT_EQ(failed_, "files may be no larger here: raise LimitFSIZE= or ulimit -f");
  EXPECT_EQ(recordings_->trouble(), "") << "others may be recorded";
  const std::uint64_t size = ended();
  EXPECT_LE(size, kLimit);
  EXPECT_GT(size, kLimit / 2) << "most of it is used";
}

TEST_P(RecordingsLimitOf, AFileIsEndedWithinWhatTheDiskHasPromised) {
  // The credit that is granted at first, and the slack.
  constexpr std::uint64_t kPromised = std::uint64_t{128 + 2 + 64} * 1024;
  open();
  ASSERT_FALSE(opened_.empty()) << failed_;
  recordings_->set_reserve(UINT64_MAX / 2);
  send_until_it_fails(GetParam());
  EXPECT_EQ(failed_, "no space left on the disk");
  EXPECT_NE(recordings_->trouble(), "");
  EXPECT_LE(ended(), kPromised + 1024) << "and the header";
}
INSTANTIATE_TEST_SUITE_P(Payloads, RecordingsLimitOf, ::testing::Values(1, 40, 3000, 60'000));

TEST_F(RecordingsLimit, OneThatIsSmallerThanAnyFileLetsNoneBegin) {
  recordings_->set_file_bytes_max(1000);
  open();
  EXPECT_EQ(opened_, "");
  EXPECT_EQ(failed_, "files may be no larger here: raise LimitFSIZE= or ulimit -f");
  EXPECT_FALSE(fs::exists(folder_.path() / "2020-02-01" / (session_ + ".rec")));
}

}  // namespace
}  // namespace bastion::daemon::recorder
