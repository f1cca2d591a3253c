#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/boot_clock.h"
#include "daemon/audit/event.h"
#include "daemon/ipc/message.h"
#include "daemon/record_ring/record_ring.h"
#include "daemon/recording/entries.h"
#include "daemon/recording/format.h"
#include "daemon/worker/bulk_opening.h"
#include "daemon/worker/echo_filter.h"
#include "proto/bridge.h"
#include "proto/permissions.h"
#include "proto/requests.h"

namespace bastion::daemon {

/// A recorder that has not looked at the ring for so long is gone, and so is what it should record.
inline constexpr std::int64_t kRecorderNsMax = 2 * kNsPerSecond;
/// What the user is told then.
inline constexpr std::string_view kRecorderSilent =
    "this session is to be recorded, and the recorder does not answer. Tell your administrators.";

/// SessionRecording puts what passes through one session into the worker's ring, before it is
/// relayed. What has been put in is accepted: it is in memory that outlives this process, and there
/// is space for it on disk. has_room() says that whatever the next packet is will be accepted;
/// where it says no, nothing is taken from either leg until it says yes. What one packet says of
/// files has no such bound (2,500 requests fit into one): its entries wait here where there is no
/// room, and while they do, owes() holds back everything that the session has for its peers.
class SessionRecording {
 public:
  /// `ring` is borrowed and outlives the recording. `begun_us` is the time now, in microseconds
  /// since 1970; from there the recording has its own, which goes on evenly whatever becomes of the
  /// system's clock.
  SessionRecording(record::Producer& ring, std::uint32_t slot, ipc::SessionId session,
                   const proto::RecordPlan& plan, std::string force_command,
                   std::int64_t begun_us = wall_us())
      : ring_(ring),
        slot_(slot),
        session_(session),
        plan_(plan),
        force_command_(std::move(force_command)),
        begun_us_(begun_us) {}

  /// has_room: what it once said no to stays so until look_again(), whatever the recorder grants
  /// meanwhile, so that all who ask within a turn hear the same, and nobody is forgotten who waits.
  bool has_room();
  void look_again();
  bool owes() const { return !waiting_.empty(); }
  /// give_up: what is owed will not be taken any more.
  void give_up();

  // The bridge's taps (proto/bridge.h).
  void opened(const proto::ChannelInfo& channel);
  void closed(const proto::ChannelInfo& channel);
  [[nodiscard]] bool data(const proto::ChannelInfo& channel, proto::Leg from, bool is_stderr,
                          ByteView data);
  void request(const proto::ChannelInfo& channel, const proto::ChannelRequest& request);
  void eof(const proto::ChannelInfo& channel, proto::Leg from);
  void line(const proto::ChannelInfo& channel, std::string_view text);
  /// file puts a file operation, and where `digests` names any, has the recorder add them.
  void file(const proto::ChannelInfo& channel, std::string_view json, record::DigestRefs digests);
  /// forward puts what happened with a forwarded channel; or, without one, that a forwarding was
  /// asked for or a channel refused.
  void forward(const proto::ChannelInfo& channel, const audit::Event& event);
  void forward(const audit::Event& event);

  /// is_recorded says whether anything of this channel is.
  bool is_recorded(const proto::ChannelInfo& channel);
  /// take_cap gives a cap of the rule's (`exec_bytes`) that was reached, once.
  std::optional<recording::Cap> take_cap() { return std::exchange(cap_reached_, std::nullopt); }
  /// lost: an entry found no room. It was told here and is the end of the session.
  bool lost() const { return lost_; }

 private:
  /// ChannelTap is how one channel is recorded.
  struct ChannelTap {
    proto::RecordTerms terms;
    bool told = false;                 // that it was opened
    std::uint64_t bytes_kept[3] = {};  // of stdout, stderr, stdin
    bool cap_told[3] = {};
    std::optional<BulkOpening> bulk;   // of rsync or git, whose content is not kept
    std::unique_ptr<EchoFilter> echo;  // of a terminal whose input is recorded
  };

  ChannelTap& tap(const proto::ChannelInfo& channel);
  bool keep(ChannelTap& tap, const proto::ChannelInfo& channel, recording::EntryKind stream,
            ByteView data);
  bool shown(const proto::ChannelInfo& channel, const EchoFilter::Shown& shown);
  bool tell_opened(ChannelTap& tap, const proto::ChannelInfo& channel);
  bool put(std::uint32_t channel, recording::EntryKind kind, ByteView bytes) {
    return put_frame(channel, static_cast<std::uint8_t>(kind), bytes);
  }
  static std::int64_t wall_us();
  bool put_frame(std::uint32_t channel, std::uint8_t kind, ByteView bytes);
  bool has_room_for(std::size_t len) const;
  void event(const proto::ChannelInfo& channel, recording::EntryKind kind, ByteView bytes);

  record::Producer& ring_;
  std::uint32_t slot_;
  ipc::SessionId session_;
  proto::RecordPlan plan_;
  std::string force_command_;
  std::int64_t begun_us_;
  MonoTime begun_ = boot_now();
  std::uint64_t spent_ = 0;
  bool lost_ = false;
  bool starved_ = false;  // has_room said no
  std::optional<recording::Cap> cap_reached_;
  struct Waiting {
    record::FrameHeader header;
    Bytes bytes;
  };
  std::deque<Waiting> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::map<proto::ChannelNumber, ChannelTap> taps_;
};

}  // namespace bastion::daemon
