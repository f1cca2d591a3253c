#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "daemon/ipc/recorder_messages.h"
#include "tests/support/warden_world.h"

namespace bastion::daemon {
namespace {

using Json = nlohmann::json;
using test::World;

constexpr PeerId kRecorder{ipc::Role::kRecorder, 0};
constexpr std::uint32_t kNumber = 41;
const std::string kSession = "7q2mx4n8r5t3v6w9k2b4c7d8f3";

/// HoldTest has a recorder that answers when the test says so.
class HoldTest : public ::testing::Test {
 protected:
  HoldTest() : world("", "recording: {}\naudit: {file: /var/log/bastiond/audit.log}\n") {
    world.warden.add_peer(kRecorder, 200);
    world.say(kRecorder, 0, ipc::RecorderState{.can_record = true, .why = {}});
    accept();
  }
  std::string ask(const char* command = "hold", const std::string& id = "7q2m", bool admin = true,
                  std::uint32_t number = kNumber) {
    const Json request = {{"command", command}, {"id", id}, {"reason", "incident 4711"}};
    return world.control(request.dump(), admin, number);
  }
  /// asked is what the recorder was asked, in order.
  std::vector<ipc::HoldRecording> asked() const {
    std::vector<ipc::HoldRecording> out;
    for (const test::Sent& sent : world.io.sent) {
      if (sent.header.type == ipc::Type::kHoldRecording) {
        EXPECT_EQ(sent.to, kRecorder);
        EXPECT_EQ(sent.header.request, kNumber);
        out.push_back(*ipc::decode<ipc::HoldRecording>(sent.body));
      }
    }
    return out;
  }
  /// events are the administrators' acts that the recorder was sent.
  std::vector<audit::Event> events() const {
    std::vector<audit::Event> out;
    for (const test::Sent& sent : world.io.sent) {
      if (sent.header.type == ipc::Type::kAuditEvent) {
        const auto message = *ipc::decode<ipc::AuditEvent>(sent.body);
        if (message.event.name == audit::Name::kAdmin && !message.again) {
          out.push_back(message.event);
        }
      }
    }
    return out;
  }
  void answer(const ipc::RecordingHeld& message) {
    world.deliver(kRecorder, ipc::encode(ipc::Header{.request = kNumber}, message));
  }
  void accept() {
    ipc::AuditState state;
    state.accepted = world.last<ipc::AuditEvent>(kRecorder)->number;
    world.say(kRecorder, 0, state);
  }
  Json reply() const {
    const auto found = world.io.controls.find(kNumber);
    return found == world.io.controls.end() ? Json() : Json::parse(found->second);
  }
  static std::string text(const audit::Event& event, audit::Key key) {
    const audit::Value* value = event.find(key);
    return value == nullptr ? "-" : value->text;
  }

