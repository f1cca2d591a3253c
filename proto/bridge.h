#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proto/channel.h"
#include "proto/file_events.h"
#include "proto/payload.h"
#include "proto/permissions.h"

namespace bastion::proto {

struct ChannelRequest;

/// OpenRefused tells of a CHANNEL_OPEN that was answered with OPEN_FAILURE. `detail` is the
/// destination as the peer wrote it; `text` is what the opener was told.
struct OpenRefused {
  enum class Why : std::uint8_t {
    kPolicy,  // the grant does not allow it, or nothing asked for it before
    kLimit,   // too many channels
    kPeer,    // the other side refused it
  };
  ChannelType type;
  Leg opener;
  Why why;
  std::string_view detail;
  std::string_view text;
  ChannelLimit limit = ChannelLimit::kNone;  // of Why::kLimit
};

/// RequestDecision tells of a channel request that has consequences: pty-req, shell, exec,
/// subsystem, x11-req, auth-agent-req, env, signal, and any type that is refused. Of variables,
/// signals and refused ones at most 64 per channel are told, so that a peer cannot flood the audit
/// log; ChannelInfo::num_untold counts the rest. `name` is the request's type as the peer wrote it
/// and `detail` its command, subsystem, TERM or variable's name: peers' bytes.
/// `forced` says that the grant's own command runs instead; `detail` stays what was asked for.
struct RequestDecision {
  std::string_view name;
  std::string_view detail;
  bool allowed;
  bool forced = false;
};

/// ForwardDecision tells of a tcpip-forward, streamlocal-forward or their cancellation.
/// `established` is false when it is asked for and decided, true when the target has accepted it;
/// then `port` is the port that it listens on.
struct ForwardDecision {
  std::string_view name;
  std::string_view host_or_path;
  std::uint32_t port;
  bool allowed;
  bool established;
};

/// BridgeEvents is what a bridge tells its owner, for logs, audit and limits. All views live for
/// the call. A callback may call inject_stderr() and the const methods, nothing else of the bridge.
class BridgeEvents {
 public:
  virtual ~BridgeEvents() = default;
  /// channel_opened: both sides have agreed.
  virtual void channel_opened(const ChannelInfo& /*channel*/) {}
  virtual void channel_refused(const OpenRefused& /*refused*/) {}
  /// channel_closed: both sides have closed; the counters are final.
  virtual void channel_closed(const ChannelInfo& /*channel*/) {}
  virtual void request_decided(const ChannelInfo& /*channel*/, const RequestDecision& /*request*/) {
  }
  /// session_started: the target accepted the shell, exec or subsystem request, and the user has
  /// not read a byte of its output yet: the place for the recording notice.
  virtual void session_started(const ChannelInfo& /*channel*/) {}
  virtual void forward_decided(const ForwardDecision& /*forward*/) {}
  /// file_event: an operation on a file is over, or was refused.
  virtual void file_event(const ChannelInfo& /*channel*/, const FileEvent& /*event*/) {}
  /// file_data: content of a file passes in order; told only where the permissions ask for digests.
  virtual void file_data(const ChannelInfo& /*channel*/, const FileData& /*data*/) {}
  /// channel_data: these bytes of channel data (`is_stderr`: extended data) are about to be relayed
  /// from `from`. False: they may not pass; they do not, and the session must end. The content of
  /// files that scp moves is not among them: file_event says what became of it.
  [[nodiscard]] virtual bool channel_data(const ChannelInfo& /*channel*/, Leg /*from*/,
                                          bool /*is_stderr*/, ByteView /*data*/) {
    return true;
  }
  /// request_relayed: this request is about to be relayed from `from`.
  virtual void request_relayed(const ChannelInfo& /*channel*/, Leg /*from*/,
                               const ChannelRequest& /*request*/) {}
  /// channel_eof: `from` has said that it sends no more data.
  virtual void channel_eof(const ChannelInfo& /*channel*/, Leg /*from*/) {}
  /// line_sent: the user was sent these bytes of ours on stderr.
  virtual void line_sent(const ChannelInfo& /*channel*/, std::string_view /*text*/) {}
  /// finished: after upstream_lost() the last channel is closed (at once, where there is none), so
  /// the downstream leg can be disconnected; after downstream_lost() everything is given up.
  virtual void finished() {}
};

/// Bridge is the connection layer (RFC 4254) of a routed session: it relays channels and requests
/// between the two legs where the permissions allow it, and answers by itself where they do not.
/// It does no I/O and reads no clock. It allocates when a channel opens and for requests, never for
/// data, which goes on in place: only the channel number is rewritten.
///
/// Windows: a sender is granted at most what the receiver has granted us (less a reserve for our
/// own lines to the user) and at most limits::kWindowBytesMax. What it may still send is therefore
/// bounded, and what a slow receiver makes the sink hold with it: where a receiver opened a huge
/// window, new credit is held back while its sink holds more than half of that maximum, until
/// drained() is called.
///
/// force_command: a shell, exec or subsystem request becomes exec of that command. What was asked
/// for cannot be given to it: SSH_ORIGINAL_COMMAND would have to be set on the target, whose sshd
/// takes it from no client.
class Bridge {
 public:
  /// The permissions, sinks and events are borrowed and outlive the bridge.
  Bridge(const Permissions& permissions, PacketSink& downstream, PacketSink& upstream,
         BridgeEvents& events);
  ~Bridge();
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;

