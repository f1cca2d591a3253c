#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/bytes.h"
#include "base/result.h"
#include "daemon/recording/compress.h"
#include "daemon/recording/entries.h"
#include "daemon/recording/format.h"
#include "daemon/recording/keys.h"
#include "daemon/recording/metadata.h"

namespace bastion::recording {

/// RingMark is a place in a worker's ring: where the last frame of a block ends.
struct RingMark {
  std::uint32_t generation = 0;
  std::uint64_t position = 0;
};

/// WriterState is all that a process needs to go on with a file that another has begun: plain
/// memory that a recorder keeps in its table of open recordings, up to date with what is in the
/// file. It holds the file's key: whoever keeps it wipes it. Entries that are not yet in a block
/// are not in it.
struct WriterState {
  Head head;
  std::uint32_t writer = 0;
  std::uint8_t encrypted = 0;
  std::array<std::uint8_t, kFileKeyLen> file_key{};
  std::uint64_t last_time_us = 0;
  std::uint8_t streams_counted = 1;
  Totals totals;
};
static_assert(std::is_trivially_copyable_v<WriterState>);

/// BlockWriter makes one recording: entries in, whole blocks out, each of which the caller appends
/// to the file in one piece before it lets go of the frames it came from. It does no I/O, and holds
/// no more than one block's entries.
///
/// The order is begin, then any number of add and flush, then end, then sign. The writer takes a
/// block as written once it is made: where the file did not take it, the writer is of no more use.
class BlockWriter {
 public:
  /// The compressor is shared with the process's other writers and outlives this.
  explicit BlockWriter(Compressor& compressor) : compressor_(&compressor) {}
  ~BlockWriter();
  BlockWriter(BlockWriter&& other) noexcept;
  BlockWriter& operator=(BlockWriter&&) = delete;

  /// begin appends the first block to `out`. With recipients it draws a file key and seals it to
  /// each (metadata.keys is then filled here; given ones are replaced). Errors: those of
  /// seal_file_key; kLimit where the metadata is larger than kJsonBytesMax, kMalformed where
  /// metadata.session is no session id.
  Status begin(Metadata metadata, std::span<const Recipient> recipients, Bytes& out);
  /// resume goes on with a file of which `state.head.offset` bytes are kept; the caller cuts what
  /// is behind. `state.writer` must be one that has written nothing to the file: the one before
  /// + 1.
  void resume(const WriterState& state);

  /// add takes an entry into the block that is being filled, copying its bytes. Times may go back;
  /// the format keeps them as they are. Errors: kLimit above kEntryBytesMax, or where fits() is
  /// false.
  Status add(const Entry& entry);
  /// fits says whether an entry with so many bytes can be added without a flush before it.
  bool fits(std::size_t entry_bytes) const {
    return raw_.size() + entry_bytes + kEntryOverheadMax <= kBlockRawMax;
  }
  /// full: a flush is due.
  bool full() const { return raw_.size() >= kBlockRawTarget; }
  /// pending_bytes of entries that are in no block.
  std::size_t pending_bytes() const { return raw_.size(); }

  /// block_bytes_max says how many bytes of file the flush of so many pending bytes takes at most:
  /// what to reserve on disk.
  static constexpr std::size_t block_bytes_max(std::size_t raw_bytes) {
    return kBlockOverhead + raw_bytes + kTagLen;
  }
  /// What end and signature take at most.
  static constexpr std::size_t kReasonBytesMax = 1024;
  /// A reason's octets are six each as \u00NN; 1 KiB is for numbers, the key and the signature.
  static constexpr std::size_t kClosingBytesMax = 2 * kBlockOverhead + 6 * kReasonBytesMax + 1024;

  /// flush appends one data block of all pending entries to `out`; nothing where there are none.
  void flush(RingMark mark, Bytes& out);
  /// end flushes and appends the end block, with the totals. Of the reason kReasonBytesMax are
  /// kept.
  void end(EndState state, std::string_view reason, std::uint64_t end_us, RingMark mark,
           Bytes& out);
  /// sign appends the signature block: over head_to_sign(session, head().seq, head().hash) after
  /// end.
  void sign(const Signature& signature, Bytes& out);

  /// head is the last block made. Before the first of them it is meaningless.
  const Head& head() const { return state_.head; }
  /// state is what to keep for a successor, after each block is written.
  const WriterState& state() const { return state_; }

 private:
  void append_block(BlockHeader header, ByteView raw, Bytes& out);

  Compressor* compressor_;
  WriterState state_;
  Totals pending_;  // of the entries that are in no block
  bool begun_ = false;
  Bytes raw_;
  std::uint64_t first_time_us_ = 0;
  std::uint64_t last_time_us_ = 0;
  std::uint32_t num_entries_ = 0;
};

}  // namespace bastion::recording
