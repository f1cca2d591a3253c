#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "daemon/audit/chain.h"
#include "daemon/ipc/recorder_messages.h"
#include "daemon/warden/io.h"

namespace bastion::daemon {

/// kNoAuditText is what users read meanwhile.
inline constexpr std::string_view kNoAuditText =
    "the bastion cannot write its audit log and takes no sessions. Tell your administrators.";

/// AuditTrail is the warden's end of the audit log: it numbers the events of the warden and its
/// workers, gives them to the recorder, and keeps each until the recorder has accepted it, so that
/// a recorder that dies loses none. What must not happen before it is on record waits here.
class AuditTrail {
 public:
  /// Events that the recorder has not accepted. In a good hour it answers within a millisecond; a
  /// worker that is taken over could fill our memory.
  static constexpr std::size_t kWaitingMax = 200'000;
  static constexpr std::size_t kWaitingBytesMax = 64 << 20;
  /// How long the recorder may take, or be gone, before sessions go on no more.
  static constexpr std::int64_t kSilenceNs = 2 * kNsPerSecond;

  explicit AuditTrail(WardenIo& io) : io_(io) {}

  /// set_enabled: by the first configuration; without, nothing is kept and nothing waits.
  void set_enabled(bool enabled) { enabled_ = enabled; }
  bool enabled() const { return enabled_; }

  /// add gives the event its time: later than that of the one before, always. `from` is the worker
  /// that reported it, and hears when it is accepted.
  void add(audit::Event event) { add({.event = std::move(event)}, std::nullopt); }
  void add(ipc::AuditEvent message, std::optional<PeerId> from);
  /// forget: that process is gone; its successor is told nothing of its events.
  void forget(PeerId peer);
  /// when_accepted does `then` when everything added so far is on record; at once where it is.
  void when_accepted(std::function<void()> then);

  void recorder_came();
  void recorder_gone() { recorder_is_there_ = false; }
  void on_state(ipc::AuditState state);

  /// trouble is why nothing can be put on record; empty: it can.
  std::string trouble() const;
  bool settled() const { return !enabled_ || (waiting_.empty() && state_.settled); }
  MonoTime deadline() const;
  /// may_sign: heads go forward only, so that nobody gets another history signed in our lifetime.
  bool may_sign(const audit::Head& head);
  const audit::Head& signed_head() const { return signed_; }

 private:
  struct Waiting {
    ipc::AuditEvent message;
    MonoTime since;
    std::size_t bytes;
    std::optional<PeerId> from;
  };
  void send(const Waiting& waiting);

  WardenIo& io_;
  bool enabled_ = false;
  bool recorder_is_there_ = false;
  std::uint64_t last_time_us_ = 0;
  std::uint64_t last_number_ = 0;
  std::deque<Waiting> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::deque<std::pair<std::uint64_t, std::function<void()>>> held_;
  ipc::AuditState state_;
  audit::Head signed_;
};

}  // namespace bastion::daemon
