// The key exchange against peers that keep to the rules, or do not (SECURITY 30-33, 37, 39, 41,
// 42).
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>

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

TEST(StrictKex, IsInEffectOnlyIfBothSay) {
  for (const Role role : kBothRoles) {
    for (const bool strict : {false, true}) {
      Duel duel(role);
      duel.peer.strict = strict;
      duel.handshake();
      ASSERT_FALSE(duel.leg.error.has_value()) << duel.leg.error->text;
      EXPECT_EQ(duel.leg->strict_kex(), strict);
      EXPECT_EQ(duel.leg->phase(), Phase::kService);
    }
  }
}

TEST(StrictKex, sec_030_RefusesAPrefixBeforeKexinit) {
  for (const Role role : kBothRoles) {
    for (const std::uint8_t message : {kMsgIgnore, kMsgUnimplemented, kMsgDebug}) {
      Duel duel(role);
      duel.ident();
      duel.peer.packet(Leg::message_with_text(message, "x"));
      duel.exchange();
      // It cannot be known yet whether the peer is strict.
      EXPECT_FALSE(duel.leg.error.has_value());
      duel.kexinit();
      expect_refused(duel);
    }
  }
}

TEST(StrictKex, sec_030_TerrapinFindsNoWayIn) {
  // The man in the middle adds IGNORE to what the server says before NEWKEYS and later drops the
  // EXT_INFO, so that the numbers fit again.
  for (const char* cipher : {"chacha20-poly1305@openssh.com", "aes256-ctr"}) {
    auto options = test::client_options();
    options->algorithms.ciphers = {cipher};
    TransportPair pair(test::server_options(), options);
    pair.start();
    pair.server.receive(pair.client.take_output());
    Bytes hello = pair.server.take_output();
    Writer ignore;
    ignore.u32(12).u8(6).u8(kMsgIgnore).u32(0).bytes(Bytes(6, 0));
    hello.insert(hello.end(), ignore.view().begin(), ignore.view().end());
    pair.client.receive(hello);
    ASSERT_TRUE(pair.client.error.has_value());
    EXPECT_EQ(pair.client.error->code, ErrorCode::kProtocol);
  }
}

TEST(StrictKex, sec_031_CountsFromZeroAfterEachNewkeys) {
  for (const Role role : kBothRoles) {
    Duel duel(role);
    duel.handshake();
    duel.to_authenticated();
    for (int i = 0; i < 3; ++i) {
      duel.rekey();
      EXPECT_EQ(duel.peer.next_seq(), 0u);
      duel.leg->send(channel_data(1));
      duel.exchange();
      EXPECT_EQ(duel.peer.got_seq.back(), 0u);
      // The transport reads with the same numbers: UNIMPLEMENTED tells them.
      duel.peer.packet(200);
      duel.exchange();
      ASSERT_EQ(duel.peer.got.back()[0], kMsgUnimplemented);
      EXPECT_EQ(load_u32(duel.peer.got.back().data() + 1), 0u);
    }
  }
}

TEST(StrictKex, CountsOnWithoutIt) {
  Duel duel(Role::kServer);
  duel.peer.strict = false;
  duel.handshake();
  duel.to_authenticated();
  duel.rekey();
  const std::uint32_t seq = duel.peer.next_seq();
  EXPECT_GT(seq, 5u);
  duel.peer.packet(200);
  duel.exchange();
  ASSERT_EQ(duel.peer.got.back()[0], kMsgUnimplemented);
  EXPECT_EQ(load_u32(duel.peer.got.back().data() + 1), seq);
}

