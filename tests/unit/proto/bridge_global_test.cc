#include "proto/connection_limits.h"
#include "tests/unit/proto/bridge_support.h"

namespace bastion::proto {
namespace {

using namespace connection_test;  // NOLINT: the messages and peers of these tests

class BridgeGlobal : public BridgeTest {
 protected:
  bool forwarded(std::string_view host, std::uint32_t port) {
    const Status status = from(Leg::kUpstream, open_tcpip("forwarded-tcpip", 9, host, port));
    EXPECT_TRUE(status);
    if (!target.empty()) {
      EXPECT_EQ(read_open_failure(target.next()).reason, 1U);
      return false;
    }
    const Bytes relayed = user.next();
    EXPECT_EQ(relayed[0], kMsgChannelOpen);
    user_sends(open_failure(u32_at(relayed, 20), 2, "no"));
    target.next();
    return true;
  }
};

Bytes success_with_port(std::uint32_t port) { return Make(kMsgRequestSuccess).u32(port); }

TEST_F(BridgeGlobal, ForwardsOnlyWhatWasAskedForAndAccepted) {
  EXPECT_FALSE(forwarded("localhost", 8080));
  user_sends(tcpip_forward("localhost", 8080));
  EXPECT_EQ(target.next(), tcpip_forward("localhost", 8080));
  EXPECT_FALSE(forwarded("localhost", 8080)) << "not accepted yet";
  target_sends(kGlobalSuccess);
  EXPECT_EQ(user.next(), kGlobalSuccess);
  EXPECT_TRUE(forwarded("localhost", 8080));
  EXPECT_TRUE(forwarded("127.0.0.1", 8080));
  EXPECT_FALSE(forwarded("localhost", 8081));
  EXPECT_TRUE(log.has("allowed tcpip-forward localhost:8080"));
  EXPECT_TRUE(log.has("allowed tcpip-forward localhost:8080 established"));
}

TEST_F(BridgeGlobal, KeepsAnExactAddressExact) {
  user_sends(tcpip_forward("10.1.2.3", 8080));
  target.next();
  target_sends(kGlobalSuccess);
  user.next();
  EXPECT_TRUE(forwarded("10.1.2.3", 8080));
  EXPECT_FALSE(forwarded("10.1.2.4", 8080));
}

TEST_F(BridgeGlobal, ForwardsNothingAfterARefusal) {
  user_sends(tcpip_forward("", 8080));
  target.next();
  target_sends(kGlobalFailure);
  EXPECT_EQ(user.next(), kGlobalFailure);
  EXPECT_FALSE(forwarded("", 8080));
}

TEST_F(BridgeGlobal, LearnsThePortThatTheTargetChose) {
  user_sends(tcpip_forward("localhost", 0));
  EXPECT_EQ(target.next(), tcpip_forward("localhost", 0));
  target_sends(success_with_port(40123));
  EXPECT_EQ(user.next(), success_with_port(40123));
  EXPECT_TRUE(forwarded("localhost", 40123));
  EXPECT_FALSE(forwarded("localhost", 0));
  EXPECT_TRUE(log.has("allowed tcpip-forward localhost:40123 established"));
  user_sends(cancel_tcpip_forward("localhost", 40123));
  EXPECT_EQ(target.next(), cancel_tcpip_forward("localhost", 40123));
}

TEST_F(BridgeGlobal, EndsATargetThatDoesNotSayThePortOrSaysNone) {
  for (const Bytes& answer : {kGlobalSuccess, Bytes(Make(kMsgRequestSuccess).u8(1)),
                              success_with_port(0), success_with_port(65536)}) {
    restart(allow_all());
    user_sends(tcpip_forward("localhost", 0));
    target.next();
    expect_error(Leg::kUpstream, answer);
  }
}

TEST_F(BridgeGlobal, PassesNoBytesThatAnAnswerShouldNotHave) {
  user_sends(tcpip_forward("localhost", 80));
  target.next();
  target_sends(success_with_port(80));
  EXPECT_EQ(user.next(), kGlobalSuccess);
}

TEST_F(BridgeGlobal, ForwardsUntilTheCancellationIsAccepted) {
  user_sends(tcpip_forward("localhost", 8080));
  target.next();
  target_sends(kGlobalSuccess);
  user.next();
  user_sends(cancel_tcpip_forward("localhost", 8080));
  EXPECT_EQ(target.next(), cancel_tcpip_forward("localhost", 8080));
  EXPECT_TRUE(forwarded("localhost", 8080)) << "a connection may have crossed the cancellation";
  target_sends(kGlobalFailure);
  EXPECT_EQ(user.next(), kGlobalFailure);
  EXPECT_TRUE(forwarded("localhost", 8080));
  user_sends(cancel_tcpip_forward("localhost", 8080));
  target.next();
  target_sends(kGlobalSuccess);
  user.next();
  EXPECT_FALSE(forwarded("localhost", 8080));
}

TEST_F(BridgeGlobal, CancelsOnlyWhatIsThere) {
  user_sends(cancel_tcpip_forward("localhost", 8080));
  EXPECT_EQ(user.next(), kGlobalFailure);
  expect_quiet();
}

TEST_F(BridgeGlobal, ForwardsSocketsBothWays) {
  const auto forward = [](std::string_view name) {
    return Bytes(global(name, true).text("/run/x.sock"));
  };
  const auto opened = [](std::string_view path, std::uint32_t number) {
    return Bytes(Make(kMsgChannelOpen)
                     .text("forwarded-streamlocal@openssh.com")
                     .u32(number)
                     .u32(kWindow)
                     .u32(kPacket)
                     .text(path)
                     .text(""));
  };
  user_sends(forward("streamlocal-forward@openssh.com"));
  EXPECT_EQ(target.next(), forward("streamlocal-forward@openssh.com"));
  target_sends(kGlobalSuccess);
  user.next();
  target_sends(opened("/run/y.sock", 1));
  EXPECT_EQ(read_open_failure(target.next()).reason, 1U);
  target_sends(opened("/run/x.sock", 1));
  EXPECT_EQ(user.next()[0], kMsgChannelOpen);
  user_sends(forward("cancel-streamlocal-forward@openssh.com"));
  EXPECT_EQ(target.next(), forward("cancel-streamlocal-forward@openssh.com"));
  target_sends(kGlobalSuccess);
  user.next();
  target_sends(opened("/run/x.sock", 1));
  EXPECT_EQ(read_open_failure(target.next()).reason, 1U);
}

TEST_F(BridgeGlobal, RefusesForwardingsThatThePolicyDoesNotCover) {
  Permissions some;
  some.forward_remote = {{.host = "localhost", .port_min = 8000, .port_max = 8999}};
  some.forward_remote_sockets = {"/run/app/*"};
  restart(some);
  for (const auto& [host, port] : {std::pair{"localhost", 7999U},
                                   {"localhost", 9000U},
                                   {"", 8080U},
                                   {"localhost", 0U},
                                   {"0.0.0.0", 8080U},
                                   {"localhost", 8080U + 65536U}}) {
    user_sends(tcpip_forward(host, port));
    EXPECT_EQ(user.next(), kGlobalFailure) << host << port;
  }
  user_sends(global("streamlocal-forward@openssh.com", true).text("/run/other/x"));
  EXPECT_EQ(user.next(), kGlobalFailure);
  expect_quiet();
  user_sends(tcpip_forward("localhost", 8080));
  EXPECT_EQ(target.next()[0], kMsgGlobalRequest);
}

TEST_F(BridgeGlobal, RefusesAnyPortWhereNobodyWantsToKnowIt) {
  user_sends(tcpip_forward("localhost", 0, false));
  expect_quiet();
  EXPECT_TRUE(log.has("denied tcpip-forward localhost:0"));
}

TEST_F(BridgeGlobal, WantsToKnowWhatBecameOfAForwarding) {
  user_sends(tcpip_forward("localhost", 8080, false));
  EXPECT_EQ(target.next(), tcpip_forward("localhost", 8080, true));
  target_sends(kGlobalSuccess);
  expect_quiet();
  EXPECT_TRUE(forwarded("localhost", 8080));
}

TEST_F(BridgeGlobal, BoundsTheForwardings) {
  for (std::uint32_t i = 0; i < kForwardsMax; ++i) {
    user_sends(tcpip_forward("localhost", 1000 + i));
    target.next();
    target_sends(kGlobalSuccess);
    user.next();
  }
  user_sends(tcpip_forward("localhost", 9999));
  EXPECT_EQ(user.next(), kGlobalFailure);
  expect_quiet();
}

TEST_F(BridgeGlobal, AnswersKeepalivesAndUnknownRequestsOfBothLegs) {
  for (const char* name : {"keepalive@openssh.com", "hostkeys-prove-00@openssh.com", "x@y", ""}) {
    user_sends(global(name, true));
    EXPECT_EQ(user.next(), kGlobalFailure);
    user_sends(global(name, false));
    target_sends(global(name, true));
    EXPECT_EQ(target.next(), kGlobalFailure);
    expect_quiet();
  }
}

TEST_F(BridgeGlobal, SwallowsTheTargetsHostKeys) {
  target_sends(global("hostkeys-00@openssh.com", false).text("a key"));
  expect_quiet();
}

TEST_F(BridgeGlobal, PassesNothingOfTheTargetsRequests) {
  target_sends(tcpip_forward("localhost", 80));
  EXPECT_EQ(target.next(), kGlobalFailure);
  expect_quiet();
}

TEST_F(BridgeGlobal, AnswersInTheOrderOfTheRequestsWhoeverAnswers) {
  user_sends(tcpip_forward("localhost", 8080));
  user_sends(global("keepalive@openssh.com", true));
  user_sends(tcpip_forward("localhost", 0));
  user_sends(global("x@y", true));
  ASSERT_TRUE(bridge->send_keepalive(Leg::kUpstream));
  user_sends(global("no-more-sessions@openssh.com", true));
  EXPECT_TRUE(user.empty());
  EXPECT_EQ(target.messages.size(), 4U);
  target_sends(kGlobalFailure);
  EXPECT_EQ(user.next(), kGlobalFailure);
  EXPECT_EQ(user.next(), kGlobalFailure) << "the keepalive's";
  EXPECT_TRUE(user.empty());
  target_sends(success_with_port(40000));
  EXPECT_EQ(user.next(), success_with_port(40000));
  EXPECT_EQ(user.next(), kGlobalFailure);
  target_sends(kGlobalFailure);
  EXPECT_TRUE(user.empty()) << "that was our own keepalive's";
  target_sends(kGlobalSuccess);
  EXPECT_EQ(user.next(), kGlobalSuccess);
  EXPECT_TRUE(user.empty());
}

TEST_F(BridgeGlobal, sec_064_DropsAnswersThatNobodyAskedFor) {
  for (int i = 0; i < 10'000; ++i) {
    user_sends(kGlobalSuccess);
    user_sends(kGlobalFailure);
    target_sends(success_with_port(1));
    target_sends(kGlobalFailure);
  }
  expect_quiet();
}

TEST_F(BridgeGlobal, BoundsTheRequestsThatWaitForAnAnswer) {
  user_sends(global("no-more-sessions@openssh.com", true));
  for (std::size_t i = 1; i < limits::kPendingRepliesMax; ++i) {
    user_sends(global("x@y", true));
  }
  expect_error(Leg::kDownstream, global("x@y", true), ErrorCode::kLimit);
  expect_error(Leg::kDownstream, tcpip_forward("localhost", 1), ErrorCode::kLimit);
  user_sends(global("x@y", false));
}

TEST_F(BridgeGlobal, BoundsItsOwnKeepalives) {
  for (std::size_t i = 0; i < limits::kPendingRepliesMax; ++i) {
    EXPECT_TRUE(bridge->send_keepalive(Leg::kDownstream));
  }
  EXPECT_FALSE(bridge->send_keepalive(Leg::kDownstream));
  EXPECT_EQ(user.messages.size(), limits::kPendingRepliesMax);
  user_sends(kGlobalFailure);
  EXPECT_TRUE(bridge->send_keepalive(Leg::kDownstream));
}

TEST_F(BridgeGlobal, EndsAPeerWhoseRequestsAreCutShort) {
  for (const Bytes& message :
       {tcpip_forward("localhost", 80), cancel_tcpip_forward("localhost", 80),
        Bytes(global("no-more-sessions@openssh.com", true)),
        Bytes(global("streamlocal-forward@openssh.com", true).text("/x"))}) {
    for (std::size_t len = 1; len < message.size(); ++len) {
      expect_error(Leg::kDownstream,
                   Bytes(message.begin(), message.begin() + static_cast<long>(len)));
    }
    Bytes longer = message;
    longer.push_back(0);
    expect_error(Leg::kDownstream, longer);
  }
  expect_quiet();
}

}  // namespace
}  // namespace bastion::proto
