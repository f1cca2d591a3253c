#pragma once

#include <stdexcept>

#include "base/bytes.h"
#include "base/random.h"

namespace bastion::test {

/// SeededRandom gives the same bytes for the same seed (splitmix64): not random, but different
/// enough for every value that a test needs.
class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(std::uint64_t seed = 1) : state_(seed) {}
  void fill(MutBytes out) override {
    for (std::uint8_t& byte : out) {
      byte = static_cast<std::uint8_t>(next() >> 56);
    }
  }
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  Bytes bytes(std::size_t n) {
    Bytes out(n);
    fill(out);
    return out;
  }

 private:
  std::uint64_t state_;
};

/// ScriptedRandom gives exactly the bytes that a vector prescribes, and throws when asked for more.
class ScriptedRandom final : public RandomSource {
 public:
  explicit ScriptedRandom(Bytes script) : script_(std::move(script)) {}
  void fill(MutBytes out) override {
    if (out.size() > script_.size() - used_) {
      throw std::out_of_range("ScriptedRandom: asked for more than the script has");
    }
    std::copy_n(script_.begin() + static_cast<long>(used_), out.size(), out.begin());
    used_ += out.size();
  }
  bool used_up() const { return used_ == script_.size(); }

 private:
  Bytes script_;
  std::size_t used_ = 0;
};

}  // namespace bastion::test
