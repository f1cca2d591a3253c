#include <algorithm>
#include <utility>

#include "daemon/ipc/session_messages.h"
#include "daemon/worker/session.h"
#include "daemon/worker/session_text.h"
#include "daemon/worker/worker.h"

/// What the connection layer tells a session, as lines for the warden's log. Peers' bytes are
/// escaped here, where their meaning is known.
namespace bastion::daemon {
namespace {

std::string describe_channel(const proto::ChannelInfo& channel) {
  std::string text = "channel " + std::to_string(channel.number & 0xffU) + " ";
  text += escaped(short_name(channel), 32);
  if (!channel.detail.empty()) {
    text += " \"" + escaped(channel.detail, 256) + "\"";
  }
  return text;
}

}  // namespace

// note is bounded: a user who has a million channels refused must not fill the log's disk.
void WorkerSession::note(bool warning, std::string text) {
  const std::int64_t refill =
      (worker_.now().ns - notes_since_.ns) / (kNsPerSecond / kNotesPerSecond);
  if (refill > 0) {
    notes_left_ = std::min(kNotesBurst, notes_left_ + refill);
    notes_since_ = worker_.now();
  }
  if (notes_left_ == 0) {
    ++notes_dropped_;
    return;
  }
  --notes_left_;
  if (notes_dropped_ > 0) {
    text += " (and " + std::to_string(std::exchange(notes_dropped_, 0)) +
            " events before it that were too many to tell)";
  }
  worker_.tell(*this, ipc::SessionEvent{warning, std::move(text)});
}

bool WorkerSession::channel_data(const proto::ChannelInfo& channel, proto::Leg from, bool is_stderr,
                                 ByteView data) {
  if (recording_ == nullptr) {
    return true;
  }
  const bool taken = recording_->data(channel, from, is_stderr, data);
  if (const auto cap = recording_->take_cap()) {
    limit_reached("exec_bytes", cap->limit_bytes,
                  std::string(recording::entry_kind_name(cap->stream)) + " of channel " +
                      std::to_string(channel.number) + " is recorded no further");
  }
  return taken;
}

void WorkerSession::request_relayed(const proto::ChannelInfo& channel, proto::Leg /*from*/,
                                    const proto::ChannelRequest& request) {
  if (recording_ != nullptr) {
    recording_->request(channel, request);
  }
}

void WorkerSession::channel_eof(const proto::ChannelInfo& channel, proto::Leg from) {
  if (recording_ != nullptr) {
    recording_->eof(channel, from);
  }
}

void WorkerSession::line_sent(const proto::ChannelInfo& channel, std::string_view text) {
  if (recording_ != nullptr) {
    recording_->line(channel, text);
  }
}

bool WorkerSession::waits_for_recorder() const {
  // What is over tells the user why, and relays nothing more.
  const bool under_way = state_ == State::kBridged && !finished_ && end_reason_.empty();
  return under_way && ((recording_ != nullptr && !recording_->has_room()) ||
                       (digests_ != nullptr && !digests_->has_room()));
}

// on_recorder: what waits for two seconds waits in vain.
void WorkerSession::on_recorder() {
  if (recording_ != nullptr) {
    recording_->look_again();
  }
  if (digests_ != nullptr) {
    digests_->look_again();
  }
  const bool owes = recording_ != nullptr && recording_->owes();
  if (!waits_for_recorder() && !owes) {
    recorder_awaited_ = {};
    return after_work();
  }
  if (recorder_awaited_.ns == 0) {
    recorder_awaited_ = worker_.now();
  }
  if (worker_.now() >= after(recorder_awaited_, kRecorderNsMax)) {
    recorder_awaited_ = {};
    if (owes) {
      recording_->give_up();
    }
    if (state_ != State::kBridged || finished_ || !end_reason_.empty()) {
      return after_work();  // it is over already
    }
    if (recording_ != nullptr) {
      note(true, "ended: what passed could not be recorded any more");
      end_with(with_id(
          "this session is to be recorded, and cannot be any more. Tell your administrators."));
    } else {
      note(true, "ended: the recorder does not take what the digests of files are made of");
      end_with(
          with_id("files that pass here are to be audited with a digest, and cannot be any "
                  "more. Tell your administrators."));
    }
    return;
  }
  worker_.await_recorder(*this);
}

void WorkerSession::on_recorder_gone() {
  if (recording_ == nullptr || state_ != State::kBridged || finished_ || !end_reason_.empty()) {
    return;  // not begun yet, or over
  }
  note(true, "ended: the recorder does not answer");
  end_with(with_id(std::string(kRecorderSilent)));
}

void WorkerSession::channel_opened(const proto::ChannelInfo& channel) {
  if (recording_ != nullptr) {
    recording_->opened(channel);
  }
  audit_channel(audit::Name::kChannelOpen, channel);
  if (channel.type != proto::ChannelType::kSession) {
    note(false, "opened " + describe_channel(channel));
  }
}

void WorkerSession::channel_closed(const proto::ChannelInfo& channel) {
  if (channel.num_untold > 0) {
    audit_untold(channel);
  }
  audit_channel(audit::Name::kChannelClose, channel);
  if (recording_ != nullptr) {
    recording_->closed(channel);
  }
  std::string text = "closed " + describe_channel(channel) + ", " +
                     std::to_string(channel.bytes_up) + " bytes up, " +
                     std::to_string(channel.bytes_down) + " down";
  if (channel.exit_status) {
    text += ", exit status " + std::to_string(*channel.exit_status);
  }
  note(false, std::move(text));
}

void WorkerSession::channel_refused(const proto::OpenRefused& refused) {
  audit_refused(refused.type, refused.opener == proto::Leg::kDownstream ? "user" : "target",
                refused.detail, refused.text);
  channel_limit_reached(refused.limit, refused.text);
  note(refused.why == proto::OpenRefused::Why::kPolicy,
       refused_channel_text(refused.type, refused.detail, refused.text));
}

void WorkerSession::request_decided(const proto::ChannelInfo& channel,
                                    const proto::RequestDecision& request) {
  audit::Event event(audit::Name::kRequest);
  event.number(audit::Key::kChannel, channel.number)
      .text(audit::Key::kRequest, request.name)
      .text(audit::Key::kDetail, request.detail)
      .text(audit::Key::kOutcome, request.allowed ? "allowed" : "refused")
      .flag(audit::Key::kForced, request.forced);
  tell_audit(std::move(event));
  std::string text = request.allowed ? "allowed " : "refused ";
  text += escaped(request.name, 64);
  if (!request.detail.empty()) {
    text += " \"" + escaped(request.detail, 256) + "\"";
  }
  if (request.forced) {
    text += ", the forced command runs instead";
  }
  note(!request.allowed, std::move(text));
}

void WorkerSession::forward_decided(const proto::ForwardDecision& forward) {
  audit::Event event(audit::Name::kForward);
  event.text(audit::Key::kRequest, forward.name)
      .text(audit::Key::kHost, forward.host_or_path)
      .number(audit::Key::kPort, forward.port)
      .text(audit::Key::kOutcome, forward.established ? "established"
                                  : forward.allowed   ? "allowed"
                                                      : "refused");
  if (recording_ != nullptr) {
    recording_->forward(event);
  }
  tell_audit(std::move(event));
  note(!forward.allowed, forward_text(forward));
}

// The target's banner waited for a terminal: nothing is added to the output of commands.
void WorkerSession::session_started(const proto::ChannelInfo& channel) {
  if (!channel.pty || channel.use != proto::ChannelUse::kShell) {
    return;
  }
  if (recording_ != nullptr && adopt_.notice && recording_->is_recorded(channel)) {
    bridge_->inject_stderr(channel.number, "This session is recorded (" + adopt_.short_id + ").");
  }
  std::size_t begin = 0;
  while (begin < target_banner_.size()) {
    const std::size_t end = std::min(target_banner_.find('\n', begin), target_banner_.size());
    const std::string line = target_banner_.substr(begin, end - begin);
    if (!line.empty() && !bridge_->inject_stderr(channel.number, adopt_.target + ": " + line)) {
      break;
    }
    begin = end + 1;
  }
  target_banner_.clear();
}

void WorkerSession::need_listing(proto::ChannelNumber channel, std::uint32_t /*columns*/) {
  asked_[worker_.ask(*this, ipc::AskListing{})] = {Asked::What::kListing, channel};
}

void WorkerSession::session_request(const proto::ChannelInfo& channel) {
  note(false, "asked the bastion itself for " + describe_channel(channel));
}

void WorkerSession::channel_refused(proto::ChannelType type, std::string_view detail,
                                    std::string_view text, proto::ChannelLimit limit) {
  audit_refused(type, "user", detail, text);
  channel_limit_reached(limit, text);
  note(false, refused_channel_text(type, detail, text));
}

}  // namespace bastion::daemon
