#include "daemon/worker/session.h"
#include "daemon/worker/worker.h"

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

}  // namespace

void WorkerSession::tell_audit(Event event) {
  if (adopt_.audited) {
    worker_.tell(*this, ipc::AuditNote{std::move(event)});
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
  event.number(Key::kChannel, channel.number).text(Key::kType, type_name(channel.type));
  event.text(Key::kOpener, channel.opener == proto::Leg::kDownstream ? "user" : "target");
  const bool is_session = channel.type == proto::ChannelType::kSession;
  if (name == Name::kChannelOpen) {
    audit_opened_[channel.number] = worker_.now();
  }
  if (!is_session) {
    event.text(Key::kDetail, channel.detail);
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
  tell_audit(std::move(event));
}

void WorkerSession::audit_refused(proto::ChannelType type, std::string_view opener,
                                  std::string_view detail, std::string_view text) {
  Event event(Name::kChannelRefused);
  event.text(Key::kType, type_name(type))
      .text(Key::kOpener, opener)
      .text(Key::kDetail, detail)
      .text(Key::kReason, text);
  tell_audit(std::move(event));
}

}  // namespace bastion::daemon
