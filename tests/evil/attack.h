#pragma once

#include <algorithm>
#include <array>

#include "tests/support/warden_world.h"

namespace bastion::test {

/// kTypes are all messages that there are.
inline constexpr std::array kTypes = {
    daemon::ipc::Type::kConnection,       daemon::ipc::Type::kDropConnection,
    daemon::ipc::Type::kConnectionDone,   daemon::ipc::Type::kConnectionSpoke,
    daemon::ipc::Type::kConfiguration,    daemon::ipc::Type::kAddPeer,
    daemon::ipc::Type::kPeerGone,         daemon::ipc::Type::kControlRequest,
    daemon::ipc::Type::kShutdown,         daemon::ipc::Type::kConfigurationResult,
    daemon::ipc::Type::kControlReply,     daemon::ipc::Type::kDrained,
    daemon::ipc::Type::kEndPeer,          daemon::ipc::Type::kSettings,
    daemon::ipc::Type::kCookies,          daemon::ipc::Type::kRefused,
    daemon::ipc::Type::kTakeCookies,      daemon::ipc::Type::kSignFirstExchange,
    daemon::ipc::Type::kKeyQuery,         daemon::ipc::Type::kKeyVerify,
    daemon::ipc::Type::kHandOver,         daemon::ipc::Type::kConnectionGone,
    daemon::ipc::Type::kExchangeSigned,   daemon::ipc::Type::kKeyAnswer,
    daemon::ipc::Type::kVerdict,          daemon::ipc::Type::kAdopt,
    daemon::ipc::Type::kTargetConnected,  daemon::ipc::Type::kTargetFailed,
    daemon::ipc::Type::kTargetVerified,   daemon::ipc::Type::kTargetSignature,
    daemon::ipc::Type::kTunnelOpened,     daemon::ipc::Type::kListing,
    daemon::ipc::Type::kEndSession,       daemon::ipc::Type::kSignRekey,
    daemon::ipc::Type::kTargetVerify,     daemon::ipc::Type::kTargetSign,
    daemon::ipc::Type::kOpenTunnel,       daemon::ipc::Type::kAskListing,
    daemon::ipc::Type::kSessionEvent,     daemon::ipc::Type::kSessionStats,
    daemon::ipc::Type::kSessionEnded,     daemon::ipc::Type::kResolve,
    daemon::ipc::Type::kResolved,         daemon::ipc::Type::kRecordingReady,
    daemon::ipc::Type::kRecorderSettings, daemon::ipc::Type::kRecorderTable,
    daemon::ipc::Type::kAddRing,          daemon::ipc::Type::kRetireRing,
    daemon::ipc::Type::kRingsComplete,    daemon::ipc::Type::kRingDone,
    daemon::ipc::Type::kRingBroken,       daemon::ipc::Type::kOpenRecording,
    daemon::ipc::Type::kCloseRecording,   daemon::ipc::Type::kResync,
    daemon::ipc::Type::kHeadSigned,       daemon::ipc::Type::kAuditEvent,
    daemon::ipc::Type::kRecordingOpened,  daemon::ipc::Type::kRecordingFailed,
    daemon::ipc::Type::kRecordingSealed,  daemon::ipc::Type::kSignHead,
    daemon::ipc::Type::kRecorderState,    daemon::ipc::Type::kWorkerStats,
    daemon::ipc::Type::kHoldRecording,    daemon::ipc::Type::kRecordingHeld,
    daemon::ipc::Type::kLimitReached};

/// Gains counts what an attacker is after.
struct Gains {
  std::size_t host_signatures = 0, logins = 0, adoptions = 0, connects = 0, tunnels = 0,
              credentials = 0, target_signatures = 0;
  friend bool operator==(const Gains&, const Gains&) = default;
};

inline Gains gains(const World& world) {
  Gains out;
  out.connects = world.io.connects.size();
  for (const Sent& sent : world.io.sent) {
    switch (sent.header.type) {
      case daemon::ipc::Type::kExchangeSigned: ++out.host_signatures; break;
      case daemon::ipc::Type::kVerdict:
        out.logins += daemon::ipc::decode<daemon::ipc::Verdict>(sent.body)->success ? 1 : 0;
        break;
      case daemon::ipc::Type::kAdopt: ++out.adoptions; break;
      case daemon::ipc::Type::kTunnelOpened: ++out.tunnels; break;
      case daemon::ipc::Type::kTargetVerified: ++out.credentials; break;
      case daemon::ipc::Type::kTargetSignature: ++out.target_signatures; break;
      default: break;
    }
  }
  return out;
}

/// Attack is a packet and the descriptor that goes with it.
struct Attack {
  SecretBytes packet;
  daemon::UniqueFd fd;
};

/// best_message is the message of a type that has the best chance in a session: every field right,
/// every signature genuine.
inline Attack best_message(World& world, daemon::ipc::Type type, daemon::PeerId from,
                           const Connection& connection, daemon::ipc::SessionId session,
                           const std::string& user_name, std::uint32_t request = 9000) {
  namespace ipc = daemon::ipc;
  const ipc::Header header{.request = request, .session = session};
  const Keys& keys = Keys::get();
  switch (type) {
    case ipc::Type::kTakeCookies: return {ipc::encode(header, ipc::TakeCookies{8}), {}};
    case ipc::Type::kSignFirstExchange: {
      ipc::Cookie cookie{};
      if (from.role == ipc::Role::kGate && !world.was_ended(from)) {
        cookie = world.cookies(from).at(0);
      }
      return {ipc::encode(header, ipc::SignFirstExchange{world.exchange(cookie)}),
              tcp_pair().second};
    }
    case ipc::Type::kKeyQuery:
      return {ipc::encode(header,
                          ipc::KeyQuery{user_name, "ssh-ed25519", keys.alice.public_key().blob()}),
              {}};
    case ipc::Type::kKeyVerify:
      return {ipc::encode(header, world.signed_request(connection, user_name, keys.alice)), {}};
    case ipc::Type::kHandOver:
      return {ipc::encode(header, ipc::HandOver{SecretBytes(10), SecretBytes(3)}), {}};
    case ipc::Type::kConnectionGone: return {ipc::encode(header, ipc::ConnectionGone{"left"}), {}};
    case ipc::Type::kSignRekey:
      return {ipc::encode(header, ipc::SignRekey{world.exchange(ipc::Cookie{})}), {}};
    case ipc::Type::kTargetVerify: {
      const TargetExchange target = world.target_exchange();
      return {ipc::encode(header, ipc::TargetVerify{target.exchange, target.signature}), {}};
    }
    case ipc::Type::kTargetSign:
      return {ipc::encode(header, ipc::TargetSign{0, "ssh-ed25519"}), {}};
    case ipc::Type::kOpenTunnel: return {ipc::encode(header, ipc::OpenTunnel{1, "lab1", 22}), {}};
    case ipc::Type::kAskListing: return {ipc::encode(header, ipc::AskListing{}), {}};
    case ipc::Type::kSessionEvent:
      return {ipc::encode(header, ipc::SessionEvent{false, "shell"}), {}};
    case ipc::Type::kSessionStats:
      return {ipc::encode(header, ipc::SessionStats{1, 2, "shell"}), {}};
    case ipc::Type::kSessionEnded:
      return {ipc::encode(header, ipc::SessionEnded{"logout", 1, 2}), {}};
    case ipc::Type::kWorkerStats:
      return {ipc::encode(header, ipc::WorkerStats{.bytes_relayed = 1}), {}};
    case ipc::Type::kResolved:
      return {ipc::encode(header, ipc::Resolved{"web3.example.com", "", {{10, 0, 3, 1}}}), {}};
    case ipc::Type::kConfiguration:
      return {ipc::encode(header, ipc::Configuration{kServicePath, "reload"}), {}};
    case ipc::Type::kAddPeer:
      return {ipc::encode(header, ipc::AddPeer{ipc::Role::kWorker, 1, 7}), {}};
    case ipc::Type::kPeerGone:
      return {ipc::encode(header, ipc::PeerGone{ipc::Role::kWorker, 0, 100}), {}};
    case ipc::Type::kControlRequest:
      return {ipc::encode(header, ipc::ControlRequest{true, "uid 0", R"({"command":"status"})"}),
              {}};
    case ipc::Type::kShutdown: return {ipc::encode(header, ipc::Shutdown{0, "bye"}), {}};
    case ipc::Type::kVerdict: return {ipc::encode(header, ipc::Verdict{true}), {}};
    case ipc::Type::kAdopt: return {ipc::encode(header, ipc::Adopt{}), {}};
    default: {
      SecretBytes packet;
      ipc::Header typed = header;
      typed.type = type;
      ipc::encode_header(typed, packet);
      return {std::move(packet), {}};
    }
  }
}

}  // namespace bastion::test
