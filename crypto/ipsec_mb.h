#pragma once

#include <array>
#include <memory>

#include "base/bytes.h"

namespace bastion::crypto {

/// IpsecMb is libipsec-mb's part of the packet ciphers: AES-GCM at five times the rate of Debian's
/// BoringSSL and ChaCha20 and Poly1305 at three times, on processors with VAES. BoringSSL stays the
/// reference that its results are tested against. One object serves one thread; it takes 0.9 ms and
/// 230 KB to make, so a process that will enter a sandbox calls of_this_thread() before.
class IpsecMb {
 public:
  /// An expanded AES-GCM key; the library's struct gcm_key_data lies in it.
  struct alignas(64) GcmKey {
    std::array<std::uint8_t, 1280> bytes;
  };

  /// of_this_thread returns nullptr where the library was not built in, the processor lacks VAES,
  /// or the library's own self-test failed. The object lives as long as the thread.
  static IpsecMb* of_this_thread();

  /// The library has code of its own for each of these, some of it in two forms: with the newer
  /// instructions that such processors may have besides (GFNI, SHA-NI), and without.
  enum class Variant : std::uint8_t { kSse, kAvx2, kAvx512 };
  /// make gives an object that runs that variant, VAES or not, for tests; nullptr where there is no
  /// library, the processor lacks the variant, or the self-test failed.
  static std::unique_ptr<IpsecMb> make(Variant variant, bool without_extras);

  /// `key` has 16 or 32 bytes, and all later calls with its GcmKey are told which.
  void gcm_expand(ByteView key, GcmKey& out);
  /// `text` and `out_text` are the same or do not overlap; nonces have 12 bytes, tags 16. gcm_open
  /// decrypts and gives the tag that would be right: the caller compares.
  void gcm_seal(const GcmKey& key, std::size_t key_len, ByteView nonce, ByteView aad, ByteView text,
                std::uint8_t* out_text, std::uint8_t* out_tag);
  void gcm_open(const GcmKey& key, std::size_t key_len, ByteView nonce, ByteView aad, ByteView text,
                std::uint8_t* out_text, std::uint8_t* out_tag);

  /// chacha20 is RFC 8439's with 32 bytes of key and 12 of nonce, from block 1 on. False where the
  /// library refused: nothing was written, and BoringSSL can do it instead.
  [[nodiscard]] bool chacha20(const std::uint8_t* key, const std::uint8_t* nonce, ByteView in,
                              std::uint8_t* out);
  [[nodiscard]] bool poly1305(const std::uint8_t* key, ByteView bytes, std::uint8_t* out_tag);

 private:
  using Manager = std::unique_ptr<void, void (*)(void*)>;
  explicit IpsecMb(Manager manager) : manager_(std::move(manager)) {}
  static Manager make_manager(std::uint64_t flags, void (*init)(void*), std::uint64_t needed);

  Manager manager_;
};

}  // namespace bastion::crypto
