#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

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

/// Hash takes any number of pieces, without allocating. A copy goes on from the same point. Its
/// state is wiped at the end of its life. kSha1 exists for hashed known_hosts names (and, where a
/// target is marked legacy, its old algorithms) only.
class Hash {
 public:
  explicit Hash(HashAlgorithm algorithm);
  ~Hash() { wipe(state_); }
  Hash(const Hash&) = default;
  Hash& operator=(const Hash&) = default;

  HashAlgorithm algorithm() const { return algorithm_; }
  void update(ByteView bytes);
  /// update_string hashes a 4-byte length and the bytes: an RFC 4251 "string".
  void update_string(ByteView bytes);
  /// finish gives the digest and makes the object as new: it can hash something else.
  Digest finish();

 private:
  // Room for BoringSSL's largest context, SHA512_CTX; hash.cc asserts that it fits.
  static constexpr std::size_t kStateBytes = 232;
  alignas(8) std::array<std::uint8_t, kStateBytes> state_;
  HashAlgorithm algorithm_;
};

Digest hash(HashAlgorithm algorithm, ByteView bytes);

/// Hmac is RFC 2104 under one key, whose two padded blocks are hashed only once: start() and
/// finish() cost two block operations less than hmac() and never allocate.
class Hmac {
 public:
  Hmac(HashAlgorithm algorithm, ByteView key);
  /// start gives a hash to feed the message to; finish turns it into the MAC.
  Hash start() const { return inner_; }
  Digest finish(Hash& message) const;

 private:
  Hash inner_;
  Hash outer_;
};

Digest hmac(HashAlgorithm algorithm, ByteView key, ByteView bytes);

/// system_random is the operating system's generator by way of BoringSSL; thread-safe.
RandomSource& system_random();

/// base64 with padding (RFC 4648 4). decode refuses whatever encode would not have written: other
/// characters, white space, missing padding, bits left over that are not zero. Errors: kMalformed.
std::string base64_encode(ByteView bytes);
Result<Bytes> base64_decode(std::string_view text);

}  // namespace bastion::crypto
