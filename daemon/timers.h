#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "daemon/ring/token.h"

namespace bastion::daemon {

/// Timers holds deadlines, each with the token that it wakes. Setting, moving and cancelling cost
/// O(log n), the next deadline O(1); tens of thousands are fine. It asks no clock: give
/// `next_deadline()` to Ring::wait and then take what has expired.
class Timers {
 public:
  /// Handle names one set timer; it goes stale by itself when that fires or is cancelled.
  struct Handle {
    std::uint32_t slot = 0xffff'ffff;
    std::uint32_t generation = 0;
  };

  Handle set(MonoTime deadline, Token token);
  /// move changes the deadline; false where the handle is stale.
  bool move(Handle handle, MonoTime deadline);
  /// cancel of a stale or default handle does nothing.
  void cancel(Handle handle);
  bool active(Handle handle) const;

  /// next_deadline is kNever (ring.h) where nothing is set.
  MonoTime next_deadline() const;
  /// pop_expired takes the earliest timer whose deadline is not after `now`; call until empty.
  std::optional<Token> pop_expired(MonoTime now);
  std::size_t size() const { return heap_.size(); }

 private:
  struct Slot {
    MonoTime deadline;
    Token token;
    std::uint32_t generation = 0;
    std::uint32_t position = 0;  // in the heap; kFree where not set
  };
  static constexpr std::uint32_t kFree = 0xffff'ffff;

  bool earlier(std::uint32_t a, std::uint32_t b) const;
  void place(std::uint32_t position, std::uint32_t slot);
  void sift_up(std::uint32_t position);
  void sift_down(std::uint32_t position);
  void remove_at(std::uint32_t position);

  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> heap_;  // slots, earliest deadline at the top
};

}  // namespace bastion::daemon
