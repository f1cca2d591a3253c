#pragma once

#include "base/random.h"

namespace bastion::test {

/// TestRandom gives the same bytes in every run: SplitMix64 from a seed.
class TestRandom final : public RandomSource {
 public:
  explicit TestRandom(std::uint64_t seed = 1) : state_(seed) {}
  void fill(MutBytes out) override {
    for (std::uint8_t& byte : out) {
      byte = static_cast<std::uint8_t>(next());
    }
  }
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// below gives a number in [0, n).
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }

 private:
  std::uint64_t state_;
};

}  // namespace bastion::test
