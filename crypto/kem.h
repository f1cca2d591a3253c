#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "base/random.h"
#include "base/secret.h"

namespace bastion::crypto {

/// Kem is one key encapsulation mechanism, with a shared secret of 32 bytes. The client makes a key
/// pair, the server encapsulates to the public key, the client decapsulates the ciphertext.
/// Spans have exactly the lengths given here. The functions return false for a public key that is
/// not one, or where the library fails; a wrong ciphertext of the right length decapsulates to a
/// secret that nobody shares (implicit rejection). What a private key's bytes mean is the library's
/// own affair: they never leave the process.
class Kem {
 public:
  static constexpr std::size_t kSecretLen = 32;

  virtual ~Kem() = default;
  [[nodiscard]] virtual bool keypair(RandomSource& random, MutBytes out_public,
                                     SecretBytes& out_private) const = 0;
  [[nodiscard]] virtual bool encapsulate(ByteView public_key, MutBytes out_ciphertext,
                                         MutBytes out_secret) const = 0;
  [[nodiscard]] virtual bool decapsulate(ByteView private_key, ByteView ciphertext,
                                         MutBytes out_secret) const = 0;

  std::size_t public_len() const { return public_len_; }
  std::size_t ciphertext_len() const { return ciphertext_len_; }

 protected:
  constexpr Kem(std::size_t public_len, std::size_t ciphertext_len)
      : public_len_(public_len), ciphertext_len_(ciphertext_len) {}

 private:
  std::size_t public_len_;
  std::size_t ciphertext_len_;
};

/// ml_kem_768 is FIPS 203's: BoringSSL's where it has one, else libfips203's.
const Kem& ml_kem_768();
/// ml_kem_768_public_is_canonical is the modulus check of FIPS 203 7.2: all coefficients below
/// 3329.
[[nodiscard]] bool ml_kem_768_public_is_canonical(ByteView public_key);
/// sntrup761 is Streamlined NTRU Prime's, from libntruprime. Every byte string of the right length
/// is a public key.
const Kem& sntrup761();

}  // namespace bastion::crypto
