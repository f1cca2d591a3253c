#pragma once

#include <ctime>

#include "base/clock.h"

namespace bastion {

/// boot_now is the time on CLOCK_BOOTTIME, which goes on while the machine is suspended and which
/// nobody sets. It is held against itself alone, never against mono_now(). Only daemon/ and tests
/// call it.
inline MonoTime boot_now() {
  timespec t{};
  clock_gettime(CLOCK_BOOTTIME, &t);
  return {t.tv_sec * kNsPerSecond + t.tv_nsec};
}

}  // namespace bastion
