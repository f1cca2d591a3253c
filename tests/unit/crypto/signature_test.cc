#include <gtest/gtest.h>
#include <openssl/curve25519.h>

#include <set>

#include "base/wire.h"
#include "tests/support/hex.h"
#include "tests/support/program.h"
#include "tests/unit/crypto/prescribed_random.h"
#include "tests/unit/crypto/test_keys.h"

namespace bastion::crypto {
namespace {

using test::from_hex;
using test::kSkUserPresent;
using test::kSkUserVerified;
using test::run_program;
using test::TempDir;

const Bytes kData = to_bytes("what is signed");

const SignatureAlgorithm& algorithm_named(std::string_view name) {
  return *find_signature_algorithm(name);
}

/// Every signature that the keys of all types can make, ssh-rsa's included.
struct Made {
  const SignatureAlgorithm* algorithm;
  Bytes signature;
};
std::vector<Made> all_signatures() {
  std::vector<Made> all;
  for (const std::string_view name : kAllAlgorithmNames) {
    const SignatureAlgorithm& algorithm = algorithm_named(name);
    if (!algorithm.certificate) {
      all.push_back({&algorithm, signed_by(algorithm.key_type, algorithm, kData)});
    }
  }
  return all;
}

/// renamed gives the same signature under another algorithm's name.
Bytes renamed(ByteView signature, std::string_view name) {
  Reader reader(signature);
  reader.string();
  return Writer().text(name).bytes(reader.rest()).take();
}

TEST(Signature, sec_013_OnlyTheDiagonalOfKeyAlgorithmAndNameVerifies) {
  std::size_t num_verified = 0;
  const std::vector<Made> signatures = all_signatures();
  for (const KeyType key_type : kAllTypes) {
    for (const std::string_view name : kAllAlgorithmNames) {
      const SignatureAlgorithm& algorithm = algorithm_named(name);
      for (const Made& each : signatures) {
        SkFlags flags;
        const bool verified =
            made_public(key_type).verify(algorithm, kData, each.signature, &flags).has_value();
        const bool diagonal = algorithm.key_type == key_type &&
                              each.algorithm->key_type == key_type &&
                              algorithm.signature_name == each.algorithm->signature_name;
        EXPECT_EQ(verified, diagonal)
            << key_type_name(key_type) << " " << name << " " << each.algorithm->name;
        num_verified += verified ? 1 : 0;
      }
    }
  }
  EXPECT_EQ(num_verified, std::size(kAllAlgorithmNames));
}

TEST(Signature, sec_013_AnotherNameInItMakesItWrong) {
  // The name in the blob is changed to what the algorithm expects, the rest is of another one.
  for (const Made& each : all_signatures()) {
    for (const std::string_view name : kAllAlgorithmNames) {
      const SignatureAlgorithm& algorithm = algorithm_named(name);
      if (algorithm.signature_name == each.algorithm->signature_name) {
        continue;
      }
      const Bytes forged = renamed(each.signature, algorithm.signature_name);
      EXPECT_FALSE(made_public(algorithm.key_type).verify(algorithm, kData, forged))
          << each.algorithm->name << " as " << name;
    }
  }
}

TEST(Signature, sec_014_NoFlippedBitVerifies) {
  for (const Made& each : all_signatures()) {
    const PublicKey& key = made_public(each.algorithm->key_type);
    ASSERT_TRUE(key.verify(*each.algorithm, kData, each.signature));
    Bytes flipped = each.signature;
    for (std::size_t bit = 0; bit < 8 * flipped.size(); ++bit) {
      flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
      SkFlags flags;
      EXPECT_FALSE(key.verify(*each.algorithm, kData, flipped, &flags))
          << each.algorithm->name << " bit " << bit;
      EXPECT_FALSE(flags.user_present);
      flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    }
  }
}

TEST(Signature, NoChangedDataVerifies) {
  for (const Made& each : all_signatures()) {
    const PublicKey& key = made_public(each.algorithm->key_type);
    Bytes data = kData;
    for (std::uint8_t& byte : data) {
      byte ^= 0x10;
      EXPECT_EQ(code_of(key.verify(*each.algorithm, data, each.signature)), ErrorCode::kAuth);
      byte ^= 0x10;
    }
    data.push_back(0);
    EXPECT_FALSE(key.verify(*each.algorithm, data, each.signature));
    EXPECT_FALSE(key.verify(*each.algorithm, {}, each.signature));
  }
}

TEST(Signature, CutAnywhereDoesNotVerify) {
  for (const Made& each : all_signatures()) {
    const PublicKey& key = made_public(each.algorithm->key_type);
    for (std::size_t len = 0; len < each.signature.size(); ++len) {
      EXPECT_FALSE(key.verify(*each.algorithm, kData, ByteView(each.signature).first(len)))
          << each.algorithm->name << " " << len;
    }
  }
}

TEST(Signature, sec_049_RefusesTrailingBytes) {
  for (const Made& each : all_signatures()) {
    Bytes longer = each.signature;
    for (int n = 1; n <= 9; ++n) {
      longer.push_back(0);
      EXPECT_EQ(
          code_of(made_public(each.algorithm->key_type).verify(*each.algorithm, kData, longer)),
          ErrorCode::kMalformed)
          << each.algorithm->name;
    }
  }
}

TEST(Signature, SignsNothingThatIsNotTheKeys) {
  for (const KeyType type : kSoftwareTypes) {
    for (const std::string_view name : kAllAlgorithmNames) {
      const SignatureAlgorithm& algorithm = algorithm_named(name);
      const auto signature = made(type).sign(algorithm, kData);
      ASSERT_EQ(signature.has_value(), algorithm.key_type == type) << name;
      if (signature) {
        EXPECT_EQ(Reader(*signature).text(), algorithm.signature_name);
      } else {
        EXPECT_EQ(signature.error().code, ErrorCode::kUnsupported);
      }
    }
  }
}

// ---- Ed25519: RFC 8032 7.1 ----

struct Rfc8032 {
  std::string_view seed, point, message, signature;
};
constexpr Rfc8032 kRfc8032[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

/// rfc8032_key reads the vector's seed as a PKCS #8 file.
PrivateKey rfc8032_key(const Rfc8032& vector) {
  Bytes pkcs8 = from_hex("302e020100300506032b657004220420");
  const Bytes seed = from_hex(vector.seed);
  pkcs8.insert(pkcs8.end(), seed.begin(), seed.end());
  return PrivateKey::parse_openssh(as_bytes("-----BEGIN PRIVATE KEY-----\n" + base64_encode(pkcs8) +
                                            "\n-----END PRIVATE KEY-----\n"))
      .value();
}

TEST(SignatureEd25519, VerifiesThoseOfRfc8032) {
  for (const Rfc8032& vector : kRfc8032) {
    const PrivateKey key = rfc8032_key(vector);
    const SignatureAlgorithm& algorithm = algorithm_named("ssh-ed25519");
    const Bytes message = from_hex(vector.message);
    const Bytes expected = Writer().text("ssh-ed25519").string(from_hex(vector.signature)).take();
    EXPECT_EQ(key.public_key().blob(),
              Writer().text("ssh-ed25519").string(from_hex(vector.point)).take());
    EXPECT_TRUE(key.public_key().verify(algorithm, message, expected));
  }
}

TEST(SignatureEd25519, IsOneThatBoringSslVerifies) {
  // Around the length up to which lib25519 signs, where it is there.
  for (const Rfc8032& vector : kRfc8032) {
    const PrivateKey key = rfc8032_key(vector);
    const Bytes point = from_hex(vector.point);
    for (const std::size_t len : {0U, 1U, 64U, 2047U, 2048U, 2049U, 100'000U}) {
      const Bytes data(len, 'x');
      const Bytes blob = key.sign(algorithm_named("ssh-ed25519"), data).value();
      const ByteView signature = ByteView(blob).last(64);
      EXPECT_EQ(ED25519_verify(data.data(), data.size(), signature.data(), point.data()), 1) << len;
    }
  }
}

#if BASTION_HAVE_LIB25519
/// nonce_of is the curve point of the nonce: a signature's first half.
Bytes nonce_of(const PrivateKey& key, ByteView data) {
  const Bytes blob = key.sign(algorithm_named("ssh-ed25519"), data).value();
  return {blob.end() - 64, blob.end() - 32};
}

TEST(SignatureEd25519, DependsOnKeyAndMessageWhereRandomnessFails) {
  const PrivateKey key = rfc8032_key(kRfc8032[0]);
  const auto nonce = [](const PrivateKey& by, ByteView data) {
    test::PrescribedRandom random("always the same");
    Bytes found = nonce_of(by, data);
    EXPECT_GT(random.drawn(), 0U);
    return found;
  };
  Bytes other = kData;
  other.back() ^= 1;
  EXPECT_EQ(nonce(key, kData), nonce(key, kData)) << "it draws from elsewhere, too";
  EXPECT_NE(nonce(key, kData), nonce(key, other));
  EXPECT_NE(nonce(key, kData), nonce(rfc8032_key(kRfc8032[1]), kData));
}

TEST(SignatureEd25519, NeverUsesANonceTwice) {
  const PrivateKey key = rfc8032_key(kRfc8032[0]);
  std::set<Bytes> nonces;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(nonces.insert(nonce_of(key, kData)).second);
  }
}
#else
TEST(SignatureEd25519, IsThatOfRfc8032) {
  for (const Rfc8032& vector : kRfc8032) {
    EXPECT_EQ(rfc8032_key(vector).sign(algorithm_named("ssh-ed25519"), from_hex(vector.message)),
              Writer().text("ssh-ed25519").string(from_hex(vector.signature)).take());
  }
}
#endif

TEST(SignatureEd25519, sec_046_RefusesALargerS) {
  // s + L has the same effect on the curve; RFC 8032 5.1.7 refuses it.
  const SignatureAlgorithm& algorithm = algorithm_named("ssh-ed25519");
  const Bytes order = from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  Bytes signature = signed_by(KeyType::kEd25519, algorithm, kData);
  ASSERT_TRUE(made_public(KeyType::kEd25519).verify(algorithm, kData, signature));
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    std::uint8_t& byte = signature[signature.size() - 32 + i];
    const unsigned sum = byte + order[i] + carry;
    byte = static_cast<std::uint8_t>(sum);
    carry = sum >> 8;
  }
  EXPECT_FALSE(made_public(KeyType::kEd25519).verify(algorithm, kData, signature));
}

TEST(SignatureEd25519, VerifiesDataOfAnyLength) {
  // Around the length from which on another implementation verifies.
  const SignatureAlgorithm& algorithm = algorithm_named("ssh-ed25519");
  for (const std::size_t len : {0U, 1U, 2047U, 2048U, 2049U, 100'000U}) {
    Bytes data(len, 'x');
    const Bytes signature = signed_by(KeyType::kEd25519, algorithm, data);
    EXPECT_TRUE(made_public(KeyType::kEd25519).verify(algorithm, data, signature)) << len;
    data.push_back('x');
    EXPECT_FALSE(made_public(KeyType::kEd25519).verify(algorithm, data, signature)) << len;
  }
}

// ---- ECDSA ----

TEST(SignatureEcdsa, RefusesNumbersOutsideTheOrder) {
  const SignatureAlgorithm& algorithm = algorithm_named("ecdsa-sha2-nistp256");
  const PublicKey& key = made_public(KeyType::kEcdsaP256);
  const Bytes good = signed_by(KeyType::kEcdsaP256, algorithm, kData);
  Reader outer(good);
  outer.string();
  Reader inner(outer.string());
  const Bytes r = to_bytes(inner.mpint());
  const Bytes s = to_bytes(inner.mpint());
  const auto verified = [&](ByteView pair) {
    return key.verify(algorithm, kData, Writer().text(algorithm.name).string(pair).take())
        .has_value();
  };
  ASSERT_TRUE(verified(Writer().mpint(r).mpint(s).view()));

  const Bytes order = from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
  const Bytes all_ones(32, 0xff);
  const Bytes long_number(33, 0x7f);
  const Bytes huge(4096, 0x7f);
  for (const Bytes& bad : {Bytes{}, order, all_ones, long_number, huge}) {
    EXPECT_FALSE(verified(Writer().mpint(bad).mpint(s).view()));
    EXPECT_FALSE(verified(Writer().mpint(r).mpint(bad).view()));
    EXPECT_FALSE(verified(Writer().mpint(bad).mpint(bad).view()));
  }
  // Not minimal, negative, trailing, missing.
  Bytes padded = {0, 0};
  padded.insert(padded.end(), r.begin(), r.end());
  EXPECT_FALSE(verified(Writer().string(padded).mpint(s).view()));
  EXPECT_FALSE(verified(Writer().string(all_ones).mpint(s).view()));
  EXPECT_FALSE(verified(Writer().mpint(r).mpint(s).u8(0).view()));
  EXPECT_FALSE(verified(Writer().mpint(r).view()));
  EXPECT_FALSE(verified({}));
}

// ---- RSA ----

TEST(SignatureRsa, Sha1OnlyWhereAskedFor) {
  const PublicKey& key = made_public(KeyType::kRsa);
  const SignatureAlgorithm& sha1 = algorithm_named("ssh-rsa");
  const Bytes signature = signed_by(KeyType::kRsa, sha1, kData);
  EXPECT_TRUE(key.verify(sha1, kData, signature));
  for (const SignatureAlgorithm* current : pick_signature_algorithms(KeyType::kRsa)) {
    EXPECT_FALSE(key.verify(*current, kData, signature));
    EXPECT_FALSE(key.verify(*current, kData, renamed(signature, current->signature_name)));
  }
}

TEST(SignatureRsa, MayLackItsLeadingZeros) {
  // One signature in 256 begins with a zero, which some signers drop.
  const PublicKey& key = made_public(KeyType::kRsa);
  const SignatureAlgorithm& algorithm = algorithm_named("rsa-sha2-256");
  for (std::uint32_t i = 0;; ++i) {
    const Bytes data = Writer().u32(i).take();
    const Bytes signature = signed_by(KeyType::kRsa, algorithm, data);
    Reader reader(signature);
    reader.string();
    const ByteView number = reader.string();
    ASSERT_EQ(number.size(), 256U);
    const auto with = [&](ByteView bytes) {
      return key.verify(algorithm, data, Writer().text(algorithm.name).string(bytes).take());
    };
    Bytes longer = {0};
    longer.insert(longer.end(), number.begin(), number.end());
    ASSERT_EQ(code_of(with(longer)), ErrorCode::kMalformed);
    if (number[0] == 0) {
      EXPECT_TRUE(with(number));
      EXPECT_TRUE(with(number.subspan(1)));
      EXPECT_FALSE(with(number.first(255)));
      break;
    }
    ASSERT_FALSE(with(number.subspan(1)));
  }
}

// ---- FIDO (PROTOCOL.u2f) ----

class SignatureSk : public testing::TestWithParam<KeyType> {
 protected:
  test::SkKey& token() { return made_sk(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Keys, SignatureSk,
                         testing::Values(KeyType::kSkEd25519, KeyType::kSkEcdsaP256), name_of_type);

TEST_P(SignatureSk, SaysWhatTheAuthenticatorStated) {
  const std::uint8_t present = kSkUserPresent;
  const std::uint8_t verified = kSkUserVerified;
  for (const int flags : {0, +present, +verified, present | verified, 0xff, 0xfa}) {
    const Bytes signature = token().sign(kData, static_cast<std::uint8_t>(flags));
    SkFlags out;
    ASSERT_TRUE(token().public_key().verify(token().algorithm(), kData, signature, &out));
    EXPECT_EQ(out.user_present, (flags & present) != 0);
    EXPECT_EQ(out.user_verified, (flags & verified) != 0);
    EXPECT_EQ(out.counter, token().counter());
  }
}

TEST_P(SignatureSk, sec_021_WithoutOutFlagsPresenceIsRequired) {
  const PublicKey& key = token().public_key();
  EXPECT_TRUE(key.verify(token().algorithm(), kData, token().sign(kData, kSkUserPresent)));
  EXPECT_EQ(code_of(key.verify(token().algorithm(), kData, token().sign(kData, 0))),
            ErrorCode::kAuth);
  EXPECT_EQ(code_of(key.verify(token().algorithm(), kData, token().sign(kData, kSkUserVerified))),
            ErrorCode::kAuth);
}

TEST_P(SignatureSk, ForgedFlagsAndCountersDoNotVerify) {
  const PublicKey& key = token().public_key();
  SkFlags out{.user_present = true, .user_verified = true, .counter = 7};
  EXPECT_FALSE(key.verify(token().algorithm(), kData,
                          token().sign_stating(kData, 0, 7, kSkUserPresent, 7), &out));
  EXPECT_FALSE(out.user_present);
  EXPECT_FALSE(out.user_verified);
  EXPECT_EQ(out.counter, 0U);
  EXPECT_FALSE(key.verify(token().algorithm(), kData,
                          token().sign_stating(kData, kSkUserPresent, 7, kSkUserPresent, 8), &out));
}

TEST_P(SignatureSk, OfAnotherApplicationDoesNotVerify) {
  test::SkKey other(GetParam(), "ssh:other");
  Bytes blob = other.public_key().blob();
  blob[blob.size() - 1] ^= 1;
  const PublicKey changed = PublicKey::parse(blob).value();
  const Bytes signature = other.sign(kData);
  EXPECT_TRUE(other.public_key().verify(other.algorithm(), kData, signature));
  EXPECT_FALSE(changed.verify(other.algorithm(), kData, signature));
}

// ---- Against the system's ssh-keygen (PROTOCOL.sshsig) ----

class SshsigOfEachType : public testing::TestWithParam<KeyType> {};
INSTANTIATE_TEST_SUITE_P(Keys, SshsigOfEachType, testing::ValuesIn(kAllTypes), name_of_type);

TEST_P(SshsigOfEachType, IsAcceptedBySshKeygen) {
  const PublicKey& key = made_public(GetParam());
  for (const SignatureAlgorithm* algorithm : pick_signature_algorithms(GetParam())) {
    const Digest digest = hash(HashAlgorithm::kSha512, kData);
    Writer to_sign;
    to_sign.bytes(as_bytes("SSHSIG")).text("bastion-test").text("").text("sha512");
    to_sign.string(digest.view());
    Writer file;
    file.bytes(as_bytes("SSHSIG")).u32(1).string(key.blob()).text("bastion-test").text("");
    file.text("sha512").string(signed_by(GetParam(), *algorithm, to_sign.view()));
    const std::string armored = "-----BEGIN SSH SIGNATURE-----\n" + base64_encode(file.view()) +
                                "\n-----END SSH SIGNATURE-----\n";
    const TempDir dir;
    const std::string signers = dir.write("signers", as_bytes("alice " + key.line() + "\n"));
    const std::vector<std::string> command = {"ssh-keygen",
                                              "-Y",
                                              "verify",
                                              "-f",
                                              signers,
                                              "-I",
                                              "alice",
                                              "-n",
                                              "bastion-test",
                                              "-s",
                                              dir.write("sig", as_bytes(armored))};
    const auto good = run_program(command, as_text(kData));
    EXPECT_EQ(good.exit_code, 0) << algorithm->name << good.output;
    EXPECT_NE(run_program(command, "something else").exit_code, 0);
  }
}

}  // namespace
}  // namespace bastion::crypto
