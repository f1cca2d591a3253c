#include <gtest/gtest.h>

#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/recorder_messages.h"
#include "daemon/ipc/session_messages.h"
#include "tests/support/warden_world.h"

namespace bastion::daemon {
namespace {

using test::Connection;
using test::kGate0;
using test::kWorker0;
using test::World;

constexpr PeerId kRecorder{ipc::Role::kRecorder, 0};
constexpr const char* kOnRecord = "recording: {}\naudit: {file: /var/log/bastiond/audit.log}\n";

/// recorded_session is on its way to its worker while its events wait for the recorder; gives its
/// id.
std::string recorded_session(World& world) {
  world.warden.add_peer(kRecorder, 200);
  const Connection connection = world.connect();
  EXPECT_TRUE(world.log_in(connection, "deploy@web1"));
  world.say(connection.gate, connection.session,
            ipc::HandOver{to_secret(as_bytes("state")), to_secret(as_bytes("input"))});
  const auto open = world.last<ipc::OpenRecording>(kRecorder);
  EXPECT_TRUE(open);
  return open ? open->session : "";
}

ipc::RecordingOpened opened(const std::string& session) {
  return {session, "2026-11-25/" + session + ".rec"};
}

ipc::RecordingSealed sealed(const std::string& session, const std::string& state) {
  return {.session = session,
          .recording = "2026-11-25/" + session + ".rec",
          .state = state,
          .reason = state == "complete" ? "" : "its reason",
          .blocks = 3,
          .hash = {0xab},
          .bytes = 4711};
}

/// events are those of a name that the recorder was sent.
std::vector<audit::Event> events(const World& world, audit::Name name) {
  std::vector<audit::Event> out;
  for (const test::Sent& sent : world.io.sent) {
    if (sent.to != kRecorder || sent.header.type != ipc::Type::kAuditEvent) {
      continue;
    }
    if (const auto message = ipc::decode<ipc::AuditEvent>(sent.body);
        message && message->event.name == name) {
      out.push_back(message->event);
    }
  }
  return out;
}

/// end_session: its worker dies.
void end_session(World& world) { world.warden.peer_gone(kWorker0); }

void accept_events(World& world) {
  const auto event = world.last<ipc::AuditEvent>(kRecorder);
  ASSERT_TRUE(event);
  ipc::AuditState state;
  state.accepted = event->number;
  world.say(kRecorder, 0, state);
}

/// order is what the worker was sent of these two kinds.
std::vector<ipc::Type> order(const World& world) {
  std::vector<ipc::Type> out;
  for (const test::Sent& sent : world.io.sent) {
    if (sent.to == kWorker0 &&
        (sent.header.type == ipc::Type::kAdopt || sent.header.type == ipc::Type::kRecordingReady)) {
      out.push_back(sent.header.type);
    }
  }
  return out;
}

// A recorder opens the file at once and writes the events later: a worker that heard of the file
// before it had the session waited for it in vain.
TEST(WardenRecording, TheWorkerHearsOfTheFileAfterItHasTheSession) {
  World world("", kOnRecord);
  const std::string session = recorded_session(world);
  world.say(kRecorder, 0, opened(session));
  EXPECT_TRUE(order(world).empty()) << "the login is not on record yet";
  accept_events(world);
  EXPECT_EQ(order(world), (std::vector{ipc::Type::kAdopt, ipc::Type::kRecordingReady}));
  EXPECT_TRUE(world.last<ipc::RecordingReady>(kWorker0)->ok);
}

TEST(WardenRecording, AFileThatFailsBeforeTheWorkerHasTheSessionEndsItAfterwards) {
  World world("", kOnRecord);
  const std::string session = recorded_session(world);
  world.say(kRecorder, 0, opened(session));
  world.say(kRecorder, 0, ipc::RecordingFailed{session, "the disk fails"});
  accept_events(world);
  EXPECT_EQ(order(world), (std::vector{ipc::Type::kAdopt, ipc::Type::kRecordingReady}));
  const auto ready = world.last<ipc::RecordingReady>(kWorker0);
  EXPECT_FALSE(ready->ok);
  EXPECT_NE(ready->text.find("the disk fails"), std::string::npos) << ready->text;
}

TEST(WardenRecording, AFileThatIsReadyLaterIsToldAtOnce) {
  World world("", kOnRecord);
  const std::string session = recorded_session(world);
  accept_events(world);
  EXPECT_EQ(order(world), (std::vector{ipc::Type::kAdopt}));
  world.say(kRecorder, 0, opened(session));
  EXPECT_EQ(order(world), (std::vector{ipc::Type::kAdopt, ipc::Type::kRecordingReady}));
}

// A machine that dies leaves files that the next warden knows nothing of; without their end on
// record they could not be told from files that somebody put there.
TEST(WardenRecording, TheEndOfEachFileIsOnRecordWhoeverBeganIt) {
  World world("", kOnRecord);
  world.warden.add_peer(kRecorder, 200);
  world.say(kRecorder, 0, sealed(std::string(26, 'q'), "interrupted"));
  const auto told = events(world, audit::Name::kRecordingClose);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].text_of(audit::Key::kSession), std::string(26, 'q'));
  EXPECT_EQ(told[0].text_of(audit::Key::kRecording), "2026-11-25/" + std::string(26, 'q') + ".rec");
  EXPECT_EQ(told[0].text_of(audit::Key::kState), "interrupted");
  EXPECT_EQ(told[0].text_of(audit::Key::kReason), "its reason");
  EXPECT_EQ(told[0].text_of(audit::Key::kHead), "ab" + std::string(62, '0'));
  EXPECT_EQ(told[0].find(audit::Key::kBlocks)->number, 3U);
  EXPECT_EQ(told[0].find(audit::Key::kBytes)->number, 4711U);
  EXPECT_TRUE(told[0].check());
}

