#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bastion::recording {

/// What can be wrong with a recording, and with which of its blocks.
enum class ProblemKind : std::uint8_t {
  kNotARecording,  // does not begin with a recording's first block
  kVersion,        // a newer format than this program reads
  kHeader,         // a block's fixed part is damaged (magic, flags, a reserved field)
  kTooLong,        // a block says that it is longer than any may be
  kOrder,          // a type of block that may not stand here
  kSequence,       // a block is missing, doubled or moved
  kChain,          // does not follow from the block before it
  kHash,           // its content is not what its hash says
  kTrailing,       // bytes after the signature
  kCut,            // ends in the middle of a block
  kUnsealed,       // has no end: still being recorded, or its tail is missing
  kUnsigned,       // sealed, but not signed
  kSignature,      // the signature is wrong
  kSignedByOther,  // signed by a key that is none of those given
  kOtherSession,   // its file name says another session than it does itself
  kMetadata,       // JSON of the header, end or signature that is none of ours
  kNoIdentity,     // encrypted, and no identity was given
  kOtherIdentity,  // encrypted, and to none of the identities given
  kDecrypt,        // decryption fails though the hash is right
  kDecompress,     // decompression fails though the hash is right
  kEntry,          // an entry is not what the format says
  kOtherBlock,     // not the block that the audit log tells of
  kBehindLog,      // ends before a block that the audit log tells of
};

/// Problem says what is wrong and where: with the block `seq` that begins at byte `offset`.
struct Problem {
  ProblemKind kind = ProblemKind::kNotARecording;
  std::uint64_t offset = 0;
  std::uint64_t seq = 0;

  friend bool operator==(const Problem&, const Problem&) = default;
};

/// problem_name is a short constant name ("hash"), describe one sentence for a person:
/// "block 12 at byte 48,120: its content is not what its hash says".
std::string_view problem_name(ProblemKind kind);
std::string describe(const Problem& problem);

}  // namespace bastion::recording
