#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "crypto/keys.h"
#include "daemon/ipc/channel.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/stream/stream.h"
#include "daemon/timers.h"
#include "daemon/worker/file_digests.h"
#include "daemon/worker/recording.h"
#include "daemon/worker/tunnel.h"
#include "proto/auth_client.h"
#include "proto/bridge.h"
#include "proto/local_connection.h"
#include "proto/transport.h"

namespace bastion::daemon {

class Worker;

/// SessionLeg is one of a session's two SSH connections: socket, transport, and when it was last
/// heard of.
struct SessionLeg {
  std::unique_ptr<Stream> stream;
  std::unique_ptr<proto::Transport> transport;
  MonoTime heard;
  std::uint32_t keepalives = 0;  // sent since then
  bool awaiting = false;         // the warden's answer; nothing is received until it is there
  bool flushing = false;         // a DISCONNECT is on its way out; nothing is read any more
  bool exchange_timed = false;   // the timer knows of the key exchange that is under way
  bool put_off = false;          // its share of the turn is used up, and more packets lie there
  std::uint64_t turn = 0;        // in which `turn_packets` were taken
  std::uint64_t turn_packets = 0;
  std::uint64_t put_off_turn = 0;
  proto::TransportCounters told;  // what count_relayed has added to the worker's

  bool live() const { return stream != nullptr && !stream->closing() && !flushing; }
  bool in_key_exchange() const { return transport != nullptr && transport->in_key_exchange(); }
};

/// WorkerSession is one authenticated session at its worker. It owns both legs and the connection
/// layer between them, and acts on completions, the warden's answers and time. It never waits: a
/// wait is a state, or a number in `asked_`.
class WorkerSession final : public proto::BridgeEvents, public proto::LocalEvents {
 public:
  enum class State : std::uint8_t {
    kDialling,   // the warden connects; the user's leg is not read
    kHandshake,  // the target's key exchange and our login there
    kBridged,
    kLocal,   // we answer by ourselves: menu, tunnels, refusal
    kEnding,  // what is queued leaves, then everything closes
  };

  WorkerSession(Worker& worker, std::uint32_t slot, ipc::SessionId id, ipc::Adopt adopt,
                std::shared_ptr<const ipc::Settings> settings);
  ~WorkerSession() override;

  /// start takes the user's leg over. Errors: the state is not one; the session then ends.
  Status start(std::shared_ptr<const proto::TransportOptions> options, UniqueFd socket);

  ipc::SessionId id() const { return id_; }
  std::uint32_t slot() const { return slot_; }

  void on_read(proto::Leg leg, const Completion& completion);
  void on_written(proto::Leg leg, const Completion& completion);
  void on_tunnel_read(std::uint32_t tunnel_slot, const Completion& completion);
  void on_tunnel_written(std::uint32_t tunnel_slot, const Completion& completion);
  /// rearm ends a socket's wait for a slab; true where it receives then.
  bool rearm(Token token);
  void on_timer();
  /// go_on is the turn after one in which a leg's share was used up.
  void go_on();
  /// count_relayed adds what came since the last call to Worker::stats.
  void count_relayed();

  void on_target_connected(const ipc::TargetConnected& message, UniqueFd socket);
  void on_target_failed(const ipc::TargetFailed& message);
  /// on_recording_ready: the recorder has opened this session's recording, or cannot, or no longer.
  void on_recording_ready(const ipc::RecordingReady& message);
  /// is_recorded: it is, or it is not bridged before it is.
  bool is_recorded() const { return adopt_.recorded; }
  /// on_recorder says that the recorder has looked at the ring: what waited may go on, or has
  /// waited for too long.
  void on_recorder();
  void on_recorder_gone();
  /// on_audit: the audit log has taken what was told of this worker's sessions.
  void on_audit() { after_work(); }
  /// waits_for_recorder: nothing more is accepted at the moment.
  bool waits_for_recorder() const;
  void on_answer(std::uint32_t request, ipc::Received& received);
  /// end_with tells the user why, on every session channel, and ends.
  void end_with(std::string_view text);
  void set_deadline(MonoTime deadline);

