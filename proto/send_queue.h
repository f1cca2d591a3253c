#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/pool.h"

namespace bastion::proto {

/// SendQueue is the bytes of one leg that are still to be written, in order, in chunks of a shared
/// pool. A byte stays where it is from commit until consume, so a write that is under way may point
/// at it while more is appended. An empty queue holds no chunk.
class SendQueue {
 public:
  explicit SendQueue(ChunkPool& pool) : pool_(&pool) {}
  ~SendQueue();
  SendQueue(const SendQueue&) = delete;
  SendQueue& operator=(const SendQueue&) = delete;

  /// reserve gives `n` contiguous writable bytes at the tail, valid until the next call of any
  /// other member but commit. More than a chunk's size gets a piece of its own from the heap.
  MutBytes reserve(std::size_t n);
  /// commit appends the first `n` of the reserved bytes.
  void commit(std::size_t n);

  /// gather fills `out` with views of the oldest bytes, in order, and says how many it used.
  std::size_t gather(std::span<ByteView> out) const;
  /// consume drops the oldest `n` bytes: they were written. Views of them end here.
  void consume(std::size_t n);
  /// front is the oldest contiguous run of bytes, writable; empty if there is none.
  MutBytes front();

  std::size_t bytes() const { return bytes_; }
  bool empty() const { return bytes_ == 0; }
  std::size_t num_chunks() const { return chunks_.size() - first_; }

 private:
  struct Chunk {
    std::uint8_t* data;
    std::uint32_t begin;
    std::uint32_t end;
    std::uint32_t size;
    bool pooled;
  };
  void release(const Chunk& chunk);

  ChunkPool* pool_;
  std::vector<Chunk> chunks_;  // those before first_ have been given back
  std::size_t first_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace bastion::proto
