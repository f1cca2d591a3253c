#include "daemon/recording/verify.h"

#include <algorithm>
#include <array>

namespace bastion::recording {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"proven", "unproven", "unsealed", "bad"};

/// Only plain keys that the audit key may be.
const crypto::SignatureAlgorithm* ed25519() {
  return crypto::find_signature_algorithm("ssh-ed25519");
}

}  // namespace

std::string_view verdict_name(Verdict verdict) { return kNames[static_cast<std::size_t>(verdict)]; }

bool Verifier::feed(ByteView bytes) {
  if (stopped_) {
    return false;
  }
  reader_.feed(bytes);
  while (true) {
    const std::uint64_t offset = reader_.num_blocks() == 0 ? 0 : reader_.head().offset;
    const auto found = reader_.next();
    if (!found) {
      add(found.error());
      return false;
    }
    if (!*found) {
      return true;
    }
    if (!is_expected((*found)->head)) {
      add({ProblemKind::kOtherBlock, offset, (*found)->header.seq});
      return false;
    }
    if (const std::optional<ProblemKind> kind = take(**found)) {
      add({*kind, offset, (*found)->header.seq});
      return false;
    }
  }
}

bool Verifier::is_expected(const Head& block) const {
  return std::ranges::none_of(expected_, [&](const Head& expected) {
    return expected.seq == block.seq && expected.hash != block.hash;
  });
}

std::optional<ProblemKind> Verifier::take(const Block& block) {
  const BlockHeader& header = block.header;
  if (header.type == BlockType::kHeader) {
    auto metadata = parse_metadata(block.payload);
    if (!metadata) {
      return metadata.error();
    }
    result_.metadata = *std::move(metadata);
    if (!session_id_.empty() && result_.metadata->session != session_id_) {
      return ProblemKind::kOtherSession;
    }
  } else if (header.type == BlockType::kData) {
    // A block that only looks encrypted could not be read by whom the file is for, and the reverse.
    if (((header.flags & kFlagEncrypted) != 0) != result_.metadata->encrypted()) {
      return ProblemKind::kMetadata;
    }
  } else if (header.type == BlockType::kEnd) {
    auto end = parse_end(block.payload);
    if (!end) {
      return end.error();
    }
    result_.end = *std::move(end);
    end_head_ = block.head;
  } else {
    auto signature = parse_signature(block.payload);
    if (!signature) {
      return signature.error();
    }
    result_.signature = *std::move(signature);
    return signature_problem();
  }
  return std::nullopt;
}

std::optional<ProblemKind> Verifier::signature_problem() {
  if (keys_.empty()) {
    return std::nullopt;
  }
  const auto key = std::ranges::find_if(
      keys_, [&](const crypto::PublicKey& each) { return each.line() == result_.signature->key; });
  if (key == keys_.end()) {
    return ProblemKind::kSignedByOther;
  }
  const Bytes data = head_to_sign(result_.metadata->session, end_head_.seq, end_head_.hash);
  if (!key->verify(*ed25519(), data, result_.signature->blob)) {
    return ProblemKind::kSignature;
  }
  return std::nullopt;
}

void Verifier::add(const Problem& problem) {
  stopped_ = true;
  result_.problem = problem;
}

VerifyResult Verifier::finish() {
  if (!stopped_) {
    if (const std::optional<Problem> cut = reader_.finish()) {
      add(*cut);
    } else if (reader_.num_blocks() != 0 && std::ranges::any_of(expected_, [&](const Head& each) {
                 return each.seq > reader_.head().seq;
               })) {
      add({ProblemKind::kBehindLog, reader_.head().offset, reader_.num_blocks()});
    }
  }
  result_.num_blocks = reader_.num_blocks();
  result_.head = reader_.head();
  result_.last_header = reader_.last_header();
  result_.last_time_us = reader_.last_time_us();
  result_.totals = reader_.totals();
  const Problem here{ProblemKind::kUnsealed, result_.head.offset, result_.num_blocks};
  if (stopped_) {
    result_.verdict = Verdict::kBad;
  } else if (!result_.end) {
    result_.verdict = Verdict::kUnsealed;
    result_.problem = here;
  } else if (!result_.signature) {
    result_.verdict = keys_.empty() ? Verdict::kUnproven : Verdict::kUnsealed;
    result_.problem = Problem{ProblemKind::kUnsigned, here.offset, here.seq};
  } else {
    result_.verdict = keys_.empty() ? Verdict::kUnproven : Verdict::kProven;
  }
  return std::move(result_);
}

}  // namespace bastion::recording
