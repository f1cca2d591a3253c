// EXT_INFO (RFC 8308) and OpenSSH's PING, from peers that keep to the rules, or do not (SECURITY
// 33, 37).
#include <gtest/gtest.h>

#include "proto/transport.h"
#include "tests/unit/proto/duels.h"

namespace bastion::proto {
namespace {

using test::channel_data;
using test::Duel;
using test::expect_refused;
using test::kBothRoles;
using test::Leg;
using test::TransportPair;

Bytes ext_info(std::uint32_t count, std::initializer_list<std::string_view> texts) {
  Writer writer;
  writer.u8(kMsgExtInfo).u32(count);
  for (const std::string_view text : texts) {
    writer.text(text);
  }
  return writer.take();
}

TEST(ExtInfo, OurServerTellsWhatItAccepts) {
  TransportPair pair;
  pair.start();
  pair.pump();
  const PeerExtensions& peer = pair.client->peer();
  EXPECT_TRUE(peer.ext_info);
  EXPECT_TRUE(peer.hostbound);
  EXPECT_TRUE(peer.ping);
  EXPECT_EQ(peer.server_sig_algs,
            (std::vector<std::string>{"ssh-ed25519", "sk-ssh-ed25519@openssh.com",
                                      "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
                                      "ecdsa-sha2-nistp521", "sk-ecdsa-sha2-nistp256@openssh.com",
                                      "rsa-sha2-512", "rsa-sha2-256"}));
}

TEST(ExtInfo, OurServerTellsOnlyWhoAsks) {
  for (const bool asks : {false, true}) {
    Duel duel(Role::kServer);
    duel.peer.ext_info = asks;
    duel.handshake();
    EXPECT_EQ(duel.peer.has_got(kMsgExtInfo), asks);
    if (asks) {
      EXPECT_EQ(duel.peer.got.back()[0], kMsgExtInfo);
    }
    duel.to_authenticated();
    duel.peer.got.clear();
    duel.rekey();
    EXPECT_FALSE(duel.peer.has_got(kMsgExtInfo));
  }
}

TEST(ExtInfo, IsTakenRightBehindTheFirstNewkeys) {
  for (const Role role : kBothRoles) {
    Duel duel(role);
    duel.handshake();
    duel.peer.packet(ext_info(2, {"server-sig-algs", "a,b", "unknown@example.com", "x"}));
    duel.exchange();
    ASSERT_FALSE(duel.leg.error.has_value());
    EXPECT_EQ(duel.leg->peer().server_sig_algs, (std::vector<std::string>{"a", "b"}));
    duel.peer.packet(ext_info(0, {}));
    duel.exchange();
    expect_refused(duel);
  }
}

TEST(ExtInfo, IsRefusedAnywhereElse) {
  for (const Role role : kBothRoles) {
    Duel later(role);
    later.handshake();
    later.peer.packet(Leg::message_with_text(kMsgIgnore, ""));
    later.peer.packet(ext_info(0, {}));
    later.exchange();
    expect_refused(later);

    Duel after_rekey(role);
    after_rekey.handshake();
    after_rekey.to_authenticated();
    after_rekey.rekey();
    after_rekey.peer.packet(ext_info(0, {}));
    after_rekey.exchange();
    expect_refused(after_rekey);
  }
  Duel in_auth(Role::kServer);
  in_auth.handshake();
  in_auth.to_auth();
  in_auth.leg.delivered.clear();
  in_auth.peer.packet(ext_info(0, {}));
  in_auth.exchange();
  expect_refused(in_auth);
}

TEST(ExtInfo, OfAServerMayComeRightBeforeSuccess) {
  Duel duel(Role::kClient);
  duel.handshake();
  duel.to_auth();
  duel.leg.delivered.clear();
  duel.peer.packet(ext_info(1, {"server-sig-algs", "rsa-sha2-512"}));
  duel.peer.packet(kMsgUserauthSuccess);
  duel.exchange();
  ASSERT_FALSE(duel.leg.error.has_value());
  ASSERT_EQ(duel.leg.delivered.size(), 1u);
  EXPECT_EQ(duel.leg->peer().server_sig_algs, (std::vector<std::string>{"rsa-sha2-512"}));

  Duel other(Role::kClient);
  other.handshake();
  other.to_auth();
  other.leg.delivered.clear();
  other.peer.packet(ext_info(0, {}));
  other.peer.packet(Leg::message_with_text(kMsgUserauthFailure, ""));
  other.exchange();
  expect_refused(other);
}

TEST(ExtInfo, sec_033_CountsAreHeldAgainstWhatIsThere) {
  for (const std::uint32_t count : {2u, 3u, 64u, 65u, 0x10000000u, 0xffffffffu}) {
    Duel duel(Role::kClient);
    duel.handshake();
    duel.peer.packet(ext_info(count, {"server-sig-algs", "a"}));
    duel.exchange();
    ASSERT_TRUE(duel.leg.error.has_value()) << count;
    EXPECT_EQ(duel.leg.error->code,
              count > limits::kExtInfoMax ? ErrorCode::kLimit : ErrorCode::kProtocol);
  }
}

TEST(ExtInfo, BoundsTheNames) {
  std::string names = "a";
  for (std::size_t i = 1; i < limits::kExtInfoNamesMax; ++i) {
    names += ",a";
  }
  Duel most(Role::kClient);
  most.handshake();
  most.peer.packet(ext_info(1, {"server-sig-algs", names}));
  most.exchange();
  EXPECT_FALSE(most.leg.error.has_value());
  EXPECT_EQ(most.leg->peer().server_sig_algs.size(), limits::kExtInfoNamesMax);

  for (const std::string& bad :
       {names + ",a", std::string(65, 'a'), std::string("a\x1b[2J"), std::string("a b")}) {
    Duel duel(Role::kClient);
    duel.handshake();
    duel.peer.packet(ext_info(1, {"server-sig-algs", bad}));
    duel.exchange();
    EXPECT_TRUE(duel.leg.error.has_value()) << bad;
  }
}

TEST(ExtInfo, RefusesEveryCutAndAnyTrailingByte) {
  const Bytes whole = ext_info(1, {"server-sig-algs", "ssh-ed25519"});
  for (std::size_t len = 1; len <= whole.size() + 1; ++len) {
    Bytes cut = whole;
    cut.resize(len);
    Duel duel(Role::kClient);
    duel.handshake();
    duel.peer.packet(cut);
    duel.exchange();
    EXPECT_EQ(duel.leg.error.has_value(), len != whole.size()) << len;
  }
}

TEST(Ping, IsAnsweredWithTheSameBytes) {
  for (const Role role : kBothRoles) {
    Duel duel(role);
    duel.handshake();
    for (const std::size_t len : {0u, 1u, 100u, 30'000u}) {
      duel.peer.packet(Leg::message_with_text(kMsgPing, std::string(len, 'p')));
      duel.exchange();
      EXPECT_EQ(duel.peer.got.back(), Leg::message_with_text(kMsgPong, std::string(len, 'p')));
    }
    duel.peer.packet(Leg::message_with_text(kMsgPong, "nobody asked"));
    duel.exchange();
    EXPECT_FALSE(duel.leg.error.has_value());
  }
}

TEST(Ping, MustBeWellFormed) {
  for (const std::size_t len : {1u, 4u, 8u, 10u}) {
    Bytes ping = Leg::message_with_text(kMsgPing, "abcd");
    ping.resize(len);
    Duel duel(Role::kServer);
    duel.handshake();
    duel.peer.packet(ping);
    duel.exchange();
    expect_refused(duel);
  }
}

TEST(Ping, sec_037_IsBoundedInAKeyExchange) {
  // Our KEXINIT is out; the peer does not answer it, and pings.
  Duel duel(Role::kServer);
  duel.handshake();
  duel.to_authenticated();
  duel.leg->request_rekey({});
  duel.peer.receive(duel.leg.take_output());
  std::size_t sent = 0;
  while (!duel.leg.error.has_value() && sent < 10 * 1024 * 1024) {
    duel.peer.packet(Leg::message_with_text(kMsgPing, std::string(1000, 'p')));
    sent += 1000;
    duel.leg.receive(duel.peer.take());
    EXPECT_LE(duel.leg->queued_bytes(), limits::kPongsWaitingMax);
  }
  ASSERT_TRUE(duel.leg.error.has_value());
  EXPECT_EQ(duel.leg.error->code, ErrorCode::kLimit);
}

TEST(Ping, WaitsForTheNewKeysAndLeavesInOrder) {
  Duel duel(Role::kServer);
  duel.handshake();
  duel.to_authenticated();
  duel.peer.got.clear();
  duel.leg->request_rekey({});
  duel.peer.packet(Leg::message_with_text(kMsgPing, "one"));
  duel.exchange();
  duel.leg->send(channel_data(2));
  EXPECT_FALSE(duel.peer.has_got(kMsgPong));
  duel.rekey();
  ASSERT_FALSE(duel.leg.error.has_value());
  ASSERT_GE(duel.peer.got.size(), 2u);
  EXPECT_EQ(duel.peer.got[duel.peer.got.size() - 2], Leg::message_with_text(kMsgPong, "one"));
  EXPECT_EQ(duel.peer.got.back(), channel_data(2));
}

}  // namespace
}  // namespace bastion::proto
