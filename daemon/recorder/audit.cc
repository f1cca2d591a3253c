#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "crypto/hash.h"
#include "daemon/ipc/recorder_messages.h"
#include "daemon/recorder/recorder.h"

/// The audit log in the recorder's process: events come from the warden, who hears what is
/// accepted.
namespace bastion::daemon::recorder {

/// allow_audit lets the log's folder and sinks through the sandbox.
void Recorder::allow_audit() {
  if (!audit_folder_) {
    return;
  }
  context_.extras.folders.push_back(audit_folder_.get());
  for (const ipc::AuditSink& sink : settings_.audit.sinks) {
    context_.extras.sockets = true;
    const auto endpoint = Endpoint::parse(sink.endpoint);
    if (sink.kind == audit::SinkKind::kTcp && endpoint) {
      context_.extras.tcp_port = endpoint->port;
    }
  }
}

void Recorder::make_audit() {
  if (!audit_folder_) {
    return;
  }
  const ipc::AuditSettings& from = settings_.audit;
  const auto policy = [](bool drops) {
    return drops ? audit::OnFailure::kDrop : audit::OnFailure::kStop;
  };
  audit::LogSettings settings;
  settings.file = from.file;
  settings.on_failure = policy(from.drops);
  settings.rotate_bytes = from.rotate_bytes;
  settings.rotate_seconds = static_cast<std::int64_t>(from.rotate_seconds);
  settings.identity = {from.host, static_cast<std::uint32_t>(getpid())};
  for (const ipc::AuditSink& sink : from.sinks) {
    const audit::SinkAddress address{sink.kind, sink.path,
                                     Endpoint::parse(sink.endpoint).value_or(Endpoint())};
    settings.sinks.emplace_back(address, policy(sink.drops));
  }
  audit_ = std::make_unique<audit::Log>(audit_folder_.get(), std::move(settings), *this);
  audit_->start();
  for (audit::Event& event : std::exchange(own_events_, {})) {
    add_own(std::move(event));
  }
}

// add_own puts an event of this process on record. The warden has no number for it.
void Recorder::add_own(audit::Event event) {
  event.time_us = now_us();
  audit_->add(event);
  ++audit_added_;
  audit_answer_due_ = true;
}

void Recorder::tell_removed(const std::string& session, const std::string& recording,
                            std::uint64_t bytes, std::string_view why) {
  if (!audit_folder_) {
    return;
  }
  audit::Event event(audit::Name::kRecordingRemoved);
  event.text(audit::Key::kSession, session).text(audit::Key::kRecording, recording);
  event.number(audit::Key::kBytes, bytes).text(audit::Key::kReason, why);
  if (audit_ == nullptr) {
    own_events_.push_back(std::move(event));
  } else {
    add_own(std::move(event));
  }
}

// remove_expired: that a recording goes is on record before it does, so that one that is missing
// can be told from one that retention has removed.
void Recorder::remove_expired() {
  for (Expired& each : store_->take_expired()) {
    tell_removed(each.session, recording_name(each.day, each.session), each.bytes, each.why);
    expired_.emplace_back(audit_added_, std::move(each));
  }
  while (!expired_.empty() && (audit_ == nullptr || expired_.front().first <= audit_->accepted())) {
    store_->remove_expired(std::move(expired_.front().second));
    expired_.pop_front();
  }
}

// on_audit_event: what the warden tells again may be in the file, since the recorder before us died
// between its write and its word.
void Recorder::on_audit_event(ipc::AuditEvent message) {
  if (audit_ == nullptr) {
    return;
  }
  audit_taken_ = message.number;
  audit_answer_due_ = true;
  const std::string body = message.again ? audit::body_of(message.event) : std::string();
  const auto ends_by = [&](std::string_view what) {
    return audit_->last_lines().find(body + std::string(what)) != std::string::npos;
  };
  // The one before us may have had digests that we have not.
  const bool is_there = message.again && (ends_by(",\"prev\":") ||
                                          std::ranges::any_of(Digests::kCompletedBy, ends_by));
  if (!is_there && (message.digest_read != 0 || message.digest_written != 0)) {
    add_digests(message);
  }
  if (!is_there) {
    audit_->add(message.event);
    ++audit_added_;
  }
  audit_numbers_.emplace_back(audit_added_, message.number);
  if (message.event.name == audit::Name::kServiceStop) {
    stopping_ = true;
  }
}

// add_digests: what they are of was put into the worker's ring before this event was sent.
void Recorder::add_digests(ipc::AuditEvent& message) {
  const auto missing = [&](std::uint32_t digest) {
    return digest != 0 && !digests_.find({message.worker, message.session_number, digest});
  };
  if (missing(message.digest_read) || missing(message.digest_written)) {
    (void)read_supervisor();  // a ring is told by it before the warden hears of its worker
    for (const auto& ring : rings_) {
      if (ring->worker == message.worker && !ring->broken) {
        drain(*ring, mono_now());
      }
    }
  }
  digests_.complete(message);
  for (const std::uint32_t digest : {message.digest_read, message.digest_written}) {
    digests_.forget({message.worker, message.session_number, digest});
  }
}

void Recorder::audit_turn() {
  if (audit_ == nullptr) {
    return;
  }
  if (std::exchange(audit_answer_due_, false)) {
    audit_->flush();
  }
  audit_->on_time();
  if (stopping_) {
    audit_->ask_signature();  // nobody will be there to sign at the next interval
  }
  tell_audit_state();
}

void Recorder::tell_audit_state() {
  ipc::AuditState state;
  state.accepted = audit_told_.accepted;
  while (!audit_numbers_.empty() && audit_numbers_.front().first <= audit_->accepted()) {
    state.accepted = audit_numbers_.front().second;
    audit_numbers_.pop_front();
  }
  state.why = audit_->why();
  state.failing = !state.why.empty();
  state.settled = audit_->settled();
  if (state.accepted != audit_told_.accepted || state.failing != audit_told_.failing ||
      state.settled != audit_told_.settled) {
    tell_warden(state);
    audit_told_ = std::move(state);
  }
}

void Recorder::sign(const audit::Head& head) {
  const auto hash = audit::hash_bytes(head.hash);
  if (hash && !warden_gone_) {
    tell_warden(
        ipc::SignHead{
            .kind = ipc::HeadKind::kAuditLog, .session = {}, .seq = head.seq, .hash = *hash},
        kAuditRequest);
  }
}

void Recorder::on_audit_signature(const ipc::HeadSigned& message) {
  if (audit_ == nullptr) {
    return;
  }
  const auto key = crypto::PublicKey::parse_line(message.key);
  if (message.signature.empty() || !key) {
    return audit_->on_signature("", "");
  }
  audit_->on_signature(key->fingerprint(), crypto::base64_encode(message.signature));
}

std::vector<std::string> Recorder::open_recordings() {
  return recordings_ == nullptr ? std::vector<std::string>() : recordings_->heads();
}

std::uint64_t Recorder::now_us() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace bastion::daemon::recorder
