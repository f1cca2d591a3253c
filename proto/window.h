#pragma once

#include <algorithm>
#include <cstdint>

#include "base/limits.h"

namespace bastion::proto {

/// WindowLedger is the account of one channel in one direction (RFC 4254 5.2): what the receiver
/// lets us send, and what of it we have passed on to the sender. Always
///     granted <= credit   and   granted <= limits::kWindowBytesMax,
/// so every byte that the sender may still send has its place in the receiver's window, and what we
/// can be made to hold is bounded whatever the receiver offers. The difference is ours: for the
/// lines that we inject. Figures are bytes.
class WindowLedger {
 public:
  /// kReserveBytes are kept back for our own lines to the user where the window is large enough.
  static constexpr std::uint32_t kReserveBytes = 1024;
  static constexpr std::uint32_t kReserveWindowMin = 16 * 1024;
  /// A grant that no adjustment of the receiver caused is at least this, or doubles what is left,
  /// so that they are few.
  static constexpr std::uint32_t kGrantStep = 256 * 1024;
  /// One packet and what surrounds it.
  static constexpr std::uint32_t kAnswerStep = 64 * 1024;

  /// open starts the account with the receiver's first window; returns the sender's.
  std::uint32_t open(std::uint32_t window, bool with_reserve) {
    credit_ = window;
    granted_ = 0;
    reserve_ = with_reserve && window >= kReserveWindowMin ? kReserveBytes : 0;
    step_max_ = UINT32_MAX;
    const std::uint32_t first = grantable();
    granted_ = first;
    return first;
  }

  /// open_for_answers is open() where we answer in the sender's place (proto/sftp_stream.h), and
  /// the sender may have nothing to say meanwhile. Receivers adjust after having consumed half of
  /// their window at the latest: that half, and a little, is kept for us, and where nothing else is
  /// left the sender gets it in small steps.
  std::uint32_t open_for_answers(std::uint32_t window) {
    credit_ = window;
    granted_ = 0;
    reserve_ = std::min(window, window / 2 + kReserveBytes);
    step_max_ = kAnswerStep;
    const std::uint32_t first = grantable();
    granted_ = first;
    return first;
  }

  /// adjust adds what the receiver grants; false (and no change) where its window would pass
  /// 2^32 - 1, which RFC 4254 5.2 forbids.
  [[nodiscard]] bool adjust(std::uint32_t n) {
    if (n > UINT32_MAX - credit_ - kept_) {
      return false;
    }
    credit_ += n;
    return true;
  }

  /// relay takes n bytes of the sender that go on to the receiver; false (and no change) where the
  /// sender had no right to them.
  [[nodiscard]] bool relay(std::uint32_t n) {
    if (n > granted_) {
      return false;
    }
    granted_ -= n;
    credit_ -= n;
    return true;
  }

  /// swallow takes n bytes that do not go on: they leave room to grant anew.
  [[nodiscard]] bool swallow(std::uint32_t n) {
    if (n > granted_) {
      return false;
    }
    granted_ -= n;
    return true;
  }

  /// settle_kept: of what was relayed, `kept` bytes in all have not gone on yet, and `dropped` more
  /// never will: the receiver's room for those is there again.
  void settle_kept(std::uint32_t kept, std::uint32_t dropped) {
    kept_ = kept;
    credit_ += dropped;
  }

  /// injectable is how much of our own the receiver takes now; inject spends it.
  std::uint32_t injectable() const { return credit_ - granted_; }
  [[nodiscard]] bool inject(std::uint32_t n) {
    if (n > injectable()) {
      return false;
    }
    credit_ -= n;
    return true;
  }

  /// grantable is what could be granted to the sender now. The reserve is given up where nothing
  /// else is left: a receiver that adjusts only at zero must not be waited for.
  std::uint32_t grantable() const {
    std::uint32_t target = credit_ > reserve_ ? credit_ - reserve_ : 0;
    if (target == 0 && granted_ == 0) {
      target = std::min(credit_, step_max_);
    }
    target = std::min(target, limits::kWindowBytesMax);
    return target > granted_ ? target - granted_ : 0;
  }
  /// worth_granting says whether `n` is enough for a grant of our own accord.
  bool worth_granting(std::uint32_t n) const { return n > 0 && (n >= kGrantStep || n >= granted_); }
  /// grant books a grant of n <= grantable() bytes.
  void grant(std::uint32_t n) { granted_ += n; }

  /// end_sender takes back what the sender was granted: its data is dropped from now on.
  void end_sender() { granted_ = 0; }

  std::uint32_t credit() const { return credit_; }
  std::uint32_t granted() const { return granted_; }

 private:
  std::uint32_t credit_ = 0;
  std::uint32_t granted_ = 0;
  std::uint32_t reserve_ = 0;
  std::uint32_t step_max_ = UINT32_MAX;
  std::uint32_t kept_ = 0;  // relayed, and still with us
};

}  // namespace bastion::proto
