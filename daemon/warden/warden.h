#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "config/load.h"
#include "daemon/ipc/codec.h"
#include "daemon/ipc/messages.h"
#include "daemon/warden/audit.h"
#include "daemon/warden/cookie_pool.h"
#include "daemon/warden/dial.h"
#include "daemon/warden/io.h"
#include "daemon/warden/session.h"

namespace bastion::daemon {

/// mode_name: "routed", "menu" or "refused".
std::string_view mode_name(ipc::SessionMode mode);

/// Warden decides. It holds every key and the policy, and is the only process that verifies users
/// and targets, signs, and connects. It never waits and never parses a packet of a user's or a
/// target's: what reaches it are the fixed fields of messages, key blobs, certificates and
/// signatures. It believes nothing that it can check (docs/architecture.md, "A routed login").
///
/// All I/O is behind WardenIo, so that tests run it in their own process. One thread.
class Warden {
 public:
  /// Both are borrowed and outlive the warden.
  Warden(WardenIo& io, RandomSource& random);

  /// configure loads the bundle's configuration; where that fails nothing changes and the text says
  /// why. Gates and workers that are there get new Settings.
  ipc::ConfigurationResult configure(const config::FileBundle& files, const std::string& path,
                                     const std::string& loaded_by);

  /// reload_refused: nothing changes; it goes on record.
  void reload_refused(const std::string& by, std::string_view why);

  /// limit_reached: strangers have; it goes on record.
  void limit_reached(const ipc::LimitReached& message);

  void add_peer(PeerId peer, std::uint32_t pid);
  /// peer_gone ends every session that the process held.
  void peer_gone(PeerId peer);

  /// on_message handles one message of a gate, a worker or the resolver. `fd` is what came with it.
  /// What permits.h does not list, or is malformed, ends the peer.
  void on_message(PeerId from, const ipc::Header& header, ByteView body, UniqueFd fd);

  /// on_connected is the end of WardenIo::connect: the connected socket, or an errno.
  void on_connected(ConnectToken token, UniqueFd socket, int error);

  /// on_time does what is due; next_deadline says when it wants to be called next.
  void on_time();
  MonoTime next_deadline() const;

  /// control answers a request of bastionctl's (JSON, one object) with one JSON object; nullopt:
  /// WardenIo::answer_control will, by the request's number.
  std::optional<std::string> control(const ipc::ControlRequest& request, std::uint32_t number);

  /// shut_down ends every session with `text`; drained() becomes true when all are gone.
  void shut_down(std::uint32_t limit_ms, const std::string& text);
  bool drained() const {
    return shutting_down_ && sessions_.size() == 0 && (closing_.empty() || !has_recorder()) &&
           audit_is_done();
  }

  std::size_t num_sessions() const { return sessions_.size(); }

 private:
  struct Peer {
    std::uint32_t pid = 0;
    CookiePool cookies;
    std::size_t num_sessions = 0;
    std::size_t num_dials = 0;  // a worker's; those of a gate's sessions are in its sessions' share
    ipc::WorkerStats stats;     // a worker's last
    std::set<std::uint32_t> record_slots{};  // of a worker's ring: taken
    std::string fault{};                     // why it is being ended
  };
  /// Closing is a recording whose session is over and that the recorder has not sealed yet.
  struct Closing {
    ipc::CloseRecording message;
    PeerId worker;
    std::uint32_t worker_pid = 0;
    std::uint32_t slot = 0;
    bool told = false;         // recording.open
    std::uint64_t blocks = 0;  // as its head was signed
    std::string head{};
  };
  /// Hold is what an administrator asked of a recording, by the number of his request.
  struct Hold {
    static constexpr std::size_t kMax = 64;  // under way at once
    static constexpr std::size_t kReasonBytesMax = 1000;
    static constexpr std::int64_t kAnswerNs = 10 * kNsPerSecond;
    ipc::HoldRecording message;
    std::string subject;  // the id as it was given
    MonoTime due;         // the administrator is not kept longer
    bool answered = false;
    bool waits = false;  // for the act to be on record
  };
  /// Budget is how many walks through all targets, for hints or a listing, a user may still cause:
  /// with thousands of targets each takes milliseconds, and there is one warden for everybody.
  struct Budget {
    static constexpr std::int64_t kMax = 64;
    static constexpr std::int64_t kNsPerWalk = kNsPerSecond;  // one comes back so often
    std::int64_t left = kMax;
    MonoTime counted_at;

