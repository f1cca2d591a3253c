// The catalogue of what others got wrong, as far as the server's machine alone answers for it. Each
// name carries its number there.
#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "crypto/keys.h"
#include "proto/auth_server.h"
#include "tests/unit/proto/auth_support.h"

namespace bastion::proto {
namespace {

using test::default_options;
using test::ed25519_blob;
using test::key_blob;
using test::method_request;
using test::Request;
using test::ServerRig;
using Kind = AuthStep::Kind;

const Bytes kFailure = encode_userauth_failure({"publickey", false});

TEST(AuthServer, sec_001_ServerMessagesFromAClientEndTheConnection) {
  for (int number = 50; number < 80; ++number) {
    if (number == kMsgUserauthRequest) {
      continue;
    }
    for (const bool ready : {false, true}) {
      ServerRig rig(default_options(), ready);
      EXPECT_FALSE(rig.server.on_message(Bytes{static_cast<std::uint8_t>(number)})) << number;
      EXPECT_FALSE(rig.server.authenticated());
      EXPECT_TRUE(rig.sink.sent.empty());
    }
  }
}

TEST(AuthServer, sec_002_ConnectionMessagesBeforeLoginEndTheConnection) {
  for (int number = 80; number < 256; ++number) {
    for (const bool ready : {false, true}) {
      ServerRig rig(default_options(), ready);
      Writer open;
      open.u8(static_cast<std::uint8_t>(number)).text("session").u32(0).u32(1 << 20).u32(1 << 15);
      EXPECT_FALSE(rig.server.on_message(open.view())) << number;
      EXPECT_FALSE(rig.server.authenticated());
    }
  }
}

TEST(AuthServer, sec_003_TheConnectionServiceCannotBeAskedForWithoutUserauth) {
  ServerRig rig(default_options(), false);
  EXPECT_FALSE(rig.server.on_message(encode_service_request(kServiceConnection)));
  EXPECT_FALSE(rig.server.on_message(Bytes{kMsgChannelOpen}));
  EXPECT_TRUE(rig.sink.sent.empty());
}

TEST(AuthServer, sec_003_ARequestBeforeTheServiceEndsTheConnection) {
  ServerRig rig(default_options(), false);
  EXPECT_FALSE(rig.server.on_message(Request{}.sign()));
}

TEST(AuthServer, sec_004_LastProbedKeyIsNotTheSigner) {
  ServerRig rig;
  const Bytes key_a = ed25519_blob("A, an administrator's");
  const Bytes key_b = ed25519_blob("B");
  for (const Bytes* probed : {&key_b, &key_a}) {
    ASSERT_TRUE(rig.server.on_message(Request{.blob = *probed}.query()));
    ASSERT_TRUE(rig.server.provide_key_query(true));
  }
  const auto step = rig.server.on_message(Request{.blob = key_b, .signature = "by B"}.sign());
  ASSERT_EQ(step->kind, Kind::kNeedKeyVerify);
  EXPECT_TRUE(equal(step->key_blob, key_b));
  EXPECT_EQ(as_text(step->signature), "by B");
}

TEST(AuthServer, sec_005_AnOfferedKeyIsNoFactor) {
  ServerRig rig;
  ASSERT_TRUE(rig.server.on_message(Request{}.query()));
  ASSERT_TRUE(rig.server.provide_key_query(true));
  EXPECT_FALSE(rig.server.authenticated());
  for (const std::string_view method : {"password", "keyboard-interactive"}) {
    ASSERT_TRUE(rig.server.on_message(method_request(method)));
    EXPECT_EQ(rig.sink.sent.back(), kFailure);  // and no partial success
  }
  EXPECT_EQ(rig.sink.count(kMsgUserauthSuccess), 0U);
}

TEST(AuthServer, sec_006_AnAcceptedProbeDoesNotAuthoriseAnotherKeysSignature) {
  ServerRig rig;
  ASSERT_TRUE(rig.server.on_message(Request{.blob = ed25519_blob("A")}.query()));
  ASSERT_TRUE(rig.server.provide_key_query(true));
  const auto step = rig.server.on_message(Request{.blob = ed25519_blob("B")}.sign());
  ASSERT_EQ(step->kind, Kind::kNeedKeyVerify) << "B is judged from scratch";
  EXPECT_TRUE(equal(step->key_blob, ed25519_blob("B")));
  ASSERT_TRUE(rig.server.provide_verdict(AuthVerdict::kFailure));
  EXPECT_EQ(rig.sink.sent.back(), kFailure);
}

TEST(AuthServer, sec_007_PartialSuccessDiesWithAChangeOfUser) {
  ServerRig rig;
  const auto first = rig.server.on_message(Request{.user = "alice"}.sign());
  EXPECT_EQ(first->user_changes, 0U);
  ASSERT_TRUE(rig.server.provide_verdict(AuthVerdict::kPartial, "keyboard-interactive"));
  const auto second = rig.server.on_message(Request{.user = "bob"}.query());
  ASSERT_EQ(second->kind, Kind::kNeedKeyQuery);
  EXPECT_EQ(second->user, "bob");
  EXPECT_EQ(second->user_changes, 1U);
  ASSERT_TRUE(rig.server.provide_key_query(false));
  EXPECT_EQ(rig.sink.sent.back(), kFailure) << "all methods are due again";
  const auto back = rig.server.on_message(Request{.user = "alice"}.query());
  EXPECT_EQ(back->user_changes, 2U) << "going back does not revive it";
}

TEST(AuthServer, sec_007_AChangeOfUserIsCountedAndAChangeOfServiceEndsTheConnection) {
  ServerRig rig;
  std::optional<Error> error;
  int requests = 0;
  while (!error && requests < 100) {
    const auto step =
        rig.server.on_message(Request{.user = requests % 2 == 0 ? "alice" : "bob"}.query());
    if (!step) {
      error = step.error();
      break;
    }
    ++requests;
    ASSERT_TRUE(rig.server.provide_key_query(false));
  }
  EXPECT_EQ(requests, 6);
  EXPECT_EQ(error->code, ErrorCode::kLimit);

  ServerRig other;
  ASSERT_TRUE(other.server.on_message(encode_none_request("alice", kServiceConnection)));
  EXPECT_FALSE(other.server.on_message(Request{.user = "alice", .service = "other"}.sign()));
}

TEST(AuthServer, sec_013_OnlyTheDiagonalOfKeyTypesAndAlgorithmsIsAsked) {
  struct Pair {
    std::string_view algorithm;
    std::string_view blob_type;
  };
  const std::vector<Pair> pairs = {
      {"ssh-ed25519", "ssh-ed25519"},
      {"rsa-sha2-256", "ssh-rsa"},
      {"rsa-sha2-512", "ssh-rsa"},
      {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"},
      {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"},
      {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"},
      {"sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com"},
      {"sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"},
      {"ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519-cert-v01@openssh.com"},
      {"rsa-sha2-256-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com"},
      {"rsa-sha2-512-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com"},
      {"ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256-cert-v01@openssh.com"},
      {"ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384-cert-v01@openssh.com"},
      {"ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521-cert-v01@openssh.com"},
      {"sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com"},
      {"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
       "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com"},
  };
  for (const Pair& row : pairs) {
    for (const Pair& column : pairs) {
      for (const Pair& listed : pairs) {
        AuthServerOptions options = default_options();
        options.algorithms = {std::string(listed.algorithm)};
        ServerRig rig(options);
        const auto step = rig.server.on_message(
            Request{.algorithm = std::string(row.algorithm), .blob = key_blob(column.blob_type)}
                .sign());
        ASSERT_TRUE(step);
        const bool fits = row.blob_type == column.blob_type && row.algorithm == listed.algorithm;
        EXPECT_EQ(step->kind == Kind::kNeedKeyVerify, fits)
            << row.algorithm << " with a key " << column.blob_type << ", accepted "
            << listed.algorithm;
      }
    }
  }
}

TEST(AuthServer, sec_015_MethodsThatWereNeverOfferedGetAPlainFailure) {
  const std::string huge(64 * 1024, 'm');
  for (const std::string_view method :
       {std::string_view("gssapi-with-mic"), std::string_view("gssapi-keyex"),
        std::string_view("hostbased"), std::string_view("password"),
        std::string_view("keyboard-interactive"), std::string_view(""), std::string_view("\0", 1),
        std::string_view("publickey\0", 10), std::string_view("PUBLICKEY"),
        std::string_view("publickey,none"), std::string_view("external-keyx"),
        std::string_view("publickey-hostbound@openssh.com"), std::string_view(huge)}) {
    ServerRig rig;
    const auto step = rig.server.on_message(method_request(method, as_bytes("\xff\xff\xff\xff")));
    ASSERT_TRUE(step) << method.substr(0, 40);
    EXPECT_EQ(step->kind, Kind::kNone);
    EXPECT_EQ(rig.sink.sent, std::vector<Bytes>{kFailure});
    EXPECT_EQ(rig.server.failures(), 1U);
  }
}

// The owner answers "not acceptable" alike for a user who does not exist and for a wrong key; here
// it is shown that the name itself changes nothing that is sent.
TEST(AuthServer, sec_019_WhatIsSentDoesNotDependOnTheUser) {
  std::optional<std::vector<Bytes>> expected;
  for (const std::string_view user :
       {std::string_view("alice"), std::string_view("nobody-of-that-name"), std::string_view(""),
        std::string_view("root@web1"), std::string_view("\0\xff\n", 3)}) {
    ServerRig rig;
    const std::string name(user);
    ASSERT_TRUE(rig.server.on_message(encode_none_request(name, kServiceConnection)));
    ASSERT_TRUE(rig.server.on_message(method_request("password", {}, name)));
    ASSERT_TRUE(rig.server.on_message(Request{.user = name}.query()));
    ASSERT_TRUE(rig.server.provide_key_query(false));
    ASSERT_TRUE(rig.server.on_message(Request{.user = name}.sign()));
    ASSERT_TRUE(rig.server.provide_verdict(AuthVerdict::kFailure));
    if (!expected) {
      expected = rig.sink.sent;
    }
    EXPECT_EQ(rig.sink.sent, *expected);
  }
}

TEST(AuthServer, sec_020_EndlessRequestsOfAnyKindReachALimit) {
  const auto count_until_end = [](const Bytes& payload) {
    ServerRig rig;
    for (int i = 0; i < 10'000; ++i) {
      const auto step = rig.server.on_message(payload);
      if (!step) {
        EXPECT_EQ(step.error().code, ErrorCode::kLimit);
        return i;
      }
      if (step->kind == Kind::kNeedKeyQuery) {
        EXPECT_TRUE(rig.server.provide_key_query(true));
      } else if (step->kind == Kind::kNeedKeyVerify) {
        if (!rig.server.provide_verdict(AuthVerdict::kFailure)) {
          return i;
        }
      }
    }
    return 10'000;
  };
  EXPECT_EQ(count_until_end(Request{}.query()), 64);
  EXPECT_EQ(count_until_end(Request{.algorithm = "ssh-dss"}.query()), 64);
  EXPECT_EQ(count_until_end(Request{}.sign()), 5);
  EXPECT_EQ(count_until_end(encode_none_request("a", kServiceConnection)), 6);
  EXPECT_EQ(count_until_end(method_request("gssapi-with-mic")), 5);
  EXPECT_EQ(count_until_end(encode_service_request(kServiceUserauth)), 70);
}

// Catalogue 10, as a property: whatever is asked in whatever order, success is sent if and only if
// the last verdict was a success for the very request that was then pending.
TEST(AuthServer, sec_010_SuccessIsSentOnlyForTheVerdictOnThatVeryRequest) {
  for (std::uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&random](std::uint32_t n) {
      return static_cast<std::uint32_t>(random() % n);
    };
    AuthServerOptions options = default_options();
    options.failures = 20;
    ServerRig rig(options);
    bool granted = false;
    for (int i = 0; i < 30 && !granted; ++i) {
      Request request{.user = pick(4) == 0 ? "bob" : "alice",
                      .blob = ed25519_blob("key " + std::to_string(pick(3))),
                      .hostbound = pick(2) == 0,
                      .signature = std::to_string(random())};
      const std::uint32_t kind = pick(5);
      const Bytes payload = kind < 2       ? request.query()
                            : kind < 4     ? request.sign()
                            : pick(2) == 0 ? method_request("password", {}, request.user)
                                           : encode_none_request(request.user, kServiceConnection);
      const auto step = rig.server.on_message(payload);
      if (!step) {
        break;
      }
      if (step->kind == Kind::kNeedKeyQuery) {
        ASSERT_LT(kind, 2U);
        if (!rig.server.provide_key_query(pick(2) == 0)) {
          break;
        }
      } else if (step->kind == Kind::kNeedKeyVerify) {
        ASSERT_EQ(step->user, request.user);
        ASSERT_TRUE(equal(step->key_blob, request.blob));
        ASSERT_EQ(as_text(step->signature), request.signature);
        ASSERT_EQ(step->hostbound, request.hostbound);
        const std::uint32_t verdict = pick(6);
        granted = verdict == 0;
        const auto status = rig.server.provide_verdict(verdict == 0   ? AuthVerdict::kSuccess
                                                       : verdict == 1 ? AuthVerdict::kPartial
                                                                      : AuthVerdict::kFailure,
                                                       "publickey");
        if (!status) {
          ASSERT_FALSE(granted);
          break;
        }
      }
      ASSERT_EQ(rig.server.authenticated(), granted);
      ASSERT_EQ(rig.sink.count(kMsgUserauthSuccess), granted ? 1U : 0U);
    }
    ASSERT_EQ(rig.sink.count(kMsgUserauthSuccess), granted ? 1U : 0U) << "seed " << seed;
  }
}

}  // namespace
}  // namespace bastion::proto
