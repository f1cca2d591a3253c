#pragma once

#include <array>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace bastion::crypto {

inline constexpr std::size_t kHpkeKeyLen = 32;
/// What sealing adds: the encapsulated key before, the tag behind.
inline constexpr std::size_t kHpkeOverhead = 32 + 16;

/// HpkePublicKey and HpkePrivateKey are X25519 keys for RFC 9180, DHKEM(X25519, HKDF-SHA256).
using HpkePublicKey = std::array<std::uint8_t, kHpkeKeyLen>;

class HpkePrivateKey {
 public:
  static HpkePrivateKey generate();
  /// from_bytes takes kHpkeKeyLen octets; kMalformed for another length.
  static Result<HpkePrivateKey> from_bytes(ByteView bytes);

  ByteView bytes() const { return bytes_; }
  const HpkePublicKey& public_key() const { return public_key_; }

 private:
  SecretBytes bytes_;
  HpkePublicKey public_key_{};
};

/// hpke_seal is RFC 9180 6.1 SealBase with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM:
/// the encapsulated key (32 bytes) and the ciphertext with its tag. Errors: kMalformed for a public
/// key of small order.
Result<Bytes> hpke_seal(const HpkePublicKey& recipient, ByteView info, ByteView aad, ByteView text);
/// hpke_open is its inverse. Errors: kMalformed below kHpkeOverhead bytes, kAuth where it was not
/// sealed to this key with this info and aad.
Result<SecretBytes> hpke_open(const HpkePrivateKey& key, ByteView info, ByteView aad,
                              ByteView sealed);

}  // namespace bastion::crypto
