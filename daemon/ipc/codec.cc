#include "daemon/ipc/codec.h"

namespace bastion::daemon::ipc {

std::string_view type_name(Type type) {
  switch (type) {
    case Type::kConnection: return "Connection";
    case Type::kDropConnection: return "DropConnection";
    case Type::kConnectionDone: return "ConnectionDone";
    case Type::kConnectionSpoke: return "ConnectionSpoke";
    case Type::kConfiguration: return "Configuration";
    case Type::kAddPeer: return "AddPeer";
    case Type::kPeerGone: return "PeerGone";
    case Type::kControlRequest: return "ControlRequest";
    case Type::kShutdown: return "Shutdown";
    case Type::kConfigurationResult: return "ConfigurationResult";
    case Type::kControlReply: return "ControlReply";
    case Type::kDrained: return "Drained";
    case Type::kEndPeer: return "EndPeer";
    case Type::kSettings: return "Settings";
    case Type::kCookies: return "Cookies";
    case Type::kRefused: return "Refused";
    case Type::kTakeCookies: return "TakeCookies";
    case Type::kSignFirstExchange: return "SignFirstExchange";
    case Type::kKeyQuery: return "KeyQuery";
    case Type::kKeyVerify: return "KeyVerify";
    case Type::kHandOver: return "HandOver";
    case Type::kConnectionGone: return "ConnectionGone";
    case Type::kExchangeSigned: return "ExchangeSigned";
    case Type::kKeyAnswer: return "KeyAnswer";
    case Type::kVerdict: return "Verdict";
    case Type::kAdopt: return "Adopt";
    case Type::kTargetConnected: return "TargetConnected";
    case Type::kTargetFailed: return "TargetFailed";
    case Type::kTargetVerified: return "TargetVerified";
    case Type::kTargetSignature: return "TargetSignature";
    case Type::kTunnelOpened: return "TunnelOpened";
    case Type::kListing: return "Listing";
    case Type::kEndSession: return "EndSession";
    case Type::kSignRekey: return "SignRekey";
    case Type::kTargetVerify: return "TargetVerify";
    case Type::kTargetSign: return "TargetSign";
    case Type::kOpenTunnel: return "OpenTunnel";
    case Type::kAskListing: return "AskListing";
    case Type::kSessionEvent: return "SessionEvent";
    case Type::kSessionStats: return "SessionStats";
    case Type::kWorkerStats: return "WorkerStats";
    case Type::kSessionEnded: return "SessionEnded";
    case Type::kResolve: return "Resolve";
    case Type::kResolved: return "Resolved";
    case Type::kRecordingReady: return "RecordingReady";
    case Type::kRecorderSettings: return "RecorderSettings";
    case Type::kRecorderTable: return "RecorderTable";
    case Type::kAddRing: return "AddRing";
    case Type::kRetireRing: return "RetireRing";
    case Type::kRingsComplete: return "RingsComplete";
    case Type::kRingDone: return "RingDone";
    case Type::kRingBroken: return "RingBroken";
    case Type::kOpenRecording: return "OpenRecording";
    case Type::kCloseRecording: return "CloseRecording";
    case Type::kResync: return "Resync";
    case Type::kHeadSigned: return "HeadSigned";
    case Type::kAuditEvent: return "AuditEvent";
    case Type::kRecordingOpened: return "RecordingOpened";
    case Type::kRecordingFailed: return "RecordingFailed";
    case Type::kRecordingSealed: return "RecordingSealed";
    case Type::kSignHead: return "SignHead";
    case Type::kRecorderState: return "RecorderState";
    case Type::kReloadRefused: return "ReloadRefused";
    case Type::kAuditState: return "AuditState";
    case Type::kAuditNote: return "AuditNote";
    case Type::kAuditAccepted: return "AuditAccepted";
    case Type::kLimitReached: return "LimitReached";
    case Type::kHoldRecording: return "HoldRecording";
    case Type::kRecordingHeld: return "RecordingHeld";
  }
  return {};
}

bool known(Type type) { return !type_name(type).empty(); }

void encode_header(const Header& header, SecretBytes& out) {
  SecretWriter writer(out);
  writer.u8(header.version)
      .u8(static_cast<std::uint8_t>(header.type))
      .u32(header.request)
      .u64(header.session);
}

Result<Header> decode_header(ByteView& packet) {
  Reader reader(packet);
  Header header;
  header.version = reader.u8();
  header.type = static_cast<Type>(reader.u8());
  header.request = reader.u32();
  header.session = reader.u64();
  if (!reader.ok()) {
    return fail(ErrorCode::kMalformed, "a message between processes is shorter than its header",
                static_cast<std::int64_t>(packet.size()));
  }
  if (header.version != kVersion) {
    return fail(ErrorCode::kMalformed, "a message between processes is of another version",
                header.version);
  }
  if (!known(header.type)) {
    return fail(ErrorCode::kMalformed, "a message between processes is of no known type",
                static_cast<std::int64_t>(header.type));
  }
  packet = reader.rest();
  return header;
}

}  // namespace bastion::daemon::ipc
