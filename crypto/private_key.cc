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
#include <span>

#include "base/limits.h"
#include "base/wire.h"
#include "crypto/key_material.h"

namespace bastion::crypto {
namespace {

Bytes number_bytes(const BIGNUM* number) {
  Bytes bytes(BN_num_bytes(number));
  BN_bn2bin(number, bytes.data());
  return bytes;
}

/// public_blob encodes the public half; empty where BoringSSL refuses.
Bytes public_blob(const PrivateMaterial& material) {
  Writer writer;
  writer.text(key_type_name(material.type));
  if (material.rsa != nullptr) {
    writer.mpint(number_bytes(RSA_get0_e(material.rsa.get())));
    writer.mpint(number_bytes(RSA_get0_n(material.rsa.get())));
  } else if (material.ec != nullptr) {
    const EC_GROUP* const group = EC_KEY_get0_group(material.ec.get());
    const EC_POINT* const point = EC_KEY_get0_public_key(material.ec.get());
    std::array<std::uint8_t, 1 + 2 * 66> encoded;  // P-521's
    const std::size_t len = EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED,
                                               encoded.data(), encoded.size(), nullptr);
    if (len == 0) {
      return {};
    }
    writer.text(curve_name(material.type)).string(ByteView(encoded).first(len));
  } else {
    writer.string(ByteView(material.ed25519).last(kEd25519PublicLen));
  }
  return writer.take();
}

std::unexpected<Error> cannot_sign() {
  return fail(ErrorCode::kInternal, "a signature cannot be made");
}

#if BASTION_HAVE_LIB25519
// Both libraries keep the seed and the point behind it.
static_assert(lib25519_sign_ed25519_SECRETKEYBYTES == kEd25519SecretLen);

/// sign_hedged signs with lib25519, which takes 17 us where Debian's BoringSSL takes 45. Its nonce
/// comes from fresh randomness, the key and the message together: no two signatures are alike, and
/// neither bad randomness alone nor a fault that comes again gives the key away. It writes the
/// message behind the signature, so this is for short ones: a login's have a few hundred bytes.
void sign_hedged(const PrivateMaterial& key, ByteView data,
                 std::span<std::uint8_t, kEd25519SignatureLen> signature) {
  std::array<std::uint8_t, kEd25519SignatureLen + kLib25519MessageMax> signed_message;
  long long len = 0;
  lib25519_sign_ed25519(signed_message.data(), &len, data.data(),
                        static_cast<long long>(data.size()), key.ed25519.data());
  std::copy_n(signed_message.begin(), kEd25519SignatureLen, signature.begin());
}
#endif

Status sign_ed25519(const PrivateMaterial& key, ByteView data, Writer& out) {
  std::array<std::uint8_t, kEd25519SignatureLen> signature;
#if BASTION_HAVE_LIB25519
  if (data.size() <= kLib25519MessageMax) {
    sign_hedged(key, data, signature);
    out.string(signature);
    return {};
  }
#endif
  if (ED25519_sign(signature.data(), data.data(), data.size(), key.ed25519.data()) != 1) {
    return cannot_sign();
  }
  out.string(signature);
  return {};
}

Status sign_rsa(const PrivateMaterial& key, const SignatureAlgorithm& algorithm, ByteView data,
                Writer& out) {
  const RsaHash by = rsa_hash(algorithm);
  const Digest digest = hash(by.algorithm, data);
  std::array<std::uint8_t, kRsaBytesMax> signature;
  unsigned len = 0;
  if (RSA_size(key.rsa.get()) > signature.size() ||
      RSA_sign(by.nid, digest.data.data(), static_cast<unsigned>(digest.len), signature.data(),
               &len, key.rsa.get()) != 1) {
    return cannot_sign();
  }
  out.string(ByteView(signature).first(len));
  return {};
}

Status sign_ecdsa(const PrivateMaterial& key, ByteView data, Writer& out) {
  const Digest digest = hash(ecdsa_hash(key.type), data);
  const bssl::UniquePtr<ECDSA_SIG> pair(
      ECDSA_do_sign(digest.data.data(), digest.len, key.ec.get()));
  if (pair == nullptr) {
    return cannot_sign();
  }
  Writer numbers;
  numbers.mpint(number_bytes(ECDSA_SIG_get0_r(pair.get())));
  numbers.mpint(number_bytes(ECDSA_SIG_get0_s(pair.get())));
  out.string(numbers.view());
  return {};
}

Status generate_rsa(std::uint32_t bits, PrivateMaterial& out) {
  if (bits < limits::kRsaBitsMin || bits > limits::kRsaBitsMax || bits % 8 != 0) {
    return fail(ErrorCode::kUnsupported, "RSA keys of that size are not made", bits);
  }
  const bssl::UniquePtr<BIGNUM> exponent(BN_new());
  out.rsa.reset(RSA_new());
  if (exponent == nullptr || out.rsa == nullptr || BN_set_word(exponent.get(), 65'537) != 1 ||
      RSA_generate_key_ex(out.rsa.get(), static_cast<int>(bits), exponent.get(), nullptr) != 1) {
    return fail(ErrorCode::kInternal, "an RSA key cannot be made");
  }
  return {};
}

Status generate_ecdsa(PrivateMaterial& out) {
  out.ec.reset(EC_KEY_new_by_curve_name(curve_nid(out.type)));
  if (out.ec == nullptr || EC_KEY_generate_key(out.ec.get()) != 1) {
    return fail(ErrorCode::kInternal, "an ECDSA key cannot be made");
  }
  return {};
}

}  // namespace

Result<PrivateKey> make_private_key(PrivateMaterial material) {
  auto public_key = PublicKey::parse(public_blob(material));
  if (!public_key) {
    return std::unexpected(public_key.error());
  }
  return PrivateKey(*std::move(public_key),
                    std::make_shared<const PrivateMaterial>(std::move(material)));
}

Result<PrivateKey> PrivateKey::generate(KeyType type, std::uint32_t rsa_bits) {
  PrivateMaterial material;
  material.type = type;
  switch (type) {
    case KeyType::kEd25519: {
      std::array<std::uint8_t, kEd25519PublicLen> point;
#if BASTION_HAVE_LIB25519
      // A key pair for each session's certificate: 11 us here, 43 by Debian's BoringSSL.
      lib25519_sign_ed25519_keypair(point.data(), material.ed25519.data());
#else
      ED25519_keypair(point.data(), material.ed25519.data());
#endif
      break;
    }
    case KeyType::kRsa: BASTION_TRY(generate_rsa(rsa_bits, material)); break;
    case KeyType::kEcdsaP256:
    case KeyType::kEcdsaP384:
    case KeyType::kEcdsaP521: BASTION_TRY(generate_ecdsa(material)); break;
    case KeyType::kSkEd25519:
    case KeyType::kSkEcdsaP256:
      return fail(ErrorCode::kUnsupported, "a FIDO key is made by its authenticator only");
  }
  return make_private_key(std::move(material));
}

Result<Bytes> PrivateKey::sign(const SignatureAlgorithm& algorithm, ByteView data) const {
  if (material_ == nullptr) {  // moved from
    return fail(ErrorCode::kInternal, "there is no key to sign with");
  }
  if (algorithm.key_type != material_->type) {
    return fail(ErrorCode::kUnsupported, "a signature algorithm is not of the key's type");
  }
  Writer out;
  out.text(algorithm.signature_name);
  if (material_->rsa != nullptr) {
    BASTION_TRY(sign_rsa(*material_, algorithm, data, out));
  } else if (material_->ec != nullptr) {
    BASTION_TRY(sign_ecdsa(*material_, data, out));
  } else {
    BASTION_TRY(sign_ed25519(*material_, data, out));
  }
  return out.take();
}

}  // namespace bastion::crypto
