#include "daemon/worker/file_events.h"
#include "daemon/worker/session.h"
#include "daemon/worker/worker.h"
#include "proto/connection_limits.h"
#include "proto/file_events.h"

/// What a session reports for the audit log. It goes to the warden before what it tells of has its
/// effect: a message to the warden leaves at once, what goes to a peer at the end of the turn.
namespace bastion::daemon {
namespace {

using audit::Event;
using audit::Key;
using audit::Name;

std::string_view name_of(const auto* algorithm) {
  return algorithm == nullptr ? std::string_view() : std::string_view(algorithm->name);
}

// A recording's entry has the channel beside what the event says.
Event with_channel(Event event, const proto::ChannelInfo& channel) {
  event.values.insert(event.values.begin(),
                      {.key = Key::kChannel, .number = channel.number, .text = {}, .list = {}});
  return event;
}

}  // namespace

void WorkerSession::tell_audit(Event event, record::DigestRefs digests) {
  if (adopt_.audited) {
    worker_.tell_audit(*this, {std::move(event), digests.read, digests.written});
  }
}

bool WorkerSession::waits_for_audit() const {
  return adopt_.audited && (state_ == State::kBridged || state_ == State::kLocal) && !finished_ &&
         end_reason_.empty() && worker_.audit_full();
}

// holds_back: something happened that is not on its way to the record yet, so nobody hears of it.
bool WorkerSession::holds_back() {
  worker_.push_audit();
  return (recording_ != nullptr && recording_->owes()) || (adopt_.audited && worker_.audit_stuck());
}

void WorkerSession::file_event(const proto::ChannelInfo& channel, const proto::FileEvent& event) {
  Event told = daemon::file_event(event);
  FileDigests::Closed digests;
  if (digests_ != nullptr && event.operation == proto::FileOperation::kClose) {
    digests = digests_->close(channel.number, event);
    told.text(Key::kDigestRead, digests.empty_read ? kEmptyDigest : "")
        .text(Key::kDigestWritten, digests.empty_written ? kEmptyDigest : "")
        .text(Key::kNoDigest, digests.missing);
  }
  if (recording_ != nullptr) {
    recording_->file(channel, audit::object_of(told), digests.refs);
  }
  tell_audit(with_channel(std::move(told), channel), digests.refs);
  if (event.outcome == proto::FileOutcome::kRefused && event.reason == proto::kFileTooLarge) {
    const proto::Permissions& may = adopt_.permissions;
    const std::uint64_t size =
        channel.use == proto::ChannelUse::kSubsystem && may.sftp_files.size_max != 0
            ? may.sftp_files.size_max
            : may.exec_files.size_max;
    limit_reached("files.size", size, "a file is larger than the rule allows");
  }
}

void WorkerSession::file_data(const proto::ChannelInfo& channel, const proto::FileData& data) {
  if (digests_ != nullptr) {
    digests_->data(channel.number, data);
  }
}

// The user's leg: `in` is what comes from the user; the target's: what comes from the target.
void WorkerSession::audit_target_login(std::string_view reason) {
  Event event(Name::kTargetLogin);
  event.text(Key::kOutcome, reason.empty() ? "accepted" : "refused");
  event.text(Key::kReason, reason);
  if (down().transport != nullptr) {
    const proto::NegotiatedAlgorithms& used = down().transport->algorithms();
    event.text(Key::kDownKex, name_of(used.kex))
        .text(Key::kDownHostKey, name_of(used.host_key))
        .text(Key::kDownCipherIn, name_of(used.cipher_to_server))
        .text(Key::kDownCipherOut, name_of(used.cipher_to_client))
        .text(Key::kDownMacIn, name_of(used.mac_to_server))
        .text(Key::kDownMacOut, name_of(used.mac_to_client));
  }
  if (up().transport != nullptr) {
    const proto::NegotiatedAlgorithms& used = up().transport->algorithms();
    event.text(Key::kServer, up().transport->peer_ident())
        .text(Key::kUpKex, name_of(used.kex))
        .text(Key::kUpHostKey, name_of(used.host_key))
        .text(Key::kUpCipherIn, name_of(used.cipher_to_client))
        .text(Key::kUpCipherOut, name_of(used.cipher_to_server))
        .text(Key::kUpMacIn, name_of(used.mac_to_client))
        .text(Key::kUpMacOut, name_of(used.mac_to_server));
  }
  tell_audit(std::move(event));
}

void WorkerSession::audit_channel(Name name, const proto::ChannelInfo& channel) {
  Event event(name);
  event.text(Key::kType, type_name(channel.type));
  event.text(Key::kOpener, channel.opener == proto::Leg::kDownstream ? "user" : "target");
  const bool is_session = channel.type == proto::ChannelType::kSession;
  if (name == Name::kChannelOpen) {
    audit_opened_[channel.number] = worker_.now();
  }
  if (!is_session) {
    event.text(Key::kDetail, channel.detail).text(Key::kOrigin, channel.origin);
  }
  if (name == Name::kChannelClose) {
    event.text(Key::kUse, is_session ? short_name(channel) : std::string_view())
        .number(Key::kBytesUp, channel.bytes_up)
        .number(Key::kBytesDown, channel.bytes_down);
    if (const auto opened = audit_opened_.find(channel.number); opened != audit_opened_.end()) {
      event.number(Key::kDurationUs,
                   static_cast<std::uint64_t>(worker_.now().ns - opened->second.ns) / 1000);
      audit_opened_.erase(opened);
    }
    if (channel.exit_status) {
      event.number(Key::kExitStatus, *channel.exit_status);
    }
  }
  if (recording_ != nullptr && !is_session) {
    recording_->forward(channel, event);
  }
  tell_audit(with_channel(std::move(event), channel));
}

void WorkerSession::limit_reached(std::string_view limit, std::uint64_t value,
                                  std::string_view reason) {
  LimitTally& tally = limits_[limit];
  ++tally.untold;
  if (worker_.now() < tally.quiet_until) {
    return;
  }
  tally.quiet_until = after(worker_.now(), kNsPerSecond);
  Event event(Name::kLimit);
  event.text(Key::kLimit, limit)
      .number(Key::kValue, value)
      .number(Key::kCount, std::exchange(tally.untold, 0))
      .text(Key::kReason, reason);
  tell_audit(std::move(event));
}

void WorkerSession::channel_limit_reached(proto::ChannelLimit limit, std::string_view text) {
  if (limit == proto::ChannelLimit::kChannels) {
    limit_reached("channels_per_session", adopt_.permissions.channels_max, text);
  } else if (limit == proto::ChannelLimit::kSessions) {
    limit_reached("session_channels_per_session", adopt_.permissions.session_channels_max, text);
  }
}

// audit_untold: how many requests of a channel were too many for an event each.
void WorkerSession::audit_untold(const proto::ChannelInfo& channel) {
  Event event(Name::kLimit);
  event.text(Key::kLimit, "channel_requests")
      .number(Key::kValue, proto::kToldRequestsMax)
      .number(Key::kCount, channel.num_untold)
      .text(Key::kReason, "refused requests, variables and signals that are told of no further");
  tell_audit(with_channel(std::move(event), channel));
}

void WorkerSession::audit_refused(proto::ChannelType type, std::string_view opener,
                                  std::string_view detail, std::string_view text) {
  Event event(Name::kChannelRefused);
  event.text(Key::kType, type_name(type))
      .text(Key::kOpener, opener)
      .text(Key::kDetail, detail)
      .text(Key::kReason, text);
  if (recording_ != nullptr && type != proto::ChannelType::kSession) {
    recording_->forward(event);
  }
  tell_audit(std::move(event));
}

}  // namespace bastion::daemon
