#pragma once

#include <memory>

#include "base/random.h"
#include "crypto/packet_cipher.h"
#include "proto/payload.h"
#include "proto/send_queue.h"

namespace bastion::proto {

/// PacketWriter is the outbound half of the binary packet protocol (RFC 4253 6): it seals into a
/// send queue.
///
/// Padding is the least that the block asks for. RFC 4253 6 says that it SHOULD be random; under
/// every cipher that we have it is encrypted with a nonce of its own and its content is worth
/// nothing to anybody, so it comes from a small generator (SplitMix64) that the random source seeds
/// for each set of keys: the RFC is kept at the price of a few instructions.
class PacketWriter {
 public:
  PacketWriter(ChunkPool& pool, RandomSource& random);

  /// write copies the payload into the queue and seals it there.
  void write(ByteView payload);
  /// write_in_place completes the packet around the payload, in its headroom and tailroom, and
  /// seals it into the queue: the cipher's pass is the only one over the bytes.
  void write_in_place(Payload payload);
  /// write_raw queues bytes as they are: the identification string, and what was sealed elsewhere.
  void write_raw(ByteView bytes);

  /// set_sealer puts new keys to use. With strict key exchange the sequence number starts anew.
  void set_sealer(std::unique_ptr<crypto::PacketSealer> sealer, bool reset_seq,
                  RandomSource& random);

  SendQueue& queue() { return queue_; }
  const SendQueue& queue() const { return queue_; }
  const crypto::PacketSealer& sealer() const { return *sealer_; }
  std::uint32_t seq() const { return seq_; }
  std::uint64_t key_bytes() const { return key_bytes_; }
  std::uint64_t key_packets() const { return key_packets_; }
  void restore(std::uint32_t seq, std::uint64_t key_bytes, std::uint64_t key_packets);

 private:
  std::size_t padding_len(std::size_t payload_len) const;
  /// frame writes packet_length, padding_length and padding around a payload that lies at
  /// `clear` + 5, and gives the clear packet's size.
  std::size_t frame(std::uint8_t* clear, std::size_t payload_len);
  void count(std::size_t wire_bytes);

  SendQueue queue_;
  std::unique_ptr<crypto::PacketSealer> sealer_;
  std::uint64_t padding_state_ = 0;
  std::uint64_t key_bytes_ = 0;
  std::uint64_t key_packets_ = 0;
  std::uint32_t seq_ = 0;
};

}  // namespace bastion::proto