  ipc::SessionStats stats() const;
  const std::string& end_reason() const { return end_reason_; }
  MonoTime bulk_until;        // Worker's: one of its sockets gave much of late
  bool changed_flag = false;  // Worker's: it is on the list of changed sessions
  bool dead_flag = false;     // Worker's: it is on the list of the dead
  bool waits_flag = false;    // Worker's: it is on the list of those that wait for the recorder
  bool awaits_audit_flag = false;  // Worker's: … for the audit log

 private:
  // session.cc: both legs.
  SessionLeg& leg(proto::Leg which) { return legs_[proto::index(which)]; }
  SessionLeg& down() { return leg(proto::Leg::kDownstream); }
  SessionLeg& up() { return leg(proto::Leg::kUpstream); }
  void make_stream(proto::Leg which, UniqueFd socket);
  void advance(proto::Leg which);
  bool may_take(proto::Leg which) const;
  bool within_share(proto::Leg which);
  bool step(proto::Leg which);
  bool on_payload(proto::Leg which, const proto::Payload& payload);
  Status on_channel_message(proto::Leg which, const proto::Payload& payload);
  void leg_fault(proto::Leg which, const Error& error);
  void leg_gone(proto::Leg which, std::string_view why);
  void rekey_if_due();
  void time_exchanges();
  void after_work();
  void end(std::string reason, std::string_view text);
  void disconnect(proto::Leg which, proto::DisconnectReason reason, std::string_view text);
  void close_leg(proto::Leg which);
  void check_idle();
  void update_timer();
  void keep_alive(proto::Leg which);
  void note(bool warning, std::string text);
  std::string with_id(std::string text) const { return text + "   (" + adopt_.short_id + ")"; }

  // upstream.cc: the way to the target.
  void on_host_verification();
  void on_target_verified(const ipc::TargetVerified& message);
  bool on_auth_message(ByteView payload);
  void log_in();
  void target_refused(std::string text);
  Status verify_same_host(const proto::Exchange& exchange, crypto::Digest& out_hash) const;
  void begin_bridge();
  void bridge_when_recorded();
  // audit_events.cc: the same, for the audit log.
  /// limit_reached; `limit` is a literal.
  void limit_reached(std::string_view limit, std::uint64_t value, std::string_view reason);
  void channel_limit_reached(proto::ChannelLimit limit, std::string_view text);
  void tell_audit(audit::Event event, record::DigestRefs digests = {});
  bool waits_for_audit() const;
  bool holds_back();
  void audit_target_login(std::string_view reason);
  void audit_channel(audit::Name name, const proto::ChannelInfo& channel);
  void audit_untold(const proto::ChannelInfo& channel);
  void audit_refused(proto::ChannelType type, std::string_view opener, std::string_view detail,
                     std::string_view text);
  void serve_locally(proto::LocalOptions::Mode mode, std::string refusal);

  // session_tunnels.cc: ProxyJump.
  Tunnel* find_tunnel(proto::ChannelNumber channel);
  Tunnel* tunnel_at(std::uint32_t tunnel_slot);
  void on_tunnel_opened(const ipc::TunnelOpened& message, UniqueFd socket);
  void on_tunnel_refused(std::uint32_t request, const ipc::Refused& refused);
  void take_tunnel_data(const proto::TcpData& data);
  void flush_batches();
  void flush_batch(Tunnel& tunnel);
  void feed_user(Tunnel& tunnel);
  void settle_tunnel(Tunnel& tunnel);
  void arm_tunnel(Tunnel& tunnel);
  void close_tunnel(Tunnel& tunnel);
  void close_tunnels();
  void reap_tunnels();
  void limit_lingering();
  MonoTime first_to_leave() const;
  void end_overdue_tunnels();
  bool tunnels_congested() const;

