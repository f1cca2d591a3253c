#pragma once

#include <compare>
#include <cstdint>

namespace bastion {

/// MonoTime is a moment on CLOCK_MONOTONIC in nanoseconds. proto/ gets it as an argument and never
/// asks a clock itself.
struct MonoTime {
  std::int64_t ns = 0;
  friend auto operator<=>(const MonoTime&, const MonoTime&) = default;
};

inline constexpr std::int64_t kNsPerMs = 1'000'000;
inline constexpr std::int64_t kNsPerSecond = 1'000'000'000;

constexpr MonoTime after(MonoTime t, std::int64_t ns) { return {t.ns + ns}; }

/// WallTime is seconds since the Unix epoch (certificates' validity, logs, policy hours).
using WallTime = std::int64_t;

/// mono_now and wall_now ask the system's clocks; only daemon/ and tests call them.
MonoTime mono_now();
WallTime wall_now();

}  // namespace bastion
