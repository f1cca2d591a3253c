#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "base/wire.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/resolver_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/ring/ring.h"
#include "tests/support/warden_world.h"

namespace bastion::daemon {
namespace {

using test::Connection;
using test::Keys;
using test::kWorker0;
using test::TargetExchange;
using test::World;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

ipc::Resolved resolved(std::string name, std::vector<const char*> addresses) {
  ipc::Resolved message{std::move(name), "", {}};
  for (const char* address : addresses) {
    message.addresses.push_back(to_bytes(IpAddress::parse(address)->octets()));
  }
  return message;
}

/// asked is the number of the last question to the resolver.
std::uint32_t asked(const World& world) {
  std::uint32_t request = 0;
  for (const test::Sent& sent : world.io.sent) {
    request = sent.header.type == ipc::Type::kResolve ? sent.header.request : request;
  }
  return request;
}

void answer_name(World& world, std::uint32_t request, const ipc::Resolved& message) {
  world.deliver(test::kResolver,
                ipc::encode(ipc::Header{.request = request, .session = 0}, message));
}

std::string failure_text(const World& world) {
  const auto failed = world.last<ipc::TargetFailed>(kWorker0);
  return failed ? failed->text : "-";
}

TEST(WardenDial, FailuresSayWhatHappenedAndWhere) {
  for (const auto& [error, text] : std::initializer_list<std::pair<int, std::string>>{
           {ECONNREFUSED, "web1 (10.0.1.11:22) refused the connection."},
           {EHOSTUNREACH, "web1 (10.0.1.11:22) cannot be reached from here: No route to host."},
           {ECONNRESET, "web1 (10.0.1.11:22) could not be connected: Connection reset by peer."}}) {
    World world;
    const Connection connection = world.adopted("deploy@web1");
    world.fail_target(error);
    EXPECT_THAT(failure_text(world), StartsWith(text + "   ("));
  }
}

TEST(WardenDial, AFailureBeforeTheHandOverIsToldAfterIt) {
  World world;
  const Connection connection = world.connect();
  ASSERT_TRUE(world.log_in(connection, "deploy@web1"));
  world.fail_target(ECONNREFUSED);
  EXPECT_EQ(failure_text(world), "-");
  world.hand_over(connection);
  EXPECT_THAT(failure_text(world), HasSubstr("refused the connection"));
}

TEST(WardenDial, TimesOut) {
  World world("", "limits: {connect: 3s}\n");
  const Connection connection = world.adopted("deploy@web1");
  EXPECT_EQ(world.warden.next_deadline(), after(world.io.mono, 3 * kNsPerSecond));
  world.pass_time(2999);
  EXPECT_EQ(failure_text(world), "-");
  world.pass_time(1);
  EXPECT_THAT(failure_text(world), StartsWith("web1 (10.0.1.11:22) did not answer within 3 s."));
  EXPECT_EQ(world.io.cancelled, std::vector{world.io.connects[0].token});
  const UniqueFd late = world.connect_target();
  EXPECT_FALSE(world.last<ipc::TargetConnected>(kWorker0)) << "too late";
}

TEST(WardenDial, TriesEveryAddressOfANameWithinOneLimit) {
  World world("", "limits: {connect: 9s}\n");
  const Connection connection = world.adopted("deploy@web3");
  EXPECT_TRUE(world.io.connects.empty());
  answer_name(world, asked(world),
              resolved("web3.example.com", {"10.0.3.1", "10.0.3.2", "2001:db8::3"}));
  ASSERT_EQ(world.io.connects.size(), 1U);
  EXPECT_EQ(world.io.connects[0].address.text(), "10.0.3.1");
  world.fail_target(ECONNREFUSED);
  ASSERT_EQ(world.io.connects.size(), 2U);
  world.pass_time(4500);
  ASSERT_EQ(world.io.connects.size(), 3U) << "a silent address gets its share of the time";
  EXPECT_EQ(world.io.connects[2].address.text(), "2001:db8::3");
  world.pass_time(4500);
  EXPECT_THAT(failure_text(world),
              StartsWith("web3 ([2001:db8::3]:22) did not answer within 9 s."));
  EXPECT_EQ(world.io.connects.size(), 3U);
}

TEST(WardenDial, NamesThatAreNotFound) {
  World world;
  const Connection connection = world.adopted("deploy@web3");
  answer_name(world, asked(world), {"web3.example.com", "Name or service not known", {}});
  EXPECT_THAT(failure_text(world), StartsWith("web3: its address web3.example.com was not found "
                                              "(Name or service not known)."));
  World silent;
  const Connection second = silent.adopted("deploy@web3");
  silent.pass_time(10'000);
  EXPECT_THAT(failure_text(silent), HasSubstr("the name service did not answer in time"));
  answer_name(silent, 1, resolved("web3.example.com", {"10.0.3.1"}));
  EXPECT_TRUE(silent.io.connects.empty());
}

TEST(WardenDial, ANameThatAUserHadAPartInIsAskedForAsItStands) {
  std::string policy = World::default_policy();
  policy.insert(policy.find("rules:"),
                "  \"web-*\": {address: \"{name}.example.com\", host_keys: [\"" +
                    Keys::get().web1_host.public_key().line() + "\"]}\n");
  policy.replace(policy.find("[web1, web2, web3]"), 18, "[web3, \"web-*\"]");
  World world(policy);
  const auto question = [&](const char* user_name) {
    const Connection connection = world.adopted(user_name);
    return *world.last<ipc::Resolve>(test::kResolver);
  };
  EXPECT_EQ(question("deploy@web3").name, "web3.example.com");
  EXPECT_FALSE(question("deploy@web3").whole);
  EXPECT_EQ(question("deploy@web-7").name, "web-7.example.com");
  EXPECT_TRUE(question("deploy@web-7").whole);
}

TEST(WardenDial, sec_088_ANameLeadsToNoAddressThatOnlyTheBastionHas) {
  for (const char* special :
       {"127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "64:ff9b::7f00:1"}) {
    World world;
    const Connection connection = world.adopted("deploy@web3");
    answer_name(world, asked(world), resolved("web3.example.com", {special}));
    EXPECT_TRUE(world.io.connects.empty()) << special;
    EXPECT_THAT(failure_text(world),
                HasSubstr("its name leads to the bastion itself or to no host's address"));
  }
  World world;
  const Connection connection = world.adopted("deploy@web3");
  answer_name(world, asked(world), resolved("web3.example.com", {"127.0.0.1", "10.0.3.1"}));
  ASSERT_EQ(world.io.connects.size(), 1U);
  EXPECT_EQ(world.io.connects[0].address.text(), "10.0.3.1");
}

TEST(WardenDial, ANameServiceThatGivesWithoutEndIsCutOff) {
  World world;
  const Connection connection = world.adopted("deploy@web3");
  answer_name(world, asked(world),
              resolved("web3.example.com", std::vector<const char*>(500, "10.0.3.1")));
  while (failure_text(world) == "-") {
    world.fail_target(ECONNREFUSED);
  }
  EXPECT_EQ(world.io.connects.size(), 16U);
}

TEST(WardenDial, AnswersToOtherQuestionsAreNotTaken) {
  World world;
  const Connection connection = world.adopted("deploy@web3");
  answer_name(world, asked(world), resolved("other.example.com", {"10.0.3.1"}));
  EXPECT_TRUE(world.io.connects.empty());
  answer_name(world, asked(world) + 1, resolved("web3.example.com", {"10.0.3.1"}));
  EXPECT_TRUE(world.was_ended(test::kResolver));
}

TEST(WardenTarget, AHostKeyThatIsNotOnRecordIsRefused) {
  World world;
  const Connection connection = world.adopted("deploy@web1");
  const UniqueFd target = world.connect_target();
  const std::uint32_t request =
      world.verify_target(connection, world.target_exchange(Keys::get().mallory));
  EXPECT_THAT(world.refusal(request), HasSubstr("web1"));
  EXPECT_FALSE(world.answer<ipc::TargetVerified>(request));
  EXPECT_TRUE(world.io.logged("target's host key refused"));
  EXPECT_TRUE(world.io.ended.empty()) << "it is the target's fault, not the worker's";
}

TEST(WardenTarget, AHostCertificateOfItsCa) {
  for (const bool good : {true, false}) {
    World world;
    const Connection connection = world.adopted("deploy@web3");
    answer_name(world, asked(world), resolved("web3.example.com", {"10.0.3.1"}));
    const UniqueFd target = world.connect_target();
    const Bytes blob = test::user_certificate(
        Keys::get().mallory.public_key(), Keys::get().host_ca, world.io.wall, [&](auto& request) {
          request.type = crypto::CertificateType::kHost;
          request.principals = {good ? "web3.example.com" : "web4.example.com"};
          request.extensions.clear();
        });
    const std::uint32_t request = world.verify_target(
        connection,
        world.target_exchange(Keys::get().mallory, "ssh-ed25519-cert-v01@openssh.com", blob));
    EXPECT_EQ(world.answer<ipc::TargetVerified>(request).has_value(), good)
        << world.refusal(request);
  }
}

TEST(WardenCredentials, ASessionCertificateSaysWhoWhereAndHowLong) {
  World world;
  ipc::TargetVerified verified;
  TargetExchange target;
  const Connection connection = world.verified("deploy@web1", &verified, &target);
  EXPECT_EQ(verified.hash, to_bytes(target.hash.view()));
  ASSERT_EQ(verified.credentials.size(), 1U);
  const ipc::TargetCredential& credential = verified.credentials[0];
  EXPECT_EQ(credential.algorithm, "ssh-ed25519-cert-v01@openssh.com");
  const auto certificate = crypto::Certificate::parse(credential.blob);
  ASSERT_TRUE(certificate);
  EXPECT_TRUE(certificate->verify_signature());
  EXPECT_EQ(certificate->ca_key, Keys::get().user_ca.public_key());
  EXPECT_EQ(certificate->type, crypto::CertificateType::kUser);
  EXPECT_THAT(certificate->principals, ElementsAre("deploy"));
  EXPECT_EQ(certificate->valid_after, static_cast<std::uint64_t>(world.io.wall - 300));
  EXPECT_EQ(certificate->valid_before, static_cast<std::uint64_t>(world.io.wall + 300));
  EXPECT_THAT(certificate->key_id, StartsWith("bastiond user=alice session="));
  EXPECT_THAT(certificate->key_id, HasSubstr(" rule=shells"));
  ASSERT_EQ(certificate->critical_options.size(), 1U);
  EXPECT_EQ(certificate->critical_options[0].name, "source-address");
  EXPECT_EQ(*crypto::parse_critical_option_string(certificate->critical_options[0].data),
            "127.0.0.1/32");
  ASSERT_EQ(certificate->extensions.size(), 2U);
  EXPECT_EQ(certificate->extensions[0].name, "permit-port-forwarding");
  EXPECT_EQ(certificate->extensions[1].name, "permit-pty");
  EXPECT_TRUE(
      certificate->key.verify(*crypto::find_signature_algorithm(credential.algorithm),
                              proto::userauth_signed_data({.session_id = target.hash.view(),
                                                           .user = "deploy",
                                                           .service = proto::kServiceConnection,
                                                           .algorithm = credential.algorithm,
                                                           .key_blob = credential.blob,
                                                           .host_key_blob = std::nullopt}),
                              credential.signature));
}

TEST(WardenCredentials, AKeyFileSignsThisRequestOnly) {
  World world;
  ipc::TargetVerified verified;
  TargetExchange target;
  const Connection connection = world.verified("deploy@web2", &verified, &target);
  ASSERT_EQ(verified.credentials.size(), 1U);
  const ipc::TargetCredential& credential = verified.credentials[0];
  EXPECT_EQ(credential.blob, Keys::get().target_key.public_key().blob());
  EXPECT_TRUE(Keys::get().target_key.public_key().verify(
      *crypto::find_signature_algorithm("ssh-ed25519"),
      proto::userauth_signed_data({.session_id = target.hash.view(),
                                   .user = "deploy",
                                   .service = proto::kServiceConnection,
                                   .algorithm = "ssh-ed25519",
                                   .key_blob = credential.blob,
                                   .host_key_blob = std::nullopt}),
      credential.signature));
}

/// RsaSession is a session at web3, whose credential is an RSA key, with its target verified.
class RsaSession : public ::testing::Test {
 protected:
  void SetUp() override {
    connection = world.adopted("deploy@web3");
    answer_name(world, asked(world), resolved("web3.example.com", {"10.0.3.1"}));
    target_end = world.connect_target();
    const Bytes blob = test::user_certificate(Keys::get().mallory.public_key(), Keys::get().host_ca,
                                              world.io.wall, [&](auto& request) {
                                                request.type = crypto::CertificateType::kHost;
                                                request.principals = {"web3.example.com"};
                                                request.extensions.clear();
                                              });
    target = world.target_exchange(Keys::get().mallory, "ssh-ed25519-cert-v01@openssh.com", blob);
    const auto answered =
        world.answer<ipc::TargetVerified>(world.verify_target(connection, target));
    ASSERT_TRUE(answered);
    verified = *answered;
  }
  std::optional<ipc::TargetSignature> sign(std::uint32_t credential, std::string algorithm) {
    return world.answer<ipc::TargetSignature>(
        world.say(kWorker0, connection.session, ipc::TargetSign{credential, std::move(algorithm)}));
  }
  World world;
  Connection connection;
  UniqueFd target_end;
  TargetExchange target;
  ipc::TargetVerified verified;
};

TEST_F(RsaSession, SignsByTheAlgorithmThatTheTargetTakes) {
  ASSERT_EQ(verified.credentials.size(), 1U);
  EXPECT_TRUE(verified.credentials[0].signature.empty());
  EXPECT_THAT(verified.credentials[0].algorithms, ElementsAre("rsa-sha2-512", "rsa-sha2-256"));
  for (const std::string algorithm : {"rsa-sha2-256", "rsa-sha2-512"}) {
    const auto signature = sign(0, algorithm);
    ASSERT_TRUE(signature);
    EXPECT_TRUE(Keys::get().target_rsa.public_key().verify(
        *crypto::find_signature_algorithm(algorithm),
        proto::userauth_signed_data({.session_id = target.hash.view(),
                                     .user = "deploy",
                                     .service = proto::kServiceConnection,
                                     .algorithm = algorithm,
                                     .key_blob = Keys::get().target_rsa.public_key().blob(),
                                     .host_key_blob = std::nullopt}),
        signature->signature));
  }
}

TEST_F(RsaSession, ACredentialThatIsNotThereIsNotSignedWith) {
  EXPECT_FALSE(sign(1, "rsa-sha2-256"));
  EXPECT_TRUE(world.was_ended(kWorker0));
}

/// Algorithms that the session's credential, an RSA key, may not be asked for.
class RsaSessionAlgorithm : public RsaSession, public ::testing::WithParamInterface<const char*> {};

TEST_P(RsaSessionAlgorithm, IsNotSignedBy) {
  EXPECT_FALSE(sign(0, GetParam()));
  EXPECT_TRUE(world.was_ended(kWorker0));
}
INSTANTIATE_TEST_SUITE_P(Wrong, RsaSessionAlgorithm,
                         ::testing::Values("ssh-ed25519", "ssh-rsa", "", "none",
                                           "rsa-sha2-256-cert-v01@openssh.com"));

TEST_F(RsaSession, FourSignaturesAndNoMore) {
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(sign(0, "rsa-sha2-256"));
  }
  EXPECT_FALSE(sign(0, "rsa-sha2-256"));
  EXPECT_TRUE(world.was_ended(kWorker0));
  EXPECT_EQ(world.warden.num_sessions(), 0U);
}

TEST(WardenTunnel, OpensWhatIsGrantedAndNamesWhatIsNot) {
  World world;
  const Connection connection = world.adopted("alice");
  const std::uint32_t request =
      world.say(kWorker0, connection.session, ipc::OpenTunnel{3, "lab1", 22});
  ASSERT_EQ(world.io.connects.size(), 1U);
  EXPECT_EQ(world.io.connects[0].address.text(), "10.0.9.1");
  const UniqueFd target = world.connect_target();
  const auto opened = world.answer<ipc::TunnelOpened>(request);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->channel, 3U);
  EXPECT_TRUE(world.io.sent.back().fd);

  const std::string refusal =
      world.refusal(world.say(kWorker0, connection.session, ipc::OpenTunnel{4, "web1", 22}));
  EXPECT_THAT(refusal, HasSubstr("ssh deploy@web1@bastion.test"));
  EXPECT_EQ(world.io.connects.size(), 1U);

  const std::uint32_t failing =
      world.say(kWorker0, connection.session, ipc::OpenTunnel{5, "10.0.9.1", 22});
  world.fail_target(ECONNREFUSED);
  const auto refused = world.answer<ipc::Refused>(failing);
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->unreachable);
  EXPECT_THAT(refused->text, StartsWith("lab1 (10.0.9.1:22) refused the connection."));
}

/// many_targets is the usual policy with so many more targets of nobody's.
std::string many_targets(int num) {
  std::string targets;
  for (int i = 0; i < num; ++i) {
    targets += "  node-" + std::to_string(i) + ": {address: 10.0.2.1, host_keys: [\"" +
               Keys::get().web1_host.public_key().line() + "\"]}\n";
  }
  std::string policy = World::default_policy();
  return policy.insert(policy.find("rules:"), targets);
}

TEST(WardenTunnel, HintsAndListingsAreGivenToAUserAsOftenAsAPersonAsks) {
  World world(many_targets(100));
  const Connection connection = world.adopted("alice");
  const Connection second = world.adopted("alice");
  const auto hinted = [&](const Connection& by) {
    const std::string text =
        world.refusal(world.say(kWorker0, by.session, ipc::OpenTunnel{1, "lbb1", 22}));
    EXPECT_THAT(text, StartsWith("no target \"lbb1\" that you may reach"));
    return text.find("Did you mean lab1 or web1?") != text.npos;
  };
  const auto listed = [&](const Connection& by) {
    return world.answer<ipc::Listing>(world.say(kWorker0, by.session, ipc::AskListing{}))
               ->text.find("lab1") != std::string::npos;
  };
  for (int i = 0; i < 32; ++i) {
    EXPECT_TRUE(hinted(connection)) << i;
    EXPECT_TRUE(listed(second)) << i;
  }
  // All sessions of a user share what is left, and a new one brings nothing.
  const Connection third = world.adopted("alice");
  for (const Connection* by : {&connection, &second, &third}) {
    EXPECT_FALSE(hinted(*by));
    EXPECT_FALSE(listed(*by));
  }
  EXPECT_TRUE(world.log_in(world.connect(), "deploy@wbe1"));
  EXPECT_TRUE(world.io.logged("session refused"));
  // Others have their own.
  const Connection other = world.adopted("bob", Keys::get().bob);
  EXPECT_TRUE(world.answer<ipc::Listing>(world.say(kWorker0, other.session, ipc::AskListing{})));
  EXPECT_THAT(world.last<ipc::Listing>(kWorker0)->text, HasSubstr("You are bob"));
  // What is granted is not slowed, and one walk comes back each second.
  world.say(kWorker0, connection.session, ipc::OpenTunnel{3, "lab1", 22});
  EXPECT_EQ(world.io.connects.size(), 1U);
  world.pass_time(999);
  EXPECT_FALSE(hinted(connection));
  world.pass_time(1001);
  EXPECT_TRUE(hinted(connection));
  EXPECT_TRUE(listed(connection));
  EXPECT_FALSE(listed(connection));
  world.pass_time(1'000'000'000);
  for (int i = 0; i < 64; ++i) {
    EXPECT_TRUE(hinted(connection)) << i;
  }
  EXPECT_FALSE(hinted(connection)) << "no more than the first time, however long nobody asked";
  EXPECT_TRUE(world.io.ended.empty());
}

TEST(WardenTunnel, EachDialIsGivenUpAtItsOwnDeadline) {
  World world;
  std::vector<Connection> connections;
  std::vector<std::uint32_t> requests;
  const MonoTime begin = world.io.mono;
  for (std::uint32_t i = 0; i < 50; ++i) {
    connections.push_back(world.adopted("alice"));
    requests.push_back(
        world.say(kWorker0, connections.back().session, ipc::OpenTunnel{i, "lab1", 22}));
    world.pass_time(10);
  }
  const MonoTime first = world.warden.next_deadline();
  EXPECT_GT(first, begin);
  // The user of every other one leaves; nothing is told to a session that is gone.
  for (std::size_t i = 0; i < connections.size(); i += 2) {
    world.say(kWorker0, connections[i].session, ipc::SessionEnded{"logout", 0, 0});
  }
  EXPECT_EQ(world.io.cancelled.size(), 25U);
  EXPECT_EQ(world.warden.next_deadline(), after(first, 10 * kNsPerMs)) << "the first one is gone";
  for (std::size_t i = 1; i < connections.size(); i += 2) {
    const MonoTime due = world.warden.next_deadline();
    EXPECT_EQ(due, after(first, static_cast<std::int64_t>(i) * 10 * kNsPerMs));
    world.pass_time((due.ns - world.io.mono.ns) / kNsPerMs);
    const auto refused = world.answer<ipc::Refused>(requests[i]);
    ASSERT_TRUE(refused) << i;
    EXPECT_THAT(refused->text, HasSubstr("did not answer within"));
    if (i + 2 < connections.size()) {
      EXPECT_FALSE(world.answer<ipc::Refused>(requests[i + 2]));
    }
  }
  EXPECT_EQ(world.warden.next_deadline(), kNever);
  EXPECT_EQ(world.warden.num_sessions(), 25U);
}

TEST(WardenTunnel, NoMoreAreBeingOpenedThanASessionHasChannels) {
  World world("", "limits: {channels_per_session: 3, session_channels_per_session: 3}\n");
  const Connection connection = world.adopted("alice");
  for (std::uint32_t channel = 0; channel < 10; ++channel) {
    world.say(kWorker0, connection.session, ipc::OpenTunnel{channel, "lab1", 22});
  }
  EXPECT_EQ(world.io.connects.size(), 3U);
  EXPECT_TRUE(world.io.ended.empty());
  const UniqueFd target = world.connect_target();
  world.say(kWorker0, connection.session, ipc::OpenTunnel{11, "lab1", 22});
  EXPECT_EQ(world.io.connects.size(), 4U);
}

}  // namespace
}  // namespace bastion::daemon
