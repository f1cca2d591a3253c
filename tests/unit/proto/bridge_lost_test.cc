#include "tests/unit/proto/bridge_support.h"

namespace bastion::proto {
namespace {

using namespace connection_test;  // NOLINT: the messages and peers of these tests

class BridgeLost : public BridgeTest {};

constexpr std::string_view kText = "web1 closed the connection.";

TEST_F(BridgeLost, TellsTheUserAndClosesEverySession) {
  const ChannelNumber number = open_session();
  start_shell(number);
  bridge->upstream_lost(kText);
  EXPECT_EQ(read_stderr(user.next()), "bastion: web1 closed the connection.\n");
  EXPECT_EQ(user.next(), exit_status(kUserNumber, 255));
  EXPECT_EQ(user.next(), eof(kUserNumber));
  EXPECT_EQ(user.next(), close(kUserNumber));
  expect_quiet();
  EXPECT_FALSE(log.has("finished"));
  // What crossed our close is dropped.
  user_sends(data(number, "ls\n"));
  user_sends(request(number, "keepalive@openssh.com", true));
  user_sends(close(number));
  expect_quiet();
  EXPECT_TRUE(log.has("closed shell up 0 down 0 exit 255"));
  EXPECT_EQ(log.lines.back(), "finished");
}

TEST_F(BridgeLost, BeginsANewLineOnATerminal) {
  const ChannelNumber number = open_session();
  user_sends(pty(number));
  target_sends(success(number));
  user.messages.clear();
  target.messages.clear();
  start_shell(number);
  target_sends(data(number, "$ "));
  user.messages.clear();
  bridge->upstream_lost(kText);
  EXPECT_EQ(read_stderr(user.next()), "\r\nbastion: web1 closed the connection.\r\n");
}

TEST_F(BridgeLost, SpeaksOfItselfOnlyWhereTheProgramHadNotEnded) {
  const ChannelNumber number = open_session();
  start_shell(number);
  target_sends(exit_status(number, 3));
  user.next();
  bridge->upstream_lost(kText);
  user.next();  // the line
  EXPECT_EQ(user.next(), eof(kUserNumber)) << "the program's own exit status stands";
  EXPECT_EQ(user.next(), close(kUserNumber));
}

TEST_F(BridgeLost, SendsNothingAfterTheEndOfTheData) {
  const ChannelNumber number = open_session();
  target_sends(eof(number));
  user.next();
  bridge->upstream_lost(kText);
  EXPECT_EQ(user.next(), exit_status(kUserNumber, 255));
  EXPECT_EQ(user.next(), close(kUserNumber));
}

TEST_F(BridgeLost, AnswersTheCloseThatTheUserHadSent) {
  const ChannelNumber number = open_session();
  user_sends(close(number));
  bridge->upstream_lost(kText);
  // EOF is harmless to one that closes; the close is what is owed.
  while (user.messages.size() > 1) {
    EXPECT_EQ(user.next(), eof(kUserNumber));
  }
  EXPECT_EQ(user.next(), close(kUserNumber));
  EXPECT_EQ(log.lines.back(), "finished");
}

TEST_F(BridgeLost, WaitsForTheUsersWindow) {
  const ChannelNumber number = open_session(1000, kPacket);
  target_sends(data(number, std::string(995, 'x')));
  user.next();
  bridge->upstream_lost(kText);
  EXPECT_EQ(read_stderr(user.next()), "basti");
  expect_quiet();
  user_sends(request(number, "window-change", true).u32(1).u32(1).u32(1).u32(1));
  EXPECT_EQ(user.next(), failure(kUserNumber)) << "there is nobody to pass it to";
  user_sends(adjust(number, 1000));
  EXPECT_EQ(read_stderr(user.next()), "on: web1 closed the connection.\n");
  EXPECT_EQ(user.next(), exit_status(kUserNumber, 255));
  EXPECT_EQ(user.next(), eof(kUserNumber));
  EXPECT_EQ(user.next(), close(kUserNumber));
  user_sends(close(number));
  EXPECT_EQ(log.lines.back(), "finished");
}

TEST_F(BridgeLost, LetsAUserCloseWhileTheLineWaits) {
  const ChannelNumber number = open_session(10, kPacket);
  target_sends(data(number, std::string(10, 'x')));
  user.next();
  bridge->upstream_lost(kText);
  expect_quiet();
  user_sends(close(number));
  EXPECT_EQ(user.next(), close(kUserNumber));
  expect_quiet();
  EXPECT_EQ(log.lines.back(), "finished");
}

TEST_F(BridgeLost, UsesTheWholeWindowOfWhatTheTargetWasGranted) {
  open_session(20'000, kPacket);
  bridge->upstream_lost(std::string(900, 'y'));
  EXPECT_EQ(read_stderr(user.next()), "bastion: " + std::string(900, 'y') + "\n");
}

TEST_F(BridgeLost, RefusesWhatIsOpeningAndWhatComesLater) {
  user_sends(open_message("session", kUserNumber, kWindow, kPacket));
  target.next();
  bridge->upstream_lost(kText);
  OpenReply reply = read_open_failure(user.next());
  EXPECT_EQ(reply.recipient, kUserNumber);
  EXPECT_EQ(reply.reason, 2U);
  EXPECT_EQ(reply.text, kText);
  EXPECT_EQ(log.lines.back(), "finished");
  user_sends(open_tcpip("direct-tcpip", 8, "db", 1));
  reply = read_open_failure(user.next());
  EXPECT_EQ(reply.text, kText);
  expect_quiet();
}

TEST_F(BridgeLost, RefusesRequestsThatWaitForTheTarget) {
  user_sends(tcpip_forward("localhost", 1));
  user_sends(global("x@y", true));
  user_sends(tcpip_forward("localhost", 2));
  target.messages.clear();
  bridge->upstream_lost(kText);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(user.next(), kGlobalFailure);
  }
  user_sends(tcpip_forward("localhost", 3));
  EXPECT_EQ(user.next(), kGlobalFailure);
  user_sends(global("no-more-sessions@openssh.com", false));
  expect_quiet();
}

TEST_F(BridgeLost, ClosesForwardingsWithoutALine) {
  const ChannelNumber number = open(open_tcpip("direct-tcpip", kUserNumber, "db", 1));
  bridge->upstream_lost(kText);
  EXPECT_EQ(user.next(), eof(kUserNumber));
  EXPECT_EQ(user.next(), close(kUserNumber));
  expect_quiet();
  user_sends(close(number));
  EXPECT_EQ(log.lines.back(), "finished");
}

TEST_F(BridgeLost, ClosesAChannelThatTheUserConfirmsTooLate) {
  user_sends(tcpip_forward("localhost", 8080));
  target.next();
  target_sends(kGlobalSuccess);
  user.next();
  for (const std::uint32_t number : {9U, 10U}) {
    target_sends(open_tcpip("forwarded-tcpip", number, "localhost", 8080));
    EXPECT_EQ(user.next()[0], kMsgChannelOpen);
  }
  bridge->upstream_lost(kText);
  expect_quiet();
  EXPECT_FALSE(log.has("finished"));
  user_sends(confirm(0, kUserNumber, kWindow, kPacket));
  EXPECT_EQ(user.next(), close(kUserNumber));
  user_sends(open_failure(1, 2, "no"));
  expect_quiet();
  EXPECT_FALSE(log.has("finished"));
  user_sends(close(0));
  EXPECT_EQ(log.lines.back(), "finished");
}

TEST_F(BridgeLost, FinishesAtOnceWhereNothingIsOpen) {
  bridge->upstream_lost(kText);
  expect_quiet();
  EXPECT_EQ(log.lines, std::vector<std::string>{"finished"});
  bridge->upstream_lost(kText);
  EXPECT_EQ(log.lines.size(), 1U);
  expect_error(Leg::kUpstream, global("x", true), ErrorCode::kInternal);
}

TEST_F(BridgeLost, GivesEverythingUpWithoutTheUser) {
  const ChannelNumber number = open_session();
  start_shell(number);
  user_sends(open_tcpip("direct-tcpip", 8, "db", 1));
  target.next();
  target_sends(data(number, "unread"));
  user.messages.clear();
  bridge->downstream_lost();
  expect_quiet();
  EXPECT_EQ(bridge->num_channels(), 0U);
  EXPECT_TRUE(log.has("closed shell up 0 down 6"));
  EXPECT_EQ(log.lines.back(), "finished");
  bridge->upstream_lost(kText);
  bridge->drained(Leg::kDownstream);
  EXPECT_FALSE(bridge->inject_stderr(number, "nobody"));
  EXPECT_FALSE(bridge->send_keepalive(Leg::kUpstream));
  expect_quiet();
}

TEST_F(BridgeLost, TenSessionsAllLearnIt) {
  for (std::uint32_t i = 0; i < 10; ++i) {
    open(open_message("session", i, kWindow, kPacket), kWindow, kPacket, 100 + i);
  }
  bridge->upstream_lost(kText);
  EXPECT_EQ(user.messages.size(), 40U);
  for (std::uint32_t i = 0; i < 10; ++i) {
    EXPECT_FALSE(log.has("finished"));
    user_sends(close(i));
  }
  EXPECT_TRUE(log.has("finished"));
}

TEST_F(BridgeLost, MakesTheReasonPrintable) {
  open_session();
  bridge->upstream_lost("gone\x1b]0;owned\x07");
  EXPECT_EQ(read_stderr(user.next()), "bastion: gone?]0;owned?\n");
}

}  // namespace
}  // namespace bastion::proto
