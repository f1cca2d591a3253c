#pragma once

#include <cstdint>

#include "daemon/ipc/message.h"

namespace bastion::daemon {

/// SessionState is where a session stands in the warden's table.
enum class SessionState : std::uint8_t {
  kFree,           // the slot is empty
  kKeyed,          // its first exchange is signed; nobody is logged in
  kAuthenticated,  // verified and decided; still at its gate
  kAdopted,        // at its worker
};

/// TargetState is where a session's way to its target stands.
enum class TargetState : std::uint8_t {
  kNone,       // no target, or refused
  kDialling,   // being resolved or connected
  kConnected,  // the socket waits for the worker, or went to it
  kVerified,   // the target's host key is verified; credentials were handed out
  kFailed,
};

/// Permit says who may send a message and when: OpenSSH's monitor.c has the same table. What is not
/// listed is refused, and the sender's process is ended: it is broken or taken over.
struct Permit {
  ipc::Type type;
  ipc::Role from;
  bool needs_session;       // header.session names a live session that belongs to the sender
  SessionState state;       // …in exactly this state
  std::uint32_t times_max;  // per session; 0: bounded otherwise (budgets of the configuration)
};

inline constexpr Permit kPermits[] = {
    {ipc::Type::kTakeCookies, ipc::Role::kGate, false, SessionState::kFree, 0},
    {ipc::Type::kSignFirstExchange, ipc::Role::kGate, false, SessionState::kFree, 0},
    {ipc::Type::kKeyQuery, ipc::Role::kGate, true, SessionState::kKeyed, 0},
    {ipc::Type::kKeyVerify, ipc::Role::kGate, true, SessionState::kKeyed, 0},
    {ipc::Type::kHandOver, ipc::Role::kGate, true, SessionState::kAuthenticated, 1},
    {ipc::Type::kConnectionGone, ipc::Role::kGate, true, SessionState::kKeyed, 1},
    {ipc::Type::kConnectionGone, ipc::Role::kGate, true, SessionState::kAuthenticated, 1},
    {ipc::Type::kSignRekey, ipc::Role::kWorker, true, SessionState::kAdopted, 0},
    {ipc::Type::kTargetVerify, ipc::Role::kWorker, true, SessionState::kAdopted, 1},
    {ipc::Type::kTargetSign, ipc::Role::kWorker, true, SessionState::kAdopted, 4},
    {ipc::Type::kOpenTunnel, ipc::Role::kWorker, true, SessionState::kAdopted, 0},
    {ipc::Type::kAskListing, ipc::Role::kWorker, true, SessionState::kAdopted, 0},
    {ipc::Type::kSessionEvent, ipc::Role::kWorker, true, SessionState::kAdopted, 0},
    {ipc::Type::kAuditNote, ipc::Role::kWorker, true, SessionState::kAdopted, 0},
    {ipc::Type::kAuditState, ipc::Role::kRecorder, false, SessionState::kFree, 0},
    {ipc::Type::kSessionStats, ipc::Role::kWorker, true, SessionState::kAdopted, 0},
    {ipc::Type::kSessionEnded, ipc::Role::kWorker, true, SessionState::kAdopted, 1},
    {ipc::Type::kWorkerStats, ipc::Role::kWorker, false, SessionState::kFree, 0},
    {ipc::Type::kResolved, ipc::Role::kResolver, false, SessionState::kFree, 0},
    {ipc::Type::kRecordingOpened, ipc::Role::kRecorder, false, SessionState::kFree, 0},
    {ipc::Type::kRecordingFailed, ipc::Role::kRecorder, false, SessionState::kFree, 0},
    {ipc::Type::kRecordingSealed, ipc::Role::kRecorder, false, SessionState::kFree, 0},
    {ipc::Type::kSignHead, ipc::Role::kRecorder, false, SessionState::kFree, 0},
    {ipc::Type::kRecorderState, ipc::Role::kRecorder, false, SessionState::kFree, 0},
    {ipc::Type::kRecordingHeld, ipc::Role::kRecorder, false, SessionState::kFree, 0},
    {ipc::Type::kConfiguration, ipc::Role::kSupervisor, false, SessionState::kFree, 0},
    {ipc::Type::kAddPeer, ipc::Role::kSupervisor, false, SessionState::kFree, 0},
    {ipc::Type::kPeerGone, ipc::Role::kSupervisor, false, SessionState::kFree, 0},
    {ipc::Type::kControlRequest, ipc::Role::kSupervisor, false, SessionState::kFree, 0},
    {ipc::Type::kReloadRefused, ipc::Role::kSupervisor, false, SessionState::kFree, 0},
    {ipc::Type::kLimitReached, ipc::Role::kSupervisor, false, SessionState::kFree, 0},
    {ipc::Type::kShutdown, ipc::Role::kSupervisor, false, SessionState::kFree, 0},
};

/// find_permit: the row for a message, or nullptr: refused. `state` counts for rows that need a
/// session only.
constexpr const Permit* find_permit(ipc::Type type, ipc::Role from, bool has_session,
                                    SessionState state) {
  for (const Permit& permit : kPermits) {
    if (permit.type == type && permit.from == from && permit.needs_session == has_session &&
        (!permit.needs_session || permit.state == state)) {
      return &permit;
    }
  }
  return nullptr;
}

}  // namespace bastion::daemon
