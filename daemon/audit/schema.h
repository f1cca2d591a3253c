#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

/// The audit events: which there are, and which fields each may have. docs/audit-events.md is the
/// same table for people; a test holds the two together. Fields are only ever added: whoever reads
/// version 1 goes on reading it.
namespace bastion::audit {

inline constexpr std::uint64_t kSchemaVersion = 1;

enum class Name : std::uint8_t {
  kServiceStart,
  kServiceStop,
  kProcessEnd,
  kConfigLoad,
  kAdmin,
  kLogin,
  kLoginAbandoned,
  kDecision,
  kSessionStart,
  kSessionEnd,
  kTargetConnected,
  kTargetFailed,
  kTargetVerified,
  kTargetRefused,
  kTargetLogin,
  kChannelOpen,
  kChannelRefused,
  kChannelClose,
  kRequest,
  kForward,
  kTunnelGranted,
  kTunnelRefused,
  kTunnelFailed,
  kTunnelOpen,
  kFile,
  kRecordingOpen,
  kRecordingClose,
  kRecordingFailed,
  kRecordingRemoved,
  kLimit,
  kAuditStart,
  kAuditTorn,
  kAuditRecordings,
  kAuditHead,
  kAuditDropped,
  kAuditFailed,
  kAuditRecovered,
};
inline constexpr std::size_t kNumNames = static_cast<std::size_t>(Name::kAuditRecovered) + 1;

enum class Key : std::uint8_t {
  kSession,
  kUser,
  kLogin,
  kTarget,
  kRule,
  kPolicy,
  kOutcome,
  kReason,
  kFrom,
  kFromPort,
  kClient,
  kMethod,
  kAlgorithm,
  kKey,
  kCertificate,
  kSerial,
  kCa,
  kUserName,
  kMode,
  kHost,
  kPort,
  kAddress,
  kHostKey,
  kHostKeyAlgorithm,
  kVerifiedBy,
  kCredential,
  kDownKex,
  kDownHostKey,
  kDownCipherIn,
  kDownCipherOut,
  kDownMacIn,
  kDownMacOut,
  kUpKex,
  kUpHostKey,
  kUpCipherIn,
  kUpCipherOut,
  kUpMacIn,
  kUpMacOut,
  kServer,
  kChannel,
  kType,
  kUse,
  kOpener,
  kOrigin,
  kDetail,
  kRequest,
  kForced,
  kBytesUp,
  kBytesDown,
  kDurationUs,
  kExitStatus,
  kOperation,
  kTool,
  kPath,
  kOtherPath,
  kName,
  kFileNumber,
  kAttributes,
  kFlags,
  kBytesRead,
  kBytesWritten,
  kWholeRead,
  kWholeWritten,
  kDigestRead,
  kDigestWritten,
  kNoDigest,
  kStatus,
  kRecording,
  kState,
  kHead,
  kBlocks,
  kBytes,
  kLimit,
  kValue,
  kCount,
  kAttempts,
  kKeysOffered,
  kRole,
  kIndex,
  kPid,
  kVersion,
  kRevision,
  kBy,
  kCommand,
  kSubject,
  kSummary,
  kLogFile,
  kPreviousFile,
  kSink,
  kHeads,
  kHeadSeq,
  kHeadHash,
  kSignature,
  kTorn,
  kTornHash,
  kCut,
};
inline constexpr std::size_t kNumKeys = static_cast<std::size_t>(Key::kCut) + 1;

/// SinkKind is where the lines go beside the file.
enum class SinkKind : std::uint8_t { kJournald, kUnix, kUdp, kTcp };

enum class Kind : std::uint8_t { kText, kNumber, kFlag, kList };

/// Level is how much an event matters: syslog's severity and journald's PRIORITY.
enum class Level : std::uint8_t { kInfo = 6, kNotice = 5, kWarning = 4, kError = 3 };

struct KeyInfo {
  std::string_view name;
  Kind kind;
};
struct NameInfo {
  std::string_view name;
  Level level;
  bool from_worker;  // a worker may report it, of its own sessions
  std::span<const Key> keys;
};

const KeyInfo& info(Key key);
const NameInfo& info(Name name);
std::optional<Name> find_name(std::string_view name);
/// may_have: `cut` is allowed everywhere, since any text may have been too long.
bool may_have(Name name, Key key);

}  // namespace bastion::audit