  World world;
};

TEST_F(HoldTest, IsOnRecordBeforeItIsDoneAndToldAfterwards) {
  for (const char* command : {"hold", "release"}) {
    const std::size_t before = asked().size();
    EXPECT_EQ(ask(command), "");
    ASSERT_EQ(asked().size(), before + 1);
    EXPECT_EQ(asked().back().step, ipc::HoldStep::kFind);
    EXPECT_EQ(asked().back().id, "7q2m");
    answer({kSession, ""});
    EXPECT_EQ(asked().size(), before + 1) << "it is not on record yet";
    accept();
    ASSERT_EQ(asked().size(), before + 2);
    const ipc::HoldRecording done = asked().back();
    EXPECT_EQ(done.step, ipc::HoldStep::kDo);
    EXPECT_EQ(done.hold, std::string(command) == "hold");
    EXPECT_EQ(done.id, kSession);
    EXPECT_EQ(done.by, "uid 1000");
    EXPECT_EQ(done.reason, "incident 4711");
    const audit::Event event = events().back();
    EXPECT_EQ(text(event, audit::Key::kCommand), command);
    EXPECT_EQ(text(event, audit::Key::kBy), "uid 1000");
    EXPECT_EQ(text(event, audit::Key::kOutcome), "done");
    EXPECT_EQ(text(event, audit::Key::kSubject), "7q2m");
    EXPECT_EQ(text(event, audit::Key::kSession), kSession);
    EXPECT_EQ(text(event, audit::Key::kReason), "incident 4711");
    EXPECT_TRUE(reply().is_null()) << "it is not done yet";
    answer({kSession, ""});
    EXPECT_EQ(reply()["ok"], true);
    EXPECT_EQ(reply()["recording"], kSession);
    EXPECT_EQ(reply()["held"], std::string(command) == "hold");
    world.io.controls.clear();
  }
}

TEST_F(HoldTest, WhatCannotBeIsToldAndOnRecord) {
  ask();
  answer({"", "no recording begins with 7q2m"});
  EXPECT_EQ(reply()["error"], "no recording begins with 7q2m");
  ask();
  answer({kSession, ""});
  accept();
  answer({kSession, "no space left on the disk"});
  EXPECT_EQ(reply()["error"], "no space left on the disk");
  ASSERT_EQ(events().size(), 3U);
  EXPECT_EQ(text(events()[0], audit::Key::kOutcome), "refused");
  EXPECT_EQ(text(events()[1], audit::Key::kOutcome), "done");
  EXPECT_EQ(text(events()[2], audit::Key::kOutcome), "refused");
  EXPECT_EQ(text(events()[2], audit::Key::kReason), "no space left on the disk");
}

TEST_F(HoldTest, ViewersMayNot) {
  for (const char* command : {"hold", "release"}) {
    EXPECT_EQ(Json::parse(ask(command, "7q2m", false))["error"],
              "only administrators may hold and release recordings");
    EXPECT_EQ(text(events().back(), audit::Key::kCommand), command);
    EXPECT_EQ(text(events().back(), audit::Key::kOutcome), "refused");
  }
  EXPECT_TRUE(asked().empty());
}

TEST_F(HoldTest, NothingIsAskedOfTheRecorderThatMakesNoSense) {
  EXPECT_EQ(Json::parse(ask("hold", ""))["ok"], false);
  EXPECT_EQ(Json::parse(ask("hold", std::string(27, 'a')))["ok"], false);
  const Json long_reason = {{"command", "hold"}, {"id", "7q"}, {"reason", std::string(1001, 'x')}};
  EXPECT_EQ(Json::parse(world.control(long_reason.dump()))["ok"], false);
  World without("", "recording: off\n");
  EXPECT_EQ(Json::parse(without.control(R"({"command":"hold","id":"7q2m"})"))["error"],
            "this bastion makes no recordings");
  EXPECT_TRUE(asked().empty());
}

TEST_F(HoldTest, ASuccessorOfTheRecorderGoesOnWithIt) {
  ask();
  world.warden.peer_gone(kRecorder);
  world.warden.add_peer(kRecorder, 201);
  ASSERT_EQ(asked().size(), 2U);
  answer({kSession, ""});
  world.warden.peer_gone(kRecorder);
  world.warden.add_peer(kRecorder, 202);
  EXPECT_EQ(asked().size(), 2U) << "it is not on record yet";
  accept();
  ASSERT_EQ(asked().size(), 3U);
  EXPECT_EQ(asked().back().step, ipc::HoldStep::kDo);
  answer({kSession, ""});
  EXPECT_EQ(reply()["ok"], true);
}

TEST_F(HoldTest, NobodyWaitsForARecorderThatStandsStill) {
  ask();
  ASSERT_LE(world.warden.next_deadline(), after(world.io.mono, 10 * kNsPerSecond));
  world.pass_time(10'000);
  EXPECT_EQ(reply()["ok"], false);
  EXPECT_EQ(reply()["error"],
            "not done yet: the recorder does not answer. It is done as soon as that can be; ask "
            "again");
  world.io.controls.clear();
  answer({kSession, ""});
  accept();
  EXPECT_EQ(asked().size(), 2U) << "what was asked stays asked";
  answer({kSession, ""});
  EXPECT_TRUE(world.io.controls.empty()) << "it was answered once";
}

TEST_F(HoldTest, ThereIsALimitToWhatIsUnderWay) {
  for (std::uint32_t i = 0; i < 64; ++i) {
    EXPECT_EQ(ask("hold", "7q2m", true, kNumber + 1 + i), "");
    world.io.sent.clear();
  }
  EXPECT_EQ(Json::parse(ask())["error"],
            "too many recordings are being held and released; try again");
}

TEST_F(HoldTest, ARecorderThatNamesWhatCannotBeIsEnded) {
  ask();
  answer({"../../etc", ""});
  EXPECT_TRUE(world.was_ended(kRecorder));
}

TEST_F(HoldTest, AnAnswerThatNobodyWaitsForDoesNothing) {
  answer({kSession, ""});
  EXPECT_FALSE(world.was_ended(kRecorder));
  EXPECT_TRUE(world.io.controls.empty());
  EXPECT_TRUE(events().empty());
}

}  // namespace
}  // namespace bastion::daemon
