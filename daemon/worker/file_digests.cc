#include "daemon/worker/file_digests.h"

#include <array>
#include <cstring>

namespace bastion::daemon {
namespace {

/// As SessionRecording leaves for what comes without a packet.
constexpr std::size_t kRoomKept = std::size_t{1} << 20;

}  // namespace

bool FileDigests::has_room() {
  starved_ = starved_ || ring_.room() < kRoomKept;
  return !starved_;
}

bool FileDigests::put(Open& open, record::DigestHeader::Step step, ByteView bytes) {
  const record::DigestHeader about{.digest = open.digest, .step = step, .offset = open.bytes};
  std::array<std::uint8_t, sizeof about> raw;
  std::memcpy(raw.data(), &about, sizeof about);
  const std::array<ByteView, 2> pieces{raw, bytes};
  const record::FrameHeader header{.kind = record::kKindDigest, .session = session_};
  open.lost = open.lost || !ring_.put(header, pieces);
  return !open.lost;
}

void FileDigests::data(proto::ChannelNumber channel, const proto::FileData& data) {
  const Key key{channel, data.file, data.from};
  auto found = open_.find(key);
  if (found == open_.end()) {
    // What did not begin here is not begun in the middle.
    const bool fits = data.offset == 0 && open_.size() < kOpenMax;
    found = open_.emplace(key, Open{.digest = fits ? ++last_ : 0}).first;
  }
  Open& open = found->second;
  if (open.digest == 0 || open.lost) {
    return;
  }
  open.lost = data.offset != open.bytes;
  if (put(open, record::DigestHeader::kContent, data.bytes)) {
    open.bytes += data.bytes.size();
  }
}

std::uint32_t FileDigests::close_one(const Key& key, bool whole, std::uint64_t bytes,
                                     std::string_view& out_missing) {
  const auto found = open_.find(key);
  if (found == open_.end()) {
    return 0;
  }
  Open open = found->second;
  open_.erase(found);
  if (open.digest == 0) {
    out_missing = "too many files were open at once";
    return 0;
  }
  const bool there = whole && !open.lost && open.bytes == bytes;
  open.lost = false;  // whatever became of it, the recorder lets go of it
  const bool told = put(open, there ? record::DigestHeader::kEnd : record::DigestHeader::kDrop, {});
  if (whole && (!there || !told)) {
    out_missing = "the recorder did not keep up";
  }
  return there && told ? open.digest : 0;
}

FileDigests::Closed FileDigests::close(proto::ChannelNumber channel,
                                       const proto::FileEvent& event) {
  Closed closed;
  closed.missing = event.why_not_whole;
  closed.empty_read = event.whole_read && event.bytes_read == 0;
  closed.empty_written = event.whole_written && event.bytes_written == 0;
  closed.refs.read = close_one({channel, event.file, proto::Leg::kUpstream}, event.whole_read,
                               event.bytes_read, closed.missing);
  closed.refs.written = close_one({channel, event.file, proto::Leg::kDownstream},
                                  event.whole_written, event.bytes_written, closed.missing);
  return closed;
}

}  // namespace bastion::daemon
