#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proto/agent_filter.h"
#include "proto/bounded_queue.h"
#include "proto/bridge.h"
#include "proto/bridge_files.h"
#include "proto/channel_open.h"
#include "proto/channel_permits.h"
#include "proto/connection_limits.h"
#include "proto/requests.h"
#include "proto/slot_table.h"
#include "proto/user_text.h"
#include "proto/window.h"

/// What proto/bridge_*.cc share; nothing else includes it.
namespace bastion::proto {

/// Answer is how a request that was made is answered.
enum class Answer : std::uint8_t {
  kAwaited,         // the other side answers
  kAwaitedUnasked,  // … but the requester did not want to know; we do
  kSuccess,         // we answer, when it is its turn
  kFailure,
  kRefusal,  // a shell, command or subsystem: SUCCESS, why not, and the channel's end
};

struct OwedChannelReply {
  ChannelRequestType type = ChannelRequestType::kUnknown;
  Answer answer = Answer::kFailure;
  bool want_reply = true;
};

/// ChannelSide is one leg's end of a channel. `in` is what this leg sent, `out` what it was sent.
struct ChannelSide {
  std::uint32_t peer_number = 0;
  std::uint32_t max_packet = 0;  // data bytes that this leg takes in one packet, at most ours
  bool confirmed = false;        // peer_number is known
  bool eof_in = false;
  bool close_in = false;
  bool eof_out = false;
  bool close_out = false;
  BoundedQueue<OwedChannelReply, kChannelRepliesMax> owed;  // to this leg
};

struct Channel {
  enum class Start : std::uint8_t { kNone, kAwaited, kStarted, kRefused };

  ChannelType type = ChannelType::kUnknown;
  Leg opener = Leg::kDownstream;
  bool open = false;    // both sides have agreed
  bool orphan = false;  // the side that opened it is lost; the other has not answered yet
  bool ending = false;  // we end it: end_line, exit status and close are on their way to the user
  bool pty = false;
  ChannelUse use = ChannelUse::kNone;
  Start start = Start::kNone;
  std::uint8_t num_told = 0;
  std::uint8_t num_env = 0;
  std::uint64_t num_untold = 0;  // requests that the owner was not told of
  std::optional<std::uint32_t> exit_status;
  bool exit_seen = false;  // exit-status or exit-signal was relayed
  std::array<ChannelSide, 2> sides;
  std::array<WindowLedger, 2> windows;       // by the leg that sends
  std::array<std::uint64_t, 2> num_bytes{};  // by the leg that sent
  AgentFilter agent;
  std::string detail;
  std::string origin;
  std::string end_line;
  std::size_t end_sent = 0;
  std::unique_ptr<FileStage> files;  // null: it moves no files that we know of

  ChannelSide& side(Leg leg) { return sides[index(leg)]; }
  const ChannelSide& side(Leg leg) const { return sides[index(leg)]; }
  WindowLedger& from(Leg leg) { return windows[index(leg)]; }
  /// is_ended: nothing is relayed any more, in either direction.
  bool is_ended() const { return ending || (sides[0].close_out && sides[1].close_out); }
};

/// Forward is a tcpip-forward or streamlocal-forward that the user asked for.
struct Forward {
  enum class Step : std::uint8_t { kAsked, kActive, kCancelling };
  std::uint32_t id = 0;
  Step step = Step::kAsked;
  bool socket = false;
  std::uint32_t port = 0;  // 0 until the target has said which
  std::string host_or_path;
};

/// ExpectedReply is what a REQUEST_SUCCESS or REQUEST_FAILURE of one leg will answer.
struct ExpectedReply {
  enum class Of : std::uint8_t { kKeepalive, kForward, kOther };
  Of of = Of::kOther;
  bool wanted = true;  // by the other leg, whose queue has an Answer::kAwaited for it
  std::uint32_t forward_id = 0;
};

struct Bridge::State final : FileStage::Tells {
  State(const Permissions& permissions_in, PacketSink& downstream, PacketSink& upstream,
        BridgeEvents& events_in)
      : permissions(permissions_in), sinks{&downstream, &upstream}, events(events_in) {}

  const Permissions& permissions;
  std::array<PacketSink*, 2> sinks;
  BridgeEvents& events;
  OwnedNames names;

  SlotTable<Channel> channels;
  std::array<std::size_t, 2> num_opening{};  // by opener
  std::size_t num_sessions = 0;
  bool no_more_sessions = false;
  bool agent_accepted = false;  // one auth-agent-req was: its socket serves the whole connection
  bool x11_accepted = false;
  std::vector<Forward> forwards;
  std::uint32_t next_forward_id = 0;
  std::array<BoundedQueue<Answer, limits::kPendingRepliesMax>, 2> owed;  // global replies to a leg
  std::array<BoundedQueue<ExpectedReply, limits::kPendingRepliesMax>, 2> expected;  // … from it
  std::array<bool, 2> credit_held{};  // by the leg whose sink's queue is long
  std::array<bool, 2> lost{};
  bool finished_told = false;
  std::string lost_text;
  std::int64_t now_us = 0;
  std::array<std::uint64_t, 2> num_bytes{};

