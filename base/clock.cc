#include "base/clock.h"

#include <ctime>

namespace bastion {

MonoTime mono_now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return {t.tv_sec * kNsPerSecond + t.tv_nsec};
}

WallTime wall_now() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec;
}

}  // namespace bastion
