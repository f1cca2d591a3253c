#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bastion {

/// ChunkPool lends equal pieces of memory to send queues and keeps what comes back for the next
/// borrower, last in first out, so that the memory in use is the memory in the cache. One thread.
/// It outlives everything that borrows from it.
class ChunkPool {
 public:
  /// kDefaultChunkBytes holds seven full packets of bulk data: large writes pay (a call costs more
  /// than what it copies), and beyond a quarter of a MiB the gain is lost in the noise.
  static constexpr std::size_t kDefaultChunkBytes = 256 * 1024;

  /// At most `kept_max` chunks that nobody uses are kept; more go back to the system.
  explicit ChunkPool(std::size_t chunk_bytes = kDefaultChunkBytes, std::size_t kept_max = 16);
  ~ChunkPool();
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;

  /// take lends a chunk of chunk_bytes(); give_back returns it. Contents are undefined.
  std::uint8_t* take();
  void give_back(std::uint8_t* chunk);

  std::size_t chunk_bytes() const { return chunk_bytes_; }
  std::size_t num_lent() const { return num_lent_; }
  std::size_t num_kept() const { return kept_.size(); }

 private:
  std::size_t chunk_bytes_;
  std::size_t kept_max_;
  std::size_t num_lent_ = 0;
  std::vector<std::uint8_t*> kept_;
};

}  // namespace bastion
