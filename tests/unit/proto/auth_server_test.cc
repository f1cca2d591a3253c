#include "proto/auth_server.h"

#include <gtest/gtest.h>

#include "tests/unit/proto/auth_support.h"

namespace bastion::proto {
namespace {

using test::default_options;
using test::key_blob;
using test::method_request;
using test::Request;
using test::ServerRig;
using Kind = AuthStep::Kind;
using State = AuthServer::State;

const Bytes kFailure = encode_userauth_failure({"publickey", false});

TEST(AuthServer, AnswersTheServiceRequestAndThenAsksForTheKey) {
  ServerRig rig(default_options(), false);
  ASSERT_TRUE(rig.server.on_message(encode_service_request("ssh-userauth")));
  EXPECT_EQ(rig.sink.sent.back(), encode_service_accept("ssh-userauth"));

  Request request;
  const auto step = rig.server.on_message(request.query());
  ASSERT_TRUE(step);
  EXPECT_EQ(step->kind, Kind::kNeedKeyQuery);
  EXPECT_EQ(step->user, "root@web1");
  EXPECT_EQ(step->service, "ssh-connection");
  EXPECT_EQ(step->algorithm, "ssh-ed25519");
  EXPECT_TRUE(equal(step->key_blob, request.blob));
  EXPECT_TRUE(step->signature.empty());
  EXPECT_TRUE(rig.server.waiting());
  EXPECT_EQ(rig.sink.sent.size(), 1U);
}

TEST(AuthServer, PkOkEchoesAlgorithmAndKeyAlthoughThePayloadIsGone) {
  ServerRig rig;
  Request request{.algorithm = "rsa-sha2-512", .blob = key_blob("ssh-rsa")};
  Bytes payload = request.query();
  ASSERT_TRUE(rig.server.on_message(payload));
  std::ranges::fill(payload, std::uint8_t{0xEE});
  ASSERT_TRUE(rig.server.provide_key_query(true));
  EXPECT_EQ(rig.sink.sent.back(), encode_publickey_ok({"rsa-sha2-512", request.blob}));
  EXPECT_FALSE(rig.server.waiting());
}

TEST(AuthServer, AStepsViewsLiveUntilItsAnswer) {
  ServerRig rig;
  Request request{.hostbound = true};
  Bytes payload = request.sign();
  const auto step = rig.server.on_message(payload);
  ASSERT_TRUE(step);
  std::ranges::fill(payload, std::uint8_t{0xEE});
  EXPECT_EQ(step->kind, Kind::kNeedKeyVerify);
  EXPECT_EQ(step->user, request.user);
  EXPECT_EQ(step->algorithm, request.algorithm);
  EXPECT_TRUE(equal(step->key_blob, request.blob));
  EXPECT_EQ(as_text(step->signature), request.signature);
  EXPECT_TRUE(step->hostbound);
  EXPECT_TRUE(equal(step->host_key_blob, request.host_key));
}

TEST(AuthServer, SuccessIsSentOnceAndLaterRequestsAreSilentlyIgnored) {
  ServerRig rig;
  Request request;
  ASSERT_TRUE(rig.server.on_message(request.sign()));
  EXPECT_FALSE(rig.server.authenticated());
  ASSERT_TRUE(rig.server.provide_verdict(AuthVerdict::kSuccess));
  EXPECT_TRUE(rig.server.authenticated());
  EXPECT_EQ(rig.sink.numbers(), std::vector<int>{kMsgUserauthSuccess});
  for (int i = 0; i < 100; ++i) {
    const auto step = rig.server.on_message(request.sign());
    ASSERT_TRUE(step);
    EXPECT_EQ(step->kind, Kind::kNone);
  }
  rig.server.send_banner("too late");
  EXPECT_EQ(rig.sink.numbers(), std::vector<int>{kMsgUserauthSuccess});
}

TEST(AuthServer, AnAnswerThatIsNotDueIsOurFaultAndGrantsNothing) {
  {
    ServerRig rig;
    EXPECT_EQ(rig.server.provide_verdict(AuthVerdict::kSuccess).error().code, ErrorCode::kInternal);
    EXPECT_TRUE(rig.sink.sent.empty());
    EXPECT_EQ(rig.server.state(), State::kBroken);
  }
  {
    ServerRig rig;
    ASSERT_TRUE(rig.server.on_message(Request{}.query()));
    EXPECT_EQ(rig.server.provide_verdict(AuthVerdict::kSuccess).error().code, ErrorCode::kInternal);
    EXPECT_TRUE(rig.sink.sent.empty());
    EXPECT_FALSE(rig.server.authenticated());
  }
  {
    ServerRig rig;
    ASSERT_TRUE(rig.server.on_message(Request{}.sign()));
    EXPECT_EQ(rig.server.provide_key_query(true).error().code, ErrorCode::kInternal);
    EXPECT_TRUE(rig.sink.sent.empty());
  }
  {
    ServerRig rig;
    ASSERT_TRUE(rig.server.on_message(Request{}.sign()));
    ASSERT_TRUE(rig.server.provide_verdict(AuthVerdict::kSuccess));
    EXPECT_FALSE(rig.server.provide_verdict(AuthVerdict::kSuccess));
    EXPECT_EQ(rig.sink.count(kMsgUserauthSuccess), 1U);
  }
}

TEST(AuthServer, AMessageWhileAnAnswerIsDueIsOurFault) {
  ServerRig rig;
  ASSERT_TRUE(rig.server.on_message(Request{}.query()));
  EXPECT_EQ(rig.server.on_message(Request{}.query()).error().code, ErrorCode::kInternal);
}

TEST(AuthServer, EveryErrorIsFinal) {
  ServerRig rig;
  EXPECT_FALSE(rig.server.on_message(Bytes{kMsgUserauthSuccess}));
  EXPECT_FALSE(rig.server.on_message(Request{}.query()));
  EXPECT_FALSE(rig.server.on_message(encode_service_request(kServiceUserauth)));
  EXPECT_TRUE(rig.sink.sent.empty());
}

TEST(AuthServer, RefusesEveryServiceButUserauthAndConnection) {
  for (const std::string_view service : {std::string_view("ssh-connection"), std::string_view(""),
                                         std::string_view("ssh-userauth\0", 13)}) {
    ServerRig rig(default_options(), false);
    const auto step = rig.server.on_message(encode_service_request(service));
    ASSERT_FALSE(step);
    EXPECT_EQ(auth_disconnect_reason(step.error()), DisconnectReason::kServiceNotAvailable);
  }
  ServerRig rig;
  const auto step = rig.server.on_message(Request{.service = "ssh-userauth"}.sign());
  ASSERT_FALSE(step);
  EXPECT_EQ(auth_disconnect_reason(step.error()), DisconnectReason::kServiceNotAvailable);
}

TEST(AuthServer, ToleratesARepeatedServiceRequestWithinTheLimit) {
  AuthServerOptions options = default_options();
  options.failures = 2;
  options.key_offers = 3;
  ServerRig rig(options, false);
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(rig.server.on_message(encode_service_request(kServiceUserauth))) << i;
  }
  EXPECT_EQ(rig.server.on_message(encode_service_request(kServiceUserauth)).error().code,
            ErrorCode::kLimit);
}

TEST(AuthServer, TheFirstNoneIsFreeAndTheRestAreFailures) {
  ServerRig rig;
  const Bytes none = encode_none_request("root@web1", kServiceConnection);
  ASSERT_TRUE(rig.server.on_message(none));
  EXPECT_EQ(rig.sink.sent.back(), kFailure);
  EXPECT_EQ(rig.server.failures(), 0U);
  ASSERT_TRUE(rig.server.on_message(none));
  EXPECT_EQ(rig.server.failures(), 1U);
}

TEST(AuthServer, TheLastAllowedFailureDisconnectsWithTheTextThatClientsKnow) {
  ServerRig rig;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(rig.server.on_message(Request{}.sign()));
    ASSERT_TRUE(rig.server.provide_verdict(AuthVerdict::kFailure)) << i;
    EXPECT_EQ(rig.sink.sent.back(), kFailure);
  }
  ASSERT_TRUE(rig.server.on_message(Request{}.sign()));
  const auto status = rig.server.provide_verdict(AuthVerdict::kFailure);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().text, "Too many authentication failures");
  EXPECT_EQ(auth_disconnect_reason(status.error()), DisconnectReason::kNoMoreAuthMethodsAvailable);
  EXPECT_EQ(rig.sink.sent.size(), 5U);
}

