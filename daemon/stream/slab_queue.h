#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "daemon/ring/ring.h"
#include "daemon/stream/stream.h"

namespace bastion::daemon {

/// SlabQueue is who waits for one of the ring's slabs where more sockets have bytes than there are
/// slabs. Whoever got none (Stream::Received::kStarved) is asked again when its turn comes, and as
/// many in a turn of the loop as slabs are free: asking all of them again would end in -ENOBUFS for
/// nearly all, in each turn. Light streams, which move little and hold a slab for as long as their
/// few bytes take, go before the others, but not always: of four turns one is for those. Whoever
/// was asked in its turn and found the slabs taken again keeps its place. One thread; the ring
/// outlives the queue.
class SlabQueue {
 public:
  /// So many light streams go before one of the others, while both wait.
  static constexpr std::uint32_t kLightInARow = 3;

  explicit SlabQueue(Ring& ring) : ring_(&ring) {}

  /// arm has the stream receive at most `bytes_max` bytes: now, or in its turn where it has no slab
  /// and others wait that go before it.
  void arm(Stream& stream, bool light, std::size_t bytes_max = SIZE_MAX);
  /// starved takes a stream whose receive found no slab.
  void starved(const Stream& stream, bool light);

  /// serve is for the end of each turn: `rearm` gets the tokens of those whose turn it is. It calls
  /// Stream::end_wait, arms what is to be received, and says whether a receive is under way.
  template <typename Rearm>
  void serve(Rearm rearm) {
    light_.lost = others_.lost = 0;
    // Those that come back at once must not be asked again in this turn.
    std::size_t left = light_.waiting.size() + others_.waiting.size();
    for (std::size_t free = ring_->buffers_free(); free > 0 && left > 0; --left) {
      const Token token = take();
      serving_ = token.pack();
      free -= rearm(token) ? 1 : 0;
    }
    serving_.reset();
  }

  /// due: somebody waits and a slab is free. The loop must come again without waiting for anything:
  /// those who were asked just now may have nothing to receive.
  bool due() const {
    return !(light_.waiting.empty() && others_.waiting.empty()) && ring_->buffers_free() > 0;
  }

 private:
  struct Line {
    std::deque<Token> waiting;
    std::size_t lost = 0;  // so many at its front had their turn and found the slabs taken
  };
  Token take();

  Ring* ring_;
  Line light_;
  Line others_;
  std::uint32_t light_in_a_row_ = 0;
  std::optional<std::uint64_t> serving_;  // whose turn it is: its token, packed
};

}  // namespace bastion::daemon
