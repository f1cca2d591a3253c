#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/pool.h"
#include "daemon/ipc/channel.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/process.h"
#include "daemon/record_ring/record_ring.h"
#include "daemon/stream/slab_queue.h"
#include "daemon/timers.h"
#include "daemon/transport_options.h"
#include "daemon/worker/session.h"

namespace bastion::daemon {

/// TokenKind says which part of a session a completion or a timer is for.
enum class TokenKind : std::uint8_t {
  kSupervisor,
  kWarden,
  kWardenWrite,
  kDownRead,
  kDownWrite,
  kUpRead,
  kUpWrite,
  kTunnelRead,
  kTunnelWrite,
  kSessionTimer,
  kStatsTimer,
  kTellTimer,
  kRestTimer,
  kRecorderTimer,
};

/// Worker is the event loop of one worker process: its ring, its timers, its table of sessions and
/// tunnels, and its channel to the warden. What a session does is in WorkerSession.
class Worker {
 public:
  Worker(ProcessContext& context, std::unique_ptr<Ring> ring);
  /// map_record_ring takes the ring that the process was started with, if any; before the sandbox.
  Status map_record_ring();
  /// run returns the exit status, when the supervisor's or the warden's channel has ended.
  int run();

  // For sessions.
  Ring& ring() { return *ring_; }
  ChunkPool& pool() { return pool_; }
  Timers& timers() { return timers_; }
  Log& log() { return context_.log; }
  MonoTime now() const { return now_; }
  Token session_token(TokenKind kind, std::uint32_t slot) const;

  /// options_for gives client_options, made once for each kind of target.
  std::shared_ptr<const proto::TransportOptions> options_for(
      const std::shared_ptr<const ipc::Settings>& settings, const ipc::TargetConnected& target);

  /// add_tunnel gives a tunnel's socket a place in the table of tokens; remove_tunnel frees it.
  std::uint32_t add_tunnel(std::uint32_t session_slot);
  Token tunnel_token(TokenKind kind, std::uint32_t tunnel_slot) const;
  void remove_tunnel(std::uint32_t tunnel_slot);

  /// ask sends a request to the warden; the answer comes to WorkerSession::on_answer with the same
  /// number, unless the session is gone by then.
  template <typename Message>
  std::uint32_t ask(WorkerSession& session, const Message& message) {
    const std::uint32_t request = next_request_++;
    next_request_ += next_request_ == 0 ? 1 : 0;
    waiting_[request] = {session.slot(), slots_[session.slot()].generation};
    flush_told();
    transmit({.request = request, .session = session.id()}, message);
    return request;
  }
  /// tell sends a one-way message: with the next question, or within kTellNs, so that the warden
  /// wakes once for several.
  template <typename Message>
  void tell(WorkerSession& session, const Message& message) {
    told_.push_back(ipc::encode(ipc::Header{.session = session.id()}, message));
    told_later();
  }
  /// tell_audit sends one event of the session for the audit log, at the latest at push_audit().
  void tell_audit(WorkerSession& session, const ipc::AuditNote& note);
  /// push_audit has what was told leave for the warden. Before anything leaves for a peer.
  void push_audit();
  /// audit_full: so much that was told is not on record yet that no session may do more;
  /// audit_stuck: some of it is still in this process. await_audit: WorkerSession::on_audit is
  /// called when that is over.
  bool audit_full() const {
    return audit_open_.size() >= kAuditOpenMax || audit_open_bytes_ >= kAuditOpenBytesMax ||
           audit_stuck();
  }
  bool audit_stuck() const { return warden_.wants_writable(); }
  void await_audit(WorkerSession& session);
  /// record_ring is where recorded sessions put their frames; null where nothing is recorded.
  record::Producer* record_ring() { return record_ring_ ? &*record_ring_ : nullptr; }
  /// await_recorder: WorkerSession::on_recorder is called when the recorder may have looked.
  void await_recorder(WorkerSession& session);
  /// arm_receive has one of the session's sockets receive: at once, or in its turn where others
  /// wait for a slab. starved: there was none for what it was to receive.
  void arm_receive(WorkerSession& session, Stream& stream, std::size_t bytes_max = SIZE_MAX) {
    slab_queue_.arm(stream, now_ >= session.bulk_until, bytes_max);
  }
  void starved(const WorkerSession& session, const Stream& stream) {
    ++stats_.receives_starved;
    slab_queue_.starved(stream, now_ >= session.bulk_until);
  }
  /// changed: the session's counters or channels are not what the warden last heard.
  void changed(WorkerSession& session);
  /// ended: the session has no operation in flight any more and can go.
  void ended(WorkerSession& session);
  /// turn numbers the turns of the loop; again has WorkerSession::go_on called in the next one, for
  /// which the loop does not wait.
  std::uint64_t turn() const { return stats_.turns; }
  void again(WorkerSession& session);
  /// overdue: long work has had its share of this turn, and somebody may wait who types.
  bool overdue() const;
  ipc::WorkerStats& stats() { return stats_; }

