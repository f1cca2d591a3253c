#include <gtest/gtest.h>

#include "daemon/ipc/codec.h"
#include "daemon/ipc/recorder_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/warden/audit.h"

namespace bastion::daemon {
namespace {

constexpr PeerId kRecorder{ipc::Role::kRecorder, 0};
constexpr PeerId kFirst{ipc::Role::kWorker, 1};
constexpr PeerId kSecond{ipc::Role::kWorker, 2};

class Io final : public WardenIo {
 public:
  void send(PeerId to, SecretBytes packet, UniqueFd /*fd*/) override {
    ByteView body = packet;
    const auto header = ipc::decode_header(body);
    if (header->type == ipc::Type::kAuditAccepted) {
      accepted[to] += ipc::decode<ipc::AuditAccepted>(body)->count;
    } else if (to == kRecorder) {
      events.push_back(*ipc::decode<ipc::AuditEvent>(body));
    }
  }
  void connect(ConnectToken, const IpAddress&, std::uint16_t) override {}
  void cancel_connect(ConnectToken) override {}
  void answer_control(std::uint32_t, std::string) override {}
  void end_peer(PeerId, std::string_view) override {}
  bool run_slow(PeerId, SlowPool::Job, SlowPool::Done) override { return false; }
  std::size_t descriptors_max() override { return 0; }
  std::size_t queued_descriptors(PeerId) override { return 0; }
  void log(LogLevel, std::string_view, std::initializer_list<Field>) override {}
  MonoTime now() override { return {1}; }
  WallTime wall_now() override { return 1; }

  std::map<PeerId, std::uint32_t> accepted;
  std::vector<ipc::AuditEvent> events;
};

struct Trail {
  Io io;
  AuditTrail trail{io};
  Trail() {
    trail.set_enabled(true);
    trail.recorder_came();
  }
  void accept(std::uint64_t up_to) {
    ipc::AuditState state;
    state.accepted = up_to;
    trail.on_state(std::move(state));
  }
  void report(PeerId from, std::uint32_t digest = 0) {
    trail.add({.event = audit::Event(audit::Name::kFile),
               .worker = from.index,
               .session_number = 3,
               .digest_written = digest},
              from);
  }
};

// A worker's sessions wait while too many of their events are not on record.
TEST(AuditTrail, EachWorkerHearsWhatOfItsOwnIsOnRecord) {
  Trail all;
  all.report(kFirst);
  all.report(kSecond);
  all.trail.add(audit::Event(audit::Name::kSessionEnd));
  all.report(kFirst);
  EXPECT_TRUE(all.io.accepted.empty());
  all.accept(3);
  EXPECT_EQ(all.io.accepted[kFirst], 1U);
  EXPECT_EQ(all.io.accepted[kSecond], 1U);
  all.accept(4);
  EXPECT_EQ(all.io.accepted[kFirst], 2U);
}

TEST(AuditTrail, ASuccessorOfAWorkerHearsNothingOfItsEvents) {
  Trail all;
  all.report(kFirst);
  all.trail.forget(kFirst);
  all.accept(1);
  EXPECT_TRUE(all.io.accepted.empty());
}

TEST(AuditTrail, ANewRecorderGetsWhatTheOneBeforeHadNotAccepted) {
  Trail all;
  all.report(kFirst);
  all.report(kFirst, 7);
  all.accept(1);
  all.trail.recorder_gone();
  all.report(kFirst);
  EXPECT_EQ(all.io.events.size(), 2U);
  all.trail.recorder_came();
  ASSERT_EQ(all.io.events.size(), 4U);
  EXPECT_EQ(all.io.events[2].number, 2U);
  EXPECT_TRUE(all.io.events[2].again);
  EXPECT_EQ(all.io.events[2].digest_written, 7U);
  EXPECT_EQ(all.io.events[2].worker, kFirst.index);
  EXPECT_EQ(all.io.events[2].session_number, 3U);
}

}  // namespace
}  // namespace bastion::daemon
