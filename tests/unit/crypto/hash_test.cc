#include "crypto/hash.h"

#include <gtest/gtest.h>

#include <new>
#include <set>

#include "crypto/secret_array.h"
#include "tests/support/hex.h"
#include "tests/support/random.h"

namespace bastion::crypto {
namespace {

using test::from_hex;
using test::to_hex;

constexpr HashAlgorithm kAll[] = {HashAlgorithm::kSha1, HashAlgorithm::kSha256,
                                  HashAlgorithm::kSha384, HashAlgorithm::kSha512};

std::string hash_hex(HashAlgorithm algorithm, std::string_view text) {
  return to_hex(hash(algorithm, as_bytes(text)).view());
}

// FIPS 180-2, appendices A to D.
TEST(Hash, GivesTheAnswersOfFips180ForOneBlock) {
  EXPECT_EQ(hash_hex(HashAlgorithm::kSha1, "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hash_hex(HashAlgorithm::kSha256, "abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash_hex(HashAlgorithm::kSha384, "abc"),
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
            "8086072ba1e7cc2358baeca134c825a7");
  EXPECT_EQ(hash_hex(HashAlgorithm::kSha512, "abc"),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(Hash, GivesTheAnswersOfFips180ForTwoBlocks) {
  constexpr std::string_view kShort = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  constexpr std::string_view kLong =
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
      "lmnopqrsmnopqrstnopqrstu";
  EXPECT_EQ(hash_hex(HashAlgorithm::kSha1, kShort), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(hash_hex(HashAlgorithm::kSha256, kShort),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash_hex(HashAlgorithm::kSha384, kLong),
            "09330c33f71147e83d192fc782cd1b4753111b173b3b05d22fa08086e3b0f712"
            "fcc7c71a557e2db966c3e9fa91746039");
  EXPECT_EQ(hash_hex(HashAlgorithm::kSha512, kLong),
            "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
            "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909");
}

TEST(Hash, GivesTheAnswersOfFips180ForAMillionLetters) {
  const std::string letters(1'000'000, 'a');
  EXPECT_EQ(hash_hex(HashAlgorithm::kSha1, letters), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  EXPECT_EQ(hash_hex(HashAlgorithm::kSha256, letters),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(hash_hex(HashAlgorithm::kSha512, letters),
            "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
            "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b");
}

TEST(Hash, GivesTheSameWhereverItsInputIsSplit) {
  const Bytes bytes = test::SeededRandom().bytes(300);
  for (const HashAlgorithm algorithm : kAll) {
    const std::string whole = to_hex(hash(algorithm, bytes).view());
    for (std::size_t split = 0; split <= bytes.size(); ++split) {
      Hash h(algorithm);
      h.update(ByteView(bytes).first(split));
      h.update(ByteView(bytes).subspan(split));
      ASSERT_EQ(to_hex(h.finish().view()), whole) << "split at " << split;
    }
  }
}

TEST(Hash, IsAsNewAfterFinish) {
  for (const HashAlgorithm algorithm : kAll) {
    Hash h(algorithm);
    h.update(as_bytes("something"));
    EXPECT_EQ(h.finish().len, hash_len(algorithm));
    h.update(as_bytes("abc"));
    EXPECT_EQ(to_hex(h.finish().view()), hash_hex(algorithm, "abc"));
  }
}

TEST(Hash, GoesOnInACopyFromWhereItWas) {
  for (const HashAlgorithm algorithm : kAll) {
    Hash first(algorithm);
    first.update(as_bytes("ab"));
    Hash second = first;
    first.update(as_bytes("x"));
    second.update(as_bytes("c"));
    EXPECT_EQ(to_hex(second.finish().view()), hash_hex(algorithm, "abc"));
    EXPECT_EQ(to_hex(first.finish().view()), hash_hex(algorithm, "abx"));
  }
}

TEST(Hash, PutsALengthBeforeAString) {
  Hash h(HashAlgorithm::kSha256);
  h.update_string(as_bytes("abc"));
  EXPECT_EQ(to_hex(h.finish().view()),
            to_hex(hash(HashAlgorithm::kSha256, from_hex("00000003616263")).view()));
}

TEST(Hash, LeavesNothingOfItsStateBehind) {
  alignas(Hash) std::array<std::uint8_t, sizeof(Hash)> memory{};
  Hash* h = new (memory.data()) Hash(HashAlgorithm::kSha512);
  h->update(as_bytes("secret secret secret secret"));
  const std::string_view before(reinterpret_cast<const char*>(memory.data()), memory.size());
  ASSERT_NE(before.find("secret"), std::string_view::npos);
  h->~Hash();
  const std::string_view after(reinterpret_cast<const char*>(memory.data()), memory.size());
  EXPECT_EQ(after.find("secret"), std::string_view::npos);
}

TEST(SecretArray, LeavesNothingBehind) {
  using Array = SecretArray<40>;
  alignas(Array) std::array<std::uint8_t, sizeof(Array)> memory{};
  const Bytes secret(40, 0xa5);
  Array* array = new (memory.data()) Array(secret);
  ASSERT_TRUE(equal(array->view(), secret));
  ASSERT_EQ(std::ranges::count(memory, 0xa5), 40);
  array->~Array();
  EXPECT_EQ(std::ranges::count(memory, 0xa5), 0);
}

struct HmacCase {
  Bytes key;
  Bytes data;
  std::string_view sha256;
  std::string_view sha384;
  std::string_view sha512;
};

// RFC 4231 4.2 to 4.5, 4.7 and 4.8 (4.6 is about cutting off, which SSH does not do).
TEST(Hmac, GivesTheAnswersOfRfc4231) {
  const HmacCase cases[] = {
      {Bytes(20, 0x0b), to_bytes("Hi There"),
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
       "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
       "faea9ea9076ede7f4af152e8b2fa9cb6",
       "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
       "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
      {to_bytes("Jefe"), to_bytes("what do ya want for nothing?"),
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
       "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
       "8e2240ca5e69e2c78b3239ecfab21649",
       "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
       "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
      {Bytes(20, 0xaa), Bytes(50, 0xdd),
       "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
       "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b"
       "2a5ab39dc13814b94e3ab6e101a34f27",
       "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39"
       "bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb"},
      {from_hex("0102030405060708090a0b0c0d0e0f10111213141516171819"), Bytes(50, 0xcd),
       "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
       "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e"
       "6801dd23c4a7d679ccf8a386c674cffb",
       "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db"
       "a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd"},
      {Bytes(131, 0xaa), to_bytes("Test Using Larger Than Block-Size Key - Hash Key First"),
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
       "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6"
       "0c2ef6ab4030fe8296248df163f44952",
       "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
       "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"},
      {Bytes(131, 0xaa),
       to_bytes("This is a test using a larger than block-size key and a larger than block-size "
                "data. The key needs to be hashed before being used by the HMAC algorithm."),
       "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
       "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5"
       "a678cc31e799176d3860e6110c46523e",
       "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944"
       "b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58"},
  };
  for (const HmacCase& c : cases) {
    EXPECT_EQ(to_hex(hmac(HashAlgorithm::kSha256, c.key, c.data).view()), c.sha256);
    EXPECT_EQ(to_hex(hmac(HashAlgorithm::kSha384, c.key, c.data).view()), c.sha384);
    EXPECT_EQ(to_hex(hmac(HashAlgorithm::kSha512, c.key, c.data).view()), c.sha512);
  }
}

// RFC 2202 3, cases 1 and 6.
TEST(Hmac, GivesTheAnswersOfRfc2202) {
  EXPECT_EQ(to_hex(hmac(HashAlgorithm::kSha1, Bytes(20, 0x0b), as_bytes("Hi There")).view()),
            "b617318655057264e28bc0b6fb378c8ef146be00");
  EXPECT_EQ(to_hex(hmac(HashAlgorithm::kSha1, Bytes(80, 0xaa),
                        as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))
                       .view()),
            "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}

TEST(Hmac, ServesManyMessagesWithOneKey) {
  const Hmac mac(HashAlgorithm::kSha256, as_bytes("Jefe"));
  for (int i = 0; i < 3; ++i) {
    Hash message = mac.start();
    message.update(as_bytes("what do ya want "));
    message.update(as_bytes("for nothing?"));
    EXPECT_EQ(to_hex(mac.finish(message).view()),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  }
}

TEST(SystemRandom, GivesOtherBytesEachTime) {
  std::set<Bytes> seen;
  for (int i = 0; i < 100; ++i) {
    Bytes bytes(16);
    system_random().fill(bytes);
    EXPECT_TRUE(seen.insert(bytes).second);
  }
  system_random().fill({});
}

// RFC 4648 10.
TEST(Base64, GivesTheAnswersOfRfc4648) {
  constexpr std::pair<std::string_view, std::string_view> kCases[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
  };
  for (const auto& [clear, encoded] : kCases) {
    EXPECT_EQ(base64_encode(as_bytes(clear)), encoded);
    EXPECT_EQ(base64_decode(encoded), to_bytes(clear));
  }
}

TEST(Base64, DecodesWhatItEncodedAtEveryLength) {
  test::SeededRandom random;
  for (std::size_t len = 0; len < 200; ++len) {
    const Bytes bytes = random.bytes(len);
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
  }
}

TEST(Base64, RefusesWhatItWouldNotHaveWritten) {
  for (const std::string_view text :
       {"Z", "Zg", "Zg=", "Zg===", "=", "==", "====", "=Zg=", "Z=g=", "Zm9v\n", "Zm9 ", "Zm9-",
        "Zm9_", "Zm9vZg=", "Zg==Zg==", "Zh==", "Zm9=", "\xff\xff\xff\xff"}) {
    const auto decoded = base64_decode(text);
    ASSERT_FALSE(decoded) << text;
    EXPECT_EQ(decoded.error().code, ErrorCode::kMalformed) << text;
  }
  EXPECT_FALSE(base64_decode(std::string_view("Zm\0v", 4)));
}

TEST(Base64, RefusesEveryByteThatIsNotOfItsAlphabet) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int c = 0; c < 256; ++c) {
    const char byte = static_cast<char>(c);
    const bool known = kAlphabet.find(byte) != std::string_view::npos;
    EXPECT_EQ(base64_decode(std::string{byte, 'A', 'A', 'A'}).has_value(), known) << c;
    EXPECT_EQ(base64_decode(std::string{'A', 'A', 'A', byte}).has_value(), known || c == '=') << c;
  }
}

}  // namespace
}  // namespace bastion::crypto
