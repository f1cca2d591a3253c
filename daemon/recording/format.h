#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

/// The recording's file format (docs/recording-format.md): bytes in, bytes out, no file and no
/// clock. A file is a row of blocks. Each carries the hash of the one before and its own, so that
/// whoever changes, drops, adds or moves one breaks the chain, and whoever makes a new chain lacks
/// the signature over its head.
namespace bastion::recording {

using Hash32 = std::array<std::uint8_t, 32>;

inline constexpr std::uint32_t kMagic = 0x43455242;  // "BREC", read as a little-endian integer
inline constexpr std::uint8_t kFormatVersion = 1;

enum class BlockType : std::uint8_t {
  kHeader = 1,     // the first: metadata as JSON, never encrypted
  kData = 2,       // entries
  kEnd = 3,        // how it ended, as JSON, never encrypted; no entries after it
  kSignature = 4,  // the audit key's signature over the end block's place and hash
};

/// Flags of a block. Other bits are zero.
inline constexpr std::uint16_t kFlagZstd = 1;  // the payload is one zstd frame of raw_len bytes
inline constexpr std::uint16_t kFlagEncrypted = 2;  // …then AES-256-GCM; the tag is at its end

/// A block is its header, the hash of the block before, the payload and its own hash:
/// SHA-256 over header, previous hash and payload.
inline constexpr std::size_t kHeaderLen = 64;
inline constexpr std::size_t kHashLen = 32;
inline constexpr std::size_t kBlockOverhead = kHeaderLen + kHashLen + kHashLen;

/// A block's entries before compression. A writer ends a block at kBlockRawTarget; a reader takes
/// blocks up to kBlockRawMax. An entry of kEntryBytesMax (two SSH packets' data) always fits the
/// room between the two.
inline constexpr std::size_t kBlockRawTarget = 64 * 1024;
inline constexpr std::size_t kBlockRawMax = 256 * 1024;
inline constexpr std::size_t kEntryBytesMax = 64 * 1024;
/// What varints and the kind take of an entry at most: 10 + 5 + 1 + 5.
inline constexpr std::size_t kEntryOverheadMax = 21;
static_assert(kBlockRawTarget + kEntryBytesMax + kEntryOverheadMax <= kBlockRawMax);
/// JSON payloads (header, end, signature): sixteen recipients' sealed keys are 4 KiB.
inline constexpr std::size_t kJsonBytesMax = 64 * 1024;
inline constexpr std::size_t kRecipientsMax = 16;
inline constexpr std::size_t kTagLen = 16;
/// A payload that compression would not shrink is stored as it is, so it never grows but by the
/// tag.
inline constexpr std::size_t kStoredMax = kBlockRawMax + kTagLen;

/// BlockHeader is the fixed part of a block, little-endian, in this order after magic and version.
struct BlockHeader {
  BlockType type = BlockType::kData;
  std::uint16_t flags = 0;
  std::uint32_t stored_len = 0;     // bytes of payload in the file
  std::uint32_t raw_len = 0;        // the same before compression and encryption
  std::uint64_t seq = 0;            // 0, 1, 2, … of this file's blocks
  std::uint64_t first_time_us = 0;  // of its first and last entry; wall clock, µs since 1970
  std::uint64_t last_time_us = 0;
  std::uint64_t ring_position = 0;    // where the ring's last frame in here ends, and which ring:
  std::uint32_t ring_generation = 0;  // a successor recorder goes on behind it. 0: not from a ring
  std::uint32_t writer = 0;  // 0, then one more for each process that went on with the file
  std::uint32_t num_entries = 0;

  friend bool operator==(const BlockHeader&, const BlockHeader&) = default;
};

/// encode_header writes kHeaderLen bytes.
void encode_header(const BlockHeader& header, std::uint8_t* out);

/// The place after a file's last whole block: what a writer goes on from, and what is signed.
struct Head {
  std::uint64_t seq = 0;     // the block's own seq
  Hash32 hash{};             // its hash
  std::uint64_t offset = 0;  // bytes of the file up to its end

  friend bool operator==(const Head&, const Head&) = default;
};

/// head_to_sign is what the warden's audit key signs for a recording: string "bastiond recording
/// head v1", string session id, uint64 seq, string hash (RFC 4251 5). It can be mistaken for no
/// other structure that a key of ours signs.
Bytes head_to_sign(std::string_view session_id, std::uint64_t seq, const Hash32& hash);

/// is_session_id: 26 lower-case letters and digits, so never a path.
bool is_session_id(std::string_view text);
inline constexpr std::size_t kSessionIdLen = 26;

}  // namespace bastion::recording