  PacketSink& sink(Leg leg) { return *sinks[index(leg)]; }
  bool is_lost(Leg leg) const { return lost[index(leg)]; }

  // bridge.cc
  PeerChannel peer_channel(Leg from, ChannelNumber number) const;
  Status on_channel_message(Leg from, Payload payload);
  ChannelInfo info(ChannelNumber number, const Channel& channel) const;
  void erase(ChannelNumber number, Channel& channel);
  void tell_finished();

  // bridge_open.cc
  Status on_open(Leg from, Payload payload);
  Status on_confirmation(Leg from, ChannelNumber number, Channel& channel, Payload payload);
  Status on_open_failure(Leg from, ChannelNumber number, Channel& channel, Payload payload);
  void refuse_open(Leg from, const ChannelOpen& open, OpenFailure reason, OpenRefused::Why why,
                   std::string_view text, ChannelLimit limit = ChannelLimit::kNone);
  struct OpenLimit {
    ChannelLimit limit;
    std::string text;
  };
  /// open_limit gives the limit that this open would go beyond, if there is one.
  std::optional<OpenLimit> open_limit(Leg from, const ChannelOpen& open) const;
  bool was_asked_for(const ChannelOpen& open) const;

  // bridge_data.cc
  Status on_data(Leg from, Channel& channel, Payload payload);
  Status on_window_adjust(Leg from, ChannelNumber number, Channel& channel, Payload payload);
  void on_eof(Leg from, ChannelNumber number, Channel& channel);
  void on_close(Leg from, ChannelNumber number, Channel& channel);
  /// grant gives the sender the credit that there is; by_adjust: the receiver gave some.
  void grant(Leg sender, Channel& channel, bool by_adjust);
  void send_eof(Leg to, Channel& channel);
  void send_close(Leg to, Channel& channel);
  /// end_channel ends a channel towards the user with a line (session channels only); pump_ending
  /// goes on with it as far as the user's window allows, and settles the channel.
  void end_channel(ChannelNumber number, Channel& channel, std::string_view text);
  void pump_ending(ChannelNumber number, Channel& channel);
  /// settle erases a channel that both sides have closed.
  void settle(ChannelNumber number, Channel& channel);

  // bridge_files.cc
  /// pass_files relays the data of a channel whose files are watched; its window is debited.
  Status pass_files(Leg from, ChannelNumber number, Channel& channel, Payload payload,
                    std::size_t header_len);
  /// pump_answers sends the user what refused requests are answered with, where the stream is
  /// between two messages (`between`: it is, although more has been looked at) and the window
  /// allows it.
  void pump_answers(Channel& channel, bool between = false);
  /// drop_files: the channel moves no files after all.
  static void drop_files(Channel& channel);
  void tell_file(ChannelNumber number, const FileEvent& event) override;
  void tell_file_data(ChannelNumber number, const FileData& data) override;

  // bridge_requests.cc
  Status on_channel_request(Leg from, ChannelNumber number, Channel& channel, Payload payload);
  Status on_channel_reply(Leg from, ChannelNumber number, Channel& channel, Payload payload);
  Status answer(Leg to, ChannelNumber number, Channel& channel, OwedChannelReply reply);
  void flush_replies(Leg to, ChannelNumber number, Channel& channel);
  Status relay_request(Leg from, Channel& channel, const ChannelRequest& request, Payload payload);
  Status relay_start(Channel& channel, const ChannelRequest& request, Payload payload);
  void note_relayed(ChannelNumber number, Channel& channel, const ChannelRequest& request);
  void tell_request(ChannelNumber number, Channel& channel, const ChannelRequest& request,
                    bool allowed);

  // bridge_global.cc
  Status on_global_request(Leg from, Payload payload);
  Status on_global_reply(Leg from, Payload payload);
  Status answer_global(Leg to, bool want_reply, bool success);
  void flush_global(Leg to);
  Status relay_global(const GlobalRequest& request, ExpectedReply expected_reply, Payload payload);
  Status on_forward(const GlobalRequest& request, Payload payload);
  Status on_cancel_forward(const GlobalRequest& request, Payload payload);
  Status settle_forward(const ExpectedReply& reply, ByteView message);
  Forward* find_forward(std::uint32_t id);
};

}  // namespace bastion::proto
