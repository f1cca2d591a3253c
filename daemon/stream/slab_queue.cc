#include "daemon/stream/slab_queue.h"

namespace bastion::daemon {

void SlabQueue::arm(Stream& stream, bool ahead, std::size_t bytes_max) {
  if (serving_ || ahead || waiting_.empty() || !stream.draws_slab()) {
    return stream.arm_receive(bytes_max);
  }
  stream.begin_wait();
  waiting_.push_back(stream.read_token());
}

void SlabQueue::starved(Token read, bool ahead) {
  if (ahead) {
    waiting_.push_front(read);
  } else {
    waiting_.push_back(read);
  }
}

}  // namespace bastion::daemon
