#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "daemon/ring/ring.h"
#include "daemon/stream/stream.h"

namespace bastion::daemon {

/// SlabQueue is who waits for one of the ring's slabs where more sockets have bytes than there are
/// slabs. Whoever got none (Stream::Received::kStarved) is asked again when its turn comes, and as
/// many in a turn of the loop as slabs are free: asking all of them again would end in -ENOBUFS for
/// nearly all, in each turn. One thread; the ring outlives the queue.
class SlabQueue {
 public:
  explicit SlabQueue(Ring& ring) : ring_(&ring) {}

  /// arm has the stream receive at most `bytes_max` bytes: now, or behind those that wait where it
  /// has no slab and is not `ahead` of them. `ahead`: it moves little, and a slab holds it up only
  /// for as long as its few bytes take.
  void arm(Stream& stream, bool ahead, std::size_t bytes_max = SIZE_MAX);
  /// starved takes the token of a receive for which there was no slab.
  void starved(Token read, bool ahead);

  /// serve is for the end of each turn: `rearm` gets the tokens of those whose turn it is. It calls
  /// Stream::end_wait, arms what is to be received, and says whether a receive is under way.
  template <typename Rearm>
  void serve(Rearm rearm) {
    serving_ = true;
    // Those that come back at once must not be asked again in this turn.
    std::size_t left = waiting_.size();
    for (std::size_t free = ring_->buffers_free(); free > 0 && left > 0; --left) {
      const Token token = waiting_.front();
      waiting_.pop_front();
      free -= rearm(token) ? 1 : 0;
    }
    serving_ = false;
  }

  /// due: somebody waits and a slab is free. The loop must come again without waiting for anything:
  /// those who were asked just now may have nothing to receive.
  bool due() const { return !waiting_.empty() && ring_->buffers_free() > 0; }

 private:
  Ring* ring_;
  std::deque<Token> waiting_;
  bool serving_ = false;
};

}  // namespace bastion::daemon
