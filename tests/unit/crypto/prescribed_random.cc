#include "tests/unit/crypto/prescribed_random.h"

#include <utility>

#include "crypto/hash.h"

namespace {
bastion::test::PrescribedRandom* prescribed = nullptr;
}

// A program's own definition goes before the library's.
extern "C" void randombytes_internal_void_voidstar_longlong(void* out, long long len) {
  const bastion::MutBytes bytes(static_cast<std::uint8_t*>(out), static_cast<std::size_t>(len));
  if (prescribed == nullptr) {
    bastion::crypto::system_random().fill(bytes);
  } else {
    prescribed->fill(bytes);
  }
}

namespace bastion::test {

PrescribedRandom::PrescribedRandom(std::string seed) : seed_(std::move(seed)) { prescribed = this; }
PrescribedRandom::~PrescribedRandom() { prescribed = nullptr; }

void PrescribedRandom::fill(MutBytes out) {
  for (std::uint8_t& byte : out) {
    if (rest_.empty()) {
      crypto::Hash h(crypto::HashAlgorithm::kSha512);
      h.update(as_bytes(seed_));
      const std::uint32_t n = next_block_++;
      const std::uint8_t number[] = {
          static_cast<std::uint8_t>(n), static_cast<std::uint8_t>(n >> 8),
          static_cast<std::uint8_t>(n >> 16), static_cast<std::uint8_t>(n >> 24)};
      h.update(number);
      rest_ = to_bytes(h.finish().view());
    }
    byte = rest_.front();
    rest_.erase(rest_.begin());
    ++drawn_;
  }
}

}  // namespace bastion::test