    bool any(MonoTime now);
    void take() { --left; }
  };
  struct Caller {  // of one message
    PeerId peer;
    ipc::Header header;
    ipc::SessionId session_id = 0;
  };

  // warden.cc: dispatch, peers, configuration.
  template <typename Message, typename Handler>
  void handle(const Caller& caller, ByteView body, Handler handler);
  void dispatch(const Caller& caller, Session* session, ByteView body, UniqueFd fd);
  bool owns(PeerId peer, const Session& session) const;
  void violated(PeerId peer, std::string_view why);
  template <typename Message>
  void reply(const Caller& caller, const Message& message) {
    const ipc::Header header{.request = caller.header.request, .session = caller.session_id};
    io_.send(caller.peer, ipc::encode(header, message), UniqueFd());
  }
  template <typename Message>
  void send(PeerId to, ipc::SessionId session, const Message& message, UniqueFd fd = UniqueFd()) {
    io_.send(to, ipc::encode(ipc::Header{.session = session}, message), std::move(fd));
  }
  void refuse(const Caller& caller, std::string text, bool fatal = false);
  void end_row(ipc::SessionId id, Session& session, std::string_view reason);

  // exchange.cc: host signatures.
  void on_sign_first_exchange(const Caller& caller, ipc::SignFirstExchange message, UniqueFd fd);
  void on_sign_rekey(const Caller& caller, Session& session, ipc::SignRekey message);
  void sign_exchange(const Caller& caller, const HostSigner& signer, const crypto::Digest& hash);
  void refuse_exchange(const Caller& caller, std::string text);

  // login.cc: users.
  void on_key_query(const Caller& caller, Session& session, const ipc::KeyQuery& message);
  void on_key_verify(const Caller& caller, Session& session, const ipc::KeyVerify& message);
  void on_hand_over(const Caller& caller, Session& session, ipc::HandOver message);
  Result<config::Admission> admit(const Session& session, const ipc::KeyVerify& message,
                                  crypto::PublicKey& out_key);
  Status verify_user(const Session& session, const ipc::KeyVerify& message,
                     config::Admission& out_admission);
  void decide(ipc::SessionId id, Session& session, std::string_view user_name);
  void name_session(Session& session);
  std::string with_id(std::string text, const Session& session) const;
  void adopt_session(ipc::SessionId id, Session& session, const ipc::Adopt& adopt);
  void pass_target(ipc::SessionId id, Session& session);

  // dial.cc: towards targets.
  void start_dial(Dial dial);
  void next_address(DialIndex index);
  void dial_done(DialIndex index, UniqueFd socket);
  void dial_failed(DialIndex index);
  void tell_dial_failed(const Dial& dial);
  void count_dial(const Dial& dial, bool begins);
  void cancel_dials(const Session& session);
  void on_resolved(const Caller& caller, const ipc::Resolved& message);
  Dial* find_dial(std::uint64_t token);
  void remove_dial(DialIndex index);

  // target.cc: the target's key, our credentials.
  void on_target_verify(const Caller& caller, Session& session, const ipc::TargetVerify& message);
  void on_target_sign(const Caller& caller, Session& session, const ipc::TargetSign& message);
  Status verify_target_signature(const Session& session, const ipc::TargetVerify& message,
                                 crypto::Digest& out_hash) const;
  void give_credentials(const Caller& caller, Session& session, const crypto::Digest& hash);

  // tunnel.cc: sessions without a target.
  void on_open_tunnel(const Caller& caller, Session& session, const ipc::OpenTunnel& message);
  void on_ask_listing(const Caller& caller, Session& session);