TEST(AuthServer, AnsweredKeyOffersAreLimitedButAreNoFailures) {
  ServerRig rig;
  for (int i = 0; i < 64; ++i) {
    ASSERT_TRUE(
        rig.server.on_message(Request{.blob = test::ed25519_blob(std::to_string(i))}.query()));
    ASSERT_TRUE(rig.server.provide_key_query(false));
    EXPECT_EQ(rig.sink.sent.back(), kFailure);
  }
  EXPECT_EQ(rig.server.failures(), 0U);
  const auto step = rig.server.on_message(Request{}.query());
  ASSERT_FALSE(step);
  EXPECT_EQ(step.error().code, ErrorCode::kLimit);
}

TEST(AuthServer, AnAlgorithmThatIsNotAcceptedIsRefusedWithoutAQuestion) {
  for (const std::string_view algorithm : {"ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp521", "",
                                           "rsa-sha2-512,ssh-ed25519", "ssh-ed25519\n"}) {
    ServerRig rig;
    Request request{.algorithm = std::string(algorithm)};
    for (const Bytes& payload : {request.query(), request.sign()}) {
      const auto step = rig.server.on_message(payload);
      ASSERT_TRUE(step);
      EXPECT_EQ(step->kind, Kind::kNone);
      EXPECT_EQ(rig.sink.sent.back(), kFailure);
    }
    EXPECT_EQ(rig.server.failures(), 1U);
    EXPECT_EQ(rig.server.key_offers(), 1U);
  }
}

