#include <algorithm>

#include "proto/connection_limits.h"
#include "tests/unit/proto/bridge_support.h"

namespace bastion::proto {
namespace {

using namespace connection_test;  // NOLINT: the messages and peers of these tests

class BridgeOpen : public BridgeTest {
 protected:
  /// refused has `leg` send this open and gives the answer, which is the only message sent.
  OpenReply refused(Leg leg, const Bytes& message) {
    const Status status = from(leg, message);
    EXPECT_TRUE(status) << status.error().text;
    LegSink& sink = leg == Leg::kDownstream ? user : target;
    const OpenReply reply = read_open_failure(sink.next());
    expect_quiet();
    return reply;
  }
};

TEST_F(BridgeOpen, RelaysASessionWithNumberWindowAndPacketOfItsOwn) {
  user_sends(open_message("session", kUserNumber, 0x7fffffff, 0x4000));
  const Bytes relayed = target.next();
  EXPECT_EQ(relayed, open_message("session", 0, limits::kWindowBytesMax, 0x4000));
  target_sends(confirm(0, kTargetNumber, UINT32_MAX, UINT32_MAX));
  EXPECT_EQ(user.next(), confirm(kUserNumber, 0, limits::kWindowBytesMax, limits::kMaxPacketBytes));
  expect_quiet();
  EXPECT_EQ(log.lines, std::vector<std::string>{"opened session"});
  EXPECT_EQ(user.num_in_place + target.num_in_place, 2U);
}

TEST_F(BridgeOpen, KeepsAReserveOfTheUsersWindow) {
  user_sends(open_message("session", kUserNumber, 65536, kPacket));
  EXPECT_EQ(target.next(), open_message("session", 0, 65536 - 1024, kPacket));
}

TEST_F(BridgeOpen, RelaysForwardingsWhereThePolicyCoversThem) {
  Permissions some;
  some.forward_local = {{.host = "localhost", .port_min = 5432, .port_max = 5432},
                        {.host = "*.cache.internal", .port_min = 6379, .port_max = 6380}};
  some.forward_local_sockets = {"/run/app/*.sock"};
  restart(some);
  for (const auto& [host, port] : {std::pair{"localhost", 5432},
                                   {"LocalHost", 5432},
                                   {"a.cache.internal", 6380},
                                   {"a.b.cache.internal", 6379}}) {
    user_sends(open_tcpip("direct-tcpip", 1, host, static_cast<std::uint32_t>(port)));
    EXPECT_EQ(target.next()[0], kMsgChannelOpen) << host;
  }
  user_sends(Make(kMsgChannelOpen)
                 .text("direct-streamlocal@openssh.com")
                 .u32(1)
                 .u32(1000)
                 .u32(kPacket)
                 .text("/run/app/a.sock")
                 .text("")
                 .u32(0));
  EXPECT_EQ(target.next()[0], kMsgChannelOpen);
  expect_quiet();
}

TEST_F(BridgeOpen, RefusesForwardingsThatThePolicyDoesNotCover) {
  Permissions some;
  some.forward_local = {{.host = "localhost", .port_min = 5432, .port_max = 5432},
                        {.host = "10.0.*", .port_min = 80, .port_max = 90}};
  some.forward_local_sockets = {"/run/app/*.sock"};
  restart(some);
  for (const auto& [host, port] : {std::pair{"localhost", 5433U},
                                   {"127.0.0.1", 5432U},
                                   {"localhost.", 5432U},
                                   {"localhost", 5432U + 65536U},
                                   {"10.0.1.1", 79U},
                                   {"10.0.1.1", 91U},
                                   {"", 5432U},
                                   {"10.0.1 .1", 80U},
                                   {"10.0.\n", 80U},
                                   {"10.0.\xff", 80U},
                                   {"localhost", 0U}}) {
    const OpenReply reply =
        refused(Leg::kDownstream, open_tcpip("direct-tcpip", kUserNumber, host, port));
    EXPECT_EQ(reply.recipient, kUserNumber);
    EXPECT_EQ(reply.reason, 1U) << host;
    EXPECT_NE(reply.text.find("alice may not forward to"), std::string::npos) << reply.text;
    EXPECT_NE(reply.text.find("as deploy on web1   (7q2m)"), std::string::npos) << reply.text;
  }
  for (const char* path : {"/run/app/x", "/run/app/../app/x.sock", "/run/app/sub/x.sock",
                           "/run/app/../../root/x.sock", "", "/run/app/\x1b[2J.sock"}) {
    const OpenReply reply = refused(Leg::kDownstream, Make(kMsgChannelOpen)
                                                          .text("direct-streamlocal@openssh.com")
                                                          .u32(1)
                                                          .u32(1000)
                                                          .u32(kPacket)
                                                          .text(path)
                                                          .text("")
                                                          .u32(0));
    EXPECT_EQ(reply.reason, 1U) << path;
    EXPECT_EQ(reply.text.find('\x1b'), std::string::npos);
  }
}

TEST_F(BridgeOpen, RefusesALongHost) {
  const OpenReply reply =
      refused(Leg::kDownstream, open_tcpip("direct-tcpip", 1, std::string(256, 'a'), 80));
  EXPECT_EQ(reply.reason, 1U);
  user_sends(open_tcpip("direct-tcpip", 1, std::string(255, 'a'), 80));
  EXPECT_EQ(target.next()[0], kMsgChannelOpen);
}

TEST_F(BridgeOpen, sec_025_RefusesEveryForwardingThatIsNotAllowed) {
  restart(Permissions{});
  const std::vector<std::pair<Leg, Bytes>> opens = {
      {Leg::kDownstream, open_tcpip("direct-tcpip", 1, "localhost", 80)},
      {Leg::kDownstream, Make(kMsgChannelOpen)
                             .text("direct-streamlocal@openssh.com")
                             .u32(1)
                             .u32(1)
                             .u32(kPacket)
                             .text("/x")
                             .text("")
                             .u32(0)},
      {Leg::kDownstream,
       Make(kMsgChannelOpen).text("tun@openssh.com").u32(1).u32(1).u32(kPacket).u32(1).u32(0)},
      {Leg::kDownstream, open_message("x11", 1, 1, kPacket)},
      {Leg::kUpstream,
       Make(kMsgChannelOpen).text("x11").u32(1).u32(1).u32(kPacket).text("a").u32(1)},
      {Leg::kUpstream, open_message("auth-agent@openssh.com", 1, 1, kPacket)},
      {Leg::kUpstream, open_message("auth-agent", 1, 1, kPacket)},
      {Leg::kUpstream, open_tcpip("forwarded-tcpip", 1, "localhost", 80)},
      {Leg::kUpstream, Make(kMsgChannelOpen)
                           .text("forwarded-streamlocal@openssh.com")
                           .u32(1)
                           .u32(1)
                           .u32(kPacket)
                           .text("/x")
                           .text("")},
  };
  // An "x11" of the user is not parsed further: the direction alone refuses it.
  for (const auto& [leg, message] : opens) {
    const Status status = from(leg, message);
    if (!status) {
      EXPECT_EQ(leg, Leg::kDownstream);  // x11 without its fields
      continue;
    }
    LegSink& sink = leg == Leg::kDownstream ? user : target;
    EXPECT_EQ(sink.next()[0], kMsgChannelOpenFailure);
    expect_quiet();
  }
  EXPECT_EQ(bridge->num_channels(), 0U);
}

TEST_F(BridgeOpen, RefusesChannelsOfTheWrongSideAsUnknown) {
  for (const Bytes& message :
       {open_tcpip("forwarded-tcpip", 1, "localhost", 80),
        open_message("auth-agent", 1, 1, kPacket),
        Bytes(Make(kMsgChannelOpen).text("x11").u32(1).u32(1).u32(kPacket).text("a").u32(1))}) {
    EXPECT_EQ(refused(Leg::kDownstream, message).reason, 3U);
  }
  EXPECT_EQ(refused(Leg::kUpstream, open_message("session", 1, 1, kPacket)).reason, 3U);
  EXPECT_EQ(refused(Leg::kUpstream, open_tcpip("direct-tcpip", 1, "x", 80)).reason, 3U);
}

TEST_F(BridgeOpen, RefusesUnknownTypesWhateverFollows) {
  const OpenReply reply = refused(
      Leg::kDownstream, Make(kMsgChannelOpen).text("tun@openssh.com").u32(9).u32(1).u32(1).u8(3));
  EXPECT_EQ(reply.recipient, 9U);
  EXPECT_EQ(reply.reason, 3U);
  EXPECT_TRUE(log.has("refused unknown policy "));
}

TEST_F(BridgeOpen, sec_060_RefusesPacketSizesThatCannotWork) {
  for (const std::uint32_t max_packet : {0U, 1U, 31U, kPeerMaxPacketMin - 1}) {
    const OpenReply reply =
        refused(Leg::kDownstream, open_message("session", 1, kWindow, max_packet));
    EXPECT_EQ(reply.reason, 4U);
    EXPECT_NE(reply.text.find(std::to_string(max_packet)), std::string::npos);
  }
  user_sends(open_message("session", 1, kWindow, kPeerMaxPacketMin));
  EXPECT_EQ(u32_at(target.next(), 20), kPeerMaxPacketMin);
  user_sends(open_message("session", 1, kWindow, UINT32_MAX));
  EXPECT_EQ(u32_at(target.next(), 20), limits::kMaxPacketBytes);
}

TEST_F(BridgeOpen, sec_060_EndsATargetThatConfirmsWithSuchASize) {
  for (const std::uint32_t max_packet : {0U, 1U, 31U}) {
    restart(allow_all());
    user_sends(open_message("session", 1, kWindow, kPacket));
    expect_error(Leg::kUpstream, confirm(0, kTargetNumber, kWindow, max_packet));
  }
}

TEST_F(BridgeOpen, PassesTheTargetsRefusalOnWithoutItsControlCharacters) {
  user_sends(open_tcpip("direct-tcpip", kUserNumber, "db", 5432));
  target.next();
  target_sends(open_failure(0, 2,
                            "no\x1b[31m route\r\n\xc2\x9b"
                            "2J"));
  const OpenReply reply = read_open_failure(user.next());
  EXPECT_EQ(reply.recipient, kUserNumber);
  EXPECT_EQ(reply.reason, 2U);
  EXPECT_EQ(reply.text, "no?[31m route???2J");
  EXPECT_EQ(bridge->num_channels(), 0U);
  EXPECT_EQ(log.lines, std::vector<std::string>{"refused direct-tcpip peer db:5432"});
}

TEST_F(BridgeOpen, TakesARefusalWithoutALanguageTag) {
  user_sends(open_message("session", kUserNumber, kWindow, kPacket));
  target.next();
  target_sends(Make(kMsgChannelOpenFailure).u32(0).u32(2).text("no"));
  EXPECT_EQ(read_open_failure(user.next()).text, "no");
}

TEST_F(BridgeOpen, sec_063_RefusesMoreSessionsThanAllowed) {
  Permissions few = allow_all();
  few.session_channels_max = 10;
  restart(few);
  for (std::uint32_t i = 0; i < 10; ++i) {
    open(open_message("session", i, kWindow, kPacket), kWindow, kPacket, 100 + i);
  }
  const OpenReply reply = refused(Leg::kDownstream, open_message("session", 11, kWindow, kPacket));
  EXPECT_EQ(reply.reason, 4U);
  EXPECT_EQ(reply.text, "too many sessions on this connection: 10");
  EXPECT_TRUE(log.has("refused session limit "));
  // Another kind of channel still goes, and a session once one is closed.
  user_sends(open_tcpip("direct-tcpip", 12, "db", 5432));
  EXPECT_EQ(target.next()[0], kMsgChannelOpen);
  user_sends(close(3));
  target_sends(close(3));
  user.messages.clear();
  target.messages.clear();
  user_sends(open_message("session", 13, kWindow, kPacket));
  EXPECT_EQ(target.next()[0], kMsgChannelOpen);
}

TEST_F(BridgeOpen, sec_063_RefusesMoreChannelsThanAllowed) {
  Permissions few = allow_all();
  few.channels_max = 3;
  restart(few);
  for (std::uint32_t i = 0; i < 3; ++i) {
    open(open_tcpip("direct-tcpip", i, "db", 5432), kWindow, kPacket, 100 + i);
  }
  EXPECT_EQ(refused(Leg::kDownstream, open_tcpip("direct-tcpip", 9, "db", 5432)).reason, 4U);
  EXPECT_EQ(refused(Leg::kDownstream, open_message("session", 9, kWindow, kPacket)).reason, 4U);
}

TEST_F(BridgeOpen, NeverHoldsMoreThanTheTableWhateverThePolicySays) {
  Permissions many = allow_all();
  many.channels_max = 100'000;
  restart(many);
  for (std::uint32_t i = 0; i < limits::kChannelsMax; ++i) {
    open(open_tcpip("direct-tcpip", i, "db", 5432), kWindow, kPacket, 1000 + i);
  }
  EXPECT_EQ(refused(Leg::kDownstream, open_tcpip("direct-tcpip", 999, "db", 5432)).reason, 4U);
}

TEST_F(BridgeOpen, BoundsTheOpensInFlight) {
  for (std::uint32_t i = 0; i < kOpensInFlightMax; ++i) {
    user_sends(open_tcpip("direct-tcpip", i, "db", 5432));
    target.next();
  }
  EXPECT_EQ(refused(Leg::kDownstream, open_tcpip("direct-tcpip", 99, "db", 5432)).reason, 4U);
  target_sends(open_failure(0, 2, "no"));
  user.next();
  user_sends(open_tcpip("direct-tcpip", 99, "db", 5432));
  EXPECT_EQ(target.next()[0], kMsgChannelOpen);
}

TEST_F(BridgeOpen, sec_063_FreesRefusedChannels) {
  for (int i = 0; i < 100'000; ++i) {
    user_sends(open_message("session", kUserNumber, kWindow, kPacket));
    const ChannelNumber number = u32_at(target.next(), 12);
    EXPECT_EQ(number & 0xff, 0U) << "the place is used again";
    target_sends(open_failure(number, 2, "no"));
    user.next();
  }
  EXPECT_EQ(bridge->num_channels(), 0U);
}

TEST_F(BridgeOpen, RefusesSessionsAfterNoMoreSessions) {
  open_session();
  user_sends(global("no-more-sessions@openssh.com", false));
  EXPECT_EQ(target.next()[0], kMsgGlobalRequest);
  EXPECT_EQ(refused(Leg::kDownstream, open_message("session", 8, kWindow, kPacket)).reason, 1U);
  user_sends(open_tcpip("direct-tcpip", 9, "db", 5432));
  EXPECT_EQ(target.next()[0], kMsgChannelOpen);
}

TEST_F(BridgeOpen, sec_066_RefusesX11BeforeItWasAskedFor) {
  const Bytes x11 = Make(kMsgChannelOpen)
                        .text("x11")
                        .u32(5)
                        .u32(kWindow)
                        .u32(kPacket)
                        .text("127.0.0.1")
                        .u32(6010);
  const ChannelNumber number = open_session();
  EXPECT_EQ(refused(Leg::kUpstream, x11).reason, 1U);
  user_sends(x11_req(number));
  EXPECT_EQ(target.next(), x11_req(kTargetNumber));
  EXPECT_EQ(refused(Leg::kUpstream, x11).reason, 1U) << "asked for, but not accepted yet";
  target_sends(failure(number));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  EXPECT_EQ(refused(Leg::kUpstream, x11).reason, 1U) << "and refused by the target";
  user_sends(x11_req(number));
  target.next();
  target_sends(success(number));
  user.next();
  target_sends(x11);
  EXPECT_EQ(user.next()[0], kMsgChannelOpen);
}

TEST_F(BridgeOpen, RefusesTheAgentBeforeItWasAskedFor) {
  const Bytes agent = open_message("auth-agent@openssh.com", 5, kWindow, kPacket);
  const ChannelNumber number = open_session();
  EXPECT_EQ(refused(Leg::kUpstream, agent).reason, 1U);
  // OpenSSH asks without wanting an answer; we want one.
  user_sends(request(number, "auth-agent-req@openssh.com", false));
  EXPECT_EQ(target.next(), Bytes(request(kTargetNumber, "auth-agent-req@openssh.com", true)));
  target_sends(success(number));
  expect_quiet();
  target_sends(agent);
  EXPECT_EQ(user.next()[0], kMsgChannelOpen);
}

TEST_F(BridgeOpen, ConfirmsChannelsThatTheTargetOpens) {
  user_sends(tcpip_forward("localhost", 8080));
  target.next();
  target_sends(kGlobalSuccess);
  user.next();
  target_sends(open_tcpip("forwarded-tcpip", kTargetNumber, "localhost", 8080, 5000, 1000));
  EXPECT_EQ(user.next(), open_tcpip("forwarded-tcpip", 0, "localhost", 8080, 5000, 1000));
  user_sends(confirm(0, kUserNumber, 700, 600));
  EXPECT_EQ(target.next(), confirm(kTargetNumber, 0, 700, 600));
  user_sends(data(0, "up"));
  EXPECT_EQ(target.next(), data(kTargetNumber, "up"));
  target_sends(data(0, "down"));
  EXPECT_EQ(user.next(), data(kUserNumber, "down"));
}

TEST_F(BridgeOpen, NumbersOfTwoChannelsNeverMix) {
  const ChannelNumber first =
      open(open_message("session", 1, kWindow, kPacket), kWindow, kPacket, 1);
  const ChannelNumber second =
      open(open_message("session", 2, kWindow, kPacket), kWindow, kPacket, 2);
  EXPECT_NE(first, second);
  user_sends(shell(second, false));
  EXPECT_EQ(u32_at(target.next(), 1), 2U);
  user_sends(data(second, "two"));
  EXPECT_EQ(target.next(), data(2, "two"));
  target_sends(data(first, "one"));
  EXPECT_EQ(user.next(), data(1, "one"));
}

// --- the permit table, through the bridge ---

std::vector<Bytes> channel_messages(ChannelNumber number) {
  return {confirm(number, 1, 1, kPacket),
          open_failure(number, 1, "x"),
          adjust(number, 1),
          data(number, "x"),
          extended(number, 1, "x"),
          eof(number),
          close(number),
          signal(number, "INT"),
          success(number),
          failure(number)};
}

TEST_F(BridgeOpen, sec_065_RefusesEveryMessageOfANumberThatWasNeverGiven) {
  for (const ChannelNumber number : {0U, 1U, 255U, 256U, UINT32_MAX, 0x80000000U}) {
    for (const Leg leg : kLegs) {
      for (const Bytes& message : channel_messages(number)) {
        expect_error(leg, message);
      }
    }
  }
  expect_quiet();
}

TEST_F(BridgeOpen, sec_065_RefusesEveryMessageOfTheOpenerBeforeTheConfirmation) {
  user_sends(open_message("session", kUserNumber, kWindow, kPacket));
  target.next();
  for (const Bytes& message : channel_messages(0)) {
    expect_error(Leg::kDownstream, message);
  }
  expect_quiet();
}

TEST_F(BridgeOpen, sec_065_TakesOnlyAnAnswerFromTheSideThatWasAsked) {
  user_sends(open_message("session", kUserNumber, kWindow, kPacket));
  target.next();
  for (const Bytes& message : channel_messages(0)) {
    if (message[0] != kMsgChannelOpenConfirmation && message[0] != kMsgChannelOpenFailure) {
      expect_error(Leg::kUpstream, message);
    }
  }
  expect_quiet();
  target_sends(confirm(0, kTargetNumber, kWindow, kPacket));
  expect_error(Leg::kUpstream, confirm(0, kTargetNumber, kWindow, kPacket));
  expect_error(Leg::kUpstream, open_failure(0, 1, "x"));
  expect_error(Leg::kDownstream, confirm(0, kUserNumber, kWindow, kPacket));
}

TEST_F(BridgeOpen, sec_065_RefusesWhatFollowsAClose) {
  const ChannelNumber number = open_session();
  user_sends(close(number));
  target.next();
  for (const Bytes& message : channel_messages(number)) {
    const bool harmless = message[0] == kMsgChannelWindowAdjust ||
                          message[0] == kMsgChannelSuccess || message[0] == kMsgChannelFailure;
    if (harmless) {
      user_sends(message);
    } else {
      expect_error(Leg::kDownstream, message);
    }
  }
  expect_quiet();
}

TEST_F(BridgeOpen, sec_065_RefusesWhatNamesAChannelThatIsGone) {
  const ChannelNumber number = open_session();
  user_sends(close(number));
  target_sends(close(number));
  user.messages.clear();
  target.messages.clear();
  EXPECT_EQ(bridge->num_channels(), 0U);
  const ChannelNumber next = open_session();
  EXPECT_NE(number, next) << "the place is the same, the number another";
  for (const Leg leg : kLegs) {
    for (const Bytes& message : channel_messages(number)) {
      const bool harmless = message[0] == kMsgChannelWindowAdjust ||
                            message[0] == kMsgChannelSuccess || message[0] == kMsgChannelFailure;
      if (harmless) {
        EXPECT_TRUE(from(leg, message));
      } else {
        expect_error(leg, message);
      }
    }
  }
  expect_quiet();
}

TEST_F(BridgeOpen, RefusesMessagesCutShortAtEveryByte) {
  const std::vector<std::pair<Leg, Bytes>> messages = {
      {Leg::kDownstream, open_message("session", 1, kWindow, kPacket)},
      {Leg::kDownstream, open_tcpip("direct-tcpip", 1, "db", 5432)},
      {Leg::kUpstream, confirm(0, 1, kWindow, kPacket)},
      {Leg::kDownstream, adjust(0, 1)},
      {Leg::kDownstream, data(0, "abc")},
      {Leg::kUpstream, extended(0, 1, "abc")},
      {Leg::kDownstream, eof(0)},
      {Leg::kDownstream, close(0)},
      {Leg::kDownstream, success(0)},
  };
  for (const auto& [leg, message] : messages) {
    for (std::size_t len = 1; len < message.size(); ++len) {
      restart(allow_all());
      if (message[0] == kMsgChannelOpenConfirmation) {
        user_sends(open_message("session", 1, kWindow, kPacket));
        target.next();
      } else if (message[0] != kMsgChannelOpen) {
        open_session();
      }
      expect_error(leg, Bytes(message.begin(), message.begin() + static_cast<long>(len)));
      expect_quiet();
    }
    Bytes longer = message;
    longer.push_back(0);
    restart(allow_all());
    if (message[0] != kMsgChannelOpen) {
      open_session();
    }
    expect_error(leg, longer);
  }
}

TEST_F(BridgeOpen, SaysUnsupportedOfMessagesThatAreNone) {
  for (const std::uint8_t number : Bytes{83, 89, 101, 127, 200, 255}) {
    expect_error(Leg::kDownstream, Bytes{number, 0, 0, 0, 0}, ErrorCode::kUnsupported);
    expect_error(Leg::kUpstream, Bytes{number}, ErrorCode::kUnsupported);
  }
}

}  // namespace
}  // namespace bastion::proto
