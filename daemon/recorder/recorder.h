#pragma once

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "daemon/audit/log.h"
#include "daemon/ipc/channel.h"
#include "daemon/ipc/recorder_messages.h"
#include "daemon/process.h"
#include "daemon/record_ring/record_ring.h"
#include "daemon/recorder/digests.h"
#include "daemon/recorder/recordings.h"
#include "daemon/recorder/store.h"
#include "daemon/recorder/table.h"

namespace bastion::daemon::recorder {

/// Ring is one worker's ring, as the recorder has it.
struct Ring {
  std::uint32_t worker = 0;
  std::uint32_t generation = 0;
  bool retired = false;  // its worker is dead: what is in it is the last of it
  bool broken = false;   // it holds what cannot be: nothing more is taken from it
  UniqueFd bell;
  record::Consumer consumer;
  MonoTime drained{};  // when it was last emptied
};

/// Recorder is the event loop of the recorder's process: its two channels, the workers' rings and
/// its clock. It is told what to do by the supervisor and the warden, believes nothing of a ring,
/// and is the only process that has files.
class Recorder final : public audit::LogOwner {
 public:
  explicit Recorder(ProcessContext& context);
  /// run returns the exit status, when the supervisor is gone and all that was accepted is written.
  int run();

 private:
  bool start();
  bool take_settings(const ipc::RecorderSettings& settings, std::span<const UniqueFd> folders);
  void loop();
  int wait_ms(MonoTime now) const;
  bool read_supervisor();
  bool read_warden();
  bool on_supervisor_message(ipc::Received& received);
  bool on_warden_message(ipc::Received& received);
  void add_ring(const ipc::AddRing& message, UniqueFd memory, UniqueFd bell);
  void retire_ring(std::uint32_t generation);
  void drain(Ring& ring, MonoTime now);
  Status take(Ring& ring, const record::Frame& frame);
  void drain_what_is_due(MonoTime now, bool all);
  void make_recordings();
  void apply_settings();
  void release_retired();
  void open_recording(const ipc::OpenRecording& message);
  void tell_state(MonoTime now);
  void finish();

  // audit.cc: the audit log.
  void allow_audit();
  void make_audit();
  void on_audit_event(ipc::AuditEvent message);
  void add_digests(ipc::AuditEvent& message);
  void on_audit_signature(const ipc::HeadSigned& message);
  void audit_turn();
  void add_own(audit::Event event);
  void tell_removed(const std::string& session, const std::string& recording, std::uint64_t bytes,
                    std::string_view why);
  void remove_expired();
  /// The number of its questions to the warden; recordings count up from 1.
  static constexpr std::uint32_t kAuditRequest = UINT32_MAX;
  void tell_audit_state();
  void sign(const audit::Head& head) override;
  std::vector<std::string> open_recordings() override;
  MonoTime now() override { return mono_now(); }
  std::uint64_t now_us() override;

  template <typename Message>
  void tell_supervisor(const Message& message) {
    supervisor_gone_ = !supervisor_.send({}, message).has_value() || supervisor_gone_;
  }
  template <typename Message>
  void tell_warden(const Message& message, std::uint32_t request = 0) {
    warden_gone_ =
        warden_gone_ || !warden_.send(ipc::Header{.request = request}, message).has_value();
  }

  ProcessContext& context_;
  ipc::Channel supervisor_;
  ipc::Channel warden_;
  ipc::RecorderSettings settings_;
  std::unique_ptr<Store> store_;  // none where only the audit log is kept
  Table table_;
  std::unique_ptr<Recordings> recordings_;
  Digests digests_;
  ipc::RecorderState told_;  // what the warden last heard
  MonoTime told_at_{};
  std::uint64_t file_bytes_max_ = UINT64_MAX;  // RLIMIT_FSIZE, as it was at the start
  UniqueFd audit_folder_;
  std::unique_ptr<audit::Log> audit_;  // none where there is no audit log
  std::uint64_t audit_taken_ = 0;      // the number of the warden's last event
  std::uint64_t audit_added_ = 0;      // events given to the log, …
  std::deque<std::pair<std::uint64_t, std::uint64_t>> audit_numbers_;  // … and their numbers
  std::vector<audit::Event> own_events_;                               // of before there was a log
  std::deque<std::pair<std::uint64_t, Expired>> expired_;  // go when so many events are accepted
  ipc::AuditState audit_told_;
  bool audit_answer_due_ = false;
  bool stopping_ = false;  // the service stops: each line is signed at once
  std::vector<std::unique_ptr<Ring>> rings_;
  MonoTime busy_until_{};  // frames came lately: look often
  bool complete_ = false;  // the supervisor has told all rings
  bool running_ = true;
  bool supervisor_gone_ = false;
  bool warden_gone_ = false;
};

}  // namespace bastion::daemon::recorder