  // proto::BridgeEvents
  void channel_opened(const proto::ChannelInfo& channel) override;
  void channel_refused(const proto::OpenRefused& refused) override;
  void channel_closed(const proto::ChannelInfo& channel) override;
  void request_decided(const proto::ChannelInfo& channel,
                       const proto::RequestDecision& request) override;
  void session_started(const proto::ChannelInfo& channel) override;
  void forward_decided(const proto::ForwardDecision& forward) override;
  void file_event(const proto::ChannelInfo& channel, const proto::FileEvent& event) override;
  void file_data(const proto::ChannelInfo& channel, const proto::FileData& data) override;
  bool channel_data(const proto::ChannelInfo& channel, proto::Leg from, bool is_stderr,
                    ByteView data) override;
  void request_relayed(const proto::ChannelInfo& channel, proto::Leg from,
                       const proto::ChannelRequest& request) override;
  void channel_eof(const proto::ChannelInfo& channel, proto::Leg from) override;
  void line_sent(const proto::ChannelInfo& channel, std::string_view text) override;
  void finished() override;
  // proto::LocalEvents
  void need_listing(proto::ChannelNumber channel, std::uint32_t columns) override;
  void open_tcp(const proto::TcpOpen& open) override;
  void tcp_eof(proto::ChannelNumber channel) override;
  void tcp_closed(const proto::ChannelInfo& channel) override;
  void session_request(const proto::ChannelInfo& channel) override;
  void channel_refused(proto::ChannelType type, std::string_view detail, std::string_view text,
                       proto::ChannelLimit limit) override;

  static constexpr std::int64_t kNotesBurst = 500;
  static constexpr std::int64_t kNotesPerSecond = 20;

  Worker& worker_;
  std::uint32_t slot_;
  ipc::SessionId id_;
  ipc::Adopt adopt_;
  std::shared_ptr<const ipc::Settings> settings_;
  State state_ = State::kDialling;
  SessionLeg legs_[2];
  std::optional<proto::AuthClient> auth_;
  std::unique_ptr<SessionRecording> recording_;
  std::unique_ptr<FileDigests> digests_;
  std::map<proto::ChannelNumber, MonoTime> audit_opened_;  // when channels were opened
  bool recording_ready_ = false;
  bool logged_in_ = false;     // at the target; the bridge may wait for the recording
  MonoTime recorder_awaited_;  // since when; 0: not
  std::unique_ptr<proto::Bridge> bridge_;
  std::unique_ptr<proto::LocalConnection> local_;
  std::vector<std::unique_ptr<Tunnel>> tunnels_;

  struct Asked {
    enum class What : std::uint8_t { kRekey, kTargetVerify, kTargetSign, kTunnel, kListing };
    What what{};
    proto::ChannelNumber channel = 0;
  };
  std::map<std::uint32_t, Asked> asked_;

  std::vector<ipc::TargetCredential> credentials_;
  std::size_t next_credential_ = 0;
  std::string methods_left_;   // what the target said would do
  Bytes target_host_key_;      // of its first exchange
  std::string target_banner_;  // filtered, for the first terminal
  std::string end_reason_;     // for the log
  std::string end_text_;       // for the user
  Timers::Handle timer_;
  MonoTime handshake_deadline_;
  MonoTime end_deadline_;
  bool finished_ = false;  // the bridge said so
  // What the log hears of one session is bounded: a burst, then a trickle, and how many were left
  // out.
  /// LimitTally: a limit is told when it is reached, and after that at most once a second.
  struct LimitTally {
    MonoTime quiet_until{};
    std::uint64_t untold = 0;
  };
  std::map<std::string_view, LimitTally> limits_;  // by their names, which are literals
  std::int64_t notes_left_ = kNotesBurst;
  std::uint64_t notes_dropped_ = 0;
  MonoTime notes_since_;
};

}  // namespace bastion::daemon
