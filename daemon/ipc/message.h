#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

/// What every message between our processes has: who speaks (Role), what it is (Type), its Header.
/// The messages themselves are in ipc/*_messages.h, by channel (SOCK_SEQPACKET, one message a
/// packet). Each struct lists its fields once, in `fields`, and ipc/codec.h encodes and decodes by
/// that list; decoding checks every length and refuses what trails. docs/architecture.md has the
/// table of who may send what when; the warden's permit table (warden/permits.h) enforces it,
/// default deny.
namespace bastion::daemon::ipc {

inline constexpr std::uint8_t kVersion = 1;
/// The largest message: a session's state with one receive of unread input (64 KiB), its unsent
/// output and a grant. Below Linux's default SO_SNDBUF of 212,992 bytes.
inline constexpr std::size_t kMessageBytesMax = 160 * 1024;

/// SessionId names one session in the warden's table: slot and generation. Zero: none.
using SessionId = std::uint64_t;
/// ConnectionId names one accepted connection in the supervisor's table.
using ConnectionId = std::uint64_t;
using Cookie = std::array<std::uint8_t, 16>;

enum class Role : std::uint8_t { kSupervisor, kGate, kWorker, kWarden, kResolver, kRecorder };
constexpr Role last_of(Role) { return Role::kRecorder; }  // for ipc/codec.h

enum class Type : std::uint8_t {
  // supervisor → gate
  kConnection = 1,  // + the socket
  kDropConnection = 2,
  // gate → supervisor
  kConnectionDone = 3,
  kConnectionSpoke = 4,
  // supervisor → warden
  kConfiguration = 10,  // + memfd with the file bundle
  kAddPeer = 11,        // + the warden's end of the peer's socket pair
  kPeerGone = 12,
  kControlRequest = 13,
  kShutdown = 14,  // also warden → worker
  kReloadRefused = 15,
  kLimitReached = 16,
  // warden → supervisor
  kConfigurationResult = 20,
  kControlReply = 21,
  kDrained = 22,  // answer to kShutdown: no session is left
  kEndPeer = 23,  // kill a gate or worker that broke the rules
  // warden → gate, warden → worker
  kSettings = 30,
  kCookies = 31,
  kRefused = 32,  // the negative answer to any request
  // gate → warden
  kTakeCookies = 40,
  kSignFirstExchange = 41,  // + the connection's socket
  kKeyQuery = 42,
  kKeyVerify = 43,
  kHandOver = 44,
  kConnectionGone = 45,
  // warden → gate
  kExchangeSigned = 50,  // worker too
  kKeyAnswer = 51,
  kVerdict = 52,
  // warden → worker
  kAdopt = 60,            // + the user's socket
  kTargetConnected = 61,  // + the target's socket
  kTargetFailed = 62,
  kTargetVerified = 63,
  kTargetSignature = 64,
  kTunnelOpened = 65,  // + the tunnel's socket
  kListing = 66,
  kEndSession = 67,
  kRecordingReady = 68,
  kAuditAccepted = 69,
  // worker → warden
  kSignRekey = 70,
  kTargetVerify = 71,
  kTargetSign = 72,
  kOpenTunnel = 73,
  kAskListing = 74,
  kSessionEvent = 75,
  kSessionStats = 76,
  kSessionEnded = 77,
  kWorkerStats = 78,
  kAuditNote = 79,
  // warden → resolver, resolver → warden
  kResolve = 80,
  kResolved = 81,
  // supervisor → recorder
  kRecorderSettings = 90,  // first of all
  kRecorderTable = 91,     // + memfd
  kAddRing = 92,           // + the ring's memfd and its bell
  kRetireRing = 93,
  kRingsComplete = 94,
  // recorder → supervisor
  kRingDone = 95,
  kRingBroken = 96,
  // warden → recorder
  kOpenRecording = 100,
  kCloseRecording = 101,
  kResync = 102,
  kHeadSigned = 103,
  kAuditEvent = 104,
  kHoldRecording = 105,
  // recorder → warden
  kRecordingOpened = 110,
  kRecordingFailed = 111,
  kRecordingSealed = 112,
  kSignHead = 113,
  kRecorderState = 114,
  kAuditState = 115,
  kRecordingHeld = 116,
};

/// Header goes before every message. `request` is chosen by the asking side and comes back in the
/// answer; 0 marks one-way messages. `session` is 0 where none is meant.
struct Header {
  std::uint8_t version = kVersion;
  Type type{};
  std::uint32_t request = 0;
  SessionId session = 0;
};

}  // namespace bastion::daemon::ipc
