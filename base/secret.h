#pragma once

#include <array>
#include <cstring>
#include <memory>

#include "base/bytes.h"

namespace bastion {

/// wipe overwrites memory in a way that no optimiser removes.
inline void wipe(MutBytes bytes) {
  if (!bytes.empty()) {
    explicit_bzero(bytes.data(), bytes.size());
  }
}

/// equal_secret compares in a time that depends on the lengths only.
[[nodiscard]] inline bool equal_secret(ByteView a, ByteView b) {
  if (a.size() != b.size()) {
    return false;
  }
  std::uint8_t difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<std::uint8_t>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

/// WipingAllocator zeroes what it gives back, so that a vector of secrets leaves no copies behind
/// when it grows or dies.
template <typename T>
struct WipingAllocator {
  using value_type = T;
  WipingAllocator() = default;
  template <typename U>
  explicit WipingAllocator(const WipingAllocator<U>& /*other*/) {}
  T* allocate(std::size_t n) { return std::allocator<T>{}.allocate(n); }
  void deallocate(T* p, std::size_t n) {
    explicit_bzero(static_cast<void*>(p), n * sizeof(T));
    std::allocator<T>{}.deallocate(p, n);
  }
  friend bool operator==(const WipingAllocator&, const WipingAllocator&) { return true; }
};

/// SecretBytes is a Bytes whose memory is wiped when freed: keys, shared secrets, private keys.
using SecretBytes = std::vector<std::uint8_t, WipingAllocator<std::uint8_t>>;

inline SecretBytes to_secret(ByteView view) { return {view.begin(), view.end()}; }

}  // namespace bastion
