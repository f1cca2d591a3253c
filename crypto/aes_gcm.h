#pragma once

#include "crypto/secret_array.h"

namespace bastion::crypto {

/// AesGcm is AES-GCM (NIST SP 800-38D) under one key of 16 or 32 bytes, with nonces of 12 bytes and
/// tags of 16. The object is little more than the key: what the key expands to (0.6 KiB with
/// BoringSSL, 1.3 KiB with libipsec-mb) takes 0.1 µs to make and is kept by the thread for the keys
/// that it used last, so that an idle session costs none of it.
class AesGcm {
 public:
  static constexpr std::size_t kNonceLen = 12;
  static constexpr std::size_t kTagLen = 16;

  /// kFastest is libipsec-mb where the thread has it; kBoringSsl is always there.
  enum class Backend : std::uint8_t { kFastest, kBoringSsl };

  explicit AesGcm(ByteView key, Backend backend = Backend::kFastest);
  ~AesGcm();
  AesGcm(const AesGcm&) = delete;
  AesGcm& operator=(const AesGcm&) = delete;

  /// seal writes text.size() bytes of ciphertext and kTagLen of tag; in place means that out_text
  /// is text.data(), else nothing overlaps. open does the reverse in place: false means that
  /// nothing authenticated, and `text` is then zeros.
  void seal(ByteView nonce, ByteView aad, ByteView text, std::uint8_t* out_text,
            std::uint8_t* out_tag) const;
  [[nodiscard]] bool open(ByteView nonce, ByteView aad, MutBytes text, ByteView tag) const;

  ByteView key() const { return key_.view(); }

 private:
  std::uint64_t id_;  // of this object among all of the process, never used twice
  SecretArray<32> key_;
  Backend backend_;
};

}  // namespace bastion::crypto