TEST(StrictKex, IsReadFromTheFirstKexinitOnly) {
  // sec_031: a rekey without the markers, or with them for the first time, changes nothing.
  for (const Role role : kBothRoles) {
    Duel duel(role);
    duel.handshake();
    duel.to_authenticated();
    Bytes without = duel.peer.make_kexinit();
    duel.peer.strict = false;
    without = duel.peer.make_kexinit();
    duel.peer.strict = true;
    duel.peer.send_kexinit(without);
    duel.exchange();
    duel.method();
    duel.newkeys();
    ASSERT_FALSE(duel.leg.error.has_value()) << duel.leg.error->text;
    EXPECT_TRUE(duel.leg->strict_kex());
    EXPECT_EQ(duel.leg->num_exchanges(), 2u);
    duel.peer.packet(channel_data(5));
    duel.exchange();
    EXPECT_EQ(duel.leg.delivered.size(), 1u);
  }
  Duel late(Role::kServer);
  late.peer.strict = false;
  late.handshake();
  late.to_authenticated();
  late.peer.strict = true;
  const Bytes with = late.peer.make_kexinit();
  late.peer.strict = false;
  late.peer.send_kexinit(with);
  late.exchange();
  late.method();
  late.newkeys();
  ASSERT_FALSE(late.leg.error.has_value()) << late.leg.error->text;
  EXPECT_FALSE(late.leg->strict_kex());
}

TEST(Kex, ToleratesIgnoreWithoutStrictKex) {
  for (const Role role : kBothRoles) {
    Duel duel(role);
    duel.peer.strict = false;
    const Bytes ignore = Leg::message_with_text(kMsgIgnore, "noise");
    duel.ident();
    duel.peer.packet(ignore);
    duel.kexinit();
    duel.peer.packet(ignore);
    duel.method();
    duel.peer.packet(ignore);
    duel.newkeys();
    ASSERT_FALSE(duel.leg.error.has_value()) << duel.leg.error->text;
    duel.to_authenticated();
    duel.peer.packet(channel_data(1));
    duel.exchange();
    EXPECT_EQ(duel.leg.delivered.size(), 1u);
  }
}

TEST(Kex, sec_042_RefusesASecondKexinit) {
  for (const Role role : kBothRoles) {
    for (const bool strict : {false, true}) {
      Duel duel(role);
      duel.peer.strict = strict;
      duel.ident();
      duel.kexinit();
      ASSERT_FALSE(duel.leg.error.has_value());
      duel.kexinit();
      expect_refused(duel);
    }
  }
}

TEST(Kex, sec_042_RefusesHugeNameLists) {
  Duel duel(Role::kServer);
  duel.ident();
  duel.peer.lists.kex.assign(2000, "curve25519-sha256");
  duel.kexinit();
  expect_refused(duel);
  Duel medium(Role::kServer);
  medium.ident();
  medium.peer.lists.kex.assign(1200, "curve25519-sha256");
  medium.kexinit();
  expect_refused(medium, ErrorCode::kLimit);
}

TEST(Kex, sec_039_ANewkeysWithoutASignatureChangesNothing) {
  Duel duel(Role::kClient);
  duel.ident();
  duel.kexinit();
  duel.peer.packet(kMsgNewKeys);
  duel.exchange();
  expect_refused(duel);
}

TEST(Kex, sec_039_RefusesASecondReply) {
  for (const Role role : kBothRoles) {
    Duel duel(role);
    duel.ident();
    duel.kexinit();
    const Bytes method = duel.peer.make_method();
    duel.peer.packet(method);
    duel.peer.packet(method);
    duel.exchange();
    expect_refused(duel);
  }
}

TEST(Kex, RefusesMethodMessagesThatAreCutOrLonger) {
  // sec_049, at each byte.
  for (const Role role : kBothRoles) {
    Duel whole(role);
    whole.ident();
    whole.kexinit();
    const std::size_t full_len = whole.peer.make_method().size();
    for (std::size_t len = 1; len <= full_len + 2; ++len) {
      if (len == full_len) {
        continue;
      }
      Duel duel(role);
      duel.ident();
      duel.kexinit();
      Bytes method = duel.peer.make_method();
      method.resize(len);
      duel.peer.packet(method);
      duel.exchange();
      expect_refused(duel, ErrorCode::kKeyExchange);
    }
  }
}

