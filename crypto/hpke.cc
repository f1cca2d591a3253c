#include "crypto/hpke.h"

#include <openssl/curve25519.h>
#include <openssl/hpke.h>

#include "crypto/secret_array.h"

namespace bastion::crypto {
namespace {

static_assert(kHpkeKeyLen == X25519_PUBLIC_VALUE_LEN && kHpkeKeyLen == X25519_PRIVATE_KEY_LEN);
static_assert(EVP_HPKE_MAX_ENC_LENGTH >= kHpkeKeyLen);  // more where it has other KEMs too
constexpr std::size_t kTagLen = kHpkeOverhead - kHpkeKeyLen;

}  // namespace

HpkePrivateKey HpkePrivateKey::generate() {
  HpkePrivateKey key;
  key.bytes_.resize(kHpkeKeyLen);
  X25519_keypair(key.public_key_.data(), key.bytes_.data());
  return key;
}

Result<HpkePrivateKey> HpkePrivateKey::from_bytes(ByteView bytes) {
  if (bytes.size() != kHpkeKeyLen) {
    return fail(ErrorCode::kMalformed, "an X25519 private key has 32 bytes",
                static_cast<std::int64_t>(bytes.size()));
  }
  HpkePrivateKey key;
  key.bytes_ = to_secret(bytes);
  X25519_public_from_private(key.public_key_.data(), key.bytes_.data());
  return key;
}

Result<Bytes> hpke_seal(const HpkePublicKey& recipient, ByteView info, ByteView aad,
                        ByteView text) {
  bssl::ScopedEVP_HPKE_CTX context;
  Bytes sealed(text.size() + kHpkeOverhead);
  std::size_t enc_len = 0;
  if (EVP_HPKE_CTX_setup_sender(context.get(), sealed.data(), &enc_len, kHpkeKeyLen,
                                EVP_hpke_x25519_hkdf_sha256(), EVP_hpke_hkdf_sha256(),
                                EVP_hpke_aes_256_gcm(), recipient.data(), recipient.size(),
                                info.data(), info.size()) != 1) {
    return fail(ErrorCode::kMalformed, "this public key cannot be sealed to");
  }
  std::size_t len = 0;
  must(enc_len == kHpkeKeyLen &&
       EVP_HPKE_CTX_seal(context.get(), sealed.data() + enc_len, &len, sealed.size() - enc_len,
                         text.data(), text.size(), aad.data(), aad.size()) == 1 &&
       len == text.size() + kTagLen);
  return sealed;
}

Result<SecretBytes> hpke_open(const HpkePrivateKey& key, ByteView info, ByteView aad,
                              ByteView sealed) {
  if (sealed.size() < kHpkeOverhead) {
    return fail(ErrorCode::kMalformed, "too short to be sealed",
                static_cast<std::int64_t>(sealed.size()));
  }
  bssl::ScopedEVP_HPKE_KEY hpke_key;
  must(EVP_HPKE_KEY_init(hpke_key.get(), EVP_hpke_x25519_hkdf_sha256(), key.bytes().data(),
                         key.bytes().size()) == 1);
  bssl::ScopedEVP_HPKE_CTX context;
  SecretBytes text(sealed.size() - kHpkeKeyLen);
  std::size_t len = 0;
  const ByteView cipher_text = sealed.subspan(kHpkeKeyLen);
  if (EVP_HPKE_CTX_setup_recipient(context.get(), hpke_key.get(), EVP_hpke_hkdf_sha256(),
                                   EVP_hpke_aes_256_gcm(), sealed.data(), kHpkeKeyLen, info.data(),
                                   info.size()) != 1 ||
      EVP_HPKE_CTX_open(context.get(), text.data(), &len, text.size(), cipher_text.data(),
                        cipher_text.size(), aad.data(), aad.size()) != 1) {
    return fail(ErrorCode::kAuth, "not sealed to this key");
  }
  text.resize(len);
  return text;
}

}  // namespace bastion::crypto
