#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "proto/messages.h"
#include "proto/transport.h"
#include "tests/evil/attack.h"

/// Forged, foreign, replayed and spoilt: what an attacker who speaks well-formed messages may try.
namespace bastion::test {
namespace {

namespace ipc = daemon::ipc;
using daemon::UniqueFd;

const ipc::KeyQuery kAliceQuery{"alice", "ssh-ed25519", Keys::get().alice.public_key().blob()};

/// signs says whether the warden signs a first exchange of gate 0's.
bool signs(World& world, const ipc::Exchange& exchange, UniqueFd fd = tcp_pair().second) {
  return world
      .answer<ipc::ExchangeSigned>(
          world.say(kGate0, 0, ipc::SignFirstExchange{exchange}, std::move(fd)))
      .has_value();
}

TEST(Freshness, AReplayedExchangeMakesNoSession) {
  World world;
  const Connection connection = world.connect();
  ASSERT_TRUE(world.log_in(connection, "deploy@web1"));
  const auto recorded = world.signed_request(connection, "deploy@web1", Keys::get().alice);
  world.say(kGate0, connection.session, ipc::ConnectionGone{"left"});
  const Gains before = gains(world);

  EXPECT_FALSE(signs(world, connection.exchange));
  EXPECT_TRUE(world.was_ended(kGate0));
  EXPECT_EQ(world.warden.num_sessions(), 0U);
  // Nor at another gate, nor by naming the old session with the old signature.
  EXPECT_FALSE(world.answer<ipc::ExchangeSigned>(
      world.say(kGate1, 0, ipc::SignFirstExchange{connection.exchange}, tcp_pair().second)));
  EXPECT_TRUE(world.was_ended(kGate1));
  world.warden.add_peer(kGate1, 300);
  world.io.ended.clear();
  world.say(kGate1, connection.session, recorded);
  EXPECT_EQ(gains(world), before);
}

TEST(Freshness, ACookieOfAnotherGateOrOfNobody) {
  World world;
  const ipc::Cookie foreign = world.cookies(kGate1).at(0);
  EXPECT_FALSE(signs(world, world.exchange(foreign)));
  EXPECT_TRUE(world.was_ended(kGate0));
  // It is good still where it belongs.
  EXPECT_TRUE(world.answer<ipc::ExchangeSigned>(
      world.say(kGate1, 0, ipc::SignFirstExchange{world.exchange(foreign)}, tcp_pair().second)));

  World second;
  ipc::Cookie own;
  second.random.fill(own);
  EXPECT_FALSE(signs(second, second.exchange(own)));
  EXPECT_TRUE(second.was_ended(kGate0));
}

TEST(Freshness, CookiesOfAPredecessorAreWorthNothing) {
  World world;
  const ipc::Cookie cookie = world.cookies(kGate0).at(0);
  world.warden.peer_gone(kGate0);
  world.warden.add_peer(kGate0, 300);
  EXPECT_FALSE(signs(world, world.exchange(cookie)));
  EXPECT_TRUE(world.was_ended(kGate0));
}

TEST(Freshness, TheOldestOfTooManyCookiesAreForgotten) {
  World world;
  const ipc::Cookie first = world.cookies(kGate0).at(0);
  std::vector<ipc::Cookie> last;
  for (int i = 0; i < 5; ++i) {
    last = world.cookies(kGate0, 0xffff'ffff);
    EXPECT_EQ(last.size(), 512U);
  }
  EXPECT_TRUE(signs(world, world.exchange(last.back())));
  EXPECT_FALSE(signs(world, world.exchange(first)));
}

TEST(Exchange, PartsThatCannotBeEndTheGate) {
  using Spoil = void (*)(ipc::Exchange&);
  for (const Spoil spoil : std::initializer_list<Spoil>{
           [](auto& e) { e.server_ident = to_bytes("SSH-2.0-OpenSSH_10.0"); },
           [](auto& e) { e.server_ident.clear(); }, [](auto& e) { e.server_ident.push_back('\r'); },
           [](auto& e) { e.client_ident.resize(limits::kIdentLineMax + 1, 'x'); },
           [](auto& e) { e.client_kexinit.clear(); }, [](auto& e) { e.client_kexinit[0] = 21; },
           [](auto& e) { e.client_kexinit.resize(limits::kKexInitBytesMax + 1); },
           [](auto& e) { e.server_kexinit[0] = 21; }, [](auto& e) { e.server_kexinit.resize(16); },
           [](auto& e) { e.server_kexinit.clear(); },
           [](auto& e) { e.kex_method = "diffie-hellman-group0-md5"; },
           [](auto& e) { e.kex_method.clear(); }}) {
    World world;
    ipc::Exchange exchange = world.exchange(world.cookies(kGate0).at(0));
    spoil(exchange);
    EXPECT_FALSE(signs(world, exchange));
    EXPECT_TRUE(world.was_ended(kGate0));
    EXPECT_EQ(world.warden.num_sessions(), 0U);
  }
}

TEST(Exchange, AHostKeyThatIsNotOursIsNotSignedFor) {
  World world;
  ipc::Exchange other = world.exchange(world.cookies(kGate0).at(0), Keys::get().mallory);
  EXPECT_FALSE(signs(world, other));
  ipc::Exchange mixed = world.exchange(world.cookies(kGate0).at(0));
  mixed.host_key_algorithm = "rsa-sha2-512";
  EXPECT_FALSE(signs(world, mixed));
  EXPECT_EQ(world.warden.num_sessions(), 0U);
  EXPECT_EQ(world.count(ipc::Type::kExchangeSigned), 0U);
}

TEST(Exchange, TheHashIsTheWardensOwn) {
  // Another secret gives another hash: the user, who knows the true one, sees a wrong signature.
  World world;
  ipc::Exchange exchange = world.exchange(world.cookies(kGate0).at(0));
  const crypto::Digest seen_by_user = hash_of(exchange);
  exchange.secret_field[5] ^= 1;
  ASSERT_TRUE(signs(world, exchange));
  const auto answer = world.last<ipc::ExchangeSigned>(kGate0);
  EXPECT_NE(answer->hash, to_bytes(seen_by_user.view()));
  EXPECT_FALSE(Keys::get().host.public_key().verify(
      *crypto::find_signature_algorithm("ssh-ed25519"), seen_by_user.view(), answer->signature));
}

TEST(Descriptors, AUsersSocketIsAConnectedOneOfTheInternet) {
  const auto listening = [] {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(listen(fd.get(), 1), 0);
    return fd;
  };
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const UniqueFd other_end(pair[0]);
  std::vector<UniqueFd> strays;
  strays.emplace_back(pair[1]);
  strays.push_back(listening());
  strays.emplace_back(eventfd(0, EFD_CLOEXEC));
  strays.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  strays.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (UniqueFd& stray : strays) {
    World world;
    EXPECT_FALSE(signs(world, world.exchange(world.cookies(kGate0).at(0)), std::move(stray)));
    EXPECT_EQ(world.warden.num_sessions(), 0U);
    EXPECT_FALSE(world.was_ended(kGate0)) << "so it looks when a user has gone";
  }
  World world;
  EXPECT_FALSE(signs(world, world.exchange(world.cookies(kGate0).at(0)), UniqueFd()));
  EXPECT_TRUE(world.was_ended(kGate0));
}

TEST(Descriptors, WhereNoneIsDueItIsClosed) {
  World world;
  const Connection connection = world.connect();
  auto [near, far] = tcp_pair();
  world.say(kGate0, connection.session, kAliceQuery, std::move(far));
  char byte;
  EXPECT_EQ(recv(near.get(), &byte, 1, 0), 0) << "nobody holds the other end any more";
}

TEST(UserSignature, HasToBeOverThisSessionAndThisName) {
  World world;
  const Connection mine = world.connect();
  const Connection other = world.connect();
  const auto of_other = world.signed_request(other, "deploy@web1", Keys::get().alice);
  EXPECT_FALSE(world.verify(mine, of_other)) << "another session's";
  auto renamed = world.signed_request(mine, "deploy@web1", Keys::get().alice);
  renamed.user_name = "deploy@web2";
  EXPECT_FALSE(world.verify(mine, renamed)) << "another target than was signed";
  auto unsigned_one = world.signed_request(mine, "deploy@web1", Keys::get().alice);
  unsigned_one.signature.clear();
  EXPECT_FALSE(world.verify(mine, unsigned_one));
  EXPECT_TRUE(world.io.connects.empty());
  EXPECT_TRUE(world.verify(other, of_other));
}

TEST(UserSignature, EveryFlippedBitIsSeen) {
  World world;
  const auto logs_in = [&](auto&& spoil) {
    const Connection connection = world.connect();
    auto message = world.signed_request(connection, "alice", Keys::get().alice);
    spoil(message.signature);
    const bool in = world.verify(connection, message);
    world.say(kGate0, connection.session, ipc::ConnectionGone{""});
    return in;
  };
  ASSERT_TRUE(logs_in([](Bytes&) {}));
  constexpr std::size_t kSignatureBytes = 4 + 11 + 4 + 64;
  for (std::size_t i = 0; i < kSignatureBytes; ++i) {
    EXPECT_FALSE(logs_in([&](Bytes& s) { s.at(i) ^= static_cast<std::uint8_t>(1U << i % 8); }))
        << i;
    EXPECT_FALSE(logs_in([&](Bytes& s) { s.resize(i); })) << i;
  }
  EXPECT_FALSE(logs_in([](Bytes& s) { s.push_back(0); }));
}

TEST(UserSignature, sec_004_TheKeyThatSignsIsTheOneThatCounts) {
  World world;
  const Connection connection = world.connect();
  world.say(kGate0, connection.session, kAliceQuery);
  const auto bob = world.signed_request(connection, "bob", Keys::get().bob);
  world.say(kGate0, connection.session, kAliceQuery);
  ASSERT_TRUE(world.verify(connection, bob));
  EXPECT_EQ(world.hand_over(connection)->user, "bob");
}

TEST(UserSignature, sec_006_AnAcceptableOfferDoesNotCarryAnotherKeysSignature) {
  World world;
  const Connection connection = world.connect();
  world.say(kGate0, connection.session, kAliceQuery);
  EXPECT_FALSE(world.log_in(connection, "deploy@web1", Keys::get().mallory));
  auto swapped = world.signed_request(connection, "deploy@web1", Keys::get().mallory);
  swapped.key_blob = Keys::get().alice.public_key().blob();
  EXPECT_FALSE(world.verify(connection, swapped));
}

TEST(UserSignature, sec_005_AnOfferIsNoLogin) {
  World world;
  const Connection connection = world.connect();
  for (int i = 0; i < 10; ++i) {
    world.say(kGate0, connection.session, kAliceQuery);
  }
  world.say(kGate0, connection.session, ipc::HandOver{});
  EXPECT_TRUE(world.was_ended(kGate0));
  EXPECT_EQ(gains(world).adoptions, 0U);
}

TEST(UserSignature, sec_013_OnlyTheDiagonalOfKeysAndAlgorithms) {
  const Keys& keys = Keys::get();
  for (const std::string algorithm :
       {"ssh-ed25519", "rsa-sha2-256", "rsa-sha2-512", "ssh-rsa", "ecdsa-sha2-nistp256",
        "sk-ssh-ed25519@openssh.com", "ssh-ed25519-cert-v01@openssh.com",
        "rsa-sha2-512-cert-v01@openssh.com", "none", ""}) {
    World world;
    const Connection connection = world.connect();
    for (const auto* key : {&keys.alice, &keys.alice_rsa}) {
      const bool rsa = key == &keys.alice_rsa;
      auto message =
          world.signed_request(connection, "alice", *key, rsa ? "rsa-sha2-256" : "ssh-ed25519");
      if (message.algorithm == algorithm) {
        continue;
      }
      message.algorithm = algorithm;
      EXPECT_FALSE(world.verify(connection, message)) << algorithm;
    }
  }
}

TEST(UserSignature, HostboundIsBoundToOurHostKey) {
  World world;
  const Connection connection = world.connect();
  const auto sign = [&](const Bytes& signed_for, const Bytes& said) {
    ipc::KeyVerify message = world.signed_request(connection, "alice", Keys::get().alice);
    message.hostbound = true;
    message.hostbound_host_key = said;
    message.signature =
        *Keys::get().alice.sign(*crypto::find_signature_algorithm("ssh-ed25519"),
                                proto::userauth_signed_data({.session_id = connection.hash.view(),
                                                             .user = message.user_name,
                                                             .service = proto::kServiceConnection,
                                                             .algorithm = message.algorithm,
                                                             .key_blob = message.key_blob,
                                                             .host_key_blob = signed_for}));
    return message;
  };
  const Bytes ours = Keys::get().host.public_key().blob();
  const Bytes other = Keys::get().host_rsa.public_key().blob();
  EXPECT_FALSE(world.verify(connection, sign(other, other))) << "ours, but not of this exchange";
  EXPECT_FALSE(world.verify(connection, sign(other, ours)));
  EXPECT_FALSE(world.verify(connection, sign(ours, other)));
  auto without = sign(ours, ours);
  without.hostbound = false;
  EXPECT_FALSE(world.verify(connection, without));
  EXPECT_TRUE(world.verify(connection, sign(ours, ours)));
}

TEST(UserName, OfSomebodyElseIsNotLoggedInWith) {
  World world;
  const Connection connection = world.connect();
  EXPECT_FALSE(world.log_in(connection, "bob")) << "alice's key";
  EXPECT_TRUE(world.io.connects.empty());
}

TEST(Certificates, TricksWithTheKeyInside) {
  World world;
  const Connection connection = world.connect();
  const Bytes blob = user_certificate(Keys::get().mallory.public_key(), Keys::get().corp_ca,
                                      world.io.wall, [](auto&) {});
  const std::string algorithm = "ssh-ed25519-cert-v01@openssh.com";
  // Signed by a key that is not the certificate's.
  EXPECT_FALSE(world.verify(
      connection, world.signed_request(connection, "alice", Keys::get().bob, algorithm, blob)));
  // The certificate under the plain algorithm, and the plain key under the certificate's.
  auto as_plain = world.signed_request(connection, "alice", Keys::get().mallory, algorithm, blob);
  as_plain.algorithm = "ssh-ed25519";
  EXPECT_FALSE(world.verify(connection, as_plain));
  EXPECT_FALSE(world.verify(
      connection, world.signed_request(connection, "alice", Keys::get().alice, algorithm)));
  // Every octet of it changed.
  for (std::size_t i = 0; i < blob.size(); ++i) {
    Bytes bad = blob;
    bad[i] ^= 0x40;
    const Connection fresh = world.connect();
    EXPECT_FALSE(world.verify(
        fresh, world.signed_request(fresh, "alice", Keys::get().mallory, algorithm, bad)))
        << i;
    world.say(kGate0, fresh.session, ipc::ConnectionGone{""});
  }
}

TEST(HandOver, FromAnotherGateIsAViolation) {
  World world;
  const Connection connection = world.connect();
  ASSERT_TRUE(world.log_in(connection, "deploy@web1"));
  world.say(kGate1, connection.session, ipc::HandOver{});
  EXPECT_TRUE(world.was_ended(kGate1));
  EXPECT_FALSE(world.was_ended(kGate0));
  EXPECT_EQ(gains(world).adoptions, 0U);
  EXPECT_TRUE(world.hand_over(connection));
}

/// ConnectedSession is one at worker 0 that waits for its target's proof.
class ConnectedSession : public ::testing::Test {
 protected:
  bool verifies(const TargetExchange& target) {
    return world.answer<ipc::TargetVerified>(world.verify_target(connection, target)).has_value();
  }
  World world;
  Connection connection = world.adopted("deploy@web1");
  UniqueFd target_end = world.connect_target();
};

TEST_F(ConnectedSession, ATargetsSignatureOverAnotherExchange) {
  TargetExchange target = world.target_exchange();
  target.signature = world.target_exchange().signature;
  EXPECT_FALSE(verifies(target));
}

TEST_F(ConnectedSession, ASpoiltSignature) {
  TargetExchange target = world.target_exchange();
  target.signature.back() ^= 1;
  EXPECT_FALSE(verifies(target));
}

TEST_F(ConnectedSession, AnotherTargetsGoodProof) {
  EXPECT_FALSE(verifies(world.target_exchange(Keys::get().web2_host)));
}

TEST_F(ConnectedSession, ALegacyAlgorithm) {
  TargetExchange target = world.target_exchange(Keys::get().host_rsa, "rsa-sha2-256");
  target.exchange.host_key_algorithm = "ssh-rsa";
  EXPECT_FALSE(verifies(target));
}

TEST_F(ConnectedSession, AnExchangeWhereWeAreNotTheClient) {
  // The bastion's own first exchange with a user, as if it were one with a target.
  TargetExchange target;
  target.exchange = connection.exchange;
  target.hash = connection.hash;
  target.signature = world.last<ipc::ExchangeSigned>(kGate0)->signature;
  EXPECT_FALSE(verifies(target));
}

TEST_F(ConnectedSession, BeforeTheSocketThereIsNothingToProve) {
  World fresh;
  const Connection dialling = fresh.adopted("deploy@web1");
  fresh.verify_target(dialling, fresh.target_exchange());
  EXPECT_TRUE(fresh.was_ended(kWorker0));
  EXPECT_EQ(gains(fresh).credentials, 0U);
}

TEST_F(ConnectedSession, ARekeyNeedsTheSessionsOwnClient) {
  ipc::Exchange rekey = world.exchange(ipc::Cookie{});
  ASSERT_TRUE(world.answer<ipc::ExchangeSigned>(
      world.say(kWorker0, connection.session, ipc::SignRekey{rekey})));
  rekey.client_ident = to_bytes("SSH-2.0-Another");
  EXPECT_FALSE(world.answer<ipc::ExchangeSigned>(
      world.say(kWorker0, connection.session, ipc::SignRekey{rekey})));
  EXPECT_TRUE(world.was_ended(kWorker0));
}

// Two reloads can leave an honest worker with a key of that kind: it gets nothing, and lives.
TEST_F(ConnectedSession, ARekeyUnderAForeignHostKeyIsNotSigned) {
  const std::uint32_t request =
      world.say(kWorker0, connection.session,
                ipc::SignRekey{world.exchange(ipc::Cookie{}, Keys::get().mallory)});
  EXPECT_FALSE(world.answer<ipc::ExchangeSigned>(request));
  EXPECT_NE(world.refusal(request).find("host keys have changed"), std::string::npos);
}

TEST(Tunnels, ReachWhatIsGrantedToThisUserOnThisPort) {
  World world;
  const Connection alice = world.adopted("alice");
  const Connection bob = world.adopted("bob", Keys::get().bob);
  const auto refused = [&](const Connection& connection, std::string host, std::uint32_t port) {
    const std::uint32_t request =
        world.say(kWorker0, connection.session, ipc::OpenTunnel{1, std::move(host), port});
    return world.refusal(request) != "-";
  };
  for (const char* host :
       {"", "web1", "10.0.1.11", "127.0.0.1", "::1", "localhost", "169.254.169.254", "10.0.9.2",
        "0x0a000901", "012.0.9.1", "lab1.", "lab1 ", "lab1%00", "167774465", "10.0.2305",
        "::ffff:10.0.1.11", "64:ff9b::a00:901", "*", "lab*"}) {
    EXPECT_TRUE(refused(alice, host, 22)) << host;
  }
  for (const std::uint32_t port : {0U, 1U, 23U, 65'535U, 65'536U, 65'558U, 0xffff'ffffU}) {
    EXPECT_TRUE(refused(alice, "lab1", port)) << port;
  }
  EXPECT_TRUE(refused(bob, "lab1", 22));
  EXPECT_TRUE(world.io.connects.empty());
  EXPECT_TRUE(world.io.ended.empty());
  EXPECT_FALSE(refused(alice, "lab1", 22));
  ASSERT_EQ(world.io.connects.size(), 1U);
  EXPECT_EQ(world.io.connects[0].address.text(), "10.0.9.1");
}

TEST(Sessions, IdsOfOtherSlotsAndGenerationsNameNothing) {
  World world;
  const Connection connection = world.connect();
  const Gains before = gains(world);
  for (int bit = 0; bit < 64; ++bit) {
    const ipc::SessionId other = connection.session ^ (ipc::SessionId{1} << bit);
    const std::uint32_t request = world.say(kGate0, other, kAliceQuery);
    if (other != 0) {
      EXPECT_FALSE(world.answer<ipc::KeyAnswer>(request)) << bit;
    }
    if (world.was_ended(kGate0)) {
      ADD_FAILURE() << bit;
      return;
    }
  }
  EXPECT_EQ(gains(world), before);
  EXPECT_TRUE(world.log_in(connection, "alice"));
}

TEST(Sessions, AReusedSlotIsNotTheOldSession) {
  World world;
  const Connection old_one = world.connect();
  world.say(kGate0, old_one.session, ipc::ConnectionGone{""});
  const Connection new_one = world.connect();
  EXPECT_NE(old_one.session, new_one.session);
  EXPECT_EQ(old_one.session & 0xffff'ffff, new_one.session & 0xffff'ffff);
  EXPECT_FALSE(world.log_in(old_one, "alice"));
  Connection mixed = world.connect();
  mixed.hash = old_one.hash;
  EXPECT_FALSE(world.log_in(mixed, "alice")) << "a signature over the old session's id";
}

}  // namespace
}  // namespace bastion::test
