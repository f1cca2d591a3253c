#pragma once

#include <map>
#include <string_view>
#include <tuple>

#include "daemon/ipc/message.h"
#include "daemon/record_ring/record_ring.h"
#include "proto/file_events.h"

namespace bastion::daemon {

/// FileDigests has the recorder hash what passes of a session's files, on another core: their
/// content goes through the worker's ring and is not stored. Where a digest cannot be had, close()
/// says why; it is never of anything but the whole file.
class FileDigests {
 public:
  /// Digests under way in one session; the recorder keeps 300 octets for each.
  static constexpr std::size_t kOpenMax = 256;

  /// `ring` is borrowed and outlives it.
  FileDigests(record::Producer& ring, ipc::SessionId session) : ring_(ring), session_(session) {}

  /// has_room, look_again: as SessionRecording's. Where the recorder does not keep up the transfer
  /// waits.
  bool has_room();
  void look_again() { starved_ = false; }

  void data(proto::ChannelNumber channel, const proto::FileData& data);

  /// Closed is what there is for a file that is closed.
  struct Closed {
    record::DigestRefs refs;
    bool empty_read = false;     // of no content: nothing went through the ring
    bool empty_written = false;  // likewise
    std::string_view missing;    // why a digest is not there
    bool any() const { return refs.read != 0 || refs.written != 0; }
  };
  /// close takes a kClose event; the digests that it gives are in the recorder by the time that
  /// anything that is put or sent later is.
  Closed close(proto::ChannelNumber channel, const proto::FileEvent& event);

 private:
  using Key = std::tuple<proto::ChannelNumber, std::uint32_t, proto::Leg>;
  struct Open {
    std::uint32_t digest = 0;  // 0: there were too many
    std::uint64_t bytes = 0;
    bool lost = false;
  };
  bool put(Open& open, record::DigestHeader::Step step, ByteView bytes);
  std::uint32_t close_one(const Key& key, bool whole, std::uint64_t bytes,
                          std::string_view& out_missing);

  record::Producer& ring_;
  ipc::SessionId session_;
  bool starved_ = false;
  std::uint32_t last_ = 0;
  std::map<Key, Open> open_;
};

/// SHA-256 of nothing.
inline constexpr std::string_view kEmptyDigest =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

}  // namespace bastion::daemon
