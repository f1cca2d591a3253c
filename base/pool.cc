#include "base/pool.h"

namespace bastion {

ChunkPool::ChunkPool(std::size_t chunk_bytes, std::size_t kept_max)
    : chunk_bytes_(chunk_bytes), kept_max_(kept_max) {
  kept_.reserve(kept_max_);
}

ChunkPool::~ChunkPool() {
  for (std::uint8_t* chunk : kept_) {
    delete[] chunk;
  }
}

std::uint8_t* ChunkPool::take() {
  ++num_lent_;
  if (kept_.empty()) {
    return new std::uint8_t[chunk_bytes_];
  }
  std::uint8_t* chunk = kept_.back();
  kept_.pop_back();
  return chunk;
}

void ChunkPool::give_back(std::uint8_t* chunk) {
  --num_lent_;
  if (kept_.size() < kept_max_) {
    kept_.push_back(chunk);
  } else {
    delete[] chunk;
  }
}

}  // namespace bastion
