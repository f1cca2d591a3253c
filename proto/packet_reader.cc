#include "proto/packet_reader.h"

#include "base/limits.h"

namespace bastion::proto {

namespace {

/// The shortest packet_length that leaves room for padding_length, one octet of payload and the
/// least padding (RFC 4253 6).
constexpr std::size_t kPaddingMin = 4;
constexpr std::size_t kPacketLengthMin = 1 + 1 + kPaddingMin;

}  // namespace

Result<PacketReader::Packet> PacketReader::read(MutBytes in) {
  Packet packet;
  const std::size_t prefix_len = opener_->length_prefix_len();
  if (in.size() < prefix_len) {
    packet.need_bytes = prefix_len;
    return packet;
  }
  const std::uint32_t length = opener_->packet_length(seq_, in.first(prefix_len));
  if (length < kPacketLengthMin || length > limits::kPacketLengthMax) {
    return fail(ErrorCode::kProtocol, "packet_length out of range", length);
  }
  if ((4 - opener_->aad_len() + length) % opener_->block_len() != 0) {
    return fail(ErrorCode::kProtocol, "packet_length is no multiple of the block", length);
  }
  const std::size_t wire_bytes = 4 + std::size_t{length} + opener_->tag_len();
  if (in.size() < wire_bytes) {
    packet.need_bytes = wire_bytes;
    return packet;
  }
  if (key_packets_ >= limits::kRekeyPacketsHard) {
    return fail(ErrorCode::kLimit, "too many packets under one key");
  }
  BASTION_TRY(opener_->open(seq_, in.first(wire_bytes)));
  const std::size_t padding_len = in[4];
  if (padding_len < kPaddingMin) {
    return fail(ErrorCode::kProtocol, "padding of less than four bytes");
  }
  if (padding_len + 1 >= length) {
    return fail(ErrorCode::kProtocol, "packet without a payload");
  }
  packet.wire_bytes = wire_bytes;
  packet.seq = seq_++;
  packet.payload = {in.data() + limits::kPayloadHeadroom, length - 1 - padding_len};
  key_bytes_ += wire_bytes;
  ++key_packets_;
  return packet;
}

void PacketReader::set_opener(std::unique_ptr<crypto::PacketOpener> opener, bool reset_seq) {
  opener_ = std::move(opener);
  key_bytes_ = 0;
  key_packets_ = 0;
  if (reset_seq) {
    seq_ = 0;
  }
}

void PacketReader::restore(std::uint32_t seq, std::uint64_t key_bytes, std::uint64_t key_packets) {
  seq_ = seq;
  key_bytes_ = key_bytes;
  key_packets_ = key_packets;
}

}  // namespace bastion::proto
