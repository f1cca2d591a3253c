#include "proto/auth_client.h"

#include <gtest/gtest.h>

#include "tests/unit/proto/auth_support.h"

namespace bastion::proto {
namespace {

using test::ed25519_blob;
using test::RecordingSink;
using Kind = ClientAuthStep::Kind;
using State = AuthClient::State;

struct ClientRig {
  RecordingSink sink;
  AuthClient client{AuthClientOptions{}, sink};

  Result<ClientAuthStep> accept() {
    return client.on_message(encode_service_accept(kServiceUserauth));
  }
  Status sign() { return client.provide_signed("ssh-ed25519", ed25519_blob(), as_bytes("sig")); }
};

/// rig_in brings a machine into a state.
std::unique_ptr<ClientRig> rig_in(State state) {
  auto rig = std::make_unique<ClientRig>();
  if (state != State::kIdle) {
    rig->client.start("deploy");
  }
  if (state == State::kReady || state == State::kExpectAnswer || state == State::kDone) {
    (void)rig->accept();
  }
  if (state == State::kExpectAnswer || state == State::kDone) {
    (void)rig->sign();
  }
  if (state == State::kDone) {
    (void)rig->client.on_message(encode_userauth_success());
  }
  if (state == State::kBroken) {
    (void)rig->client.on_message(Bytes{kMsgChannelOpen});
  }
  EXPECT_EQ(rig->client.state(), state);
  rig->sink.sent.clear();
  return rig;
}

TEST(AuthClient, LogsInWithOneSignatureAndNoQuery) {
  ClientRig rig;
  rig.client.start("deploy");
  EXPECT_EQ(rig.sink.sent.back(), encode_service_request("ssh-userauth"));
  EXPECT_EQ(rig.accept()->kind, Kind::kNeedCredential);
  ASSERT_TRUE(rig.sign());
  const Bytes blob = ed25519_blob();
  EXPECT_EQ(rig.sink.sent.back(), encode_publickey_request("deploy", "ssh-connection",
                                                           {.algorithm = "ssh-ed25519",
                                                            .key_blob = blob,
                                                            .hostbound = false,
                                                            .host_key_blob = {},
                                                            .signature = as_bytes("sig")}));
  EXPECT_EQ(rig.client.on_message(encode_userauth_success())->kind, Kind::kSuccess);
  EXPECT_EQ(rig.client.state(), State::kDone);
}

TEST(AuthClient, ARefusalLeavesRoomForTheNextCredential) {
  const auto rig = rig_in(State::kExpectAnswer);
  const auto refused =
      rig->client.on_message(encode_userauth_failure({"publickey,password", false}));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->kind, Kind::kRefused);
  EXPECT_EQ(refused->methods, "publickey,password");
  EXPECT_FALSE(refused->partial);
  ASSERT_TRUE(rig->sign());
  const auto partial = rig->client.on_message(encode_userauth_failure({"password", true}));
  EXPECT_EQ(partial->kind, Kind::kRefused);
  EXPECT_TRUE(partial->partial);
}

TEST(AuthClient, MethodsAreFitToBeSaid) {
  struct Case {
    std::string sent;
    std::string shown;
  };
  for (const Case& c :
       {Case{"", ""}, Case{"publickey", "publickey"}, Case{"a b,\x1b[31m,c", "?,?,c"},
        Case{",", "?"}, Case{std::string(65, 'x') + ",y", "?,y"}, Case{"caf\xc3\xa9", "?"}}) {
    const auto rig = rig_in(State::kExpectAnswer);
    EXPECT_EQ(rig->client.on_message(encode_userauth_failure({c.sent, false}))->methods, c.shown);
  }
  std::string many;
  for (int i = 0; i < 5000; ++i) {
    many += "method,";
  }
  const auto rig = rig_in(State::kExpectAnswer);
  const auto step = rig->client.on_message(encode_userauth_failure({many, false}));
  EXPECT_LE(step->methods.size(), AuthClient::kMethodsShownMax);
  EXPECT_GT(step->methods.size(), AuthClient::kMethodsShownMax / 2);
}

TEST(AuthClient, BannersAreHandedOnAndLimitedInNumber) {
  const auto rig = rig_in(State::kReady);
  for (int i = 0; i < 10; ++i) {
    const Bytes payload = encode_userauth_banner({"\x1b]0;hello", ""});
    const auto step = rig->client.on_message(payload);
    ASSERT_TRUE(step) << i;
    EXPECT_EQ(step->kind, Kind::kBanner);
    EXPECT_EQ(step->banner, "\x1b]0;hello");
  }
  EXPECT_EQ(rig->client.on_message(encode_userauth_banner({"", ""})).error().code,
            ErrorCode::kLimit);
}

TEST(AuthClient, BannersAreLimitedInBytes) {
  const std::string half(8 * 1024, 'b');
  const auto rig = rig_in(State::kExpectAnswer);
  ASSERT_TRUE(rig->client.on_message(encode_userauth_banner({half, ""})));
  ASSERT_TRUE(rig->client.on_message(encode_userauth_banner({half, ""})));
  EXPECT_EQ(rig->client.on_message(encode_userauth_banner({"1", ""})).error().code,
            ErrorCode::kLimit);
  const auto other = rig_in(State::kReady);
  EXPECT_FALSE(other->client.on_message(encode_userauth_banner({half + half + "1", ""})));
}

// Catalogue 22: a server that lets anybody in can pose as the next prompt. We never send "none",
// and a success that answers no signature is an error in whatever state it comes.
TEST(AuthClient, sec_022_ATrivialSuccessIsRefused) {
  for (const State state : {State::kExpectAccept, State::kReady}) {
    const auto rig = rig_in(state);
    const auto step = rig->client.on_message(encode_userauth_success());
    ASSERT_FALSE(step);
    EXPECT_EQ(step.error().code, ErrorCode::kAuth);
    EXPECT_EQ(rig->client.state(), State::kBroken);
  }
  const auto rig = rig_in(State::kExpectAnswer);
  ASSERT_TRUE(rig->client.on_message(encode_userauth_failure({"publickey", false})));
  EXPECT_EQ(rig->client.on_message(encode_userauth_success()).error().code, ErrorCode::kAuth);
}

TEST(AuthClient, PromptsAndPasswordChangesOfTheTargetAreErrors) {
  for (const int number : {60, 61, 62, 63, 66}) {
    for (const State state : {State::kReady, State::kExpectAnswer}) {
      const auto rig = rig_in(state);
      EXPECT_FALSE(rig->client.on_message(Bytes{static_cast<std::uint8_t>(number)})) << number;
    }
  }
}

TEST(AuthClient, EveryMessageNumberInEveryStateDoesWhatTheTableSays) {
  for (const State state : {State::kIdle, State::kExpectAccept, State::kReady, State::kExpectAnswer,
                            State::kDone, State::kBroken}) {
    for (int number = 0; number < 256; ++number) {
      SCOPED_TRACE(testing::Message() << "message " << number << " in state " << int(state));
      const auto rig = rig_in(state);
      Bytes payload{static_cast<std::uint8_t>(number)};
      Kind expected = Kind::kNone;
      bool allowed = false;
      if (number == kMsgServiceAccept) {
        payload = encode_service_accept(kServiceUserauth);
        allowed = state == State::kExpectAccept;
        expected = Kind::kNeedCredential;
      } else if (number == kMsgUserauthFailure) {
        payload = encode_userauth_failure({"publickey", false});
        allowed = state == State::kExpectAnswer;
        expected = Kind::kRefused;
      } else if (number == kMsgUserauthSuccess) {
        allowed = state == State::kExpectAnswer;
        expected = Kind::kSuccess;
      } else if (number == kMsgUserauthBanner) {
        payload = encode_userauth_banner({"hello", ""});
        allowed = state == State::kReady || state == State::kExpectAnswer;
        expected = Kind::kBanner;
      }
      const auto step = rig->client.on_message(payload);
      ASSERT_EQ(step.has_value(), allowed);
      EXPECT_TRUE(rig->sink.sent.empty());
      if (step) {
        EXPECT_EQ(step->kind, expected);
      } else {
        EXPECT_EQ(rig->client.state(), State::kBroken);
      }
    }
  }
}

TEST(AuthClient, TruncatedAndLongerAnswersAreErrors) {
  for (const Bytes& whole : {encode_userauth_failure({"publickey", false}),
                             encode_userauth_success(), encode_userauth_banner({"text", "en"})}) {
    for (std::size_t n = 0; n <= whole.size() + 1; ++n) {
      Bytes changed = whole;
      changed.resize(n);
      const auto rig = rig_in(State::kExpectAnswer);
      EXPECT_EQ(rig->client.on_message(changed).has_value(), n == whole.size()) << n;
    }
  }
  const auto rig = rig_in(State::kExpectAccept);
  EXPECT_FALSE(rig->client.on_message(encode_service_accept("ssh-connection")));
}

TEST(AuthClient, ACredentialThatNobodyAskedForIsOurFault) {
  for (const State state :
       {State::kIdle, State::kExpectAccept, State::kExpectAnswer, State::kDone, State::kBroken}) {
    const auto rig = rig_in(state);
    EXPECT_EQ(rig->sign().error().code, ErrorCode::kInternal);
    EXPECT_TRUE(rig->sink.sent.empty());
  }
}

TEST(AuthClient, WhatItSendsIsWhatOurServerReads) {
  test::ServerRig server;
  ClientRig client;
  client.client.start("deploy");
  ASSERT_TRUE(client.accept());
  ASSERT_TRUE(client.sign());
  const auto step = server.server.on_message(client.sink.sent.back());
  ASSERT_TRUE(step);
  EXPECT_EQ(step->kind, AuthStep::Kind::kNeedKeyVerify);
  EXPECT_EQ(step->user, "deploy");
  EXPECT_EQ(as_text(step->signature), "sig");
}

TEST(ChooseUserauthAlgorithm, PrefersSha512AndFollowsTheTargetsList) {
  using crypto::KeyType;
  const auto rsa = [](std::optional<std::string_view> list, bool certificate = false,
                      bool legacy = false) {
    return choose_userauth_algorithm(KeyType::kRsa, certificate, list, legacy);
  };
  EXPECT_EQ(*rsa("ssh-ed25519,rsa-sha2-256,rsa-sha2-512"), "rsa-sha2-512");
  EXPECT_EQ(*rsa("rsa-sha2-256,ssh-rsa"), "rsa-sha2-256");
  EXPECT_EQ(*rsa("rsa-sha2-256", true), "rsa-sha2-256-cert-v01@openssh.com");
  EXPECT_EQ(*rsa("rsa-sha2-512-cert-v01@openssh.com", true), "rsa-sha2-512-cert-v01@openssh.com");
  EXPECT_EQ(*rsa(std::nullopt), "rsa-sha2-512");
  EXPECT_EQ(rsa("ssh-rsa,ssh-ed25519").error().code, ErrorCode::kAuth);
  EXPECT_EQ(rsa("").error().code, ErrorCode::kAuth);
  EXPECT_EQ(*rsa("ssh-rsa", false, true), "ssh-rsa");
  EXPECT_EQ(*rsa(std::nullopt, false, true), "ssh-rsa");
  EXPECT_EQ(*rsa("ssh-rsa,rsa-sha2-512", false, true), "rsa-sha2-512");
}

TEST(ChooseUserauthAlgorithm, NamesAnAlgorithmOfTheKeysTypeForEveryType) {
  using crypto::KeyType;
  for (const KeyType type :
       {KeyType::kEd25519, KeyType::kRsa, KeyType::kEcdsaP256, KeyType::kEcdsaP384,
        KeyType::kEcdsaP521, KeyType::kSkEd25519, KeyType::kSkEcdsaP256}) {
    for (const bool certificate : {false, true}) {
      const auto name = choose_userauth_algorithm(type, certificate, std::nullopt, false);
      ASSERT_TRUE(name);
      const auto* algorithm = crypto::find_signature_algorithm(*name);
      ASSERT_NE(algorithm, nullptr) << *name;
      EXPECT_EQ(algorithm->key_type, type);
      EXPECT_EQ(algorithm->certificate, certificate);
      EXPECT_FALSE(algorithm->legacy);
    }
  }
}

}  // namespace
}  // namespace bastion::proto
