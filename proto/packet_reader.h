#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/packet_cipher.h"
#include "proto/payload.h"

namespace bastion::proto {

/// PacketReader is the inbound half of the binary packet protocol (RFC 4253 6).
class PacketReader {
 public:
  PacketReader() : opener_(crypto::make_null_opener()) {}

  /// Packet is one opened packet, or word that it is incomplete.
  struct Packet {
    std::size_t need_bytes = 0;  // not 0: so many must be there for progress; nothing else is set
    std::size_t wire_bytes = 0;  // what it took of the input
    std::uint32_t seq = 0;
    Payload payload;  // never empty
  };

  /// read opens the packet at the front of `in`, in place. packet_length is held against
  /// limits::kPacketLengthMax and the cipher's block before anything relies on it, so need_bytes is
  /// at most limits::kPacketBytesMax. Errors: kProtocol, kMac, kLimit (packets under one key).
  [[nodiscard]] Result<Packet> read(MutBytes in);

  /// set_opener puts new keys to use. With strict key exchange the sequence number starts anew.
  void set_opener(std::unique_ptr<crypto::PacketOpener> opener, bool reset_seq);

  const crypto::PacketOpener& opener() const { return *opener_; }
  std::uint32_t seq() const { return seq_; }
  std::uint64_t key_bytes() const { return key_bytes_; }
  std::uint64_t key_packets() const { return key_packets_; }
  void restore(std::uint32_t seq, std::uint64_t key_bytes, std::uint64_t key_packets);

 private:
  std::unique_ptr<crypto::PacketOpener> opener_;
  std::uint64_t key_bytes_ = 0;
  std::uint64_t key_packets_ = 0;
  std::uint32_t seq_ = 0;
};

}  // namespace bastion::proto
