#include "proto/kexinit.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "proto/name_list.h"
#include "proto/negotiate.h"
#include "proto/transport.h"
#include "tests/support/test_random.h"

namespace bastion::proto {
namespace {

Bytes kexinit_of(const AlgorithmLists& lists,
                 std::initializer_list<std::string_view> markers = {}) {
  std::array<std::uint8_t, 16> cookie;
  test::TestRandom(4).fill(cookie);
  const std::vector<std::string_view> host_keys(lists.host_keys.begin(), lists.host_keys.end());
  const std::vector<std::string_view> names = markers;
  return encode_kexinit(cookie, lists, host_keys, names);
}

TEST(KexInit, ReadsWhatWeWrite) {
  const Bytes payload = kexinit_of(standard_algorithms(), {kExtInfoServer, kStrictKexServer});
  const auto init = parse_kexinit(payload);
  ASSERT_TRUE(init.has_value());
  EXPECT_EQ(init->kex,
            "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,"
            "curve25519-sha256,curve25519-sha256@libssh.org,diffie-hellman-group16-sha512,"
            "ext-info-s,kex-strict-s-v00@openssh.com");
  EXPECT_EQ(init->ciphers_to_client,
            "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,"
            "aes128-ctr,aes192-ctr,aes256-ctr");
  EXPECT_EQ(init->ciphers_to_client, init->ciphers_to_server);
  EXPECT_EQ(init->macs_to_client, "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com");
  EXPECT_EQ(init->compression_to_client, "none");
  EXPECT_EQ(init->cookie.size(), 16u);
  EXPECT_FALSE(init->first_kex_packet_follows);
}

TEST(KexInit, RefusesEveryCutAndAnyTrailingByte) {
  const Bytes payload = kexinit_of(compatible_algorithms());
  for (std::size_t len = 0; len < payload.size(); ++len) {
    EXPECT_FALSE(parse_kexinit(ByteView(payload).first(len)).has_value()) << len;
  }
  Bytes longer = payload;
  longer.push_back(0);
  EXPECT_FALSE(parse_kexinit(longer).has_value());
}

TEST(KexInit, sec_049_RefusesASetReservedField) {
  for (std::size_t back = 1; back <= 4; ++back) {
    Bytes payload = kexinit_of(standard_algorithms());
    payload[payload.size() - back] = 1;
    EXPECT_FALSE(parse_kexinit(payload).has_value());
  }
}

TEST(KexInit, sec_049_AnyNonZeroBooleanIsTrue) {
  for (int value = 1; value < 256; ++value) {
    Bytes payload = kexinit_of(standard_algorithms());
    payload[payload.size() - 5] = static_cast<std::uint8_t>(value);
    const auto init = parse_kexinit(payload);
    ASSERT_TRUE(init.has_value());
    EXPECT_TRUE(init->first_kex_packet_follows);
  }
}

TEST(KexInit, ChecksEveryNameList) {
  for (const std::string bad : {"a b", "a\tb", "a\x7f", "a\xc3\xa4", "\x1b[2J"}) {
    for (auto list : {&AlgorithmLists::kex, &AlgorithmLists::host_keys, &AlgorithmLists::ciphers,
                      &AlgorithmLists::macs}) {
      AlgorithmLists lists = standard_algorithms();
      lists.*list = {bad};
      EXPECT_FALSE(parse_kexinit(kexinit_of(lists)).has_value()) << bad;
    }
  }
  AlgorithmLists lists = standard_algorithms();
  lists.kex = {std::string(64, 'k')};
  EXPECT_TRUE(parse_kexinit(kexinit_of(lists)).has_value());
  lists.kex = {std::string(65, 'k')};
  EXPECT_FALSE(parse_kexinit(kexinit_of(lists)).has_value());
}

TEST(KexInit, TakesListsWithEmptyNamesAsLibsshSendsThem) {
  for (const std::string odd : {"a,,b", ",a", "a,", ","}) {
    AlgorithmLists lists = standard_algorithms();
    lists.ciphers = {odd};
    EXPECT_TRUE(parse_kexinit(kexinit_of(lists)).has_value()) << odd;
  }
}

TEST(KexInit, sec_042_IsBounded) {
  AlgorithmLists lists = standard_algorithms();
  while (kexinit_of(lists).size() <= limits::kKexInitBytesMax - 64) {
    lists.kex.push_back(std::string(50, 'k'));
  }
  EXPECT_TRUE(parse_kexinit(kexinit_of(lists)).has_value());
  lists.kex.insert(lists.kex.end(), 2, std::string(50, 'k'));
  const auto refused = parse_kexinit(kexinit_of(lists));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);
}

TEST(KexInit, sec_033_ListLengthsAreHeldAgainstWhatIsThere) {
  const Bytes payload = kexinit_of(standard_algorithms());
  for (const std::uint32_t length : {0xffffffffu, 0x10000000u, 0x7fffffffu}) {
    std::size_t at = 17;
    for (int list = 0; list < 10; ++list) {
      Bytes bad = payload;
      store_u32(bad.data() + at, length);
      EXPECT_FALSE(parse_kexinit(bad).has_value());
      at += 4 + load_u32(payload.data() + at);
    }
  }
}

struct Offer {
  explicit Offer(const AlgorithmLists& lists) : payload(kexinit_of(lists)) {
    init = *parse_kexinit(payload);
  }
  Bytes payload;
  KexInit init;
};

TEST(Negotiate, TheClientsOrderDecides) {
  AlgorithmLists client = compatible_algorithms();
  client.kex = {"ecdh-sha2-nistp384", "curve25519-sha256"};
  client.host_keys = {"rsa-sha2-256", "ssh-ed25519"};
  client.ciphers = {"aes256-ctr", "aes128-gcm@openssh.com"};
  client.macs = {"hmac-sha2-512", "hmac-sha2-256-etm@openssh.com"};
  const Offer ours(compatible_algorithms());
  const Offer theirs(client);
  const auto names = negotiate(theirs.init, ours.init);
  ASSERT_TRUE(names.has_value());
  EXPECT_EQ(names->kex->name, "ecdh-sha2-nistp384");
  EXPECT_EQ(names->host_key->name, "rsa-sha2-256");
  EXPECT_EQ(names->cipher_to_server->name, "aes256-ctr");
  EXPECT_EQ(names->mac_to_server->name, "hmac-sha2-512");
  const auto other_way = negotiate(ours.init, theirs.init);
  ASSERT_TRUE(other_way.has_value());
  EXPECT_EQ(other_way->kex->name, "curve25519-sha256");
  EXPECT_EQ(other_way->cipher_to_server->name, "aes128-gcm@openssh.com");
  EXPECT_EQ(other_way->mac_to_server, nullptr);
}

TEST(Negotiate, EachDirectionIsItsOwn) {
  Offer client(compatible_algorithms());
  Offer server(compatible_algorithms());
  client.init.ciphers_to_client = "aes192-ctr";
  client.init.macs_to_client = "hmac-sha2-512";
  const auto names = negotiate(client.init, server.init);
  ASSERT_TRUE(names.has_value());
  EXPECT_EQ(names->cipher_to_client->name, "aes192-ctr");
  EXPECT_EQ(names->mac_to_client->name, "hmac-sha2-512");
  EXPECT_EQ(names->cipher_to_server->name, "aes128-gcm@openssh.com");
  EXPECT_EQ(names->mac_to_server, nullptr);
}

TEST(Negotiate, NeedsNoCommonMacWithAnAead) {
  AlgorithmLists lists = standard_algorithms();
  lists.macs = {"hmac-of-another-world"};
  const Offer ours(standard_algorithms());
  const Offer theirs(lists);
  EXPECT_TRUE(negotiate(theirs.init, ours.init).has_value());
}

TEST(Negotiate, OffersNoCompression) {
  Offer client(standard_algorithms());
  const Offer server(standard_algorithms());
  client.init.compression_to_client = "zlib,zlib@openssh.com";
  EXPECT_FALSE(negotiate(client.init, server.init).has_value());
  client.init.compression_to_client = "zlib,none";
  EXPECT_TRUE(negotiate(client.init, server.init).has_value());
}

TEST(Negotiate, AGuessIsRightIfBothFirstNamesAre) {
  Offer client(standard_algorithms());
  const Offer server(standard_algorithms());
  EXPECT_TRUE(guessed_right(client.init, server.init));
  client.init.kex = "curve25519-sha256,mlkem768x25519-sha256";
  EXPECT_FALSE(guessed_right(client.init, server.init));
  client.init.kex = server.init.kex;
  client.init.host_keys = "rsa-sha2-512";
  EXPECT_FALSE(guessed_right(client.init, server.init));
}

TEST(Algorithms, AreAllImplemented) {
  for (const AlgorithmLists* lists : {&standard_algorithms(), &compatible_algorithms()}) {
    for (const std::string& name : lists->kex) {
      EXPECT_NE(crypto::find_kex(name), nullptr) << name;
    }
    for (const std::string& name : lists->ciphers) {
      EXPECT_NE(crypto::find_cipher(name), nullptr) << name;
    }
    for (const std::string& name : lists->macs) {
      EXPECT_NE(crypto::find_mac(name), nullptr) << name;
    }
    for (const auto* names : {&lists->host_keys, &lists->public_keys}) {
      for (const std::string& name : *names) {
        const auto* algorithm = crypto::find_signature_algorithm(name);
        ASSERT_NE(algorithm, nullptr) << name;
        EXPECT_FALSE(algorithm->legacy) << name;
      }
    }
  }
}

TEST(Algorithms, NeverOfferWhatIsBroken) {
  for (const AlgorithmLists* lists : {&standard_algorithms(), &compatible_algorithms()}) {
    for (const auto* names :
         {&lists->kex, &lists->host_keys, &lists->ciphers, &lists->macs, &lists->public_keys}) {
      for (const std::string& name : *names) {
        for (const char* broken : {"sha1", "cbc", "arcfour", "dss", "zlib", "group1-", "none",
                                   "3des", "md5", "umac-64"}) {
          EXPECT_EQ(name.find(broken), std::string::npos) << name;
        }
        EXPECT_NE(name, "ssh-rsa");
      }
    }
  }
}

TEST(Algorithms, LegacyNamesGoWhereTheyBelong) {
  AlgorithmLists lists = standard_algorithms();
  const std::vector<std::string> names = {"diffie-hellman-group14-sha1", "ssh-rsa", "aes128-ctr",
                                          "hmac-sha2-256"};
  const Status added = add_legacy(lists, names);
  ASSERT_TRUE(added.has_value()) << names[static_cast<std::size_t>(added.error().detail)];
  EXPECT_EQ(lists.kex.back(), "diffie-hellman-group14-sha1");
  EXPECT_EQ(lists.host_keys.back(), "ssh-rsa");
  EXPECT_EQ(lists.public_keys.back(), "ssh-rsa");
  EXPECT_EQ(lists.macs.back(), "hmac-sha2-256");
  EXPECT_EQ(lists.ciphers, standard_algorithms().ciphers);
  const std::vector<std::string> unknown = {"ssh-rsa", "ssh-dss"};
  const Status refused = add_legacy(lists, unknown);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().detail, 1);
}

TEST(Algorithms, KnownHostKeysComeFirst) {
  AlgorithmLists lists = standard_algorithms();
  const std::vector<std::string> known = {"rsa-sha2-256", "rsa-sha2-512"};
  prefer_host_keys(lists, known);
  EXPECT_EQ(lists.host_keys, (std::vector<std::string>{
                                 "rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519-cert-v01@openssh.com",
                                 "rsa-sha2-512-cert-v01@openssh.com",
                                 "rsa-sha2-256-cert-v01@openssh.com", "ssh-ed25519"}));
}

TEST(NameList, TakesNamesOneByOne) {
  std::string_view list = "a,bc,d";
  EXPECT_EQ(take_name(list), "a");
  EXPECT_EQ(take_name(list), "bc");
  EXPECT_EQ(take_name(list), "d");
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(first_common("x,c,b", "b,c"), "c");
  EXPECT_EQ(first_common("x,y", "b,c"), "");
  EXPECT_EQ(first_common("", ""), "");
  EXPECT_EQ(first_common(",,b,", "a,,b,"), "b");
  EXPECT_EQ(first_common(",", ",,"), "");
}

}  // namespace
}  // namespace bastion::proto
