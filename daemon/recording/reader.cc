#include "daemon/recording/reader.h"

#include <algorithm>

#include "crypto/hash.h"
#include "daemon/recording/seal.h"

namespace bastion::recording {
namespace {

/// parse_header reads what encode_header wrote; `type` may be any octet, for the caller to judge.
struct ParsedHeader {
  BlockHeader header;
  std::uint32_t magic;
  std::uint8_t version;
  std::uint32_t reserved;
};
ParsedHeader parse_header(const std::uint8_t* p) {
  ParsedHeader parsed{};
  BlockHeader& header = parsed.header;
  parsed.magic = load_le32(p);
  parsed.version = p[4];
  header.type = static_cast<BlockType>(p[5]);
  header.flags = load_le16(p + 6);
  header.stored_len = load_le32(p + 8);
  header.raw_len = load_le32(p + 12);
  header.seq = load_le64(p + 16);
  header.first_time_us = load_le64(p + 24);
  header.last_time_us = load_le64(p + 32);
  header.ring_position = load_le64(p + 40);
  header.ring_generation = load_le32(p + 48);
  header.writer = load_le32(p + 52);
  header.num_entries = load_le32(p + 56);
  parsed.reserved = load_le32(p + 60);
  return parsed;
}

/// problem_of judges a fixed part by itself. The lengths are then safe to wait for.
std::optional<ProblemKind> problem_of(const ParsedHeader& parsed, bool first) {
  const BlockHeader& header = parsed.header;
  if (parsed.magic != kMagic) {
    return first ? ProblemKind::kNotARecording : ProblemKind::kHeader;
  }
  if (parsed.version != kFormatVersion) {
    return parsed.version > kFormatVersion ? ProblemKind::kVersion : ProblemKind::kHeader;
  }
  if (header.type < BlockType::kHeader || header.type > BlockType::kSignature ||
      parsed.reserved != 0 || (header.flags & ~(kFlagZstd | kFlagEncrypted)) != 0) {
    return ProblemKind::kHeader;
  }
  const bool data = header.type == BlockType::kData;
  const std::size_t tag_len = (header.flags & kFlagEncrypted) != 0 ? kTagLen : 0;
  if (header.raw_len > (data ? kBlockRawMax : kJsonBytesMax) ||
      header.stored_len > header.raw_len + tag_len) {
    return ProblemKind::kTooLong;
  }
  const bool plain = (header.flags & kFlagZstd) == 0;
  if ((!data && (header.flags != 0 || header.num_entries != 0)) ||
      (data && (header.num_entries == 0 || header.raw_len == 0)) || header.stored_len < tag_len ||
      (plain && header.stored_len != header.raw_len + tag_len)) {
    return ProblemKind::kHeader;
  }
  return std::nullopt;
}

}  // namespace

void BlockReader::feed(ByteView bytes) {
  if (begin_ > 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

std::unexpected<Problem> BlockReader::stop(ProblemKind kind) {
  problem_ = Problem{kind, head_.offset, num_blocks_};
  return std::unexpected(*problem_);
}

std::expected<std::optional<Block>, Problem> BlockReader::next() {
  if (problem_) {
    return std::unexpected(*problem_);
  }
  const bool first = num_blocks_ == 0;
  const ByteView rest = ByteView(buffer_).subspan(begin_);
  if (!first && last_header_.type == BlockType::kSignature) {
    if (!rest.empty()) {
      return stop(ProblemKind::kTrailing);
    }
    needed_ = 1;
    return std::nullopt;
  }
  // What is no recording at all is said before a whole block is waited for.
  std::uint8_t magic[4];
  for (std::size_t i = 0; i < sizeof magic; ++i) {
    magic[i] = static_cast<std::uint8_t>(kMagic >> (8 * i));
  }
  if (const std::size_t n = std::min(rest.size(), sizeof magic);
      !equal(rest.first(n), ByteView(magic).first(n))) {
    return stop(first ? ProblemKind::kNotARecording : ProblemKind::kHeader);
  }
  if (rest.size() < kHeaderLen) {
    needed_ = kHeaderLen - rest.size();
    return std::nullopt;
  }
  const ParsedHeader parsed = parse_header(rest.data());
  if (const std::optional<ProblemKind> kind = problem_of(parsed, first)) {
    return stop(*kind);
  }
  const BlockHeader& header = parsed.header;
  const std::size_t block_len = kBlockOverhead + header.stored_len;
  if (rest.size() < block_len) {
    needed_ = block_len - rest.size();
    return std::nullopt;
  }
  const ByteView hashed = rest.first(block_len - kHashLen);
  const crypto::Digest hash = crypto::hash(crypto::HashAlgorithm::kSha256, hashed);
  if (!equal(hash.view(), rest.subspan(hashed.size(), kHashLen))) {
    return stop(ProblemKind::kHash);
  }
  const bool in_order =
      first ? header.type == BlockType::kHeader
            : (header.type == BlockType::kSignature
                   ? last_header_.type == BlockType::kEnd
                   : header.type != BlockType::kHeader && last_header_.type != BlockType::kEnd);
  if (!in_order) {
    return stop(ProblemKind::kOrder);
  }
  if (header.seq != num_blocks_) {
    return stop(ProblemKind::kSequence);
  }
  if (!equal(rest.subspan(kHeaderLen, kHashLen), head_.hash)) {
    return stop(ProblemKind::kChain);
  }
  Block block;
  block.header = header;
  block.header_bytes = rest.first(kHeaderLen + kHashLen);
  block.payload = rest.subspan(kHeaderLen + kHashLen, header.stored_len);
  std::ranges::copy(hash.view(), head_.hash.begin());
  head_.seq = header.seq;
  head_.offset += block_len;
  block.head = head_;
  begin_ += block_len;
  ++num_blocks_;
  last_header_ = header;
  if (header.type == BlockType::kData) {
    totals_.entries += header.num_entries;
    totals_.raw_bytes += header.raw_len;
  }
  if (header.type != BlockType::kSignature) {
    last_time_us_ = header.last_time_us;
  }
  needed_ = kBlockOverhead;
  return block;
}

std::optional<Problem> BlockReader::finish() const {
  if (problem_) {
    return problem_;
  }
  if (begin_ < buffer_.size() || num_blocks_ == 0) {
    return Problem{ProblemKind::kCut, head_.offset, num_blocks_};
  }
  return std::nullopt;
}

BlockOpener::~BlockOpener() = default;

void BlockOpener::use_key(ByteView file_key) {
  cipher_ = std::make_unique<crypto::AesGcm>(file_key);
}

std::expected<ByteView, ProblemKind> BlockOpener::open(const Block& block) {
  ByteView payload = block.payload;
  if ((block.header.flags & kFlagEncrypted) != 0) {
    if (!cipher_) {
      return std::unexpected(ProblemKind::kNoIdentity);
    }
    const std::size_t len = payload.size() - kTagLen;
    decrypted_.assign(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(len));
    if (!cipher_->open(block_nonce(block.header), block.header_bytes, decrypted_,
                       payload.subspan(len))) {
      return std::unexpected(ProblemKind::kDecrypt);
    }
    payload = decrypted_;
  }
  if ((block.header.flags & kFlagZstd) != 0) {
    raw_.resize(block.header.raw_len);
    if (!decompressor_->decompress(payload, raw_)) {
      return std::unexpected(ProblemKind::kDecompress);
    }
    payload = raw_;
  }
  return payload;
}

}  // namespace bastion::recording
