#pragma once

#include "base/bytes.h"

namespace bastion {

/// RandomSource is where proto/ takes its randomness from, so that conversations can be replayed in
/// tests. The real one is crypto::system_random(). fill never fails and never blocks after boot.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void fill(MutBytes out) = 0;
};

}  // namespace bastion
