#include "daemon/recording/format.h"

#include <algorithm>

#include "base/wire.h"
#include "daemon/recording/little_endian.h"

namespace bastion::recording {

void encode_header(const BlockHeader& header, std::uint8_t* out) {
  store_le32(out, kMagic);
  out[4] = kFormatVersion;
  out[5] = static_cast<std::uint8_t>(header.type);
  store_le16(out + 6, header.flags);
  store_le32(out + 8, header.stored_len);
  store_le32(out + 12, header.raw_len);
  store_le64(out + 16, header.seq);
  store_le64(out + 24, header.first_time_us);
  store_le64(out + 32, header.last_time_us);
  store_le64(out + 40, header.ring_position);
  store_le32(out + 48, header.ring_generation);
  store_le32(out + 52, header.writer);
  store_le32(out + 56, header.num_entries);
  store_le32(out + 60, 0);
}

Bytes head_to_sign(std::string_view session_id, std::uint64_t seq, const Hash32& hash) {
  Writer writer;
  writer.text("bastiond recording head v1").text(session_id).u64(seq).string(hash);
  return writer.take();
}

bool is_session_id(std::string_view text) {
  return text.size() == kSessionIdLen && std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
         });
}

}  // namespace bastion::recording
