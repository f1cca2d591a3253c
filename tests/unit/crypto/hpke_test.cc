#include "crypto/hpke.h"

#include <gtest/gtest.h>

#include "tests/support/hex.h"

namespace bastion::crypto {
namespace {

using test::from_hex;
using test::to_hex;

// The published vector of RFC 9180 for DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM in base
// mode. Its ciphertexts are published as one SHAKE128 over a thousand; the one here is the first
// with the text and aad of RFC 9180 A.1.1.1, by a Python implementation that gives that SHAKE128,
// too.
constexpr std::string_view kSecret =
    "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d";
constexpr std::string_view kPublic =
    "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c";
constexpr std::string_view kEnc =
    "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256";
constexpr std::string_view kCipherText =
    "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a";
constexpr std::string_view kInfo = "Ode on a Grecian Urn";
constexpr std::string_view kAad = "Count-0";
constexpr std::string_view kText = "Beauty is truth, truth beauty";

TEST(Hpke, OpensThePublishedVector) {
  const auto key = HpkePrivateKey::from_bytes(from_hex(kSecret));
  ASSERT_TRUE(key);
  EXPECT_EQ(to_hex(key->public_key()), kPublic);
  const auto text = hpke_open(*key, as_bytes(kInfo), as_bytes(kAad),
                              from_hex(std::string(kEnc) + std::string(kCipherText)));
  ASSERT_TRUE(text);
  EXPECT_EQ(as_text(*text), kText);
}

TEST(Hpke, WhatIsSealedOpens) {
  const HpkePrivateKey key = HpkePrivateKey::generate();
  for (const std::size_t len : {0U, 1U, 32U, 1000U}) {
    const Bytes text(len, 'k');
    const auto sealed = hpke_seal(key.public_key(), as_bytes("info"), as_bytes("aad"), text);
    ASSERT_TRUE(sealed);
    EXPECT_EQ(sealed->size(), len + kHpkeOverhead);
    const auto opened = hpke_open(key, as_bytes("info"), as_bytes("aad"), *sealed);
    ASSERT_TRUE(opened);
    EXPECT_TRUE(equal(*opened, text));
  }
}

TEST(Hpke, OpensNothingElse) {
  const HpkePrivateKey key = HpkePrivateKey::generate();
  const Bytes sealed = *hpke_seal(key.public_key(), as_bytes("info"), as_bytes("aad"), Bytes(32));
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    Bytes changed = sealed;
    changed[at] ^= 1;
    EXPECT_FALSE(hpke_open(key, as_bytes("info"), as_bytes("aad"), changed)) << at;
  }
  for (std::size_t len = 0; len < sealed.size(); ++len) {
    EXPECT_FALSE(hpke_open(key, as_bytes("info"), as_bytes("aad"), ByteView(sealed).first(len)));
  }
  EXPECT_EQ(hpke_open(key, as_bytes("other"), as_bytes("aad"), sealed).error().code,
            ErrorCode::kAuth);
  EXPECT_FALSE(hpke_open(key, as_bytes("info"), as_bytes("other"), sealed));
  EXPECT_FALSE(hpke_open(HpkePrivateKey::generate(), as_bytes("info"), as_bytes("aad"), sealed));
}

TEST(Hpke, RefusesKeysThatAreNone) {
  EXPECT_EQ(HpkePrivateKey::from_bytes(Bytes(31)).error().code, ErrorCode::kMalformed);
  // Points of small order give a shared secret that everybody knows.
  EXPECT_EQ(hpke_seal(HpkePublicKey{}, {}, {}, {}).error().code, ErrorCode::kMalformed);
  EXPECT_EQ(hpke_seal(HpkePublicKey{1}, {}, {}, {}).error().code, ErrorCode::kMalformed);
}

}  // namespace
}  // namespace bastion::crypto