TEST(AuthServer, AnAlgorithmThatIsListedButUnknownToTheCodeIsRefused) {
  AuthServerOptions options = default_options();
  options.algorithms = {"ssh-quantum"};
  ServerRig rig(options);
  const auto step = rig.server.on_message(
      Request{.algorithm = "ssh-quantum", .blob = key_blob("ssh-quantum")}.sign());
  ASSERT_TRUE(step);
  EXPECT_EQ(step->kind, Kind::kNone);
}

TEST(AuthServer, NamesAndBlobsBeyondTheirLimitsAreRefusedAsAnyOther) {
  const std::string long_user(limits::kUserNameBytesMax + 1, 'u');
  const Bytes long_blob = test::ed25519_blob(std::string(limits::kKeyBlobBytesMax, 'x'));
  const std::string long_signature(limits::kKeyBlobBytesMax + 1, 's');
  for (const Request& request :
       {Request{.user = long_user}, Request{.blob = long_blob},
        Request{.signature = long_signature}, Request{.hostbound = true, .host_key = long_blob},
        Request{.blob = {}}}) {
    ServerRig rig;
    const auto step = rig.server.on_message(request.sign());
    ASSERT_TRUE(step);
    EXPECT_EQ(step->kind, Kind::kNone);
    EXPECT_EQ(rig.sink.sent, std::vector<Bytes>{kFailure});
  }
  ServerRig rig;
  const auto step =
      rig.server.on_message(Request{.user = std::string(limits::kUserNameBytesMax, 'u')}.sign());
  EXPECT_EQ(step->kind, Kind::kNeedKeyVerify);
}

TEST(AuthServer, APartialSuccessListsWhatIsLeftUntilTheUserChanges) {
  ServerRig rig;
  ASSERT_TRUE(rig.server.on_message(Request{}.sign()));
  ASSERT_TRUE(rig.server.provide_verdict(AuthVerdict::kPartial, "keyboard-interactive"));
  EXPECT_EQ(rig.sink.sent.back(), encode_userauth_failure({"keyboard-interactive", true}));
  ASSERT_TRUE(rig.server.on_message(method_request("password")));
  EXPECT_EQ(rig.sink.sent.back(), encode_userauth_failure({"keyboard-interactive", false}));
  ASSERT_TRUE(rig.server.on_message(method_request("password", {}, "bob")));
  EXPECT_EQ(rig.sink.sent.back(), kFailure);
  EXPECT_FALSE(rig.server.authenticated());
}

