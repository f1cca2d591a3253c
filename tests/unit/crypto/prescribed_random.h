#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace bastion::test {

/// PrescribedRandom is what librandombytes gives, on which libntruprime and lib25519 draw, while it
/// lives: SHA-512 of `seed` and a little-endian counter of blocks, as tests/vectors/sntrup761.txt
/// has it. One at a time; with none it gives the system's bytes.
class PrescribedRandom {
 public:
  explicit PrescribedRandom(std::string seed);
  ~PrescribedRandom();
  PrescribedRandom(const PrescribedRandom&) = delete;
  PrescribedRandom& operator=(const PrescribedRandom&) = delete;

  void fill(MutBytes out);
  std::size_t drawn() const { return drawn_; }

 private:
  std::string seed_;
  Bytes rest_;
  std::uint32_t next_block_ = 0;
  std::size_t drawn_ = 0;
};

}  // namespace bastion::test
