#include "crypto/secret_array.h"
#include "daemon/recording/reader.h"

namespace bastion::recording {

RecordingReader::Item RecordingReader::stop(const Problem& problem) {
  problem_ = problem;
  return problem;
}

RecordingReader::Item RecordingReader::stop_here(ProblemKind kind) {
  const BlockReader& at = blocks_;
  return stop({kind, block_offset_, at.num_blocks() - 1});
}

RecordingReader::Item RecordingReader::next() {
  if (problem_) {
    return *problem_;
  }
  if (entries_left_ > 0) {
    const std::optional<Entry> entry = cursor_.next();
    --entries_left_;
    const bool last = entries_left_ == 0;
    if (!entry || last != cursor_.done() ||
        (last && entry->time_us != blocks_.last_header().last_time_us)) {
      return stop_here(ProblemKind::kEntry);
    }
    return *entry;
  }
  while (true) {
    block_offset_ = blocks_.num_blocks() == 0 ? 0 : blocks_.head().offset;
    auto found = blocks_.next();
    if (!found) {
      return stop(found.error());
    }
    if (!*found) {
      return NeedBytes{};
    }
    const Block& block = **found;
    if (block.header.type == BlockType::kData) {
      if (Item item; open(block, item)) {
        return item;
      }
      continue;  // its entries are hidden
    }
    return json_item(block);
  }
}

RecordingReader::Item RecordingReader::json_item(const Block& block) {
  if (block.header.type == BlockType::kHeader) {
    auto metadata = parse_metadata(block.payload);
    if (!metadata) {
      return stop_here(metadata.error());
    }
    if (metadata->encrypted()) {
      crypto::SecretArray<kFileKeyLen> key;
      if (const auto opened = open_file_key(*metadata, identities_, key.bytes())) {
        opener_.use_key(key.view());
      } else if (opened.error() == ProblemKind::kDecrypt) {
        return stop_here(ProblemKind::kDecrypt);
      } else {
        hidden_ = opened.error();
      }
    }
    return *std::move(metadata);
  }
  if (block.header.type == BlockType::kEnd) {
    auto end = parse_end(block.payload);
    ended_ = end.has_value();
    return end ? Item(*std::move(end)) : stop_here(end.error());
  }
  auto signature = parse_signature(block.payload);
  return signature ? Item(*std::move(signature)) : stop_here(signature.error());
}

bool RecordingReader::open(const Block& block, Item& out_item) {
  const bool encrypted = (block.header.flags & kFlagEncrypted) != 0;
  if (encrypted && hidden_) {
    return false;
  }
  const auto raw = opener_.open(block);
  if (!raw) {
    // A block that is encrypted in a file that has no keys is not ours, either.
    out_item =
        stop_here(raw.error() == ProblemKind::kNoIdentity ? ProblemKind::kMetadata : raw.error());
    return true;
  }
  cursor_ = EntryCursor(*raw, block.header.first_time_us);
  const std::optional<Entry> first = cursor_.next();
  entries_left_ = block.header.num_entries - 1;
  const bool last = entries_left_ == 0;
  if (!first || first->time_us != block.header.first_time_us || last != cursor_.done() ||
      (last && first->time_us != block.header.last_time_us)) {
    out_item = stop_here(ProblemKind::kEntry);
  } else {
    out_item = *first;
  }
  return true;
}

std::optional<Problem> RecordingReader::finish() const {
  if (problem_) {
    return problem_;
  }
  if (const std::optional<Problem> cut = blocks_.finish()) {
    return cut;
  }
  if (!ended_) {
    return Problem{ProblemKind::kUnsealed, blocks_.head().offset, blocks_.num_blocks()};
  }
  return std::nullopt;
}

}  // namespace bastion::recording