TEST(Kex, RefusesANewkeysWithContent) {
  Duel duel(Role::kServer);
  duel.ident();
  duel.kexinit();
  duel.method();
  duel.peer.packet(Leg::message_with_text(kMsgNewKeys, ""));
  duel.exchange();
  expect_refused(duel);
}

TEST(Kex, SaysWhichListHadNothingInCommon) {
  struct Case {
    std::vector<std::string> AlgorithmLists::* list;
    std::string_view text;
  };
  for (const Case& c : {Case{&AlgorithmLists::kex, "no common key exchange"},
                        Case{&AlgorithmLists::host_keys, "no common host key algorithm"},
                        Case{&AlgorithmLists::ciphers, "no common cipher"},
                        Case{&AlgorithmLists::macs, "no common MAC"}}) {
    for (const Role role : kBothRoles) {
      Duel duel(role);
      duel.ident();
      duel.peer.lists.ciphers = {"aes128-ctr"};
      duel.peer.lists.*c.list = {"nothing-that-we-have"};
      duel.kexinit();
      expect_refused(duel, ErrorCode::kKeyExchange);
      EXPECT_EQ(duel.leg.error->text, c.text);
    }
  }
}

TEST(Kex, NeverNegotiatesAMarker) {
  for (const Role role : kBothRoles) {
    Duel duel(role);
    duel.ident();
    duel.peer.lists.kex = {"ext-info-c", "ext-info-s", "kex-strict-c-v00@openssh.com",
                           "kex-strict-s-v00@openssh.com"};
    duel.kexinit();
    expect_refused(duel, ErrorCode::kKeyExchange);
  }
}

TEST(Kex, sec_041_SkipsAWrongGuess) {
  // 200 times: what is skipped must leave nothing behind.
  for (int i = 0; i < 200; ++i) {
    Duel duel(Role::kServer);
    duel.peer.follows = true;
    duel.peer.lists.kex = {"ecdh-sha2-nistp256", "curve25519-sha256"};
    duel.ident();
    duel.peer.send_kexinit();
    // The guess is for a method that was not chosen, and its content is nobody's business.
    duel.peer.packet(Leg::message_with_text(kMsgKexMethodInit, "a point of P-256"));
    duel.exchange();
    ASSERT_FALSE(duel.leg.error.has_value()) << duel.leg.error->text;
    duel.method();
    duel.newkeys();
    ASSERT_FALSE(duel.leg.error.has_value()) << duel.leg.error->text;
    ASSERT_EQ(duel.leg->phase(), Phase::kService);
  }
}

TEST(Kex, sec_041_UsesARightGuess) {
  for (const std::string& kex : compatible_algorithms().kex) {
    auto options = test::server_options();
    options->algorithms = compatible_algorithms();
    options->algorithms.kex = {kex};
    Duel duel(options);
    duel.peer.follows = true;
    duel.peer.lists.kex = {kex};
    duel.ident();
    duel.peer.send_kexinit();
    duel.peer.send_method();
    duel.exchange();
    duel.newkeys();
    ASSERT_FALSE(duel.leg.error.has_value()) << kex << duel.leg.error->text;
    EXPECT_EQ(duel.leg->phase(), Phase::kService);
  }
}

