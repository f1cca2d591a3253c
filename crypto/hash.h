#pragma once

#include <array>
#include <memory>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace bastion::crypto {

enum class HashAlgorithm : std::uint8_t { kSha1, kSha256, kSha384, kSha512 };

inline constexpr std::size_t kHashBytesMax = 64;
std::size_t hash_len(HashAlgorithm algorithm);

/// Digest is a hash value of up to 64 bytes without an allocation.
struct Digest {
  std::array<std::uint8_t, kHashBytesMax> data{};
  std::size_t len = 0;
  ByteView view() const { return {data.data(), len}; }
};

/// Hash takes any number of pieces. kSha1 exists for hashed known_hosts names (and, where a target
/// is marked legacy, its old algorithms) only.
class Hash {
 public:
  explicit Hash(HashAlgorithm algorithm);
  ~Hash();
  Hash(Hash&&) noexcept;
  Hash& operator=(Hash&&) noexcept;
  void update(ByteView bytes);
  /// update_string hashes a 4-byte length and the bytes: an RFC 4251 "string".
  void update_string(ByteView bytes);
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest hash(HashAlgorithm algorithm, ByteView bytes);
Digest hmac(HashAlgorithm algorithm, ByteView key, ByteView bytes);

/// system_random is the operating system's generator by way of BoringSSL; thread-safe.
RandomSource& system_random();

/// base64 with padding (RFC 4648 4). decode refuses anything else but the alphabet and padding.
std::string base64_encode(ByteView bytes);
Result<Bytes> base64_decode(std::string_view text);

}  // namespace bastion::crypto
