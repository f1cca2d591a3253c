#include <ntruprime.h>

#include "crypto/kem.h"
#include "crypto/secret_array.h"

namespace bastion::crypto {
namespace {

constexpr std::size_t kPublicLen = sntrup761_PUBLICKEYBYTES;
constexpr std::size_t kPrivateLen = sntrup761_SECRETKEYBYTES;
constexpr std::size_t kCiphertextLen = sntrup761_CIPHERTEXTBYTES;
static_assert(kPublicLen == 1158 && kCiphertextLen == 1039 && sntrup761_BYTES == Kem::kSecretLen);

class Sntrup761 final : public Kem {
 public:
  Sntrup761() : Kem(kPublicLen, kCiphertextLen) {}
  bool keypair(RandomSource& random, MutBytes out_public, SecretBytes& out_private) const override;
  bool encapsulate(ByteView public_key, MutBytes out_ciphertext,
                   MutBytes out_secret) const override;
  bool decapsulate(ByteView private_key, ByteView ciphertext, MutBytes out_secret) const override;
};

// libntruprime takes its randomness from librandombytes (getrandom(2)) and cannot fail.
bool Sntrup761::keypair(RandomSource& /*random*/, MutBytes out_public,
                        SecretBytes& out_private) const {
  must(out_public.size() == kPublicLen);
  out_private.resize(kPrivateLen);
  sntrup761_keypair(out_public.data(), out_private.data());
  return true;
}

bool Sntrup761::encapsulate(ByteView public_key, MutBytes out_ciphertext,
                            MutBytes out_secret) const {
  must(public_key.size() == kPublicLen && out_ciphertext.size() == kCiphertextLen &&
       out_secret.size() == Kem::kSecretLen);
  sntrup761_enc(out_ciphertext.data(), out_secret.data(), public_key.data());
  return true;
}

bool Sntrup761::decapsulate(ByteView private_key, ByteView ciphertext, MutBytes out_secret) const {
  must(private_key.size() == kPrivateLen && ciphertext.size() == kCiphertextLen &&
       out_secret.size() == Kem::kSecretLen);
  sntrup761_dec(out_secret.data(), ciphertext.data(), private_key.data());
  return true;
}

}  // namespace

const Kem& sntrup761() {
  static const Sntrup761 kem;
  return kem;
}

}  // namespace bastion::crypto
