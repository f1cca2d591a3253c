#pragma once

#include <string>
#include <string_view>

#include "crypto/keys.h"

namespace bastion::test {

/// What an authenticator states in the byte of flags (PROTOCOL.u2f).
inline constexpr std::uint8_t kSkUserPresent = 0x01;
inline constexpr std::uint8_t kSkUserVerified = 0x04;

/// SkKey is a FIDO authenticator made of software: it holds one sk-ssh-ed25519@openssh.com or
/// sk-ecdsa-sha2-nistp256@openssh.com key, never waits for a finger and states whatever flags it is
/// told to.
class SkKey {
 public:
  /// `type` is one of the two sk types.
  explicit SkKey(crypto::KeyType type, std::string_view application = "ssh:");

  const crypto::PublicKey& public_key() const { return public_key_; }
  const std::string& application() const { return application_; }
  /// The only signature algorithm of the key.
  const crypto::SignatureAlgorithm& algorithm() const;

  /// sign gives the signature blob of an assertion over `data`, counting up by one each time.
  Bytes sign(ByteView data, std::uint8_t flags = kSkUserPresent);
  /// sign_stating gives one that states other things than it signed, for forgeries.
  Bytes sign_stating(ByteView data, std::uint8_t signed_flags, std::uint32_t signed_counter,
                     std::uint8_t stated_flags, std::uint32_t stated_counter) const;
  std::uint32_t counter() const { return counter_; }

 private:
  crypto::PrivateKey inner_;  // the plain key of the same kind, which signs
  std::string application_;
  crypto::PublicKey public_key_;
  std::uint32_t counter_ = 0;
};

}  // namespace bastion::test