 private:
  struct Place {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
  };
  struct Slot {
    std::unique_ptr<WorkerSession> session;
    std::uint32_t generation = 0;
  };
  /// Work is what may take long: a large receive, or a session whose share of a turn was used up.
  struct Work {
    std::optional<Completion> received;
    Place place;
    std::uint64_t turn = 0;  // in which it came
  };
  struct TunnelSlot {
    std::uint32_t session_slot = 0;
    std::uint32_t generation = 0;
    bool used = false;
  };

  /// What the warden's memory for events (AuditTrail::kWaitingBytesMax) has for each of 32 workers
  /// and more, and less than the events of 20 ms at 50,000 a second.
  static constexpr std::size_t kAuditOpenMax = 1024;
  static constexpr std::size_t kAuditOpenBytesMax = std::size_t{1} << 20;

  template <typename Message>
  void transmit(const ipc::Header& header, const Message& message) {
    if (!warden_.send(header, message)) {
      running_ = false;
    }
    arm_warden_write();
  }
  void on_audit_accepted(std::uint32_t count);
  void wake_audit_waiters();
  void told_later();
  void flush_told();
  void arm_warden_write();
  void serve(std::span<const Completion> completions);
  void on_completion(const Completion& completion);
  WorkerSession* session_of(const Completion& completion);
  bool attentive() const { return now_ < attentive_until_; }
  void on_warden();
  void on_warden_message(ipc::Received& received);
  void adopt(const ipc::Header& header, ipc::Adopt message, UniqueFd socket);
  void on_timer(Token token);
  void send_stats();
  void rest();
  void do_work();
  void ring_bell();
  void begin_watching_recorder();
  void watch_recorder();
  void arm_recorder_timer(std::int64_t ns);
  void bury();
  WorkerSession* find(Place place);
  WorkerSession* find_tunnel(Token token);
  WorkerSession* find_session(ipc::SessionId id);

  ProcessContext& context_;
  std::unique_ptr<Ring> ring_;
  ChunkPool pool_;
  Timers timers_;
  ipc::Channel supervisor_;
  ipc::Channel warden_;
  std::shared_ptr<const ipc::Settings> settings_;
  std::shared_ptr<const proto::TransportOptions> server_options_;
  struct TargetOptions {
    std::shared_ptr<const ipc::Settings> settings;
    ipc::TargetConnected target;
    std::shared_ptr<const proto::TransportOptions> options;
  };
  static constexpr std::size_t kTargetOptionsMax = 16;
  std::vector<TargetOptions> target_options_;  // the last used first
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<TunnelSlot> tunnels_;
  std::vector<std::uint32_t> free_tunnels_;
  std::unordered_map<ipc::SessionId, std::uint32_t> by_id_;
  std::unordered_map<std::uint32_t, Place> waiting_;  // request → session
  std::vector<SecretBytes> told_;                     // one-way messages that wait for company
  Timers::Handle tell_timer_;
  std::deque<std::size_t> audit_open_;  // the sizes of events that are not on record yet
  std::size_t audit_open_bytes_ = 0;
  bool audit_fresh_ = false;  // some are in `told_`
  std::vector<Place> waiting_for_audit_;
  Timers::Handle rest_timer_;
  SlabQueue slab_queue_;
  std::vector<std::uint32_t> changed_;
  std::vector<std::uint32_t> dead_;
  std::deque<Work> work_;  // in the order in which it came
  bool working_ = false;   // do_work is at it, since:
  MonoTime work_began_;
  MonoTime attentive_until_;  // for so long somebody is thought to type
  ipc::WorkerStats stats_;
  std::optional<record::Producer> record_ring_;
  std::size_t num_recorded_ = 0;                     // sessions
  std::vector<std::uint32_t> waiting_for_recorder_;  // slots
  Timers::Handle recorder_timer_;
  MonoTime recorder_watched_;  // when we last looked whether it is there
  bool bell_rung_ = false;     // and the ring has not been emptied since
  MonoTime now_;
  std::uint32_t next_request_ = 1;
  bool stats_armed_ = false;
  bool warden_write_armed_ = false;
  bool running_ = true;
};

}  // namespace bastion::daemon
