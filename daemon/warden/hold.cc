#include "base/escape.h"
#include "daemon/ipc/recorder_messages.h"
#include "daemon/ipc/supervisor_messages.h"
#include "daemon/recording/format.h"
#include "daemon/warden/control_answer.h"
#include "daemon/warden/warden.h"

/// An administrator has a recording held, or released: the recorder says which one is meant, the
/// act goes on record, and only then the recorder does it.
namespace bastion::daemon {
namespace {

std::string_view name_of(const ipc::HoldRecording& message) {
  return message.hold ? "hold" : "release";
}

}  // namespace

void Warden::audit_hold(const Hold& hold, std::string_view outcome, std::string_view reason) {
  using audit::Key;
  audit::Event event(audit::Name::kAdmin);
  event.text(Key::kCommand, name_of(hold.message))
      .text(Key::kBy, hold.message.by)
      .text(Key::kOutcome, outcome)
      .text(Key::kSubject, hold.subject)
      .text(Key::kReason, reason);
  if (hold.message.step == ipc::HoldStep::kDo) {
    event.text(Key::kSession, hold.message.id);
  }
  audit_.add(std::move(event));
}

std::optional<std::string> Warden::hold_recording(const ipc::ControlRequest& request, bool hold,
                                                  const std::string& id, const std::string& reason,
                                                  std::uint32_t number) {
  Hold asked;
  asked.message.hold = hold;
  asked.message.id = id;
  asked.message.by = request.by;
  asked.message.reason = reason;
  asked.message.time_us = io_.wall_now_us();
  asked.subject = id;
  asked.due = after(io_.now(), Hold::kAnswerNs);
  if (!request.admin) {
    audit_hold(asked, "refused", "");
    return control_failure("only administrators may hold and release recordings");
  }
  if (!recorder_state_) {
    return control_failure("this bastion makes no recordings");
  }
  if (id.empty()) {
    return control_failure("which recording? give its id or the beginning of it");
  }
  if (reason.size() > Hold::kReasonBytesMax || id.size() > recording::kSessionIdLen) {
    return control_failure(
        "that is too long: an id has 26 letters and digits, a reason 1000 bytes");
  }
  if (holds_.size() >= Hold::kMax) {
    return control_failure("too many recordings are being held and released; try again");
  }
  holds_[number] = std::move(asked);
  send_hold(number);
  return std::nullopt;
}

/// send_hold: to the recorder that is there; its successor is told by brief_recorder.
void Warden::send_hold(std::uint32_t number) {
  const auto found = holds_.find(number);
  if (found != holds_.end() && !found->second.waits && has_recorder()) {
    io_.send(kRecorder, ipc::encode(ipc::Header{.request = number}, found->second.message),
             UniqueFd());
  }
}

void Warden::on_recording_held(const Caller& caller, const ipc::RecordingHeld& message) {
  const std::uint32_t number = caller.header.request;
  const auto found = holds_.find(number);
  if (found == holds_.end() || found->second.waits) {
    return;
  }
  Hold& hold = found->second;
  if (message.session.empty() ? message.why.empty() : !recording::is_session_id(message.session)) {
    return violated(caller.peer, "it named a recording that cannot be");
  }
  if (!message.why.empty()) {
    audit_hold(hold, "refused", message.why);
    return finish_hold(number, control_failure(escaped(message.why, 200)));
  }
  if (hold.message.step == ipc::HoldStep::kDo) {
    io_.log(
        LogLevel::kWarning,
        hold.message.hold ? "a recording is held from now on" : "a recording is held no more",
        {{"session", hold.message.id}, {"by", hold.message.by}, {"reason", hold.message.reason}});
    return finish_hold(
        number, control_success({{"recording", hold.message.id}, {"held", hold.message.hold}}));
  }
  hold.message.step = ipc::HoldStep::kDo;
  hold.message.id = message.session;
  hold.waits = true;
  audit_hold(hold, "done", hold.message.reason);
  audit_.when_accepted([this, number] {
    if (const auto waiting = holds_.find(number); waiting != holds_.end()) {
      waiting->second.waits = false;
      send_hold(number);
    }
  });
}

void Warden::finish_hold(std::uint32_t number, std::string answer) {
  const auto found = holds_.find(number);
  if (!found->second.answered) {
    io_.answer_control(number, std::move(answer));
  }
  holds_.erase(found);
}

// answer_late_holds: what was asked stays asked. It is done when the recorder can.
void Warden::answer_late_holds() {
  for (auto& [number, hold] : holds_) {
    if (!hold.answered && hold.due <= io_.now()) {
      hold.answered = true;
      const std::string why = audit_.trouble();
      io_.answer_control(
          number,
          control_failure("not done yet: " + (why.empty() ? "the recorder does not answer" : why) +
                          ". It is done as soon as that can be; ask again"));
    }
  }
}

}  // namespace bastion::daemon
