#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "daemon/worker/recording.h"

namespace bastion::daemon {
namespace {

constexpr std::uint32_t kSlot = 3;
constexpr std::uint64_t kPlenty = std::uint64_t{1} << 20;

struct Recorded {
  UniqueFd memory = *record::make_memory();
  record::Producer ring{*record::Mapping::map(memory.get())};
  record::Consumer recorder{*record::Mapping::map(memory.get())};
  static constexpr proto::RecordTerms kAll{.mode = proto::RecordMode::kFull};
  SessionRecording recording{ring, kSlot, 1, proto::RecordPlan{kAll, kAll, kAll, kAll}, ""};

  /// take gives the kinds of all frames that are in the ring, and empties it.
  std::vector<int> take() {
    std::vector<int> kinds;
    while (recorder.tail() < *recorder.head()) {
      const auto frame = recorder.frame(recorder.tail(), *recorder.head());
      kinds.push_back(frame->header.kind);
      recorder.pass(frame->end);
    }
    return kinds;
  }
};

proto::ChannelInfo shell() {
  return {.number = 1,
          .type = proto::ChannelType::kSession,
          .use = proto::ChannelUse::kShell,
          .detail = "",
          .origin = {}};
}

TEST(SessionRecording, GoesOnEvenlyWhateverBecomesOfTheClock) {
  // The clock was set ahead by more than fifty years once it had begun.
  constexpr std::int64_t kBegunUs = 1'000'000;
  Recorded recorded;
  SessionRecording recording{
      recorded.ring,
      kSlot,
      1,
      proto::RecordPlan{Recorded::kAll, Recorded::kAll, Recorded::kAll, Recorded::kAll},
      "",
      kBegunUs};
  const MonoTime begun = mono_now();
  recorded.recorder.grant(kSlot, kPlenty);
  std::int64_t last_us = kBegunUs;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(recording.data(shell(), proto::Leg::kUpstream, false, as_bytes("x")));
  }
  const std::int64_t passed_us = (mono_now().ns - begun.ns) / 1000 + 1'000'000;
  while (recorded.recorder.tail() < *recorded.recorder.head()) {
    const auto frame = recorded.recorder.frame(recorded.recorder.tail(), *recorded.recorder.head());
    ASSERT_TRUE(frame);
    EXPECT_GE(frame->header.time_us, last_us);
    EXPECT_LE(frame->header.time_us, kBegunUs + passed_us);
    last_us = frame->header.time_us;
    recorded.recorder.pass(frame->end);
  }
}

TEST(SessionRecording, HasRoomAsFarAsCreditGoes) {
  Recorded recorded;
  EXPECT_FALSE(recorded.recording.has_room()) << "nothing is granted yet";
  recorded.recorder.grant(kSlot, kPlenty);
  recorded.recording.look_again();
  EXPECT_TRUE(recorded.recording.has_room());
}

// The recorder takes no more, and would end the worker with all its sessions.
TEST(SessionRecording, IsLostBeforeItGoesFartherBeyondItsCreditThanIsTaken) {
  Recorded recorded;
  recorded.recorder.grant(kSlot, kPlenty);
  const std::string packet(32'000, 'x');
  while (recorded.recording.data(shell(), proto::Leg::kUpstream, false, as_bytes(packet))) {
    ASSERT_LE(*recorded.recorder.head(), kPlenty + record::kBeyondCreditMax);
  }
  EXPECT_TRUE(recorded.recording.lost());
  EXPECT_GT(*recorded.recorder.head(), kPlenty + record::kBeyondCreditMax - 2 * packet.size());
}

// A worker asks for each leg, and then whether the session is to be woken: credit that comes
// between these questions must not leave a leg unread with nobody to wake it.
TEST(SessionRecording, CreditThatComesWithinATurnCountsFromTheNextLook) {
  Recorded recorded;
  EXPECT_FALSE(recorded.recording.has_room());
  recorded.recorder.grant(kSlot, kPlenty);
  EXPECT_FALSE(recorded.recording.has_room());
  EXPECT_FALSE(recorded.recording.has_room());
  recorded.recording.look_again();
  EXPECT_TRUE(recorded.recording.has_room());
}

constexpr proto::ChannelInfo kSftp{.number = 1,
                                   .type = proto::ChannelType::kSession,
                                   .use = proto::ChannelUse::kSubsystem,
                                   .moves_files = true,
                                   .detail = "sftp",
                                   .origin = {}};

// One packet can hold 2,500 requests: what there is no credit for is owed, in order, and while it
// is nothing else of the session goes on.
TEST(SessionRecording, FileEventsBeyondTheCreditAreOwedAndComeInOrder) {
  constexpr int kEvents = 2'500;
  const std::string json = "{\"event\":\"file\",\"path\":\"" + std::string(300, 'p') + "\"}";
  Recorded recorded;
  std::uint64_t granted = kPlenty / 8;
  recorded.recorder.grant(kSlot, granted);
  ASSERT_TRUE(recorded.recording.has_room());
  for (int i = 0; i < kEvents; ++i) {
    recorded.recording.file(kSftp, json, {});
  }
  EXPECT_TRUE(recorded.recording.owes());
  EXPECT_FALSE(recorded.recording.has_room());
  recorded.recording.closed(kSftp);
  std::vector<int> kinds;
  for (int turn = 0; recorded.recording.owes() && turn < 100; ++turn) {
    for (const int kind : recorded.take()) {
      kinds.push_back(kind);
    }
    recorded.recorder.grant(kSlot, granted += kPlenty / 8);
    recorded.recording.look_again();
  }
  for (const int kind : recorded.take()) {
    kinds.push_back(kind);
  }
  EXPECT_FALSE(recorded.recording.owes());
  EXPECT_FALSE(recorded.recording.lost());
  ASSERT_EQ(kinds.size(), kEvents + 2U);
  EXPECT_EQ(kinds.front(), static_cast<int>(recording::EntryKind::kChannelOpen));
  EXPECT_EQ(kinds.back(), static_cast<int>(recording::EntryKind::kChannelClose));
  EXPECT_EQ(std::ranges::count(kinds, static_cast<int>(recording::EntryKind::kFile)), kEvents);
}

TEST(SessionRecording, WhatIsOwedHasALimit) {
  Recorded recorded;
  const std::string json(60'000, 'p');
  for (int i = 0; i < 400 && !recorded.recording.lost(); ++i) {
    recorded.recording.file(kSftp, json, {});
  }
  EXPECT_TRUE(recorded.recording.lost());
  recorded.recording.give_up();
  EXPECT_FALSE(recorded.recording.owes());
}

TEST(SessionRecording, ARefusedForwardingIsOfNoChannel) {
  Recorded recorded;
  recorded.recorder.grant(kSlot, kPlenty);
  recorded.recording.forward(audit::Event(audit::Name::kChannelRefused));
  const auto frame = recorded.recorder.frame(recorded.recorder.tail(), *recorded.recorder.head());
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->header.channel, recording::kNoChannel);
  EXPECT_EQ(as_text(frame->payload), "{\"event\":\"channel.refused\"}");
}

constexpr proto::ChannelInfo kCommand{.number = 2,
                                      .type = proto::ChannelType::kSession,
                                      .use = proto::ChannelUse::kExec,
                                      .detail = {},
                                      .origin = {}};
constexpr auto kUser = proto::Leg::kDownstream;
constexpr auto kTarget = proto::Leg::kUpstream;

/// RecordedCommand is a command that is recorded, with so many bytes kept of each stream.
struct RecordedCommand {
  explicit RecordedCommand(const std::string& command, std::uint64_t bytes_max = 100'000,
                           bool file_content = false)
      : recording(recorded.ring, kSlot, 1,
                  proto::RecordPlan{.shell = {},
                                    .exec = {.mode = proto::RecordMode::kFull,
                                             .bytes_max = bytes_max,
                                             .file_content = file_content},
                                    .subsystem = {},
                                    .forwards = {}},
                  "") {
    recorded.recorder.grant(kSlot, std::uint64_t{16} << 20);
    proto::ChannelRequest request;
    request.type = proto::ChannelRequestType::kExec;
    request.text = command;
    recording.request(kCommand, request);
  }
  void pass(proto::Leg from, const std::string& bytes, bool is_stderr = false) {
    EXPECT_TRUE(recording.data(kCommand, from, is_stderr, as_bytes(bytes)));
  }
  /// kept counts what is in the ring of a stream.
  std::size_t kept(recording::EntryKind stream) {
    std::size_t bytes = 0;
    for (std::uint64_t at = recorded.recorder.tail(); at < *recorded.recorder.head();) {
      const auto frame = recorded.recorder.frame(at, *recorded.recorder.head());
      bytes += frame->header.kind == static_cast<int>(stream) ? frame->payload.size() : 0;
      at = frame->end;
    }
    return bytes;
  }
  std::size_t out() { return kept(recording::EntryKind::kStdout); }
  std::size_t in() { return kept(recording::EntryKind::kStdin); }

  Recorded recorded;
  SessionRecording recording;
};

const std::string kRsync = "rsync --server -e.LsfxCIvu . /tmp/x";
const std::string kVersion("\x1f\0\0\0", 4);

TEST(SessionRecording, OfRsyncAndGitTheBeginningIsKept) {
  for (const auto& [command, opening] :
       {std::pair(kRsync, kVersion),
        std::pair(std::string("git-upload-pack 'x'"), std::string("00d7"))}) {
    RecordedCommand run(command);
    run.pass(kTarget, opening);
    run.pass(kUser, opening.substr(0, 1));
    run.pass(kUser, opening.substr(1));
    for (int i = 0; i < 20; ++i) {
      run.pass(kTarget, std::string(1000, 'c'));
      run.pass(kUser, std::string(1000, 'c'));
      run.pass(kTarget, std::string(1000, 'e'), true);
    }
    EXPECT_EQ(run.out(), 4096U) << command;
    EXPECT_EQ(run.in(), 4096U) << command;
    EXPECT_EQ(run.kept(recording::EntryKind::kStderr), 20'000U) << command;
    EXPECT_FALSE(run.recording.take_cap()) << "no limit of the rule's";
    const std::vector<int> kinds = run.recorded.take();
    EXPECT_EQ(std::ranges::count(kinds, static_cast<int>(recording::EntryKind::kCapReached)), 2);
  }
}

TEST(SessionRecording, AProgramThatOnlyHasTheNameIsRecorded) {
  for (const auto& [command, target, user] :
       std::vector<std::array<std::string, 3>>{{kRsync, "sh-5$", kVersion},
                                               {kRsync, kVersion, "ls -l"},
                                               {kRsync, kVersion, std::string("\x1f\0\0\x01", 4)},
                                               {kRsync, std::string("\x29\0\0\0", 4), kVersion},
                                               {kRsync, kVersion, ""},  // the user says nothing yet
                                               {"git-receive-pack 'x'", "00d7", "ls -l"},
                                               {"git-receive-pack 'x'", "000g", "0000"},
                                               {"rsync --server . x; sh", kVersion, kVersion},
                                               {"./rsync --server . x", kVersion, kVersion}}) {
    RecordedCommand run(command);
    run.pass(kTarget, target);
    run.pass(kUser, user);
    run.pass(kTarget, std::string(20'000, 'c'));
    if (!user.empty()) {
      run.pass(kUser, std::string(20'000, 'c'));
      EXPECT_EQ(run.in(), 20'000 + user.size()) << command << " " << user;
    }
    EXPECT_EQ(run.out(), 20'000 + target.size()) << command << " " << target;
  }
}

TEST(SessionRecording, FileContentIsKeptWhereTheRuleSaysSo) {
  RecordedCommand run(kRsync, 100'000, true);
  run.pass(kTarget, kVersion);
  run.pass(kUser, kVersion + std::string(20'000, 'c'));
  EXPECT_EQ(run.in(), 20'004U);
}

TEST(SessionRecording, TheRulesCapIsToldOnceForEachStream) {
  RecordedCommand run("cat", 100);
  run.pass(kTarget, std::string(100, 'x'));
  EXPECT_FALSE(run.recording.take_cap());
  run.pass(kTarget, "x");
  const auto cap = run.recording.take_cap();
  ASSERT_TRUE(cap);
  EXPECT_EQ(cap->stream, recording::EntryKind::kStdout);
  EXPECT_EQ(cap->limit_bytes, 100U);
  run.pass(kTarget, "x");
  EXPECT_FALSE(run.recording.take_cap());
}

}  // namespace
}  // namespace bastion::daemon
