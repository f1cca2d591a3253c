#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <variant>

#include "base/bytes.h"
#include "crypto/aes_gcm.h"
#include "daemon/recording/compress.h"
#include "daemon/recording/entries.h"
#include "daemon/recording/format.h"
#include "daemon/recording/keys.h"
#include "daemon/recording/metadata.h"
#include "daemon/recording/problem.h"

namespace bastion::recording {

/// Block is one whole block whose place in the chain and whose hash are right.
struct Block {
  BlockHeader header;
  ByteView header_bytes;  // as they are in the file, with the previous hash: what encryption binds
  ByteView payload;
  Head head;  // head.offset is where it ends
};

/// BlockReader takes a file's bytes in any pieces and gives its blocks, checked: order, sequence,
/// chain and hashes, without any key. After the first problem it stays there.
class BlockReader {
 public:
  /// feed appends bytes, copying them. Views given by next are void afterwards.
  void feed(ByteView bytes);
  /// next gives a block; nullopt: needed() more bytes at least. Problems: kNotARecording, kVersion,
  /// kHeader, kTooLong, kOrder, kSequence, kChain, kHash, kTrailing.
  std::expected<std::optional<Block>, Problem> next();
  std::size_t needed() const { return needed_; }

  /// finish is for the end of the input: kCut where bytes of a block that is not whole are left.
  std::optional<Problem> finish() const;

  /// head is the last whole block; meaningless where num_blocks is 0. A file that is cut goes on
  /// from here.
  const Head& head() const { return head_; }
  std::uint64_t num_blocks() const { return num_blocks_; }
  /// last_header is that block's: where the ring was, which writer made it.
  const BlockHeader& last_header() const { return last_header_; }
  /// last_time_us is the time of the last entry of all blocks so far.
  std::uint64_t last_time_us() const { return last_time_us_; }
  /// totals of all blocks so far: entries and raw_bytes alone.
  const Totals& totals() const { return totals_; }

 private:
  std::unexpected<Problem> stop(ProblemKind kind);

  Bytes buffer_;
  std::size_t begin_ = 0;  // in buffer_: of the next block
  std::size_t needed_ = kBlockOverhead;
  Head head_;
  BlockHeader last_header_;
  std::uint64_t num_blocks_ = 0;
  std::uint64_t last_time_us_ = 0;
  Totals totals_;
  std::optional<Problem> problem_;
};

/// BlockOpener decrypts and decompresses data blocks.
class BlockOpener {
 public:
  explicit BlockOpener(Decompressor& decompressor) : decompressor_(&decompressor) {}
  ~BlockOpener();
  BlockOpener(const BlockOpener&) = delete;
  BlockOpener& operator=(const BlockOpener&) = delete;

  /// use_key gives the file's key; without one encrypted blocks are kNoIdentity.
  void use_key(ByteView file_key);
  /// open gives a block's entries, raw; the view lives until the next call.
  std::expected<ByteView, ProblemKind> open(const Block& block);

 private:
  Decompressor* decompressor_;
  std::unique_ptr<crypto::AesGcm> cipher_;
  Bytes decrypted_;
  Bytes raw_;
};

/// RecordingReader gives what is in a recording, in order: the metadata, the entries, the end. It
/// reads what is whole of a file that is cut, and of one that is still being written.
class RecordingReader {
 public:
  struct NeedBytes {};
  using Item = std::variant<NeedBytes, Metadata, Entry, End, Signature, Problem>;

  /// Both outlive the reader. Identities may be empty: an encrypted file's entries are then left
  /// out (hidden() says so) and the rest is read.
  RecordingReader(Decompressor& decompressor, std::span<const Identity> identities)
      : opener_(decompressor), identities_(identities) {}

  void feed(ByteView bytes) { blocks_.feed(bytes); }
  /// next gives the next item. An Entry's bytes live until the next call of next or feed. A Problem
  /// comes again each time.
  Item next();
  /// finish is for the end of the input: kCut or kUnsealed, or nothing where the end was there.
  std::optional<Problem> finish() const;

  /// hidden: entries were left out for want of an identity, and why (kNoIdentity, kOtherIdentity).
  std::optional<ProblemKind> hidden() const { return hidden_; }
  const BlockReader& blocks() const { return blocks_; }

 private:
  Item stop(const Problem& problem);
  Item stop_here(ProblemKind kind);
  Item json_item(const Block& block);
  /// open puts the block's first entry, or what is wrong, into out_item; false: its entries are
  /// hidden.
  bool open(const Block& block, Item& out_item);

  BlockReader blocks_;
  BlockOpener opener_;
  std::span<const Identity> identities_;
  EntryCursor cursor_;
  std::uint32_t entries_left_ = 0;  // of the open block
  std::uint64_t block_offset_ = 0;  // where that begins
  std::optional<ProblemKind> hidden_;
  std::optional<Problem> problem_;
  bool ended_ = false;
};

}  // namespace bastion::recording
