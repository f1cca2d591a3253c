#pragma once

#include <array>
#include <memory>

#include "base/secret.h"
#include "crypto/keys.h"

// BoringSSL's own types, declared here so that its headers stay in the .cc files.
struct ec_key_st;
struct rsa_st;

namespace bastion::crypto {

struct RsaFree {
  void operator()(rsa_st* rsa) const;
};
struct EcKeyFree {
  void operator()(ec_key_st* key) const;
};
using RsaPtr = std::unique_ptr<rsa_st, RsaFree>;
using EcKeyPtr = std::unique_ptr<ec_key_st, EcKeyFree>;

inline constexpr std::size_t kEd25519PublicLen = 32;
inline constexpr std::size_t kEd25519SecretLen =
    64;  // seed and public key, as RFC 8709's users have
inline constexpr std::size_t kEd25519SignatureLen = 64;
/// Up to so long a message is signed and verified by lib25519, which wants it copied beside the
/// signature.
inline constexpr std::size_t kLib25519MessageMax = 2048;
/// The longest RSA signature: one of the longest modulus.
inline constexpr std::size_t kRsaBytesMax = 16'384 / 8;

/// PublicMaterial is what verification needs of a key, ready made: exactly one of rsa, ec and
/// ed25519 is in use, as the key's type says.
struct PublicMaterial {
  RsaPtr rsa;
  EcKeyPtr ec;
  std::array<std::uint8_t, kEd25519PublicLen> ed25519{};
  Digest application;  // SHA-256 of an sk key's application, which every signature begins with
  std::uint32_t bits = 0;
};

/// PrivateMaterial is what signing needs. BoringSSL wipes whatever it frees.
struct PrivateMaterial {
  KeyType type = KeyType::kEd25519;
  RsaPtr rsa;
  EcKeyPtr ec;
  std::array<std::uint8_t, kEd25519SecretLen> ed25519{};

  PrivateMaterial() = default;
  PrivateMaterial(PrivateMaterial&& other) noexcept
      : type(other.type),
        rsa(std::move(other.rsa)),
        ec(std::move(other.ec)),
        ed25519(other.ed25519) {
    wipe(other.ed25519);
  }
  PrivateMaterial& operator=(PrivateMaterial&&) = delete;
  ~PrivateMaterial() { wipe(ed25519); }
};

/// make_private_key derives the public key from the private parts, checks it as any other public
/// key and joins the two.
Result<PrivateKey> make_private_key(PrivateMaterial material);

/// parse_openssh_content takes PROTOCOL.key's bytes, out of the base64 under this label.
inline constexpr std::string_view kOpensshKeyLabel = "OPENSSH PRIVATE KEY";
Result<PrivateKey> parse_openssh_content(ByteView content);
/// encrypted_private_key is the error that says the cure.
std::unexpected<Error> encrypted_private_key();

/// curve_name: "nistp256", … of the ECDSA types (RFC 5656 6.1), sk-ecdsa included.
std::string_view curve_name(KeyType type);
/// curve_nid is BoringSSL's number for it.
int curve_nid(KeyType type);
/// ecdsa_hash: the hash that RFC 5656 6.2.1 ties to the curve.
HashAlgorithm ecdsa_hash(KeyType type);
/// num_key_fields says how many strings follow the type name in a public key blob and the nonce in
/// a certificate.
std::size_t num_key_fields(KeyType type);

/// RsaHash is the hash of an RSA signature algorithm, for us and for BoringSSL.
struct RsaHash {
  HashAlgorithm algorithm;
  int nid;
};
RsaHash rsa_hash(const SignatureAlgorithm& algorithm);

}  // namespace bastion::crypto
