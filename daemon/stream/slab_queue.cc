#include "daemon/stream/slab_queue.h"

namespace bastion::daemon {

void SlabQueue::arm(Stream& stream, bool light, std::size_t bytes_max) {
  // Where one of the others has lost its turn to those that did not wait, nobody does not.
  const bool first =
      light_.waiting.empty() && (light ? others_.lost == 0 : others_.waiting.empty());
  if (first || serving_ == stream.read_token().pack() || !stream.draws_slab()) {
    return stream.arm_receive(bytes_max);
  }
  stream.begin_wait();
  (light ? light_ : others_).waiting.push_back(stream.read_token());
}

void SlabQueue::starved(const Stream& stream, bool light) {
  Line& line = light ? light_ : others_;
  if (stream.had_turn()) {
    line.waiting.insert(line.waiting.begin() + static_cast<std::ptrdiff_t>(line.lost),
                        stream.read_token());
    ++line.lost;
  } else {
    line.waiting.push_back(stream.read_token());
  }
}

Token SlabQueue::take() {
  const bool light =
      others_.waiting.empty() || (!light_.waiting.empty() && light_in_a_row_ < kLightInARow);
  light_in_a_row_ = light ? light_in_a_row_ + 1 : 0;
  Line& line = light ? light_ : others_;
  const Token token = line.waiting.front();
  line.waiting.pop_front();
  return token;
}

}  // namespace bastion::daemon