TEST(AuthServer, ABannerGoesOutBeforeTheEndOnly) {
  ServerRig rig;
  rig.server.send_banner("hello\r\n");
  EXPECT_EQ(parse_userauth_banner(rig.sink.sent.back())->text, "hello\r\n");
  EXPECT_EQ(parse_userauth_banner(rig.sink.sent.back())->language, "");
}

/// rig_in brings a machine into a state.
std::unique_ptr<ServerRig> rig_in(State state) {
  auto rig = std::make_unique<ServerRig>(default_options(), state != State::kExpectService);
  switch (state) {
    case State::kExpectService:
    case State::kExpectRequest: break;
    case State::kQuery: (void)rig->server.on_message(Request{}.query()); break;
    case State::kVerify: (void)rig->server.on_message(Request{}.sign()); break;
    case State::kDone:
      (void)rig->server.on_message(Request{}.sign());
      (void)rig->server.provide_verdict(AuthVerdict::kSuccess);
      break;
    case State::kBroken: (void)rig->server.on_message(Bytes{kMsgUserauthSuccess}); break;
  }
  EXPECT_EQ(rig->server.state(), state);
  rig->sink.sent.clear();
  return rig;
}

// Guarantee 5: all 256 message numbers in every state give exactly the tabled result. The bodies
// are those of a well-formed message where there is one, so that only the table refuses it.
TEST(AuthServer, EveryMessageNumberInEveryStateDoesWhatTheTableSays) {
  for (const State state : {State::kExpectService, State::kExpectRequest, State::kQuery,
                            State::kVerify, State::kDone, State::kBroken}) {
    for (int number = 0; number < 256; ++number) {
      SCOPED_TRACE(testing::Message() << "message " << number << " in state " << int(state));
      const auto rig = rig_in(state);
      const bool authenticated = rig->server.authenticated();
      Bytes payload = number == kMsgServiceRequest ? encode_service_request(kServiceUserauth)
                                                   : Request{}.sign();
      payload[0] = static_cast<std::uint8_t>(number);
      const auto step = rig->server.on_message(payload);

      const bool service = number == kMsgServiceRequest &&
                           (state == State::kExpectService || state == State::kExpectRequest);
      const bool request = number == kMsgUserauthRequest && state == State::kExpectRequest;
      const bool ignored = number == kMsgUserauthRequest && state == State::kDone;
      ASSERT_EQ(step.has_value(), service || request || ignored);
      EXPECT_EQ(rig->sink.numbers(),
                service ? std::vector<int>{kMsgServiceAccept} : std::vector<int>{});
      if (step) {
        EXPECT_EQ(step->kind, request ? Kind::kNeedKeyVerify : Kind::kNone);
        EXPECT_EQ(rig->server.authenticated(), authenticated);
      } else {
        EXPECT_EQ(rig->server.state(), State::kBroken);
        EXPECT_FALSE(rig->server.authenticated());
      }
    }
  }
}

TEST(AuthServer, sec_049_TrailingBytesAndTruncationsAreRefusedInEveryMessage) {
  for (const Bytes& whole :
       {Request{}.query(), Request{}.sign(), Request{.hostbound = true}.query(),
        Request{.hostbound = true}.sign()}) {
    const std::size_t head = whole.size() - parse_userauth_request(whole)->method_data.size();
    for (std::size_t n = 1; n < whole.size(); ++n) {
      ServerRig rig;
      const auto step = rig.server.on_message(ByteView(whole).first(n));
      ASSERT_FALSE(step) << "cut at " << n << ", fields from " << head;
      EXPECT_EQ(step.error().code, ErrorCode::kProtocol);
    }
    for (std::size_t n = 1; n < 8; ++n) {
      Bytes longer = whole;
      longer.resize(whole.size() + n);
      ServerRig rig;
      EXPECT_FALSE(rig.server.on_message(longer)) << n;
      EXPECT_TRUE(rig.sink.sent.empty());
    }
  }
}

}  // namespace
}  // namespace bastion::proto
