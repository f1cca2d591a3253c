#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "daemon/ipc/message.h"

/// The memory that a worker and the recorder share: one for each worker, made and kept by the
/// supervisor, so that it outlives both. A page of counters, the table of slots, then the data,
/// which each side maps twice in a row so that no frame is ever in two pieces. The worker writes
/// `head` and data, the recorder everything else; neither makes a system call for a frame.
namespace bastion::daemon::record {

inline constexpr std::uint64_t kMagic = 0x31676e6972636572;  // "recring1" in memory
inline constexpr std::uint32_t kVersion = 1;

/// 16 MiB: what a worker at 1 GB/s puts in while the recorder is away for 16 ms.
inline constexpr std::size_t kDataBytes = std::size_t{16} << 20;
/// Recorded sessions of one worker; the warden hands the slots out.
inline constexpr std::uint32_t kSlots = 65'536;

struct Counters {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t slots;
  std::uint64_t capacity;
  alignas(64) std::atomic<std::uint64_t> head;     // bytes ever put in
  alignas(64) std::atomic<std::uint64_t> tail;     // bytes that are in files, or passed over
  alignas(64) std::atomic<std::int64_t> alive_ns;  // CLOCK_MONOTONIC when the recorder last looked
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// Slot is one recording's credit: how many bytes of frames there is space on disk for, ever.
struct Slot {
  std::atomic<std::uint64_t> granted;
  std::uint64_t unused;
};

inline constexpr std::size_t kCountersBytes = 4096;
static_assert(sizeof(Counters) <= kCountersBytes);
inline constexpr std::size_t kSlotsBytes = kSlots * sizeof(Slot);
inline constexpr std::size_t kDataOffset = kCountersBytes + kSlotsBytes;
inline constexpr std::size_t kMemoryBytes = kDataOffset + kDataBytes;
static_assert(kDataOffset % 4096 == 0 && kDataBytes % 4096 == 0);

/// A frame's kind: that of the entry which it becomes (recording::EntryKind; the payload is then
/// the entry's bytes), or one of these, which go into no recording and need no credit.
inline constexpr std::uint8_t kKindDigest = 65;  // DigestHeader, then bytes of a file
/// A file entry that lacks its digests, and counts against the credit: DigestRefs, then the JSON
/// object, padded with blanks before its last brace so that the recorder has room for them.
inline constexpr std::uint8_t kKindFileWithDigest = 66;

/// DigestHeader begins a piece of a file's content. `digest` is the session's own number of it.
/// Pieces come in order and without gaps, from offset 0; the last one is empty.
struct DigestHeader {
  enum Step : std::uint32_t { kContent, kEnd, kDrop };
  std::uint32_t digest = 0;
  std::uint32_t step = kContent;
  std::uint64_t offset = 0;
};
static_assert(sizeof(DigestHeader) == 16);

/// DigestRefs names the digests of what was read and written; 0: none.
struct DigestRefs {
  std::uint32_t read = 0;
  std::uint32_t written = 0;
};
static_assert(sizeof(DigestRefs) == 8);
/// `,"digest_written":"sha256:HEX"` for both, or the longest `no_digest`.
inline constexpr std::size_t kDigestRoomBytes = 192;

/// FrameHeader goes before every payload; both together are padded to 8 bytes.
struct FrameHeader {
  std::uint32_t total_len = 0;  // header, payload and padding
  std::uint8_t kind = 0;
  std::uint8_t padding = 0;  // 0 to 7
  std::uint16_t unused = 0;
  std::uint32_t slot = 0;
  std::uint32_t channel = 0;
  std::int64_t time_us = 0;   // since the Unix epoch
  std::uint64_t session = 0;  // the warden's number: ipc::SessionId
};
static_assert(sizeof(FrameHeader) == 32);

/// The largest payload: a packet's data, with room to spare for what is said of it.
inline constexpr std::size_t kPayloadBytesMax = 64 * 1024;

constexpr std::size_t frame_bytes(std::size_t payload_len) {
  return (sizeof(FrameHeader) + payload_len + 7) & ~std::size_t{7};
}

/// Credit with less than which a session reads no further packet. The worker says what it is for.
inline constexpr std::size_t kPacketCredit = 48 * 1024;
/// So much goes beyond a session's credit at most, where it ends with all its channels open. The
/// worker keeps to it, and the recorder takes no more.
inline constexpr std::size_t kBeyondCreditMax = std::size_t{2} << 20;

}  // namespace bastion::daemon::record
