#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/wire.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/ipc/supervisor_messages.h"
#include "daemon/ring/ring.h"
#include "proto/transport.h"
#include "tests/support/warden_world.h"

namespace bastion::daemon {
namespace {

using test::Connection;
using test::Keys;
using test::kGate0;
using test::kGate1;
using test::kWorker0;
using test::user_certificate;
using test::World;
using ::testing::HasSubstr;

TEST(WardenLogin, ARoutedLoginFromTheFirstExchangeToTheEnd) {
  World world;
  const Connection connection = world.connect();
  ASSERT_NE(connection.session, 0U);
  const auto signed_exchange = world.last<ipc::ExchangeSigned>(kGate0);
  ASSERT_TRUE(signed_exchange);
  EXPECT_EQ(signed_exchange->hash, to_bytes(connection.hash.view()));
  EXPECT_TRUE(Keys::get().host.public_key().verify(*crypto::find_signature_algorithm("ssh-ed25519"),
                                                   connection.hash.view(),
                                                   signed_exchange->signature));

  const auto asked = world.answer<ipc::KeyAnswer>(world.say(
      kGate0, connection.session,
      ipc::KeyQuery{"deploy@web1", "ssh-ed25519", Keys::get().alice.public_key().blob()}));
  ASSERT_TRUE(asked);
  EXPECT_TRUE(asked->acceptable);
  EXPECT_TRUE(world.io.connects.empty());

  ASSERT_TRUE(world.log_in(connection, "deploy@web1"));
  ASSERT_EQ(world.io.connects.size(), 1U) << "the dial begins with the verdict";
  EXPECT_EQ(world.io.connects[0].address, IpAddress::parse("10.0.1.11"));
  EXPECT_EQ(world.io.connects[0].port, 22);

  const auto adopt = world.hand_over(connection);
  ASSERT_TRUE(adopt);
  EXPECT_EQ(adopt->mode, ipc::SessionMode::kRouted);
  EXPECT_EQ(adopt->user, "alice");
  EXPECT_EQ(adopt->target, "web1");
  EXPECT_EQ(adopt->login, "deploy");
  EXPECT_EQ(adopt->refusal, "");
  EXPECT_EQ(adopt->short_id.size(), 4U);
  EXPECT_TRUE(adopt->permissions.shell);
  EXPECT_FALSE(adopt->permissions.agent);
  EXPECT_EQ(as_text(adopt->state), "state");
  EXPECT_EQ(as_text(adopt->input), "input");

  const UniqueFd target = world.connect_target();
  EXPECT_TRUE(world.last<ipc::TargetConnected>(kWorker0));
  const auto verified =
      world.answer<ipc::TargetVerified>(world.verify_target(connection, world.target_exchange()));
  ASSERT_TRUE(verified);
  EXPECT_EQ(verified->credentials.size(), 1U);

  world.say(kWorker0, connection.session, ipc::SessionEnded{"logout", 10, 20});
  EXPECT_EQ(world.warden.num_sessions(), 0U);
  EXPECT_TRUE(world.io.ended.empty());
  EXPECT_TRUE(world.io.logged("session ended"));
}

TEST(WardenLogin, TheSocketGoesFromTheGateToTheWorker) {
  World world;
  const Connection connection = world.adopted("deploy@web1");
  const auto adopt = std::ranges::find_if(
      world.io.sent, [](const test::Sent& sent) { return sent.header.type == ipc::Type::kAdopt; });
  ASSERT_NE(adopt, world.io.sent.end());
  ASSERT_TRUE(adopt->fd);
  ASSERT_EQ(write(adopt->fd.get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(read(connection.user_end.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
}

TEST(WardenLogin, RefusalsAreSaidInTheSession) {
  World world;
  const Connection connection = world.connect();
  ASSERT_TRUE(world.log_in(connection, "root@web1"));
  auto adopt = world.hand_over(connection);
  ASSERT_TRUE(adopt);
  EXPECT_EQ(adopt->mode, ipc::SessionMode::kRefused);
  EXPECT_EQ(adopt->refusal,
            "alice may not log in as root on web1; as deploy you may: ssh deploy@web1@bastion.test"
            "   (" +
                adopt->short_id + ")");
  EXPECT_EQ(adopt->target, "");
  EXPECT_FALSE(adopt->permissions.shell);

  const Connection second = world.connect();
  ASSERT_TRUE(world.log_in(second, "deploy@nowhere"));
  EXPECT_THAT(world.hand_over(second)->refusal,
              HasSubstr("no target \"nowhere\" that you may reach"));

  const Connection third = world.connect();
  ASSERT_TRUE(world.log_in(third, "deploy@web1", Keys::get().bob));
  const std::string hidden = world.hand_over(third)->refusal;
  EXPECT_THAT(hidden, HasSubstr("no target \"web1\" that you may reach"));
  EXPECT_TRUE(world.io.connects.empty());
}

TEST(WardenLogin, WithoutATargetThereIsAMenu) {
  World world;
  const Connection connection = world.connect();
  ASSERT_TRUE(world.log_in(connection, "alice"));
  const auto adopt = world.hand_over(connection);
  ASSERT_TRUE(adopt);
  EXPECT_EQ(adopt->mode, ipc::SessionMode::kMenu);
  EXPECT_EQ(adopt->permissions.channels_max, 64U);
  const auto listing =
      world.answer<ipc::Listing>(world.say(kWorker0, connection.session, ipc::AskListing{}));
  ASSERT_TRUE(listing);
  EXPECT_THAT(listing->text, HasSubstr("You are alice."));
  EXPECT_THAT(listing->text, HasSubstr("ssh deploy@web1@bastion.test"));
  EXPECT_THAT(listing->text, HasSubstr("ssh -J bastion.test LOGIN@lab1"));
  EXPECT_TRUE(world.io.connects.empty());
}

TEST(WardenLogin, RsaKeysBySha2AndNeverBySha1) {
  World world;
  const crypto::PrivateKey& rsa = Keys::get().alice_rsa;
  for (const std::string algorithm : {"rsa-sha2-256", "rsa-sha2-512"}) {
    const Connection connection = world.connect();
    EXPECT_TRUE(world.verify(connection, world.signed_request(connection, "alice", rsa, algorithm)))
        << algorithm;
  }
  const Connection connection = world.connect();
  auto message = world.signed_request(connection, "alice", rsa, "rsa-sha2-256");
  message.algorithm = "ssh-rsa";
  EXPECT_FALSE(world.verify(connection, message));
}

ipc::KeyVerify sk_request(const Connection& connection, test::SkKey& key, std::uint8_t flags) {
  ipc::KeyVerify message;
  message.user_name = "carol";
  message.algorithm = key.algorithm().name;
  message.key_blob = key.public_key().blob();
  message.signature = key.sign(proto::userauth_signed_data({.session_id = connection.hash.view(),
                                                            .user = message.user_name,
                                                            .service = proto::kServiceConnection,
                                                            .algorithm = message.algorithm,
                                                            .key_blob = message.key_blob,
                                                            .host_key_blob = std::nullopt}),
                               flags);
  return message;
}

TEST(WardenLogin, sec_021_ASecurityKeyHasToBeTouched) {
  World world;
  test::SkKey& key = Keys::get().carol_touch;
  const Connection connection = world.connect();
  EXPECT_FALSE(world.verify(connection, sk_request(connection, key, 0)));
  EXPECT_FALSE(world.verify(connection, sk_request(connection, key, test::kSkUserVerified)));
  EXPECT_TRUE(world.verify(connection, sk_request(connection, key, test::kSkUserPresent)));
}

TEST(WardenLogin, VerifyRequiredWantsThePinToo) {
  World world;
  test::SkKey& key = Keys::get().carol_verify;
  const Connection connection = world.connect();
  EXPECT_FALSE(world.verify(connection, sk_request(connection, key, test::kSkUserPresent)));
  EXPECT_FALSE(world.verify(connection, sk_request(connection, key, test::kSkUserVerified)));
  EXPECT_TRUE(world.verify(
      connection, sk_request(connection, key, test::kSkUserPresent | test::kSkUserVerified)));
}

TEST(WardenLimits, SessionsOfOneUser) {
  World world("", "limits: {sessions_per_user: 2}\n");
  const Connection first = world.adopted("deploy@web1");
  const Connection second = world.adopted("alice");
  Connection third = world.connect();
  ASSERT_TRUE(world.log_in(third, "deploy@web1"));
  const auto adopt = world.hand_over(third);
  EXPECT_EQ(adopt->mode, ipc::SessionMode::kRefused);
  EXPECT_THAT(adopt->refusal, HasSubstr("you have 2 sessions open, which is the limit"));
  EXPECT_EQ(world.io.connects.size(), 1U);
  world.say(kWorker0, third.session, ipc::SessionEnded{"", 0, 0});
  world.say(kWorker0, first.session, ipc::SessionEnded{"", 0, 0});
  EXPECT_TRUE(world.log_in(world.connect(), "deploy@web1"));
  EXPECT_EQ(world.io.connects.size(), 2U);
}

TEST(WardenLogin, NobodyWaitsInALoginForAnAuditLogThatCannotBeWritten) {
  World world("", "audit: {file: /var/log/bastiond/audit.jsonl}\naudit_key: host_key\n");
  const Connection connection = world.connect();
  ASSERT_NE(connection.session, 0U);
  world.pass_time(2001);  // there is no recorder
  const std::uint32_t request =
      world.say(kGate0, connection.session,
                world.signed_request(connection, "deploy@web1", Keys::get().alice));
  const auto refused = world.answer<ipc::Refused>(request);
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->fatal);
  EXPECT_EQ(refused->text,
            "the bastion cannot write its audit log and takes no sessions. Tell your "
            "administrators.");
  EXPECT_TRUE(world.io.connects.empty());
}

TEST(WardenLimits, OneSessionIsNotSaidToBeSessions) {
  World world("", "limits: {sessions_per_user: 1}\n");
  const Connection first = world.adopted("deploy@web1");
  const Connection second = world.connect();
  ASSERT_TRUE(world.log_in(second, "deploy@web1"));
  EXPECT_THAT(world.hand_over(second)->refusal,
              HasSubstr("you have 1 session open, which is the limit"));
}

TEST(WardenLimits, FailuresAreCountedAndThenTheGateIsBroken) {
  World world("", "limits: {auth_failures: 3}\n");
  const Connection connection = world.connect();
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(world.log_in(connection, "alice", Keys::get().mallory));
    EXPECT_TRUE(world.io.ended.empty());
  }
  // A gate may know of a higher limit, from before a reload; of the highest there is at most.
  for (int i = 3; i < 100; ++i) {
    const std::uint32_t request = world.say(
        kGate0, connection.session, world.signed_request(connection, "alice", Keys::get().alice));
    ASSERT_EQ(world.refusal(request), "Too many authentication failures")
        << "even with a good signature";
    ASSERT_TRUE(world.io.ended.empty());
  }
  world.say(kGate0, connection.session,
            world.signed_request(connection, "alice", Keys::get().alice));
  EXPECT_TRUE(world.was_ended(kGate0));
  EXPECT_EQ(world.warden.num_sessions(), 0U);
}

TEST(WardenLimits, KeyOffersAreCounted) {
  World world("", "limits: {key_offers: 2}\n");
  const Connection connection = world.connect();
  const ipc::KeyQuery query{"alice", "ssh-ed25519", Keys::get().alice.public_key().blob()};
  for (int i = 0; i < 3; ++i) {
    world.say(kGate0, connection.session, query);
    EXPECT_TRUE(world.io.ended.empty());
  }
  for (int i = 3; i < 1001; ++i) {
    ASSERT_EQ(world.refusal(world.say(kGate0, connection.session, query)), "Too many keys offered");
    ASSERT_TRUE(world.io.ended.empty());
  }
  world.say(kGate0, connection.session, query);
  EXPECT_TRUE(world.was_ended(kGate0));
}

TEST(WardenLimits, AGrantThatDoesNotFitIntoAMessageIsRefused) {
  std::string policy = World::default_policy();
  std::string forwards;
  for (int i = 0; i < 2000; ++i) {
    forwards += (i == 0 ? "\"host-" : ", \"host-") + std::to_string(i) + ".internal:1-65535\"";
  }
  policy += "  - {name: very-long, who: all, targets: all, logins: all, allow: [{forward_local: [" +
            forwards + "]}]}\n";
  World world(policy);
  const Connection connection = world.connect();
  ASSERT_TRUE(world.log_in(connection, "deploy@web1"));
  const auto adopt = world.hand_over(connection);
  ASSERT_TRUE(adopt.has_value());
  EXPECT_EQ(adopt->mode, ipc::SessionMode::kRefused);
  EXPECT_NE(adopt->refusal.find("too long for one session"), std::string::npos) << adopt->refusal;
  EXPECT_TRUE(world.io.connects.empty());
  EXPECT_LE(world.io.largest_packet, ipc::kMessageBytesMax);
}

TEST(WardenConfiguration, ThousandsOfWarningsFitIntoTheAnswer) {
  World world;
  std::string policy = World::default_policy();
  for (int i = 0; i < 3000; ++i) {
    policy += "  - {name: nowhere-" + std::to_string(i) +
              ", who: all, targets: {no-such-label: x}, logins: all, allow: [shell]}\n";
  }
  const ipc::ConfigurationResult result = world.configure(policy);
  EXPECT_TRUE(result.ok);
  EXPECT_NE(result.text.find("warning"), std::string::npos);
  EXPECT_TRUE(result.text.ends_with("\n... and more"));
  EXPECT_LE(ipc::encode(ipc::Header{}, result).size(), ipc::kMessageBytesMax);
}

TEST(WardenConfiguration, ASessionThatLoggedInAcrossAChangeOfHostKeysMayRekeyWithEither) {
  World world;
  const Connection connection = world.connect();
  ASSERT_TRUE(world.log_in(connection, "alice"));
  const Keys& keys = Keys::get();
  ASSERT_TRUE(
      world.configure(World::default_policy(), "algorithms: {host_keys: [rsa-sha2-512]}\n").ok);
  ASSERT_TRUE(world.hand_over(connection).has_value());
  const auto rekey = [&](const crypto::PrivateKey& host, std::string_view algorithm) {
    const std::uint32_t request =
        world.say(kWorker0, connection.session,
                  ipc::SignRekey{world.exchange(ipc::Cookie{}, host, algorithm)});
    return world.answer<ipc::ExchangeSigned>(request).has_value();
  };
  EXPECT_TRUE(rekey(keys.host, "ssh-ed25519")) << "the one that it began with";
  EXPECT_TRUE(rekey(keys.host_rsa, "rsa-sha2-512")) << "the one that its worker knows";
  EXPECT_FALSE(rekey(keys.mallory, "ssh-ed25519"));
  EXPECT_TRUE(world.io.ended.empty()) << "nobody else's session pays";
}

TEST(WardenLimits, AMillionTunnelsCostTheSessionOnly) {
  World world;
  const Connection connection = world.adopted("alice");
  std::string refusal;
  for (int i = 0; i <= 1'000'000; ++i) {
    const std::uint32_t request =
        world.say(kWorker0, connection.session, ipc::OpenTunnel{1, "", 0});
    refusal = i == 1'000'000 ? world.refusal(request) : "";
    world.io.sent.clear();
    world.io.lines.clear();
  }
  EXPECT_EQ(refusal, "too many tunnels were opened on this connection: connect again");
  EXPECT_TRUE(world.io.ended.empty());
}

TEST(WardenLimits, AGateHasNoMoreSessionsThanConnectionsAreLetIn) {
  World world("", "limits: {unauthenticated: 3, unauthenticated_per_source: 3}\n");
  std::vector<Connection> connections;
  for (int i = 0; i < 3; ++i) {
    connections.push_back(world.connect());
    EXPECT_NE(connections.back().session, 0U);
  }
  EXPECT_EQ(world.connect().session, 0U);
  EXPECT_NE(world.connect(kGate1).session, 0U) << "each gate for itself";
  world.say(kGate0, connections[0].session, ipc::ConnectionGone{"left"});
  EXPECT_NE(world.connect().session, 0U);
  EXPECT_TRUE(world.io.ended.empty());
}

TEST(WardenLimits, AHandOverThatFitsNoMessageEndsTheGateAndNotTheWorker) {
  World world;
  const Connection connection = world.connect();
  ASSERT_TRUE(world.log_in(connection, "alice"));
  world.say(kGate0, connection.session,
            ipc::HandOver{SecretBytes(ipc::kMessageBytesMax - 100), SecretBytes()});
  EXPECT_TRUE(world.was_ended(kGate0));
  EXPECT_EQ(world.count(ipc::Type::kAdopt), 0U);

  World second;
  const Connection large = second.connect();
  ASSERT_TRUE(second.log_in(large, "deploy@web1"));
  second.say(kGate0, large.session, ipc::HandOver{SecretBytes(76 * 1024), SecretBytes(64 * 1024)});
  EXPECT_TRUE(second.io.ended.empty());
  EXPECT_EQ(second.count(ipc::Type::kAdopt), 1U);
  EXPECT_LE(second.io.largest_packet, ipc::kMessageBytesMax);
}

TEST(WardenLimits, AListingIsOneMessageHoweverManyTargetsThereAre) {
  std::string policy = World::default_policy();
  std::string targets;
  for (int i = 0; i < 1500; ++i) {
    targets += "  " + std::string(50, 'a') + std::to_string(i) + ":\n    address: 10.0.2.1\n" +
               "    host_keys: [\"" + Keys::get().web1_host.public_key().line() + "\"]\n";
  }
  policy.insert(policy.find("rules:"), targets);
  policy += "  - {name: many, who: [alice], targets: all, allow: [shell], logins: [" +
            std::string(30, 'b') + ", " + std::string(30, 'c') + ", " + std::string(30, 'd') +
            ", " + std::string(30, 'e') + ", " + std::string(30, 'f') + "]}\n";
  World world(policy);
  const Connection connection = world.adopted("alice");
  const auto listing =
      world.answer<ipc::Listing>(world.say(kWorker0, connection.session, ipc::AskListing{}));
  ASSERT_TRUE(listing);
  EXPECT_THAT(listing->text, HasSubstr(" more\n"));
  EXPECT_LE(world.io.largest_packet, ipc::kMessageBytesMax);
}

TEST(WardenListing, SaysWhatIsGrantedInThePolicysOwnWords) {
  const auto what = [](const std::string& allow) {
    std::string policy = World::default_policy();
    policy.replace(
        policy.find("rules:"), std::string::npos,
        "rules:\n  - {name: one, who: [alice], targets: [web1], logins: [deploy], allow: " + allow +
            "}\n");
    World world(policy);
    const Connection connection = world.adopted("alice");
    const auto listing =
        world.answer<ipc::Listing>(world.say(kWorker0, connection.session, ipc::AskListing{}));
    const std::size_t line = listing->text.find("  web1    deploy  ");
    EXPECT_NE(line, std::string::npos) << listing->text;
    const std::size_t from = line + 18;
    return listing->text.substr(from, listing->text.find('\n', from) - from);
  };
  EXPECT_EQ(what("[shell, exec, sftp]"), "shell, exec, sftp");
  EXPECT_EQ(what("[sftp, {subsystem: [netconf]}]"), "sftp, netconf");
  EXPECT_EQ(what("[exec, subsystem]"), "exec, subsystem");
  EXPECT_EQ(what("all"), "all");
  EXPECT_EQ(what("[shell, exec, sftp, agent, x11, forward_local, forward_remote, "
                 "forward_local_sockets, forward_remote_sockets]"),
            "shell, exec, sftp, agent, x11, forward_local, forward_remote, forward_local_sockets, "
            "forward_remote_sockets");
}

TEST(WardenReload, OldSessionsKeepWhatTheyWereDecidedUnder) {
  World world;
  const Connection old_one = world.adopted("deploy@web1");
  const Connection waiting = world.connect();
  std::string policy = World::default_policy();
  policy.replace(policy.find("10.0.1.11"), 9, "10.0.1.99");
  policy.replace(policy.find(Keys::get().web1_host.public_key().line()),
                 Keys::get().web1_host.public_key().line().size(),
                 Keys::get().web2_host.public_key().line());
  ASSERT_TRUE(world.configure(policy).ok);
  const UniqueFd target = world.connect_target();
  EXPECT_TRUE(
      world.answer<ipc::TargetVerified>(world.verify_target(old_one, world.target_exchange())));
  ASSERT_TRUE(world.log_in(waiting, "deploy@web1"));
  EXPECT_EQ(world.io.connects.back().address, IpAddress::parse("10.0.1.11"));
  ASSERT_TRUE(world.log_in(world.connect(), "deploy@web1"));
  EXPECT_EQ(world.io.connects.back().address, IpAddress::parse("10.0.1.99"));
}

TEST(WardenReload, ABadPolicyChangesNothing) {
  World world;
  const auto result = world.configure("users: {}\n");
  EXPECT_FALSE(result.ok);
  EXPECT_NE(result.text, "");
  EXPECT_TRUE(world.log_in(world.connect(), "deploy@web1"));
}

TEST(WardenReload, GatesAndWorkersGetTheNewSettings) {
  World world;
  const std::size_t before = world.count(ipc::Type::kSettings);
  ASSERT_TRUE(world.configure(World::default_policy(), "limits: {auth_failures: 4}\n").ok);
  EXPECT_EQ(world.count(ipc::Type::kSettings), before + 3);
  EXPECT_EQ(world.last<ipc::Settings>(kGate1)->auth_failures, 4U);
  EXPECT_FALSE(world.last<ipc::Settings>(test::kResolver));
}

TEST(WardenPeers, ADeadGateOrWorkerTakesItsSessionsAlong) {
  World world;
  const Connection keyed = world.connect();
  const Connection other = world.connect(kGate1);
  const Connection at_worker = world.adopted("deploy@web1");
  EXPECT_EQ(world.warden.num_sessions(), 3U);
  world.warden.peer_gone(kGate0);
  EXPECT_EQ(world.warden.num_sessions(), 2U);
  world.warden.peer_gone(kWorker0);
  EXPECT_EQ(world.warden.num_sessions(), 1U);
  EXPECT_EQ(world.io.cancelled.size(), 1U) << "the dial is given up";
  EXPECT_EQ(world.warden.next_deadline(), kNever);
  world.warden.peer_gone(kGate1);
  EXPECT_EQ(world.warden.num_sessions(), 0U);
  world.warden.add_peer(kGate0, 200);
  world.warden.add_peer(kWorker0, 201);
  EXPECT_TRUE(world.hand_over([&] {
    Connection again = world.connect();
    EXPECT_TRUE(world.log_in(again, "alice"));
    return again;
  }()));
}

TEST(WardenPeers, ASignatureForAProcessThatDiedGoesToNobody) {
  World world;
  auto [user_end, gate_end] = test::tcp_pair();
  const auto exchange =
      world.exchange(world.cookies(kGate0).at(0), Keys::get().host_rsa, "rsa-sha2-512");
  const SecretBytes packet =
      ipc::encode(ipc::Header{.request = 77, .session = 0}, ipc::SignFirstExchange{exchange});
  ByteView body(packet);
  const auto header = *ipc::decode_header(body);
  world.warden.on_message(kGate0, header, body, std::move(gate_end));
  ASSERT_EQ(world.io.slow.size(), 1U) << "RSA is signed beside";
  world.warden.peer_gone(kGate0);
  world.warden.add_peer(kGate0, 300);
  const std::size_t sent = world.io.sent.size();
  world.io.run_slow_jobs();
  EXPECT_EQ(world.io.sent.size(), sent) << "its successor may have a request of that number";
}

TEST(WardenPeers, AFirstExchangeThatIsNotSignedLeavesNoSession) {
  World world;
  world.io.slow_is_full = true;
  for (int i = 0; i < 3; ++i) {
    auto [user_end, gate_end] = test::tcp_pair();
    const auto request =
        world.say(kGate0, 0,
                  ipc::SignFirstExchange{world.exchange(world.cookies(kGate0).at(0),
                                                        Keys::get().host_rsa, "rsa-sha2-512")},
                  std::move(gate_end));
    EXPECT_THAT(world.refusal(request), HasSubstr("busy"));
  }
  EXPECT_EQ(world.warden.num_sessions(), 0U) << "the gate never learns of such a session";
  EXPECT_TRUE(world.io.ended.empty());
}

TEST(WardenPeers, SlowSignaturesAreCountedForTheOneWhoAsks) {
  World world;
  const Connection connection = world.adopted("alice");
  const auto rekey = world.exchange({}, Keys::get().host_rsa, "rsa-sha2-512");
  world.say(kWorker0, connection.session, ipc::SignRekey{rekey});
  EXPECT_EQ(world.io.slow_owners, std::vector{kWorker0});
  auto [user_end, gate_end] = test::tcp_pair();
  world.say(kGate1, 0,
            ipc::SignFirstExchange{
                world.exchange(world.cookies(kGate1).at(0), Keys::get().host_rsa, "rsa-sha2-512")},
            std::move(gate_end));
  EXPECT_EQ(world.io.slow_owners, (std::vector{kWorker0, kGate1}));
  EXPECT_EQ(world.count(ipc::Type::kExchangeSigned), 3U);
}

TEST(WardenPeers, TheLeastLoadedWorkerIsTaken) {
  World world;
  const Connection first = world.adopted("alice");
  world.warden.add_peer(test::kWorker1, 102);
  const Connection second = world.connect();
  ASSERT_TRUE(world.log_in(second, "alice"));
  world.hand_over(second);
  EXPECT_TRUE(world.last<ipc::Adopt>(test::kWorker1));
}

TEST(WardenShutdown, IsDoneWhenTheWorkersHaveEndedTheirSessions) {
  World world;
  const Connection keyed = world.connect();
  const Connection at_worker = world.adopted("deploy@web1");
  EXPECT_FALSE(world.warden.drained());
  world.warden.shut_down(5000, "maintenance");
  EXPECT_EQ(world.warden.num_sessions(), 1U);
  EXPECT_FALSE(world.warden.drained());
  EXPECT_EQ(world.last<ipc::Shutdown>(kWorker0)->text, "maintenance");
  EXPECT_EQ(world.connect().session, 0U) << "nobody comes in any more";
  world.say(kWorker0, at_worker.session, ipc::SessionEnded{"shut down", 0, 0});
  EXPECT_TRUE(world.warden.drained());
}

}  // namespace
}  // namespace bastion::daemon