  // recording.cc: the recorder.
  bool has_recorder() const { return peers_.contains(kRecorder); }
  std::string cannot_record() const;
  void open_recording(ipc::SessionId id, Session& session);
  void send_open(ipc::SessionId id, const Session& session);
  void close_recording(Session& session, std::string_view reason);
  void brief_recorder();
  void on_recording_opened(const ipc::RecordingOpened& message);
  void on_recording_failed(const ipc::RecordingFailed& message);
  void tell_recording(ipc::SessionId id, Session& session, ipc::RecordingReady message);
  void on_recording_sealed(const ipc::RecordingSealed& message);
  void on_sign_head(const Caller& caller, const ipc::SignHead& message);
  void on_recorder_state(ipc::RecorderState message);

  // hold.cc: recordings that are to be kept.
  std::optional<std::string> hold_recording(const ipc::ControlRequest& request, bool hold,
                                            const std::string& id, const std::string& reason,
                                            std::uint32_t number);
  void on_recording_held(const Caller& caller, const ipc::RecordingHeld& message);
  void audit_hold(const Hold& hold, std::string_view outcome, std::string_view reason);
  void finish_hold(std::uint32_t number, std::string answer);
  void send_hold(std::uint32_t number);
  void answer_late_holds();

  // audit.cc: what goes on record.
  audit::Event event_of(audit::Name name, const Session& session) const;
  void audit_login(const Session& session, const ipc::KeyVerify& message,
                   const config::Admission& admission, std::string_view reason);
  void audit_decision(const Session& session, std::string_view user_name, std::string_view rule,
                      std::string_view reason);
  void audit_session_start(Session& session);
  void audit_tunnel(audit::Name name, const Session& session, const Dial& dial,
                    std::string_view address, std::string_view reason);
  void audit_end(const Session& session, std::string_view reason);
  void audit_process_end(PeerId peer, const Peer& gone);
  void sign_audit_head(const Caller& caller, const crypto::PrivateKey& key,
                       const ipc::SignHead& message);
  void on_audit_note(const Caller& caller, const Session& session, ipc::AuditNote message);
  void on_audit_state(ipc::AuditState message);
  void watch_audit();
  /// audit_is_done: the last events are accepted and signed, or the recorder takes too long.
  bool audit_is_done() const;

  // Sessions' news.
  void on_session_event(Session& session, const ipc::SessionEvent& message);
  void on_session_stats(Session& session, ipc::SessionStats message);
  void on_session_ended(const Caller& caller, Session& session, const ipc::SessionEnded& message);

  config::Request request_of(const Session& session);
  Budget& walks_of(const Session& session);
  std::uint32_t least_loaded_worker() const;
  std::size_t descriptor_share() const;
  bool has_room(PeerId worker) const;

  WardenIo& io_;
  RandomSource& random_;
  std::shared_ptr<const ActiveConfiguration> active_;
  std::map<PeerId, Peer> peers_;
  SessionTable sessions_;
  std::unordered_map<std::string, std::size_t> sessions_of_user_;
  std::unordered_map<std::string, Budget> walks_;  // by user
  std::set<std::string> live_ids_;                 // long ids of sessions that have one
  std::vector<Dial> dials_;
  std::vector<DialIndex> free_dials_;
  Timers dial_timers_;
  static constexpr PeerId kRecorder{ipc::Role::kRecorder, 0};
  std::unordered_map<std::string, ipc::SessionId> recorded_;     // by long id
  std::map<std::string, Closing> closing_;                       // …
  std::vector<std::pair<Caller, ipc::SignHead>> heads_waiting_;  // for the first configuration
  std::vector<ipc::RecordingSealed> sealed_waiting_;             // likewise
  std::optional<ipc::RecorderState> recorder_state_;             // as it last said
  std::map<std::uint32_t, Hold> holds_;
  AuditTrail audit_{io_};
  std::string audit_trouble_;
  MonoTime shut_down_at_;
  MonoTime started_at_;
  std::uint64_t logins_ok_ = 0;
  std::uint64_t logins_refused_ = 0;
  bool shutting_down_ = false;
};

}  // namespace bastion::daemon
