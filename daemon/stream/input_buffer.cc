#include "daemon/stream/input_buffer.h"

#include <algorithm>
#include <cstring>

#include "base/limits.h"

namespace bastion::daemon {

bool InputBuffer::may_keep_slab() const {
  return ring_->buffers_free() * kFreeShareToKeep >= ring_->buffers();
}

std::size_t InputBuffer::room_for_more(std::size_t room) const {
  constexpr std::size_t kLastStretch = limits::kPacketBytesMax;
  const std::size_t before = room > kLastStretch ? room - kLastStretch : 0;
  const std::size_t n = std::max(before, std::min(lacking_, room));
  return n > 0 ? n : room;
}

void InputBuffer::receive(int fd, Token token, std::size_t bytes_max) {
  const bool packets = bytes_max == SIZE_MAX;  // else the owner knows of none
  if (slab_ != kNoSlab) {
    const MutBytes room = ring_->buffer(static_cast<std::uint16_t>(slab_)).subspan(slab_end_);
    receiving_here_ = true;
    ring_->recv_into(
        fd, room.first(packets ? room_for_more(room.size()) : std::min(room.size(), bytes_max)),
        token);
  } else {
    const std::size_t slab_bytes = ring_->buffer(0).size();
    bytes_max = packets ? room_for_more(slab_bytes) : std::min<std::size_t>(bytes_max, INT32_MAX);
    ring_->recv(fd, token, static_cast<std::uint32_t>(bytes_max));
  }
}

void InputBuffer::received(const Completion& completion) {
  const auto n = static_cast<std::size_t>(completion.result);
  if (!completion.has_buffer) {
    receiving_here_ = false;
    slab_end_ += n;
    return;
  }
  slab_ = completion.buffer;
  slab_begin_ = 0;
  slab_end_ = n;
}

void InputBuffer::dropped(const Completion& completion) {
  receiving_here_ = false;
  if (completion.has_buffer) {
    ring_->recycle(completion.buffer);
  }
}

MutBytes InputBuffer::front() {
  if (own_begin_ < own_end_) {
    return MutBytes(own_).subspan(own_begin_, own_end_ - own_begin_);
  }
  if (slab_ == kNoSlab) {
    return {};
  }
  return ring_->buffer(static_cast<std::uint16_t>(slab_))
      .subspan(slab_begin_, slab_end_ - slab_begin_);
}

void InputBuffer::consume(std::size_t n) {
  // The memory stays until the next call: what was taken may still be looked at.
  (own_begin_ < own_end_ ? own_begin_ : slab_begin_) += n;
}

void InputBuffer::add_to_own(ByteView bytes) {
  if (own_begin_ == own_end_) {
    own_begin_ = own_end_ = Ring::kBufferMargin;
  }
  const std::size_t held = own_end_ - own_begin_;
  if (own_begin_ - Ring::kBufferMargin > held) {  // more is taken than left: make the room usable
    std::memmove(own_.data() + Ring::kBufferMargin, own_.data() + own_begin_, held);
    own_begin_ = Ring::kBufferMargin;
    own_end_ = own_begin_ + held;
    copied_ += held;
  }
  own_.resize(std::max(own_.size(), own_end_ + bytes.size() + Ring::kBufferMargin));
  std::copy(bytes.begin(), bytes.end(), own_.begin() + static_cast<std::ptrdiff_t>(own_end_));
  own_end_ += bytes.size();
  copied_ += bytes.size();
}

void InputBuffer::move_to_own(std::size_t n) {
  add_to_own(ring_->buffer(static_cast<std::uint16_t>(slab_)).subspan(slab_begin_, n));
  slab_begin_ += n;
}

bool InputBuffer::incomplete(std::size_t need) {
  lacking_ = 0;
  const std::size_t in_slab = slab_end_ - slab_begin_;
  const std::size_t in_own = own_end_ - own_begin_;
  if (in_own > 0) {
    const std::size_t lacking = need > in_own ? need - in_own : 1;
    if (in_slab > 0) {
      move_to_own(std::min(lacking, in_slab));
      settle();
      return true;
    }
    return false;
  }
  if (in_slab == 0) {
    settle();
    return false;
  }
  if (receiving_here_) {
    return false;
  }
  const MutBytes slab = ring_->buffer(static_cast<std::uint16_t>(slab_));
  if (may_keep_slab() && need <= slab.size()) {
    lacking_ = need > in_slab ? need - in_slab : 1;
    if (slab.size() - slab_end_ < lacking_) {
      std::memmove(slab.data(), slab.data() + slab_begin_, in_slab);
      copied_ += in_slab;
      slab_begin_ = 0;
      slab_end_ = in_slab;
    }
    return false;
  }
  own_.reserve(std::max(need, in_slab) + 2 * Ring::kBufferMargin);
  move_to_own(in_slab);
  release_slab();
  return false;
}

void InputBuffer::park() {
  if (slab_ == kNoSlab) {
    return;
  }
  move_to_own(slab_end_ - slab_begin_);
  release_slab();
}

void InputBuffer::settle() {
  if (slab_begin_ == slab_end_) {
    release_slab();
  }
  if (own_begin_ == own_end_ && own_.capacity() != 0) {
    Bytes().swap(own_);
    own_begin_ = own_end_ = 0;
  }
}

void InputBuffer::append(ByteView bytes) {
  park();
  add_to_own(bytes);
}

void InputBuffer::release_slab() {
  if (receiving_here_) {
    return;
  }
  if (slab_ != kNoSlab) {
    ring_->recycle(static_cast<std::uint16_t>(slab_));
    slab_ = kNoSlab;
  }
  slab_begin_ = slab_end_ = 0;
}

}  // namespace bastion::daemon
