#if BASTION_HAVE_LIB25519
#include <lib25519.h>
#endif
#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include <algorithm>

#include "base/wire.h"
#include "crypto/key_material.h"

namespace bastion::crypto {
namespace {

// Each function below has one way to success, and every result of BoringSSL is compared with 1:
// nothing that it may return on an error counts as a yes (CVE-2023-2283).

Status wrong() { return fail(ErrorCode::kAuth, "a signature is wrong"); }
Status malformed() { return fail(ErrorCode::kMalformed, "a signature is not well-formed"); }

#if BASTION_HAVE_LIB25519
/// opens_ed25519 verifies with lib25519, which takes 23 us where Debian's BoringSSL takes 41. It
/// wants the message behind the signature and writes it out again, so this is for short ones: a
/// login's have a few hundred bytes. Its 0 means yes; a yes counts only together with the message
/// given back, which a failure never gives.
bool opens_ed25519(const PublicMaterial& key, ByteView data, ByteView signature) {
  std::array<std::uint8_t, kEd25519SignatureLen + kLib25519MessageMax> signed_message;
  std::array<std::uint8_t, kEd25519SignatureLen + kLib25519MessageMax> opened;
  std::ranges::copy(signature, signed_message.begin());
  std::ranges::copy(data, signed_message.begin() + kEd25519SignatureLen);
  long long opened_len = -1;
  const int result = lib25519_sign_ed25519_open(
      opened.data(), &opened_len, signed_message.data(),
      static_cast<long long>(kEd25519SignatureLen + data.size()), key.ed25519.data());
  return result == 0 && opened_len == static_cast<long long>(data.size()) &&
         equal(ByteView(opened).first(data.size()), data);
}
#endif

Status verify_ed25519(const PublicMaterial& key, ByteView data, ByteView signature) {
  if (signature.size() != kEd25519SignatureLen) {
    return malformed();
  }
#if BASTION_HAVE_LIB25519
  if (data.size() <= kLib25519MessageMax) {
    return opens_ed25519(key, data, signature) ? Status{} : wrong();
  }
#endif
  if (ED25519_verify(data.data(), data.size(), signature.data(), key.ed25519.data()) != 1) {
    return wrong();
  }
  return {};
}

/// verify_ecdsa takes the two mpints of RFC 5656 3.1.2.
Status verify_ecdsa(const PublicMaterial& key, HashAlgorithm algorithm, ByteView data,
                    ByteView signature) {
  Reader reader(signature);
  const ByteView r_bytes = reader.mpint();
  const ByteView s_bytes = reader.mpint();
  const std::size_t order_len = (key.bits + 7) / 8;
  if (!reader.done() || r_bytes.size() > order_len || s_bytes.size() > order_len) {
    return malformed();
  }
  bssl::UniquePtr<BIGNUM> r(BN_bin2bn(r_bytes.data(), r_bytes.size(), nullptr));
  bssl::UniquePtr<BIGNUM> s(BN_bin2bn(s_bytes.data(), s_bytes.size(), nullptr));
  if (r == nullptr || s == nullptr) {
    return fail(ErrorCode::kInternal, "a signature cannot be set up");
  }
  const BIGNUM* const order = EC_GROUP_get0_order(EC_KEY_get0_group(key.ec.get()));
  for (const BIGNUM* number : {r.get(), s.get()}) {
    if (BN_is_zero(number) != 0 || BN_cmp(number, order) >= 0) {
      return wrong();
    }
  }
  bssl::UniquePtr<ECDSA_SIG> pair(ECDSA_SIG_new());
  if (pair == nullptr || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) {
    return fail(ErrorCode::kInternal, "a signature cannot be set up");
  }
  static_cast<void>(r.release());  // the pair owns both now
  static_cast<void>(s.release());
  const Digest digest = hash(algorithm, data);
  if (ECDSA_do_verify(digest.data.data(), digest.len, pair.get(), key.ec.get()) != 1) {
    return wrong();
  }
  return {};
}

/// verify_rsa takes the PKCS#1 v1.5 signature of RFC 8332 3. One that is shorter than the modulus
/// is filled up with zeros from the left, as OpenSSH does for signers that drop them.
Status verify_rsa(const PublicMaterial& key, const SignatureAlgorithm& algorithm, ByteView data,
                  ByteView signature) {
  const std::size_t modulus_len = (key.bits + 7) / 8;
  if (signature.empty() || signature.size() > modulus_len || modulus_len > kRsaBytesMax) {
    return malformed();
  }
  std::array<std::uint8_t, kRsaBytesMax> padded{};
  std::ranges::copy(signature,
                    padded.begin() + static_cast<std::ptrdiff_t>(modulus_len - signature.size()));
  const RsaHash by = rsa_hash(algorithm);
  const Digest digest = hash(by.algorithm, data);
  if (RSA_verify(by.nid, digest.data.data(), digest.len, padded.data(), modulus_len,
                 key.rsa.get()) != 1) {
    return wrong();
  }
  return {};
}

/// verify_sk checks what a FIDO authenticator signs (PROTOCOL.u2f, "SSH U2F signatures"): the hash
/// of the application, its flags and counter, and the hash of the data. `reader` stands at the
/// flags.
Status verify_sk(const PublicMaterial& key, KeyType type, ByteView data, ByteView signature,
                 Reader& reader, SkFlags& out_flags) {
  const std::uint8_t flags = reader.u8();
  const std::uint32_t counter = reader.u32();
  if (!reader.done()) {
    return malformed();
  }
  const Digest message = hash(HashAlgorithm::kSha256, data);
  Bytes signed_data;
  signed_data.reserve(2 * kHashBytesMax + 5);
  Writer(signed_data).bytes(key.application.view()).u8(flags).u32(counter).bytes(message.view());
  BASTION_TRY(type == KeyType::kSkEd25519
                  ? verify_ed25519(key, signed_data, signature)
                  : verify_ecdsa(key, HashAlgorithm::kSha256, signed_data, signature));
  constexpr std::uint8_t kUserPresent = 0x01;
  constexpr std::uint8_t kUserVerified = 0x04;
  out_flags = {.user_present = (flags & kUserPresent) != 0,
               .user_verified = (flags & kUserVerified) != 0,
               .counter = counter};
  return {};
}

}  // namespace

Status PublicKey::verify(const SignatureAlgorithm& algorithm, ByteView data,
                         ByteView signature_blob, SkFlags* out_flags) const {
  if (out_flags != nullptr) {
    *out_flags = {};
  }
  if (material_ == nullptr) {
    return fail(ErrorCode::kInternal, "there is no key to verify a signature with");
  }
  if (algorithm.key_type != type_) {
    return fail(ErrorCode::kUnsupported, "a signature algorithm is not of the key's type");
  }
  Reader reader(signature_blob);
  const std::string_view name = reader.text();
  const ByteView signature = reader.string();
  if (!reader.ok()) {
    return malformed();
  }
  if (name != algorithm.signature_name) {
    return fail(ErrorCode::kAuth, "a signature is of another algorithm than announced");
  }
  if (is_sk(type_)) {
    SkFlags flags;
    BASTION_TRY(verify_sk(*material_, type_, data, signature, reader, flags));
    if (out_flags == nullptr && !flags.user_present) {
      return fail(ErrorCode::kAuth, "a FIDO key has signed without being touched");
    }
    if (out_flags != nullptr) {
      *out_flags = flags;
    }
    return {};
  }
  if (!reader.done()) {
    return malformed();
  }
  switch (type_) {
    case KeyType::kEd25519: return verify_ed25519(*material_, data, signature);
    case KeyType::kRsa: return verify_rsa(*material_, algorithm, data, signature);
    case KeyType::kEcdsaP256:
    case KeyType::kEcdsaP384:
    case KeyType::kEcdsaP521: return verify_ecdsa(*material_, ecdsa_hash(type_), data, signature);
    case KeyType::kSkEd25519:
    case KeyType::kSkEcdsaP256: break;  // answered above
  }
  return fail(ErrorCode::kInternal, "a key type is unknown");
}

}  // namespace bastion::crypto
