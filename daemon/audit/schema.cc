#include "daemon/audit/schema.h"

#include <algorithm>
#include <array>

namespace bastion::audit {
namespace {

constexpr std::array<KeyInfo, kNumKeys> kKeys = {{
    {"session", Kind::kText},
    {"user", Kind::kText},
    {"login", Kind::kText},
    {"target", Kind::kText},
    {"rule", Kind::kText},
    {"policy", Kind::kText},
    {"outcome", Kind::kText},
    {"reason", Kind::kText},
    {"from", Kind::kText},
    {"from_port", Kind::kNumber},
    {"client", Kind::kText},
    {"method", Kind::kText},
    {"algorithm", Kind::kText},
    {"key", Kind::kText},
    {"certificate", Kind::kText},
    {"serial", Kind::kText},
    {"ca", Kind::kText},
    {"user_name", Kind::kText},
    {"mode", Kind::kText},
    {"host", Kind::kText},
    {"port", Kind::kNumber},
    {"address", Kind::kText},
    {"host_key", Kind::kText},
    {"host_key_algorithm", Kind::kText},
    {"verified_by", Kind::kText},
    {"credential", Kind::kText},
    {"down_kex", Kind::kText},
    {"down_host_key", Kind::kText},
    {"down_cipher_in", Kind::kText},
    {"down_cipher_out", Kind::kText},
    {"down_mac_in", Kind::kText},
    {"down_mac_out", Kind::kText},
    {"up_kex", Kind::kText},
    {"up_host_key", Kind::kText},
    {"up_cipher_in", Kind::kText},
    {"up_cipher_out", Kind::kText},
    {"up_mac_in", Kind::kText},
    {"up_mac_out", Kind::kText},
    {"server", Kind::kText},
    {"channel", Kind::kNumber},
    {"type", Kind::kText},
    {"use", Kind::kText},
    {"opener", Kind::kText},
    {"origin", Kind::kText},
    {"detail", Kind::kText},
    {"request", Kind::kText},
    {"forced", Kind::kFlag},
    {"bytes_up", Kind::kNumber},
    {"bytes_down", Kind::kNumber},
    {"duration_us", Kind::kNumber},
    {"exit_status", Kind::kNumber},
    {"operation", Kind::kText},
    {"tool", Kind::kText},
    {"path", Kind::kText},
    {"other_path", Kind::kText},
    {"name", Kind::kText},
    {"file_number", Kind::kNumber},
    {"attributes", Kind::kText},
    {"flags", Kind::kText},
    {"bytes_read", Kind::kNumber},
    {"bytes_written", Kind::kNumber},
    {"whole_read", Kind::kFlag},
    {"whole_written", Kind::kFlag},
    {"digest_read", Kind::kText},
    {"digest_written", Kind::kText},
    {"no_digest", Kind::kText},
    {"status", Kind::kNumber},
    {"recording", Kind::kText},
    {"state", Kind::kText},
    {"head", Kind::kText},
    {"blocks", Kind::kNumber},
    {"bytes", Kind::kNumber},
    {"limit", Kind::kText},
    {"value", Kind::kNumber},
    {"count", Kind::kNumber},
    {"attempts", Kind::kNumber},
    {"keys_offered", Kind::kNumber},
    {"role", Kind::kText},
    {"index", Kind::kNumber},
    {"pid", Kind::kNumber},
    {"version", Kind::kText},
    {"revision", Kind::kText},
    {"by", Kind::kText},
    {"command", Kind::kText},
    {"subject", Kind::kText},
    {"summary", Kind::kText},
    {"log_file", Kind::kText},
    {"previous_file", Kind::kText},
    {"sink", Kind::kText},
    {"heads", Kind::kList},
    {"head_seq", Kind::kNumber},
    {"head_hash", Kind::kText},
    {"signature", Kind::kText},
    {"torn", Kind::kText},
    {"torn_hash", Kind::kText},
    {"cut", Kind::kList},
}};

constexpr Key kServiceStartKeys[] = {Key::kVersion, Key::kRevision, Key::kPid};
constexpr Key kServiceStopKeys[] = {Key::kReason};
constexpr Key kProcessEndKeys[] = {Key::kRole, Key::kIndex, Key::kPid, Key::kReason};
constexpr Key kConfigLoadKeys[] = {Key::kOutcome, Key::kBy, Key::kPolicy, Key::kSummary,
                                   Key::kReason};
constexpr Key kAdminKeys[] = {Key::kCommand, Key::kBy,   Key::kOutcome, Key::kSubject, Key::kReason,
                              Key::kSession, Key::kUser, Key::kLogin,   Key::kTarget};
constexpr Key kLoginKeys[] = {Key::kSession, Key::kOutcome,   Key::kUser, Key::kUserName,
                              Key::kMethod,  Key::kAlgorithm, Key::kKey,  Key::kCertificate,
                              Key::kSerial,  Key::kCa,        Key::kFrom, Key::kFromPort,
                              Key::kClient,  Key::kReason};
constexpr Key kLoginAbandonedKeys[] = {Key::kFrom,   Key::kFromPort, Key::kClient,
                                       Key::kReason, Key::kAttempts, Key::kKeysOffered};
constexpr Key kDecisionKeys[] = {Key::kSession, Key::kOutcome, Key::kMode,  Key::kUser,
                                 Key::kLogin,   Key::kTarget,  Key::kHost,  Key::kPort,
                                 Key::kRule,    Key::kPolicy,  Key::kReason};
constexpr Key kSessionStartKeys[] = {Key::kSession,  Key::kUser,   Key::kLogin, Key::kTarget,
                                     Key::kRule,     Key::kPolicy, Key::kMode,  Key::kFrom,
                                     Key::kFromPort, Key::kClient};
constexpr Key kSessionEndKeys[] = {Key::kSession, Key::kUser,    Key::kLogin,     Key::kTarget,
                                   Key::kReason,  Key::kBytesUp, Key::kBytesDown, Key::kDurationUs};
constexpr Key kTargetConnectedKeys[] = {Key::kSession, Key::kUser, Key::kLogin, Key::kTarget,
                                        Key::kAddress};
constexpr Key kTargetFailedKeys[] = {Key::kSession, Key::kUser,    Key::kLogin,
                                     Key::kTarget,  Key::kAddress, Key::kReason};
constexpr Key kTargetVerifiedKeys[] = {Key::kSession,          Key::kUser,       Key::kLogin,
                                       Key::kTarget,           Key::kAddress,    Key::kHostKey,
                                       Key::kHostKeyAlgorithm, Key::kVerifiedBy, Key::kCredential};
constexpr Key kTargetRefusedKeys[] = {Key::kSession,          Key::kUser,    Key::kLogin,
                                      Key::kTarget,           Key::kAddress, Key::kHostKey,
                                      Key::kHostKeyAlgorithm, Key::kReason};
constexpr Key kTargetLoginKeys[] = {
    Key::kSession,       Key::kUser,        Key::kLogin,      Key::kTarget,      Key::kOutcome,
    Key::kServer,        Key::kReason,      Key::kDownKex,    Key::kDownHostKey, Key::kDownCipherIn,
    Key::kDownCipherOut, Key::kDownMacIn,   Key::kDownMacOut, Key::kUpKex,       Key::kUpHostKey,
    Key::kUpCipherIn,    Key::kUpCipherOut, Key::kUpMacIn,    Key::kUpMacOut};
constexpr Key kChannelOpenKeys[] = {Key::kSession, Key::kUser,    Key::kLogin,
                                    Key::kTarget,  Key::kChannel, Key::kType,
                                    Key::kOpener,  Key::kDetail,  Key::kOrigin};
constexpr Key kChannelRefusedKeys[] = {Key::kSession, Key::kUser,   Key::kLogin,  Key::kTarget,
                                       Key::kType,    Key::kOpener, Key::kDetail, Key::kReason};
constexpr Key kChannelCloseKeys[] = {
    Key::kSession, Key::kUser,      Key::kLogin,      Key::kTarget,    Key::kChannel,
    Key::kType,    Key::kUse,       Key::kOpener,     Key::kDetail,    Key::kOrigin,
    Key::kBytesUp, Key::kBytesDown, Key::kDurationUs, Key::kExitStatus};
constexpr Key kRequestKeys[] = {Key::kSession, Key::kUser,    Key::kLogin,
                                Key::kTarget,  Key::kChannel, Key::kRequest,
                                Key::kDetail,  Key::kOutcome, Key::kForced};
constexpr Key kForwardKeys[] = {Key::kSession, Key::kUser, Key::kLogin, Key::kTarget,
                                Key::kRequest, Key::kHost, Key::kPort,  Key::kOutcome};
constexpr Key kTunnelGrantedKeys[] = {Key::kSession, Key::kUser, Key::kChannel, Key::kTarget,
                                      Key::kHost,    Key::kPort, Key::kRule};
constexpr Key kTunnelRefusedKeys[] = {Key::kSession, Key::kUser, Key::kChannel, Key::kHost,
                                      Key::kPort,    Key::kRule, Key::kReason};
constexpr Key kTunnelFailedKeys[] = {Key::kSession, Key::kUser, Key::kChannel, Key::kTarget,
                                     Key::kHost,    Key::kPort, Key::kReason};
constexpr Key kTunnelOpenKeys[] = {Key::kSession, Key::kUser, Key::kChannel, Key::kTarget,
                                   Key::kHost,    Key::kPort, Key::kAddress};
constexpr Key kFileKeys[] = {
    Key::kSession,      Key::kUser,      Key::kLogin,        Key::kTarget,     Key::kChannel,
    Key::kTool,         Key::kOperation, Key::kOutcome,      Key::kFileNumber, Key::kPath,
    Key::kOtherPath,    Key::kName,      Key::kFlags,        Key::kAttributes, Key::kBytesRead,
    Key::kBytesWritten, Key::kWholeRead, Key::kWholeWritten, Key::kDigestRead, Key::kDigestWritten,
    Key::kNoDigest,     Key::kStatus,    Key::kReason,       Key::kRule,       Key::kDurationUs};
constexpr Key kRecordingOpenKeys[] = {Key::kSession, Key::kUser,      Key::kLogin,
                                      Key::kTarget,  Key::kRecording, Key::kMode};
constexpr Key kRecordingCloseKeys[] = {Key::kSession,   Key::kUser,  Key::kLogin,  Key::kTarget,
                                       Key::kRecording, Key::kState, Key::kBlocks, Key::kBytes,
                                       Key::kHead,      Key::kReason};
constexpr Key kRecordingFailedKeys[] = {Key::kSession, Key::kUser,      Key::kLogin,
                                        Key::kTarget,  Key::kRecording, Key::kReason};
constexpr Key kRecordingRemovedKeys[] = {Key::kSession, Key::kRecording, Key::kBytes, Key::kReason};
constexpr Key kLimitKeys[] = {Key::kSession, Key::kUser,  Key::kLogin, Key::kTarget, Key::kChannel,
                              Key::kLimit,   Key::kValue, Key::kCount, Key::kFrom,   Key::kReason};
constexpr Key kAuditStartKeys[] = {Key::kLogFile, Key::kPreviousFile, Key::kReason};
constexpr Key kAuditTornKeys[] = {Key::kLogFile, Key::kBytes, Key::kTorn, Key::kTornHash};
constexpr Key kAuditRecordingsKeys[] = {Key::kHeads};
constexpr Key kAuditHeadKeys[] = {Key::kHeadSeq, Key::kHeadHash, Key::kKey, Key::kSignature};
constexpr Key kAuditDroppedKeys[] = {Key::kSink, Key::kCount, Key::kReason};
constexpr Key kAuditFailedKeys[] = {Key::kSink, Key::kReason};
constexpr Key kAuditRecoveredKeys[] = {Key::kSink, Key::kCount};

constexpr std::array<NameInfo, kNumNames> kNames = {{
    {"service.start", Level::kNotice, false, kServiceStartKeys},
    {"service.stop", Level::kNotice, false, kServiceStopKeys},
    {"process.end", Level::kError, false, kProcessEndKeys},
    {"config.load", Level::kNotice, false, kConfigLoadKeys},
    {"admin", Level::kNotice, false, kAdminKeys},
    {"login", Level::kInfo, false, kLoginKeys},
    {"login.abandoned", Level::kInfo, false, kLoginAbandonedKeys},
    {"decision", Level::kNotice, false, kDecisionKeys},
    {"session.start", Level::kInfo, false, kSessionStartKeys},
    {"session.end", Level::kInfo, false, kSessionEndKeys},
    {"target.connected", Level::kInfo, false, kTargetConnectedKeys},
    {"target.failed", Level::kWarning, false, kTargetFailedKeys},
    {"target.verified", Level::kInfo, false, kTargetVerifiedKeys},
    {"target.refused", Level::kError, false, kTargetRefusedKeys},
    {"target.login", Level::kInfo, true, kTargetLoginKeys},
    {"channel.open", Level::kInfo, true, kChannelOpenKeys},
    {"channel.refused", Level::kNotice, true, kChannelRefusedKeys},
    {"channel.close", Level::kInfo, true, kChannelCloseKeys},
    {"request", Level::kInfo, true, kRequestKeys},
    {"forward", Level::kInfo, true, kForwardKeys},
    {"tunnel.granted", Level::kInfo, false, kTunnelGrantedKeys},
    {"tunnel.refused", Level::kNotice, false, kTunnelRefusedKeys},
    {"tunnel.failed", Level::kWarning, false, kTunnelFailedKeys},
    {"tunnel.open", Level::kInfo, false, kTunnelOpenKeys},
    {"file", Level::kInfo, true, kFileKeys},
    {"recording.open", Level::kInfo, false, kRecordingOpenKeys},
    {"recording.close", Level::kInfo, false, kRecordingCloseKeys},
    {"recording.failed", Level::kError, false, kRecordingFailedKeys},
    {"recording.removed", Level::kNotice, false, kRecordingRemovedKeys},
    {"limit", Level::kWarning, true, kLimitKeys},
    {"audit.start", Level::kNotice, false, kAuditStartKeys},
    {"audit.torn", Level::kWarning, false, kAuditTornKeys},
    {"audit.recordings", Level::kInfo, false, kAuditRecordingsKeys},
    {"audit.head", Level::kInfo, false, kAuditHeadKeys},
    {"audit.dropped", Level::kError, false, kAuditDroppedKeys},
    {"audit.failed", Level::kError, false, kAuditFailedKeys},
    {"audit.recovered", Level::kNotice, false, kAuditRecoveredKeys},
}};

}  // namespace

const KeyInfo& info(Key key) { return kKeys[static_cast<std::size_t>(key)]; }
const NameInfo& info(Name name) { return kNames[static_cast<std::size_t>(name)]; }

std::optional<Name> find_name(std::string_view name) {
  const auto* found = std::ranges::find(kNames, name, &NameInfo::name);
  return found == kNames.end() ? std::nullopt
                               : std::optional(static_cast<Name>(found - kNames.begin()));
}

bool may_have(Name name, Key key) {
  const std::span<const Key> keys = info(name).keys;
  return key == Key::kCut || std::ranges::find(keys, key) != keys.end();
}

}  // namespace bastion::audit
