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
  world.say(kRecorder, 0, ipc::RecordingOpened{session});
  EXPECT_TRUE(order(world).empty()) << "the login is not on record yet";
  accept_events(world);
  EXPECT_EQ(order(world), (std::vector{ipc::Type::kAdopt, ipc::Type::kRecordingReady}));
  EXPECT_TRUE(world.last<ipc::RecordingReady>(kWorker0)->ok);
}

TEST(WardenRecording, AFileThatFailsBeforeTheWorkerHasTheSessionEndsItAfterwards) {
  World world("", kOnRecord);
  const std::string session = recorded_session(world);
  world.say(kRecorder, 0, ipc::RecordingOpened{session});
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
  world.say(kRecorder, 0, ipc::RecordingOpened{session});
  EXPECT_EQ(order(world), (std::vector{ipc::Type::kAdopt, ipc::Type::kRecordingReady}));
}

}  // namespace
}  // namespace bastion::daemon
