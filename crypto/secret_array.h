#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/bytes.h"
#include "base/secret.h"

namespace bastion::crypto {

/// must ends the process where only our own mistake can have led: a shape that the caller has to
/// ensure, a library function refusing arguments that are right by construction.
inline void must(bool holds) {
  if (!holds) {
    std::abort();
  }
}

/// SecretArray holds a secret of a known most length inside an object, and wipes it at the end.
template <std::size_t kBytesMax>
class SecretArray {
 public:
  /// Without an argument: kBytesMax zeros, to be filled through bytes().
  SecretArray() : len_(kBytesMax) {}
  explicit SecretArray(ByteView bytes) : len_(bytes.size()) {
    must(len_ <= kBytesMax);
    std::copy(bytes.begin(), bytes.end(), data_.begin());
  }
  ~SecretArray() { wipe(data_); }
  SecretArray(const SecretArray&) = delete;
  SecretArray& operator=(const SecretArray&) = delete;

  ByteView view() const { return {data_.data(), len_}; }
  MutBytes bytes() { return {data_.data(), len_}; }

 private:
  std::array<std::uint8_t, kBytesMax> data_{};
  std::size_t len_;
};

}  // namespace bastion::crypto
