#include "proto/send_queue.h"

#include <cassert>

namespace bastion::proto {

SendQueue::~SendQueue() {
  for (std::size_t i = first_; i < chunks_.size(); ++i) {
    release(chunks_[i]);
  }
}

void SendQueue::release(const Chunk& chunk) {
  if (chunk.pooled) {
    pool_->give_back(chunk.data);
  } else {
    delete[] chunk.data;
  }
}

MutBytes SendQueue::reserve(std::size_t n) {
  if (first_ == chunks_.size() || chunks_.back().size - chunks_.back().end < n) {
    const std::size_t size = std::max(n, pool_->chunk_bytes());
    const bool pooled = size == pool_->chunk_bytes();
    std::uint8_t* data = pooled ? pool_->take() : new std::uint8_t[size];
    chunks_.push_back({data, 0, 0, static_cast<std::uint32_t>(size), pooled});
  }
  Chunk& tail = chunks_.back();
  return {tail.data + tail.end, n};
}

void SendQueue::commit(std::size_t n) {
  assert(first_ < chunks_.size() && chunks_.back().size - chunks_.back().end >= n);
  chunks_.back().end += static_cast<std::uint32_t>(n);
  bytes_ += n;
}

std::size_t SendQueue::gather(std::span<ByteView> out) const {
  std::size_t used = 0;
  for (std::size_t i = first_; i < chunks_.size() && used < out.size(); ++i) {
    const Chunk& chunk = chunks_[i];
    if (chunk.begin != chunk.end) {
      out[used++] = {chunk.data + chunk.begin, chunk.end - chunk.begin};
    }
  }
  return used;
}

void SendQueue::consume(std::size_t n) {
  assert(n <= bytes_);
  bytes_ -= n;
  while (first_ < chunks_.size()) {
    Chunk& chunk = chunks_[first_];
    const std::size_t taken = std::min<std::size_t>(n, chunk.end - chunk.begin);
    chunk.begin += static_cast<std::uint32_t>(taken);
    n -= taken;
    if (chunk.begin != chunk.end) {
      break;
    }
    release(chunk);
    ++first_;
  }
  if (first_ == chunks_.size()) {
    chunks_.clear();
    first_ = 0;
  } else if (first_ >= 16) {
    // Descriptions of what has been given back must not pile up behind a queue that never empties.
    chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

MutBytes SendQueue::front() {
  for (std::size_t i = first_; i < chunks_.size(); ++i) {
    Chunk& chunk = chunks_[i];
    if (chunk.begin != chunk.end) {
      return {chunk.data + chunk.begin, chunk.end - chunk.begin};
    }
  }
  return {};
}

}  // namespace bastion::proto