TEST(WardenRecording, TheEndIsToldAsTheFileHasIt) {
  World world("", kOnRecord);
  const std::string session = recorded_session(world);
  world.say(kRecorder, 0, opened(session));
  accept_events(world);
  const auto begun = events(world, audit::Name::kRecordingOpen);
  ASSERT_EQ(begun.size(), 1U);
  EXPECT_EQ(begun[0].text_of(audit::Key::kRecording), "2026-11-25/" + session + ".rec");
  end_session(world);
  world.say(kRecorder, 0, sealed(session, "failed"));
  const auto told = events(world, audit::Name::kRecordingClose);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].text_of(audit::Key::kState), "failed");
  EXPECT_EQ(told[0].text_of(audit::Key::kReason), "its reason");
}

TEST(WardenRecording, AFileThatNeverCameToBeHasNoEnd) {
  World world("", kOnRecord);
  const std::string session = recorded_session(world);
  world.say(kRecorder, 0, ipc::RecordingFailed{session, "the disk fails"});
  accept_events(world);
  end_session(world);
  ipc::RecordingSealed nothing;
  nothing.session = session;
  world.say(kRecorder, 0, nothing);
  EXPECT_EQ(events(world, audit::Name::kRecordingFailed).size(), 1U);
  EXPECT_TRUE(events(world, audit::Name::kRecordingClose).empty());
}

TEST(WardenRecording, AFileThatTheRecorderBeforeFinishedHasItsEndAllTheSame) {
  World world("", kOnRecord);
  const std::string session = recorded_session(world);
  world.say(kRecorder, 0, opened(session));
  accept_events(world);
  end_session(world);
  ipc::RecordingSealed nothing;
  nothing.session = session;
  world.say(kRecorder, 0, nothing);
  const auto told = events(world, audit::Name::kRecordingClose);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].text_of(audit::Key::kState), "interrupted");
}

}  // namespace
}  // namespace bastion::daemon