TEST(Kex, sec_041_GuessesLeaveNothingBehind) {
  const std::vector<std::string> all = compatible_algorithms().kex;
  const auto guess = [&](std::size_t number) {
    const std::string& kex = all[number % all.size()];
    const std::string& other = all[(number + 1) % all.size()];
    const bool right = number / all.size() % 2 == 0;
    auto options = test::server_options();
    options->algorithms = compatible_algorithms();
    options->algorithms.kex = {kex};
    Duel duel(options);
    duel.peer.follows = true;
    duel.peer.lists.kex = right ? std::vector{kex} : std::vector{other, kex};
    duel.ident();
    duel.peer.send_kexinit();
    if (!right) {
      duel.peer.packet(Leg::message_with_text(kMsgKexMethodInit, "for another method"));
    }
    duel.method();
    duel.newkeys();
    return duel.leg.error ? duel.leg.error->text : std::string_view();
  };
  const char* configured = std::getenv("BASTION_LONG");
  const std::size_t rounds = configured != nullptr && std::string_view(configured) == "1"
                                 ? 10'000 / all.size()  // of each kind, all methods in turn
                                 : 4;
  std::size_t in_use = 0;
  for (std::size_t i = 0; i < (rounds + 1) * 2 * all.size(); ++i) {
    if (i == 2 * all.size()) {  // each has been there once
      in_use = mallinfo2().uordblks;
    }
    ASSERT_EQ(guess(i), "") << all[i % all.size()];
  }
  EXPECT_EQ(mallinfo2().uordblks, in_use);
}

TEST(Kex, sec_041_SkipsOneKexMessageAndNothingElse) {
  for (const std::uint8_t message : {kMsgIgnore, kMsgNewKeys, kMsgUserauthRequest}) {
    Duel duel(Role::kServer);
    duel.peer.follows = true;
    duel.peer.lists.kex = {"ecdh-sha2-nistp256", "curve25519-sha256"};
    duel.ident();
    duel.kexinit();
    duel.peer.packet(message);
    duel.exchange();
    expect_refused(duel);
  }
  Duel twice(Role::kServer);
  twice.peer.follows = true;
  twice.peer.lists.kex = {"ecdh-sha2-nistp256", "curve25519-sha256"};
  twice.ident();
  twice.kexinit();
  twice.peer.packet(Leg::message_with_text(kMsgKexMethodInit, "guess"));
  twice.peer.packet(Leg::message_with_text(kMsgKexMethodInit, "guess"));
  twice.exchange();
  expect_refused(twice, ErrorCode::kKeyExchange);
}

TEST(Kex, AWrongGuessOfAServerIsSkippedToo) {
  Duel duel(Role::kClient);
  duel.peer.follows = true;
  duel.peer.lists.kex = {"ecdh-sha2-nistp256", "curve25519-sha256"};
  duel.ident();
  duel.peer.send_kexinit();
  duel.peer.packet(Leg::message_with_text(kMsgKexMethodReply, "guess"));
  duel.exchange();
  duel.method();
  duel.newkeys();
  ASSERT_FALSE(duel.leg.error.has_value()) << duel.leg.error->text;
  EXPECT_EQ(duel.leg->phase(), Phase::kService);
}

TEST(Kex, sec_032_RefusesEverythingEncryptedThatComesInTheClear) {
  for (const Role role : kBothRoles) {
    for (const std::uint8_t message :
         {kMsgExtInfo, kMsgServiceRequest, kMsgServiceAccept, kMsgUserauthRequest,
          kMsgUserauthSuccess, kMsgGlobalRequest, kMsgChannelOpen, kMsgPing}) {
      for (int position = 0; position < 3; ++position) {
        Duel duel(role);
        duel.peer.strict = false;
        duel.ident();
        if (position > 0) {
          duel.kexinit();
        }
        if (position > 1) {
          duel.method();
        }
        duel.peer.packet(message);
        duel.exchange();
        expect_refused(duel);
      }
    }
  }
}

TEST(Kex, BoundsTheExchangesOfAStranger) {
  Duel duel(Role::kServer);
  duel.handshake();
  for (std::uint64_t i = 1; i < limits::kExchangesBeforeAuthMax; ++i) {
    duel.rekey();
    ASSERT_FALSE(duel.leg.error.has_value());
  }
  duel.kexinit();
  expect_refused(duel, ErrorCode::kLimit);
}

}  // namespace
}  // namespace bastion::proto
