#include <algorithm>
#include <numeric>

#include "tests/support/random.h"
#include "tests/unit/proto/bridge_support.h"

namespace bastion::proto {
namespace {

using namespace connection_test;  // NOLINT: the messages and peers of these tests

class BridgeData : public BridgeTest {
 protected:
  std::string text(std::size_t n) { return std::string(as_text(random_.bytes(n))); }
  bastion::test::SeededRandom random_{7};
};

TEST_F(BridgeData, RelaysBothWaysByteForByteAndInPlace) {
  const ChannelNumber number = open_shell();
  const std::size_t before = user.num_in_place + target.num_in_place;
  std::uint32_t total = 0;
  for (const std::size_t n : {0UL, 1UL, 2UL, 100UL, 32767UL, 32768UL}) {
    const std::string bytes = text(n);
    user_sends(data(number, bytes));
    EXPECT_EQ(target.next(), data(kTargetNumber, bytes));
    target_sends(data(number, bytes));
    EXPECT_EQ(user.next(), data(kUserNumber, bytes));
    target_sends(extended(number, 1, bytes));
    EXPECT_EQ(user.next(), extended(kUserNumber, 1, bytes));
    total += static_cast<std::uint32_t>(n);
  }
  expect_quiet();
  EXPECT_EQ(user.num_in_place + target.num_in_place - before, 18U) << "nothing was copied";
  EXPECT_EQ(bridge->bytes_up(), total);
  EXPECT_EQ(bridge->bytes_down(), 2U * total);
  const std::vector<ChannelInfo> infos = bridge->channels();
  ASSERT_EQ(infos.size(), 1U);
  EXPECT_EQ(infos[0].bytes_up, total);
  EXPECT_EQ(infos[0].bytes_down, 2U * total);
}

TEST_F(BridgeData, SplitsDataThatIsLargerThanTheReceiverTakes) {
  for (const std::uint32_t max_packet : {256U, 1000U, 8192U}) {
    restart(allow_all());
    const ChannelNumber number = open_shell(kWindow, max_packet);
    for (const std::size_t n : {max_packet + 1UL, max_packet * 2UL, max_packet * 3UL + 17}) {
      const std::string bytes = text(n);
      user_sends(data(number, bytes));
      target_sends(extended(number, 1, bytes));
      std::string up;
      std::string down;
      while (!target.empty()) {
        Reader reader(target.messages.front());
        EXPECT_EQ(reader.u8(), kMsgChannelData);
        EXPECT_EQ(reader.u32(), kTargetNumber);
        const std::string_view piece = reader.text();
        EXPECT_TRUE(reader.done());
        EXPECT_LE(piece.size(), max_packet);
        up += piece;
        target.next();
      }
      while (!user.empty()) {
        const std::string piece = read_stderr(user.next());
        EXPECT_LE(piece.size(), max_packet);
        down += piece;
      }
      EXPECT_EQ(up, bytes);
      EXPECT_EQ(down, bytes);
    }
  }
}

TEST_F(BridgeData, sec_061_EndsAPeerThatSendsMoreThanItsWindow) {
  for (const Leg leg : kLegs) {
    restart(allow_all());
    const ChannelNumber number = open_shell(1000, kPacket);
    ASSERT_TRUE(from(leg, data(number, text(999))));
    expect_error(leg, data(number, "ab"));
    ASSERT_TRUE(from(leg, data(number, "a"))) << "the last byte of the window is good";
    expect_error(leg, data(number, "a"));
  }
}

TEST_F(BridgeData, sec_061_CountsExtendedDataInTheSameWindow) {
  const ChannelNumber number = open_session(1000, kPacket);
  target_sends(data(number, text(500)));
  target_sends(extended(number, 1, text(500)));
  expect_error(Leg::kUpstream, extended(number, 1, "a"));
}

TEST_F(BridgeData, sec_061_EndsAPeerWhoseWindowPasses32Bits) {
  const ChannelNumber number = open_session(1000, kPacket);
  expect_error(Leg::kDownstream, adjust(number, UINT32_MAX - 999));
  user_sends(adjust(number, UINT32_MAX - 1000));
  expect_error(Leg::kDownstream, adjust(number, 1));
  expect_error(Leg::kUpstream, adjust(number, UINT32_MAX));
}

TEST_F(BridgeData, PassesAdjustmentsOn) {
  const ChannelNumber number = open_shell(1000, kPacket);
  target_sends(data(number, text(600)));
  user.next();
  user_sends(adjust(number, 600));
  EXPECT_EQ(target.next(), adjust(kTargetNumber, 600));
  user_sends(data(number, text(100)));
  target.next();
  target_sends(adjust(number, 100));
  EXPECT_EQ(user.next(), adjust(kUserNumber, 100));
  expect_quiet();
}

TEST_F(BridgeData, GrantsNoMoreThanItsMaximumOfAHugeWindowAndGoesOnGranting) {
  const ChannelNumber number =
      open(open_message("session", kUserNumber, 0x7fffffff, kPacket), 0x7fffffff, kPacket);
  std::uint64_t granted = limits::kWindowBytesMax;
  std::uint64_t sent = 0;
  for (int i = 0; i < 1000; ++i) {
    target_sends(data(number, text(32768)));
    sent += 32768;
    user.next();
    while (!target.empty()) {
      const Bytes message = target.next();
      ASSERT_EQ(message[0], kMsgChannelWindowAdjust);
      granted += u32_at(message, 5);
    }
    ASSERT_LE(granted - sent, limits::kWindowBytesMax);
    ASSERT_GT(granted, sent);
  }
}

TEST_F(BridgeData, HoldsCreditBackWhileTheReceiversQueueIsLong) {
  const ChannelNumber number =
      open(open_message("session", kUserNumber, 0x7fffffff, kPacket), kWindow, kPacket);
  user.queued = limits::kWindowBytesMax;
  std::size_t sent = 0;
  while (from(Leg::kUpstream, data(number, text(32768)))) {
    sent += 32768;
    user_sends(adjust(number, 32768));
    ASSERT_LE(sent, limits::kWindowBytesMax);
  }
  EXPECT_EQ(sent, limits::kWindowBytesMax) << "all that was granted, and nothing anew";
  EXPECT_TRUE(target.empty());
  bridge->drained(Leg::kDownstream);
  EXPECT_TRUE(target.empty()) << "the queue is still long";
  user.queued = 0;
  bridge->drained(Leg::kUpstream);
  EXPECT_TRUE(target.empty()) << "that was the other leg";
  bridge->drained(Leg::kDownstream);
  EXPECT_EQ(target.next(), adjust(kTargetNumber, limits::kWindowBytesMax));
  bridge->drained(Leg::kDownstream);
  EXPECT_TRUE(target.empty());
}

TEST_F(BridgeData, sec_067_CreditsBackTheExtendedDataThatItDrops) {
  const ChannelNumber number = open_session(20'000, 1000);
  for (const Leg leg : kLegs) {
    LegSink& sender = leg == Leg::kDownstream ? user : target;
    LegSink& receiver = leg == Leg::kDownstream ? target : user;
    // The user's window of 20,000 keeps 1,024 in reserve.
    std::uint32_t granted = leg == Leg::kUpstream ? 20'000 - 1024 : 20'000;
    for (std::uint32_t i = 0; i < 100'000; ++i) {
      // From the user none is passed; from the target stderr alone.
      const std::uint32_t kind = leg == Leg::kDownstream ? 1 + i % 255 : 2 + i % 254;
      ASSERT_TRUE(from(leg, extended(number, kind, std::string(1000, 'x')))) << i;
      granted -= 1000;
      while (!sender.empty()) {
        const Bytes message = sender.next();
        ASSERT_EQ(message[0], kMsgChannelWindowAdjust);
        granted += u32_at(message, 5);
      }
      ASSERT_GE(granted, 1000U) << "stalled after " << i;
    }
    EXPECT_TRUE(receiver.empty());
  }
  expect_error(Leg::kUpstream, extended(number, 0, "kind 0 is none"));
}

TEST_F(BridgeData, sec_085_DropsWhatTheUserSendsBeforeAnythingRuns) {
  // A target may keep it for the program that is started then: what nobody watched, sftp's
  // requests.
  const ChannelNumber number = open_session(1000, kPacket);
  for (int i = 0; i < 10; ++i) {
    user_sends(data(number, text(900)));
    EXPECT_EQ(user.next(), adjust(kUserNumber, 900)) << "its credit comes back";
  }
  expect_quiet();
  start_shell(number);
  user_sends(data(number, "ls"));
  EXPECT_EQ(target.next(), data(kTargetNumber, "ls"));
}

TEST_F(BridgeData, sec_085_DropsWhatTheUserSendsBetweenTwoStarts) {
  const ChannelNumber number = open_session();
  user_sends(subsystem(number, "sftp"));
  target.next();
  target_sends(failure(number));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  user_sends(data(number, "unseen"));
  expect_quiet();
  start_shell(number);
}

TEST_F(BridgeData, DropsExtendedDataOfChannelsOtherThanSessions) {
  const ChannelNumber number = open(open_tcpip("direct-tcpip", kUserNumber, "db", 1));
  target_sends(extended(number, 1, "x"));
  user_sends(extended(number, 1, "x"));
  expect_quiet();
}

TEST_F(BridgeData, KeepsTheOrderOfDataExitStatusEofAndClose) {
  const ChannelNumber number = open_session();
  start_shell(number);
  target_sends(data(number, "last words"));
  target_sends(extended(number, 1, "and a warning"));
  target_sends(eof(number));
  target_sends(exit_status(number, 3));
  target_sends(Bytes(request(number, "eow@openssh.com", false)));
  target_sends(close(number));
  EXPECT_EQ(user.next(), data(kUserNumber, "last words"));
  EXPECT_EQ(user.next(), extended(kUserNumber, 1, "and a warning"));
  EXPECT_EQ(user.next(), eof(kUserNumber));
  EXPECT_EQ(user.next(), exit_status(kUserNumber, 3));
  EXPECT_EQ(user.next(), Bytes(request(kUserNumber, "eow@openssh.com", false)));
  EXPECT_EQ(user.next(), close(kUserNumber));
  EXPECT_EQ(bridge->num_channels(), 1U) << "until the user closes, too";
  user_sends(close(number));
  EXPECT_EQ(target.next(), close(kTargetNumber));
  expect_quiet();
  EXPECT_EQ(bridge->num_channels(), 0U);
  EXPECT_TRUE(log.has("closed shell up 0 down 23 exit 3"));
}

TEST_F(BridgeData, HalfClosedChannelsGoOnInTheOtherDirection) {
  for (const Leg leg : kLegs) {
    restart(allow_all());
    const ChannelNumber number = open_shell();
    LegSink& sender = leg == Leg::kDownstream ? user : target;
    LegSink& receiver = leg == Leg::kDownstream ? target : user;
    ASSERT_TRUE(from(leg, eof(number)));
    EXPECT_EQ(receiver.next()[0], kMsgChannelEof);
    expect_error(leg, data(number, "after the end"));
    ASSERT_TRUE(from(leg, eof(number))) << "a second end changes nothing";
    expect_quiet();
    ASSERT_TRUE(from(other(leg), data(number, "answer")));
    EXPECT_EQ(sender.next()[0], kMsgChannelData);
    ASSERT_TRUE(from(leg, adjust(number, 10))) << "its window still opens";
    EXPECT_EQ(receiver.next()[0], kMsgChannelWindowAdjust);
    ASSERT_TRUE(from(other(leg), eof(number)));
    EXPECT_EQ(sender.next()[0], kMsgChannelEof);
  }
}

TEST_F(BridgeData, ClosesInEitherOrder) {
  for (const Leg first : kLegs) {
    restart(allow_all());
    const ChannelNumber number = open_shell();
    LegSink& receiver = first == Leg::kDownstream ? target : user;
    LegSink& sender = first == Leg::kDownstream ? user : target;
    ASSERT_TRUE(from(first, close(number)));
    EXPECT_EQ(receiver.next()[0], kMsgChannelClose);
    // What the other side sent before it saw the close still arrives, in order.
    ASSERT_TRUE(from(other(first), data(number, "late")));
    EXPECT_EQ(sender.next()[0], kMsgChannelData);
    ASSERT_TRUE(from(other(first), eof(number)));
    EXPECT_EQ(sender.next()[0], kMsgChannelEof);
    ASSERT_TRUE(from(other(first), close(number)));
    EXPECT_EQ(sender.next()[0], kMsgChannelClose);
    expect_quiet();
    EXPECT_EQ(bridge->num_channels(), 0U);
  }
}

TEST_F(BridgeData, ClosesThatCrossAreAnsweredOnce) {
  const ChannelNumber number = open_session();
  user_sends(close(number));
  target_sends(close(number));
  EXPECT_EQ(target.next(), close(kTargetNumber));
  EXPECT_EQ(user.next(), close(kUserNumber));
  expect_quiet();
  EXPECT_EQ(bridge->num_channels(), 0U);
}

TEST_F(BridgeData, InjectsALineIntoTheReserve) {
  const ChannelNumber number = open_session(65536, kPacket);
  target_sends(data(number, text(32768)));
  target_sends(data(number, text(65536 - 1024 - 32768)));
  user.messages.clear();
  target.messages.clear();  // the reserve, given up since nothing else was left
  EXPECT_FALSE(bridge->inject_stderr(number, "no room"));
  user_sends(adjust(number, 10'000));
  EXPECT_EQ(target.next(), adjust(kTargetNumber, 10'000 - 1024)) << "the reserve comes first";
  EXPECT_TRUE(bridge->inject_stderr(number, "This session is recorded (7q2m)."));
  EXPECT_EQ(read_stderr(user.next()), "This session is recorded (7q2m).\n");
}

TEST_F(BridgeData, NeverOverrunsTheUsersWindowWithItsOwnLines) {
  const ChannelNumber number = open_session(65536, kPacket);
  std::size_t sent = 0;
  while (bridge->inject_stderr(number, std::string(99, 'x'))) {
    sent += 100;
  }
  EXPECT_EQ(sent, 1000U);
  target_sends(data(number, text(32768)));
  target_sends(data(number, text(65536 - 1024 - 32768)));
  EXPECT_EQ(target.next(), adjust(kTargetNumber, 24)) << "what is left of the reserve";
  target_sends(data(number, text(24)));
  expect_error(Leg::kUpstream, data(number, "x"));
}

TEST_F(BridgeData, InjectsNothingWhereNothingMayCome) {
  EXPECT_FALSE(bridge->inject_stderr(0, "no such channel"));
  const ChannelNumber tcp = open(open_tcpip("direct-tcpip", 1, "db", 1));
  EXPECT_FALSE(bridge->inject_stderr(tcp, "no stderr here"));
  const ChannelNumber number = open_session();
  target_sends(eof(number));
  EXPECT_FALSE(bridge->inject_stderr(number, "after the end"));
}

TEST_F(BridgeData, EndsLinesWithCarriageReturnsOnATerminal) {
  const ChannelNumber number = open_session();
  user_sends(pty(number));
  target_sends(success(number));
  user.messages.clear();
  EXPECT_TRUE(bridge->inject_stderr(number, "notice"));
  EXPECT_EQ(read_stderr(user.next()), "notice\r\n");
}

TEST_F(BridgeData, LetsAnAgentListAndSignOnly) {
  const ChannelNumber session = open_session();
  user_sends(request(session, "auth-agent-req@openssh.com", true));
  target_sends(success(session));
  user.messages.clear();
  target.messages.clear();
  target_sends(open_message("auth-agent@openssh.com", 50, kWindow, kPacket));
  const ChannelNumber number = u32_at(user.next(), 27);
  user_sends(confirm(number, 60, kWindow, kPacket));
  target.next();
  const std::string list("\0\0\0\1\x0b", 5);
  target_sends(data(number, list));
  EXPECT_EQ(user.next(), data(60, list));
  user_sends(data(number, "any answer"));
  EXPECT_EQ(target.next(), data(50, "any answer"));
  // SSH_AGENTC_ADD_SMARTCARD_KEY (20), behind a good request in the same message.
  target_sends(data(number, list + std::string("\0\0\0\1\x14", 5)));
  EXPECT_EQ(user.next(), close(60));
  EXPECT_EQ(target.next(), close(50));
  expect_quiet();
  EXPECT_TRUE(
      log.has("denied auth-agent@openssh.com a request that a forwarded agent does not get"));
  target_sends(data(number, "it crossed our close"));
  target_sends(close(number));
  user_sends(close(number));
  expect_quiet();
  EXPECT_EQ(bridge->num_channels(), 1U);
}

}  // namespace
}  // namespace bastion::proto
