#include <gtest/gtest.h>

#include <thread>

#include "crypto/aes_gcm.h"
#include "crypto/ipsec_mb.h"
#include "crypto/packet_cipher.h"
#include "tests/support/random.h"
#include "tests/support/vectors.h"

// Only these tests compare libipsec-mb with BoringSSL.
#include <openssl/chacha.h>
#include <openssl/poly1305.h>

namespace bastion::crypto {
namespace {

using test::from_hex;
using test::read_vectors;
using test::SeededRandom;
using test::to_hex;

TEST(PacketCipher, SealsAndOpensThePacketsOfAnotherImplementation) {
  std::unique_ptr<PacketSealer> sealer;
  std::unique_ptr<PacketOpener> opener;
  std::string suite;
  std::size_t num_suites = 0;
  for (const auto& vector : read_vectors("packets.txt")) {
    const std::string& mac = vector.text("mac");
    const PacketKeys keys = {find_cipher(vector.text("cipher")),
                             mac.empty() ? nullptr : find_mac(mac), to_secret(vector.hex("key")),
                             to_secret(vector.hex("iv")), to_secret(vector.hex("mac_key"))};
    // Packets of one suite follow each other.
    if (const std::string now = vector.text("cipher") + " " + mac; now != suite) {
      suite = now;
      ++num_suites;
      sealer = make_sealer(keys).value();
      opener = make_opener(keys).value();
    }
    SCOPED_TRACE(suite + ", packet " + vector.text("seq"));
    const auto seq = static_cast<std::uint32_t>(vector.number("seq"));
    const Bytes clear = vector.hex("clear");
    Bytes packet(clear.size() + sealer->tag_len());
    sealer->seal(seq, clear, packet);
    EXPECT_EQ(to_hex(packet), vector.text("sealed"));

    packet = vector.hex("sealed");
    EXPECT_EQ(opener->packet_length(seq, ByteView(packet).first(opener->length_prefix_len())),
              clear.size() - 4);
    ASSERT_TRUE(opener->open(seq, packet));
    packet.resize(clear.size());
    EXPECT_EQ(to_hex(packet), vector.text("clear"));
    EXPECT_EQ(vector.unread(), "");
  }
  EXPECT_EQ(num_suites, 15U);
}

// draft-ietf-sshm-chacha20-poly1305-02, appendix A.
TEST(ChaCha20Poly1305, GivesTheWorkedExampleOfTheDraft) {
  PacketKeys keys;
  keys.cipher = find_cipher("chacha20-poly1305@openssh.com");
  keys.key =
      to_secret(from_hex("8bbff6855fc102338c373e73aac0c914f076a905b2444a32eecaffeae22becc5"
                         "e9b7a7a5825a8249346ec1c28301cf394543fc7569887d76e168f37562ac0740"));
  const Bytes clear = from_hex(
      "00000048"
      "065e00000000000000384c6f72656d20697073756d20646f6c6f722073697420616d65742c20636f6e"
      "7365637465747572206164697069736963696e6720656c69744e43e804dc6c");
  Bytes packet(clear.size() + 16);
  make_sealer(keys).value()->seal(7, clear, packet);
  EXPECT_EQ(to_hex(packet),
            "2c3ecce4"
            "a5bc05895bf07a7ba956b6c68829ac7c83b780b7000ecde745afc705bbc378ce"
            "03a280236b87b53bed5839662302b164b6286a48cd1e097138e3cb909b8b2b82"
            "9dd18d2a35ff82d9"
            "95349e855bf02c298ef775f2d1a7e8b8");
}

struct CtrCase {
  std::string_view cipher;
  std::string_view key;
  std::string_view sealed;
};

// NIST SP 800-38A F.5.1, F.5.3 and F.5.5: four blocks, here the body of an -etm packet.
TEST(AesCtr, GivesTheAnswersOfSp800_38a) {
  constexpr std::string_view kClear =
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
      "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
  constexpr CtrCase kCases[] = {
      {"aes128-ctr", "2b7e151628aed2a6abf7158809cf4f3c",
       "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
       "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"},
      {"aes192-ctr", "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
       "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94"
       "1e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050"},
      {"aes256-ctr", "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
       "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
       "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"},
  };
  for (const CtrCase& c : kCases) {
    const PacketKeys keys = {find_cipher(c.cipher), find_mac("hmac-sha2-256-etm@openssh.com"),
                             to_secret(from_hex(c.key)),
                             to_secret(from_hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")),
                             SecretBytes(32, 0)};
    const Bytes clear = from_hex("00000040" + std::string(kClear));
    Bytes packet(clear.size() + 32);
    make_sealer(keys).value()->seal(0, clear, packet);
    EXPECT_EQ(to_hex(ByteView(packet).first(4)), "00000040");
    EXPECT_EQ(to_hex(ByteView(packet).subspan(4, 64)), c.sealed);
  }
}

class AesGcmBackend : public testing::TestWithParam<AesGcm::Backend> {};
INSTANTIATE_TEST_SUITE_P(AesGcm, AesGcmBackend,
                         testing::Values(AesGcm::Backend::kFastest, AesGcm::Backend::kBoringSsl),
                         [](const auto& p) { return p.index == 0 ? "Fastest" : "BoringSsl"; });

TEST_P(AesGcmBackend, GivesWycheproofsAnswers) {
  for (const auto& vector : read_vectors("aes_gcm.txt")) {
    SCOPED_TRACE("test " + vector.text("tcId"));
    const AesGcm aes(vector.hex("key"), GetParam());
    const Bytes nonce = vector.hex("iv");
    const Bytes aad = vector.hex("aad");
    const Bytes clear = vector.hex("msg");
    const Bytes tag = vector.hex("tag");
    Bytes text = vector.hex("ct");
    const bool valid = vector.text("result") == "valid";
    EXPECT_EQ(aes.open(nonce, aad, text, tag), valid);
    EXPECT_EQ(to_hex(text), to_hex(valid ? clear : Bytes(clear.size(), 0)));

    Bytes sealed(clear.size());
    std::uint8_t sealed_tag[16];
    aes.seal(nonce, aad, clear, sealed.data(), sealed_tag);
    EXPECT_EQ(to_hex(sealed), vector.text("ct"));
    EXPECT_EQ(to_hex(sealed_tag) == vector.text("tag"), valid);
    EXPECT_EQ(vector.unread(), "");
  }
}

TEST_P(AesGcmBackend, LeavesZerosWhereNothingAuthenticated) {
  const AesGcm aes(Bytes(16, 1), GetParam());
  const Bytes nonce(12, 2);
  Bytes text(333, 3);
  EXPECT_FALSE(aes.open(nonce, {}, text, Bytes(16, 4)));
  EXPECT_EQ(text, Bytes(333, 0));
}

// More keys than the thread has places for, so that each is expanded again and again.
TEST_P(AesGcmBackend, KeepsManyKeysApart) {
  constexpr std::size_t kKeys = 200;
  SeededRandom random;
  const Bytes clear = random.bytes(48);
  const Bytes nonce(12, 7);
  std::vector<std::unique_ptr<AesGcm>> many;
  std::vector<Bytes> expected;
  for (std::size_t i = 0; i < kKeys; ++i) {
    const Bytes key = random.bytes(i % 2 == 0 ? 16 : 32);
    many.push_back(std::make_unique<AesGcm>(key, GetParam()));
    Bytes sealed(clear.size() + 16);
    AesGcm(key, AesGcm::Backend::kBoringSsl)
        .seal(nonce, {}, clear, sealed.data(), sealed.data() + clear.size());
    expected.push_back(sealed);
  }
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < kKeys; ++i) {
      Bytes sealed(clear.size() + 16);
      many[i]->seal(nonce, {}, clear, sealed.data(), sealed.data() + clear.size());
      ASSERT_EQ(sealed, expected[i]) << i;
    }
    // New objects where old ones were.
    many[1].reset();
    const Bytes key = random.bytes(16);
    many[1] = std::make_unique<AesGcm>(key, GetParam());
    AesGcm(key, AesGcm::Backend::kBoringSsl)
        .seal(nonce, {}, clear, expected[1].data(), expected[1].data() + clear.size());
  }
}

TEST_P(AesGcmBackend, WorksInAnotherThreadThanItWasMadeIn) {
  const AesGcm aes(Bytes(32, 9), GetParam());
  const Bytes nonce(12, 7);
  Bytes here(100, 1);
  Bytes there(100, 1);
  std::uint8_t tag_here[16];
  std::uint8_t tag_there[16];
  aes.seal(nonce, {}, here, here.data(), tag_here);
  std::thread([&] { aes.seal(nonce, {}, there, there.data(), tag_there); }).join();
  EXPECT_EQ(here, there);
  EXPECT_EQ(to_hex(tag_here), to_hex(tag_there));
}

// Lengths around every block and batch that the implementations work in.
std::vector<std::size_t> lengths() {
  std::vector<std::size_t> all;
  for (std::size_t n = 0; n <= 1100; ++n) {
    all.push_back(n);
  }
  for (std::size_t n = 32 * 1024 - 40; n <= 32 * 1024 + 40; ++n) {
    all.push_back(n);
  }
  return all;
}

TEST(AesGcmBackends, GiveTheSameBytesAtEveryLength) {
  SeededRandom random;
  for (const std::size_t key_len : {16UL, 32UL}) {
    const Bytes key = random.bytes(key_len);
    const AesGcm fastest(key);
    const AesGcm reference(key, AesGcm::Backend::kBoringSsl);
    for (const std::size_t n : lengths()) {
      const Bytes nonce = random.bytes(12);
      const Bytes aad = random.bytes(4);
      const Bytes clear = random.bytes(n);
      Bytes one(n + 16);
      Bytes other(n + 16);
      fastest.seal(nonce, aad, clear, one.data(), one.data() + n);
      reference.seal(nonce, aad, clear, other.data(), other.data() + n);
      ASSERT_EQ(one, other) << n;
      const MutBytes text = MutBytes(one).first(n);
      ASSERT_TRUE(fastest.open(nonce, aad, text, MutBytes(other).last(16))) << n;
      ASSERT_TRUE(equal(text, clear)) << n;
    }
  }
}

TEST(IpsecMb, GivesTheBytesOfBoringSslAtEveryLength) {
  IpsecMb* ipsec_mb = IpsecMb::of_this_thread();
  if (ipsec_mb == nullptr) {
    GTEST_SKIP() << "libipsec-mb was not built in, or this processor lacks VAES";
  }
  EXPECT_EQ(IpsecMb::of_this_thread(), ipsec_mb);
  SeededRandom random;
  for (const std::size_t n : lengths()) {
    const Bytes key = random.bytes(32);
    const Bytes nonce = random.bytes(12);
    const Bytes clear = random.bytes(n);
    Bytes apart(n + 1, 0xee);
    Bytes in_place = clear;
    Bytes reference(n + 1, 0xee);
    ASSERT_TRUE(ipsec_mb->chacha20(key.data(), nonce.data(), clear, apart.data()));
    ASSERT_TRUE(ipsec_mb->chacha20(key.data(), nonce.data(), in_place, in_place.data()));
    CRYPTO_chacha_20(reference.data(), clear.data(), n, key.data(), nonce.data(), 1);
    ASSERT_EQ(apart, reference) << n;
    reference.pop_back();
    ASSERT_EQ(in_place, reference) << n;
    if (n == 0) {
      continue;  // the library refuses an empty message; a packet always has its length field
    }
    std::uint8_t tag[16];
    std::uint8_t reference_tag[16];
    ASSERT_TRUE(ipsec_mb->poly1305(key.data(), clear, tag));
    poly1305_state state;
    CRYPTO_poly1305_init(&state, key.data());
    CRYPTO_poly1305_update(&state, clear.data(), n);
    CRYPTO_poly1305_finish(&state, reference_tag);
    ASSERT_EQ(to_hex(tag), to_hex(reference_tag)) << n;
  }
}

TEST(NullCipher, LeavesPacketsAsTheyAre) {
  const auto sealer = make_null_sealer();
  const auto opener = make_null_opener();
  EXPECT_EQ(sealer->block_len(), 8U);
  EXPECT_EQ(sealer->tag_len(), 0U);
  EXPECT_EQ(sealer->aad_len(), 0U);
  EXPECT_EQ(opener->length_prefix_len(), 4U);
  const Bytes clear = from_hex("0000000c0a14000000000000000000ff");
  Bytes packet(clear.size());
  sealer->seal(0, clear, packet);
  EXPECT_EQ(packet, clear);
  sealer->seal(0, packet, packet);
  EXPECT_EQ(packet, clear);
  EXPECT_EQ(opener->packet_length(0, ByteView(packet).first(4)), 12U);
  EXPECT_TRUE(opener->open(0, packet));
  EXPECT_EQ(packet, clear);
  // What never had keys cannot become a cipher again.
  EXPECT_FALSE(make_sealer(sealer->export_keys()));
  EXPECT_FALSE(make_opener(opener->export_keys()));
}

TEST(PacketCipher, KnowsItsNamesOnly) {
  for (const std::string_view name :
       {"", "none", "aes128-gcm", "aes192-gcm@openssh.com", "aes128-cbc", "3des-cbc", "arcfour",
        "AES128-CTR", "chacha20-poly1305"}) {
    EXPECT_EQ(find_cipher(name), nullptr) << name;
  }
  for (const std::string_view name : {"", "none", "hmac-sha1", "hmac-md5", "hmac-sha2-256-etm",
                                      "umac-64@openssh.com", "hmac-sha1-etm@openssh.com"}) {
    EXPECT_EQ(find_mac(name), nullptr) << name;
  }
}

}  // namespace
}  // namespace bastion::crypto
