#if __has_include(<openssl/mlkem.h>)
#include <openssl/bytestring.h>
#include <openssl/mlkem.h>
#else
#include <fips203.h>
#endif

#include "crypto/kem.h"
#include "crypto/secret_array.h"

namespace bastion::crypto {
namespace {

constexpr std::size_t kPublicLen = 1184;
constexpr std::size_t kCiphertextLen = 1088;
constexpr std::size_t kSeedLen = 64;  // d || z of FIPS 203 7.1

constexpr std::size_t kPolynomials = 3;  // k of ML-KEM-768
constexpr std::size_t kPolynomialLen = 384;
constexpr unsigned kModulus = 3329;
static_assert(kPolynomials * kPolynomialLen + 32 == kPublicLen);

class MlKem768 final : public Kem {
 public:
  MlKem768() : Kem(kPublicLen, kCiphertextLen) {}
  bool keypair(RandomSource& random, MutBytes out_public, SecretBytes& out_private) const override;
  bool encapsulate(ByteView public_key, MutBytes out_ciphertext,
                   MutBytes out_secret) const override;
  bool decapsulate(ByteView private_key, ByteView ciphertext, MutBytes out_secret) const override;
};

#if __has_include(<openssl/mlkem.h>)

static_assert(kPublicLen == MLKEM768_PUBLIC_KEY_BYTES &&
              kCiphertextLen == MLKEM768_CIPHERTEXT_BYTES && kSeedLen == MLKEM_SEED_BYTES &&
              Kem::kSecretLen == MLKEM_SHARED_SECRET_BYTES);

// ExpandedKey is BoringSSL's private key, wiped at the end.
struct ExpandedKey {
  ~ExpandedKey() { wipe({reinterpret_cast<std::uint8_t*>(&key), sizeof key}); }
  MLKEM768_private_key key;
};

// The private key is kept as its seed: expanding it again costs less than a tenth of the exchange
// and spares the session several KiB.
bool MlKem768::keypair(RandomSource& random, MutBytes out_public, SecretBytes& out_private) const {
  must(out_public.size() == kPublicLen);
  out_private.resize(kSeedLen);
  random.fill(out_private);
  ExpandedKey expanded;
  MLKEM768_public_key public_key;
  CBB cbb;
  std::size_t written = 0;
  if (MLKEM768_private_key_from_seed(&expanded.key, out_private.data(), kSeedLen) != 1) {
    return false;
  }
  MLKEM768_public_from_private(&public_key, &expanded.key);
  return CBB_init_fixed(&cbb, out_public.data(), out_public.size()) == 1 &&
         MLKEM768_marshal_public_key(&cbb, &public_key) == 1 &&
         CBB_finish(&cbb, nullptr, &written) == 1 && written == kPublicLen;
}

bool MlKem768::encapsulate(ByteView public_key, MutBytes out_ciphertext,
                           MutBytes out_secret) const {
  must(public_key.size() == kPublicLen && out_ciphertext.size() == kCiphertextLen &&
       out_secret.size() == Kem::kSecretLen);
  CBS cbs;
  CBS_init(&cbs, public_key.data(), public_key.size());
  MLKEM768_public_key parsed;
  if (!ml_kem_768_public_is_canonical(public_key) ||
      MLKEM768_parse_public_key(&parsed, &cbs) != 1 || CBS_len(&cbs) != 0) {
    return false;
  }
  MLKEM768_encap(out_ciphertext.data(), out_secret.data(), &parsed);
  return true;
}

bool MlKem768::decapsulate(ByteView private_key, ByteView ciphertext, MutBytes out_secret) const {
  must(private_key.size() == kSeedLen && out_secret.size() == Kem::kSecretLen);
  ExpandedKey expanded;
  return MLKEM768_private_key_from_seed(&expanded.key, private_key.data(), kSeedLen) == 1 &&
         MLKEM768_decap(out_secret.data(), ciphertext.data(), ciphertext.size(), &expanded.key) ==
             1;
}

#else

using Public = ml_kem_768_encaps_key;
using Private = ml_kem_768_decaps_key;
using Ciphertext = ml_kem_768_ciphertext;
static_assert(sizeof(Public) == kPublicLen && sizeof(Ciphertext) == kCiphertextLen &&
              sizeof(ml_kem_seed) == kSeedLen && sizeof(ml_kem_shared_secret) == Kem::kSecretLen &&
              alignof(Private) == 1);

// The library's types are plain arrays of bytes: they lie directly over ours, without a copy.
template <typename T>
T* over(MutBytes bytes) {
  must(bytes.size() == sizeof(T));
  return reinterpret_cast<T*>(bytes.data());
}
template <typename T>
const T* over(ByteView bytes) {
  must(bytes.size() == sizeof(T));
  return reinterpret_cast<const T*>(bytes.data());
}

bool MlKem768::keypair(RandomSource& random, MutBytes out_public, SecretBytes& out_private) const {
  SecretArray<kSeedLen> seed;
  random.fill(seed.bytes());
  out_private.resize(sizeof(Private));
  return ml_kem_768_keygen_from_seed(over<ml_kem_seed>(seed.view()), over<Public>(out_public),
                                     over<Private>(MutBytes(out_private))) == ML_KEM_OK;
}

bool MlKem768::encapsulate(ByteView public_key, MutBytes out_ciphertext,
                           MutBytes out_secret) const {
  return ml_kem_768_public_is_canonical(public_key) &&
         ml_kem_768_encaps(over<Public>(public_key), over<Ciphertext>(out_ciphertext),
                           over<ml_kem_shared_secret>(out_secret)) == ML_KEM_OK;
}

bool MlKem768::decapsulate(ByteView private_key, ByteView ciphertext, MutBytes out_secret) const {
  return ml_kem_768_decaps(over<Private>(private_key), over<Ciphertext>(ciphertext),
                           over<ml_kem_shared_secret>(out_secret)) == ML_KEM_OK;
}

#endif

}  // namespace

bool ml_kem_768_public_is_canonical(ByteView public_key) {
  if (public_key.size() != kPublicLen) {
    return false;
  }
  // Two coefficients of 12 bits in every three bytes (FIPS 203 4.2.1); the key is public, so this
  // may take different times.
  for (std::size_t i = 0; i < kPolynomials * kPolynomialLen; i += 3) {
    const unsigned first = public_key[i] | (public_key[i + 1] & 0x0fU) << 8;
    const unsigned second = public_key[i + 1] >> 4 | static_cast<unsigned>(public_key[i + 2]) << 4;
    if (first >= kModulus || second >= kModulus) {
      return false;
    }
  }
  return true;
}

const Kem& ml_kem_768() {
  static const MlKem768 kem;
  return kem;
}

}  // namespace bastion::crypto
