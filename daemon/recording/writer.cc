#include "daemon/recording/writer.h"

#include <algorithm>
#include <utility>

#include "crypto/aes_gcm.h"
#include "crypto/hash.h"
#include "daemon/recording/seal.h"

namespace bastion::recording {

BlockWriter::BlockWriter(BlockWriter&& other) noexcept
    : compressor_(other.compressor_),
      state_(other.state_),
      pending_(other.pending_),
      begun_(other.begun_),
      raw_(std::move(other.raw_)),
      first_time_us_(other.first_time_us_),
      last_time_us_(other.last_time_us_),
      num_entries_(other.num_entries_) {
  wipe(other.state_.file_key);
}

BlockWriter::~BlockWriter() {
  wipe(state_.file_key);
  wipe(raw_);
}

Status BlockWriter::begin(Metadata metadata, std::span<const Recipient> recipients, Bytes& out) {
  if (!is_session_id(metadata.session)) {
    return fail(ErrorCode::kMalformed, "not a session id");
  }
  state_ = {};
  metadata.keys.clear();
  if (!recipients.empty()) {
    crypto::system_random().fill(state_.file_key);
    state_.encrypted = 1;
    Result<std::vector<SealedKey>> keys =
        seal_file_key(state_.file_key, recipients, metadata.session);
    if (!keys) {
      return std::unexpected(keys.error());
    }
    metadata.keys = *std::move(keys);
  }
  const std::string json = to_json(metadata);
  if (json.size() > kJsonBytesMax) {
    return fail(ErrorCode::kLimit, "the session's metadata is too long",
                static_cast<std::int64_t>(json.size()));
  }
  BlockHeader header;
  header.type = BlockType::kHeader;
  header.first_time_us = metadata.start_us;
  header.last_time_us = metadata.start_us;
  begun_ = false;
  append_block(header, as_bytes(json), out);
  return {};
}

void BlockWriter::resume(const WriterState& state) {
  state_ = state;
  begun_ = true;
  pending_ = {};
  raw_.clear();
  num_entries_ = 0;
}

Status BlockWriter::add(const Entry& entry) {
  if (entry.bytes.size() > kEntryBytesMax || !fits(entry.bytes.size())) {
    return fail(ErrorCode::kLimit, "the entry does not fit a block",
                static_cast<std::int64_t>(entry.bytes.size()));
  }
  if (num_entries_ == 0) {
    first_time_us_ = entry.time_us;
    last_time_us_ = entry.time_us;
  }
  const std::size_t before = raw_.size();
  append_entry(raw_, last_time_us_, entry);
  last_time_us_ = entry.time_us;
  ++num_entries_;
  ++pending_.entries;
  pending_.raw_bytes += raw_.size() - before;
  switch (entry.kind) {
    case EntryKind::kStdout: pending_.stdout_bytes += entry.bytes.size(); break;
    case EntryKind::kStderr: pending_.stderr_bytes += entry.bytes.size(); break;
    case EntryKind::kStdin: pending_.stdin_bytes += entry.bytes.size(); break;
    case EntryKind::kChannelOpen: ++pending_.channels; break;
    default: break;
  }
  return {};
}

void BlockWriter::flush(RingMark mark, Bytes& out) {
  if (num_entries_ == 0) {
    return;
  }
  state_.last_time_us = last_time_us_;
  state_.totals.entries += pending_.entries;
  state_.totals.raw_bytes += pending_.raw_bytes;
  state_.totals.stdout_bytes += pending_.stdout_bytes;
  state_.totals.stderr_bytes += pending_.stderr_bytes;
  state_.totals.stdin_bytes += pending_.stdin_bytes;
  state_.totals.channels += pending_.channels;
  BlockHeader header;
  header.type = BlockType::kData;
  header.first_time_us = first_time_us_;
  header.last_time_us = last_time_us_;
  header.ring_generation = mark.generation;
  header.ring_position = mark.position;
  header.num_entries = num_entries_;
  append_block(header, raw_, out);
  pending_ = {};
  num_entries_ = 0;
  raw_.clear();
  if (raw_.capacity() > kBlockRawTarget / 4) {
    Bytes().swap(raw_);  // a session that has become quiet holds nothing
  }
}

void BlockWriter::end(EndState state, std::string_view reason, std::uint64_t end_us, RingMark mark,
                      Bytes& out) {
  flush(mark, out);
  End end;
  end.state = state;
  end.reason = reason.substr(0, kReasonBytesMax);
  end.end_us = end_us;
  end.streams_counted = state_.streams_counted != 0;
  end.totals = state_.totals;
  BlockHeader header;
  header.type = BlockType::kEnd;
  header.first_time_us = end_us;
  header.last_time_us = end_us;
  header.ring_generation = mark.generation;
  header.ring_position = mark.position;
  append_block(header, as_bytes(to_json(end)), out);
}

void BlockWriter::sign(const Signature& signature, Bytes& out) {
  BlockHeader header;
  header.type = BlockType::kSignature;
  append_block(header, as_bytes(to_json(signature)), out);
}

void BlockWriter::append_block(BlockHeader header, ByteView raw, Bytes& out) {
  const std::size_t begin = out.size();
  const std::size_t payload = begin + kHeaderLen + kHashLen;
  out.resize(payload);
  header.raw_len = static_cast<std::uint32_t>(raw.size());
  header.seq = begun_ ? state_.head.seq + 1 : 0;
  header.writer = state_.writer;
  const bool data = header.type == BlockType::kData;
  if (data && compressor_->compress(raw, out)) {
    header.flags |= kFlagZstd;
  } else {
    out.insert(out.end(), raw.begin(), raw.end());
  }
  const bool encrypt = data && state_.encrypted != 0;
  const std::size_t text_len = out.size() - payload;
  if (encrypt) {
    header.flags |= kFlagEncrypted;
    out.resize(out.size() + kTagLen);
  }
  header.stored_len = static_cast<std::uint32_t>(out.size() - payload);
  encode_header(header, out.data() + begin);
  // The first block follows nothing: its previous hash is zeros.
  std::ranges::copy(begun_ ? state_.head.hash : Hash32{}, out.data() + begin + kHeaderLen);
  if (encrypt) {
    const crypto::AesGcm cipher(state_.file_key);
    std::uint8_t* text = out.data() + payload;
    cipher.seal(block_nonce(header), ByteView(out).subspan(begin, kHeaderLen + kHashLen),
                {text, text_len}, text, text + text_len);
  }
  const crypto::Digest hash =
      crypto::hash(crypto::HashAlgorithm::kSha256, ByteView(out).subspan(begin));
  std::ranges::copy(hash.view(), state_.head.hash.begin());
  out.insert(out.end(), state_.head.hash.begin(), state_.head.hash.end());
  state_.head.seq = header.seq;
  state_.head.offset = (begun_ ? state_.head.offset : 0) + (out.size() - begin);
  begun_ = true;
}

}  // namespace bastion::recording