  /// set_names gives the names for the lines that a refused user reads; they are copied.
  void set_names(const SessionNames& names);

  /// set_now gives the monotonic time in µs by which the durations of file events are reckoned.
  /// Call it before on_message() as often as the time is known.
  void set_now(std::int64_t now_us);

  /// on_message handles one message of 80 or more that `from` sent. The payload is used up. An
  /// error is the fault of that leg: disconnect it with the error's text, then call upstream_lost()
  /// or downstream_lost(). kUnsupported says that the message number is none of RFC 4254's, and
  /// that nothing else happened: answer UNIMPLEMENTED (RFC 4253 11.4) and go on.
  Status on_message(Leg from, Payload payload);

  /// drained says that the sink of `leg` has sent something: credit that was held back for the
  /// sake of its queue is granted. Cheap where none was; call it after every completed send.
  void drained(Leg leg);

  /// upstream_lost ends every channel towards the user: on session channels one line
  /// "bastion: `text`" on stderr and exit status 255 (unless there was one already), then EOF and
  /// CLOSE; other channels are closed, unanswered requests refused. The upstream sink is not used
  /// any more. Later opens are refused with `text`. Then BridgeEvents::finished() follows, perhaps
  /// within the call; give it a deadline, since the user's window may be full. Also the way to end
  /// a session on purpose: call this, and disconnect upstream.
  void upstream_lost(std::string_view text);

  /// downstream_lost gives every channel up, with its closing event; neither sink is used any more.
  /// Disconnect upstream.
  void downstream_lost();

  /// inject_stderr sends one line of our own to the user on a session channel's stderr. The line
  /// end is added (CR LF where there is a terminal). False where the user's window has no room for
  /// it, where the channel has no such side, or is gone: nothing is sent then.
  bool inject_stderr(ChannelNumber channel, std::string_view line);

  /// send_keepalive sends a keepalive@openssh.com request whose answer is awaited in its turn and
  /// swallowed. False where too many answers are outstanding: the peer is not there.
  bool send_keepalive(Leg leg);

  /// channels describes what is open, opening or closing now, in no order.
  std::vector<ChannelInfo> channels() const;
  std::size_t num_channels() const;
  /// bytes_up and bytes_down count the channel data of the session, closed channels included.
  std::uint64_t bytes_up() const;
  std::uint64_t bytes_down() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bastion::proto
