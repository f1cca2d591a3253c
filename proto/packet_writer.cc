#include "proto/packet_writer.h"

#include <array>
#include <cstring>

#include "base/limits.h"

namespace bastion::proto {
namespace {

constexpr std::size_t kPaddingMin = 4;
constexpr std::size_t kBlockMax = 16;
static_assert(limits::kPayloadTailroom >= kPaddingMin + kBlockMax - 1);

std::uint64_t random_u64(RandomSource& random) {
  std::array<std::uint8_t, 8> seed;
  random.fill(seed);
  return load_u64(seed.data());
}

/// One step of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
std::uint64_t next_padding(std::uint64_t& state) {
  std::uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

PacketWriter::PacketWriter(ChunkPool& pool, RandomSource& random)
    : queue_(pool), sealer_(crypto::make_null_sealer()), padding_state_(random_u64(random)) {}

std::size_t PacketWriter::padding_len(std::size_t payload_len) const {
  const std::size_t block = sealer_->block_len();
  const std::size_t aligned = limits::kPayloadHeadroom - sealer_->aad_len() + payload_len;
  const std::size_t padding = block - aligned % block;
  return padding < kPaddingMin ? padding + block : padding;
}

std::size_t PacketWriter::frame(std::uint8_t* clear, std::size_t payload_len) {
  const std::size_t padding = padding_len(payload_len);
  store_u32(clear, static_cast<std::uint32_t>(1 + payload_len + padding));
  clear[4] = static_cast<std::uint8_t>(padding);
  std::uint8_t* out = clear + limits::kPayloadHeadroom + payload_len;
  std::array<std::uint8_t, 24> bytes;
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    store_u64(bytes.data() + i, next_padding(padding_state_));
  }
  std::memcpy(out, bytes.data(), padding);
  return limits::kPayloadHeadroom + payload_len + padding;
}

void PacketWriter::write(ByteView payload) {
  const std::size_t clear_max =
      limits::kPayloadHeadroom + payload.size() + limits::kPayloadTailroom;
  const MutBytes room = queue_.reserve(clear_max + sealer_->tag_len());
  std::memcpy(room.data() + limits::kPayloadHeadroom, payload.data(), payload.size());
  const std::size_t clear_len = frame(room.data(), payload.size());
  const std::size_t wire_len = clear_len + sealer_->tag_len();
  sealer_->seal(seq_, room.first(clear_len), room.first(wire_len));
  count(wire_len);
}

void PacketWriter::write_in_place(Payload payload) {
  std::uint8_t* clear = payload.data - limits::kPayloadHeadroom;
  const std::size_t clear_len = frame(clear, payload.len);
  const std::size_t wire_len = clear_len + sealer_->tag_len();
  sealer_->seal(seq_, {clear, clear_len}, queue_.reserve(wire_len));
  count(wire_len);
}

void PacketWriter::count(std::size_t wire_bytes) {
  queue_.commit(wire_bytes);
  ++seq_;
  ++key_packets_;
  key_bytes_ += wire_bytes;
}

void PacketWriter::write_raw(ByteView bytes) {
  while (!bytes.empty()) {
    const ByteView part = bytes.first(std::min(bytes.size(), ChunkPool::kDefaultChunkBytes));
    std::memcpy(queue_.reserve(part.size()).data(), part.data(), part.size());
    queue_.commit(part.size());
    bytes = bytes.subspan(part.size());
  }
}

void PacketWriter::set_sealer(std::unique_ptr<crypto::PacketSealer> sealer, bool reset_seq,
                              RandomSource& random) {
  sealer_ = std::move(sealer);
  padding_state_ = random_u64(random);
  key_bytes_ = 0;
  key_packets_ = 0;
  if (reset_seq) {
    seq_ = 0;
  }
}

void PacketWriter::restore(std::uint32_t seq, std::uint64_t key_bytes, std::uint64_t key_packets) {
  seq_ = seq;
  key_bytes_ = key_bytes;
  key_packets_ = key_packets;
}

}  // namespace bastion::proto
