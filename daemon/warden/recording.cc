#include "daemon/ipc/recorder_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/log.h"
#include "daemon/record_ring/layout.h"
#include "daemon/recording/format.h"
#include "daemon/warden/warden.h"

/// The warden and the recorder: which sessions are recorded, and whether they can be.
namespace bastion::daemon {

/// cannot_record says why not; empty: it can, as far as is known.
std::string Warden::cannot_record() const {
  if (recorder_state_ && !recorder_state_->can_record) {
    return recorder_state_->why;
  }
  return {};
}

// open_recording gives a session that goes to its worker a slot there, and asks for its file. Where
// the recorder is being replaced its successor is asked, by brief_recorder.
void Warden::open_recording(ipc::SessionId id, Session& session) {
  std::set<std::uint32_t>& taken = peers_[{ipc::Role::kWorker, session.worker}].record_slots;
  // The lowest one that is free: as many as sessions are looked at in the worst case, once each.
  std::uint32_t slot = 0;
  for (const std::uint32_t used : taken) {
    if (used != slot) {
      break;
    }
    ++slot;
  }
  if (slot >= record::kSlots) {
    return;
  }
  taken.insert(slot);
  session.recorded = true;
  session.record_slot = slot;
  recorded_[session.long_id] = id;
  send_open(id, session);
}

void Warden::send_open(ipc::SessionId id, const Session& session) {
  const config::Grant& grant = *session.grant;
  ipc::OpenRecording open;
  open.session_number = id;
  open.worker = session.worker;
  open.slot = session.record_slot;
  open.session = session.long_id;
  open.user = session.user->name;
  open.login = grant.login;
  open.target = grant.target.name;
  open.address = session.target_address.empty() ? grant.target.address : session.target_address;
  open.rule = grant.rule;
  open.mode = "routed";
  open.from = session.peer.text();
  open.host = session.active->bastion_name;
  open.start_us = static_cast<std::uint64_t>(session.since) * 1'000'000;
  open.records_input = grant.record.shell.input || grant.record.exec.input;
  send(kRecorder, 0, open);
}

void Warden::close_recording(Session& session, std::string_view reason) {
  recorded_.erase(session.long_id);
  const PeerId worker{ipc::Role::kWorker, session.worker};
  const auto peer = peers_.find(worker);
  Closing closing;
  closing.message = {session.long_id, !session.worker_died, std::string(reason.substr(0, 1024))};
  closing.worker = worker;
  closing.worker_pid = peer == peers_.end() ? 0 : peer->second.pid;
  closing.slot = session.record_slot;
  closing.told = session.recording_told;
  send(kRecorder, 0, closing.message);
  closing_[session.long_id] = std::move(closing);
}

// brief_recorder tells a new recorder what it must go on with.
void Warden::brief_recorder() {
  for (const auto& [long_id, id] : recorded_) {
    if (const Session* session = sessions_.find(id); session != nullptr) {
      send_open(id, *session);
    }
  }
  for (const auto& [long_id, closing] : closing_) {
    send(kRecorder, 0, closing.message);
  }
  send(kRecorder, 0, ipc::Resync{});
  for (const auto& [number, hold] : holds_) {
    send_hold(number);
  }
}

void Warden::on_recording_opened(const ipc::RecordingOpened& message) {
  const auto found = recorded_.find(message.session);
  if (found == recorded_.end()) {
    return;  // it ended meanwhile
  }
  if (Session* session = sessions_.find(found->second); session != nullptr) {
    if (!std::exchange(session->recording_told, true)) {
      audit::Event event = event_of(audit::Name::kRecordingOpen, *session);
      audit_.add(std::move(event.text(audit::Key::kRecording, message.recording)));
    }
    tell_recording(found->second, *session, {true, ""});
  }
}

// tell_recording: the recorder may well be ready before it is on record that the session began.
void Warden::tell_recording(ipc::SessionId id, Session& session, ipc::RecordingReady message) {
  if (session.adopt_waits) {
    session.early_ready = std::make_unique<ipc::RecordingReady>(std::move(message));
    return;
  }
  send({ipc::Role::kWorker, session.worker}, id, message);
}

void Warden::on_recording_failed(const ipc::RecordingFailed& message) {
  io_.log(LogLevel::kError, "a session could not be recorded",
          {{"session", message.session}, {"why", message.why}});
  const auto found = recorded_.find(message.session);
  if (found == recorded_.end()) {
    return;
  }
  if (Session* session = sessions_.find(found->second); session != nullptr) {
    audit::Event event = event_of(audit::Name::kRecordingFailed, *session);
    audit_.add(std::move(event.text(audit::Key::kReason, message.why)));
    tell_recording(found->second, *session,
                   {false, with_id("this session is to be recorded, and cannot be any more (" +
                                       escaped(message.why, 200) + "). Tell your administrators.",
                                   *session)});
  }
}

// on_recording_sealed: each file that was begun has its end on record, also one that an earlier
// warden or machine began. Of a file that never came to be, recording.failed was told.
void Warden::on_recording_sealed(const ipc::RecordingSealed& message) {
  if (active_ == nullptr) {
    sealed_waiting_.push_back(message);
    return;
  }
  const auto found = closing_.find(message.session);
  const bool known = found != closing_.end();
  audit::Event event(audit::Name::kRecordingClose);
  event.text(audit::Key::kSession, message.session);
  if (!message.recording.empty()) {
    event.text(audit::Key::kRecording, message.recording)
        .text(audit::Key::kState, message.state)
        .number(audit::Key::kBlocks, message.blocks)
        .number(audit::Key::kBytes, message.bytes)
        .text(audit::Key::kHead, audit::hex_of(message.hash))
        .text(audit::Key::kReason, known && (message.state == "complete" || message.reason.empty())
                                       ? found->second.message.reason
                                       : message.reason);
    audit_.add(std::move(event));
  } else if (known && (found->second.told || !found->second.head.empty())) {
    const Closing& closing = found->second;
    event.text(audit::Key::kState, closing.message.complete ? "complete" : "interrupted");
    if (!closing.head.empty()) {
      event.number(audit::Key::kBlocks, closing.blocks).text(audit::Key::kHead, closing.head);
    }
    audit_.add(std::move(event.text(audit::Key::kReason, closing.message.reason)));
  }
  if (!known) {
    return;
  }
  const auto worker = peers_.find(found->second.worker);
  if (worker != peers_.end() && worker->second.pid == found->second.worker_pid) {
    worker->second.record_slots.erase(found->second.slot);
  }
  closing_.erase(found);
}

// on_sign_head signs one of two structures that it makes itself: the recorder can have no other
// signature of this key.
void Warden::on_sign_head(const Caller& caller, const ipc::SignHead& message) {
  if (active_ == nullptr) {
    heads_waiting_.emplace_back(caller, message);
    return;
  }
  ipc::HeadSigned answer;
  if (const auto& key = active_->configuration.keys.audit_key) {
    if (message.kind == ipc::HeadKind::kAuditLog) {
      return sign_audit_head(caller, *key, message);
    }
    if (!recording::is_session_id(message.session)) {
      return violated(caller.peer, "it asked for a signature over what is none of its heads");
    }
    const auto signature =
        key->sign(*crypto::find_signature_algorithm("ssh-ed25519"),
                  recording::head_to_sign(message.session, message.seq, message.hash));
    if (signature) {
      if (const auto closing = closing_.find(message.session); closing != closing_.end()) {
        closing->second.blocks = message.seq;
        closing->second.head = audit::hex_of(message.hash);
      }
      answer.key = key->public_key().line();
      answer.signature = *signature;
    }
  }
  reply(caller, answer);
}

void Warden::on_recorder_state(ipc::RecorderState message) {
  if (!recorder_state_ || recorder_state_->can_record != message.can_record) {
    io_.log(message.can_record ? LogLevel::kInfo : LogLevel::kError,
            message.can_record ? "sessions can be recorded"
                               : "nothing can be recorded: sessions that must be are refused",
            {{"why", message.why}});
  }
  recorder_state_ = std::move(message);
}

}  // namespace bastion::daemon
