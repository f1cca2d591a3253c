#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "base/clock.h"

namespace bastion::daemon::recorder {

/// ClockDoubt says whether the system's clock is to be believed when it makes recordings old: not
/// for a day after it was set ahead by more than an hour, or until it is back where it was before,
/// give or take an hour. Plain memory: it is in the recorders' table, so that a successor has the
/// same doubts. All zeros: nothing is known yet, and what the clock says first is believed.
struct ClockDoubt {
  static constexpr std::int64_t kJumpSeconds = 3600;
  static constexpr std::int64_t kDoubtNs = 24 * 3600 * kNsPerSecond;

  std::int64_t known = 0;
  std::int64_t ahead = 0;  // seconds of `boot` that the clock was ahead when last looked at …
  std::int64_t ahead_before = 0;  // … and when it was last believed
  std::int64_t until_ns = 0;      // of `boot`: the end of the doubt

  /// look takes what the clock says at `boot` (boot_now). It gives by how many seconds the clock
  /// was set ahead since the last look, where that is too much.
  std::optional<std::int64_t> look(WallTime wall, MonoTime boot) {
    const std::int64_t now_ahead = wall - boot.ns / kNsPerSecond;
    std::optional<std::int64_t> jump;
    if (known == 0) {
      ahead_before = now_ahead;
    } else if (now_ahead > ahead + kJumpSeconds) {
      if (believed(boot)) {
        ahead_before = ahead;
      }
      until_ns = boot.ns + kDoubtNs;
      jump = now_ahead - ahead;
    } else if (!believed(boot) && now_ahead <= ahead_before + kJumpSeconds) {
      until_ns = 0;  // it was set right
    }
    // Whoever dies here sees the same once more.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    ahead = now_ahead;
    known = 1;
    return jump;
  }
  bool believed(MonoTime boot) const { return boot.ns >= until_ns; }
};
static_assert(std::is_trivially_copyable_v<ClockDoubt>);

}  // namespace bastion::daemon::recorder
