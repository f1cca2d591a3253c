#include "crypto/kem.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "tests/support/random.h"
#include "tests/support/vectors.h"
#include "tests/unit/crypto/prescribed_random.h"

namespace bastion::crypto {
namespace {

using test::read_vectors;
using test::SeededRandom;
using test::to_hex;

std::string sha256_hex(ByteView bytes) {
  return to_hex(hash(HashAlgorithm::kSha256, bytes).view());
}
std::string sha512_hex(ByteView bytes) {
  return to_hex(hash(HashAlgorithm::kSha512, bytes).view());
}

using Secret = std::array<std::uint8_t, Kem::kSecretLen>;

class EachKem : public testing::TestWithParam<const Kem*> {
 protected:
  const Kem& kem_ = *GetParam();
  SeededRandom random_{3};
};

INSTANTIATE_TEST_SUITE_P(Kem, EachKem, testing::Values(&ml_kem_768(), &sntrup761()),
                         [](const auto& p) { return p.index == 0 ? "MlKem768" : "Sntrup761"; });

TEST_P(EachKem, GivesBothSidesTheSameSecret) {
  for (int i = 0; i < 20; ++i) {
    Bytes public_key(kem_.public_len());
    SecretBytes private_key;
    Bytes ciphertext(kem_.ciphertext_len());
    Secret sent{};
    Secret received{};
    ASSERT_TRUE(kem_.keypair(random_, public_key, private_key));
    ASSERT_TRUE(kem_.encapsulate(public_key, ciphertext, sent));
    ASSERT_TRUE(kem_.decapsulate(private_key, ciphertext, received));
    EXPECT_EQ(sent, received);
    EXPECT_NE(sent, Secret{});
  }
}

TEST_P(EachKem, GivesASecretThatNobodySharesForAWrongCiphertext) {
  Bytes public_key(kem_.public_len());
  SecretBytes private_key;
  Bytes ciphertext(kem_.ciphertext_len());
  Secret sent{};
  ASSERT_TRUE(kem_.keypair(random_, public_key, private_key));
  ASSERT_TRUE(kem_.encapsulate(public_key, ciphertext, sent));
  for (std::size_t i = 0; i < ciphertext.size(); i += 37) {
    Bytes wrong = ciphertext;
    wrong[i] ^= 1;
    Secret received{};
    ASSERT_TRUE(kem_.decapsulate(private_key, wrong, received));
    EXPECT_NE(received, sent) << "byte " << i;
    Secret again{};
    ASSERT_TRUE(kem_.decapsulate(private_key, wrong, again));
    EXPECT_EQ(received, again);
  }
}

TEST(MlKem768, MakesTheKeysOfTheOfficialAnswers) {
  for (const auto& vector : read_vectors("ml_kem_768_keygen.txt")) {
    SCOPED_TRACE("test " + vector.text("tcId"));
    test::ScriptedRandom random(vector.hex("seed"));
    Bytes public_key(ml_kem_768().public_len());
    SecretBytes private_key;
    ASSERT_TRUE(ml_kem_768().keypair(random, public_key, private_key));
    EXPECT_TRUE(random.used_up());
    EXPECT_EQ(sha256_hex(public_key), vector.text("ek_sha256"));
    EXPECT_EQ(vector.unread(), "");
  }
}

TEST(MlKem768, DecapsulatesToTheOfficialAnswers) {
  for (const auto& vector : read_vectors("ml_kem_768.txt")) {
    SCOPED_TRACE("test " + vector.text("tcId"));
    test::ScriptedRandom random(vector.hex("seed"));
    Bytes public_key(ml_kem_768().public_len());
    SecretBytes private_key;
    ASSERT_TRUE(ml_kem_768().keypair(random, public_key, private_key));
    EXPECT_EQ(sha256_hex(public_key), vector.text("ek_sha256"));
    Secret secret{};
    ASSERT_TRUE(ml_kem_768().decapsulate(private_key, vector.hex("c"), secret));
    EXPECT_EQ(to_hex(secret), vector.text("K"));
    EXPECT_EQ(vector.unread(), "");
  }
}

TEST(MlKem768, RefusesCoefficientsThatAreNotReduced) {
  for (const auto& vector : read_vectors("ml_kem_768_modulus.txt")) {
    SCOPED_TRACE("test " + vector.text("tcId"));
    const Bytes key = vector.hex("ek");
    Bytes ciphertext(ml_kem_768().ciphertext_len());
    Secret secret{};
    EXPECT_FALSE(ml_kem_768_public_is_canonical(key));
    EXPECT_FALSE(ml_kem_768().encapsulate(key, ciphertext, secret));
    EXPECT_EQ(vector.unread(), "");
  }
}

TEST(MlKem768, RefusesTheModulusAtEveryCoefficientAndTakesOneLess) {
  Bytes key(1184, 0);
  const auto set = [&key](std::size_t coefficient, unsigned value) {
    std::uint8_t* p = key.data() + coefficient / 2 * 3;
    if (coefficient % 2 == 0) {
      p[0] = static_cast<std::uint8_t>(value);
      p[1] = static_cast<std::uint8_t>((p[1] & 0xf0) | value >> 8);
    } else {
      p[1] = static_cast<std::uint8_t>((p[1] & 0x0f) | (value & 0x0f) << 4);
      p[2] = static_cast<std::uint8_t>(value >> 4);
    }
  };
  for (std::size_t i = 0; i < 768; ++i) {
    set(i, 3329);
    ASSERT_FALSE(ml_kem_768_public_is_canonical(key)) << i;
    set(i, 4095);
    ASSERT_FALSE(ml_kem_768_public_is_canonical(key)) << i;
    set(i, 3328);
    ASSERT_TRUE(ml_kem_768_public_is_canonical(key)) << i;
  }
  EXPECT_FALSE(ml_kem_768_public_is_canonical(ByteView(key).first(1183)));
  EXPECT_FALSE(ml_kem_768_public_is_canonical({}));
}

TEST(Sntrup761, GivesTheAnswersOfOpenSsh) {
  for (const auto& vector : read_vectors("sntrup761.txt")) {
    SCOPED_TRACE(vector.text("seed"));
    Bytes public_key(sntrup761().public_len());
    SecretBytes private_key;
    Bytes ciphertext(sntrup761().ciphertext_len());
    Secret sent{};
    SeededRandom unused;
    {
      test::PrescribedRandom random(vector.text("seed"));
      ASSERT_TRUE(sntrup761().keypair(unused, public_key, private_key));
      ASSERT_TRUE(sntrup761().encapsulate(public_key, ciphertext, sent));
      ASSERT_GT(random.drawn(), 0U) << "libntruprime draws its randomness from elsewhere";
    }
    EXPECT_EQ(sha512_hex(public_key), vector.text("public_sha512"));
    EXPECT_EQ(sha512_hex(private_key), vector.text("private_sha512"));
    EXPECT_EQ(sha512_hex(ciphertext), vector.text("ciphertext_sha512"));
    EXPECT_EQ(to_hex(sent), vector.text("secret"));
    Secret received{};
    ASSERT_TRUE(sntrup761().decapsulate(private_key, ciphertext, received));
    EXPECT_EQ(received, sent);
    ciphertext[0] ^= 1;
    ASSERT_TRUE(sntrup761().decapsulate(private_key, ciphertext, received));
    EXPECT_EQ(to_hex(received), vector.text("rejected"));
    EXPECT_EQ(vector.unread(), "");
  }
}

}  // namespace
}  // namespace bastion::crypto
