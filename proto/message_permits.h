#pragma once

#include <cstdint>

#include "proto/messages.h"

namespace bastion::proto {

enum class Role : std::uint8_t { kServer, kClient };

/// Phase is how far a transport has come. It only ever goes on, one step at a time.
enum class Phase : std::uint8_t {
  kInitialKex,     // the first key exchange is not complete
  kService,        // encrypted; no service has been accepted (RFC 4253 10)
  kAuth,           // ssh-userauth is accepted (RFC 4252)
  kAuthenticated,  // the owner said so
};

/// PeerKex is what the peer owes us in a key exchange.
enum class PeerKex : std::uint8_t {
  kNone,     // its KEXINIT has not come: outside of an exchange, or only we have sent ours
  kMethod,   // its INIT (we are the server) or REPLY (we are the client)
  kNewKeys,  // its NEWKEYS
};

/// Verdict is what happens to a message that arrives.
enum class Verdict : std::uint8_t {
  kRefused,        // the connection ends with a protocol error
  kTransport,      // this layer acts on it or, as with IGNORE and DEBUG, drops it
  kDeliver,        // it goes to the layer above
  kUnimplemented,  // answered by SSH_MSG_UNIMPLEMENTED (RFC 4253 11.4)
};

/// permitted is the table of all messages in all states, default deny. `strict` is strict key
/// exchange (OpenSSH PROTOCOL 1.10), known once the peer's first KEXINIT has come.
constexpr Verdict permitted(Role role, Phase phase, PeerKex kex, bool strict,
                            std::uint8_t message) {
  const bool server = role == Role::kServer;
  if (message == kMsgDisconnect) {
    return Verdict::kTransport;
  }

  const bool connection = (message >= kMsgGlobalRequest && message <= kMsgRequestFailure) ||
                          (message >= kMsgChannelOpen && message <= kMsgChannelFailure);

  // From the peer's KEXINIT to its NEWKEYS only the exchange goes on (RFC 4253 7.1), and what may
  // always be said; with strict key exchange the first exchange allows not even that. AsyncSSH
  // before 2.14 goes on sending data in a rekey, every hour of a connection's life: from an
  // authenticated peer, whose packets are protected by the old keys, it is taken, as OpenSSH does.
  if (kex != PeerKex::kNone || phase == Phase::kInitialKex) {
    switch (message) {
      case kMsgIgnore:
      case kMsgUnimplemented:
      case kMsgDebug:
        return strict && phase == Phase::kInitialKex ? Verdict::kRefused : Verdict::kTransport;
      case kMsgKexInit: return kex == PeerKex::kNone ? Verdict::kTransport : Verdict::kRefused;
      case kMsgKexMethodInit:
        return kex == PeerKex::kMethod && server ? Verdict::kTransport : Verdict::kRefused;
      case kMsgKexMethodReply:
        return kex == PeerKex::kMethod && !server ? Verdict::kTransport : Verdict::kRefused;
      case kMsgNewKeys: return kex == PeerKex::kNewKeys ? Verdict::kTransport : Verdict::kRefused;
      default:
        return connection && phase == Phase::kAuthenticated ? Verdict::kDeliver : Verdict::kRefused;
    }
  }

  switch (message) {
    case kMsgIgnore:
    case kMsgUnimplemented:
    case kMsgDebug:
    case kMsgKexInit:
    case kMsgPing:
    case kMsgPong: return Verdict::kTransport;
    case kMsgExtInfo:
      // Where exactly in these phases (RFC 8308 2.4) depends on the message before.
      return phase == Phase::kService || (!server && phase == Phase::kAuth) ? Verdict::kTransport
                                                                            : Verdict::kRefused;
    case kMsgServiceRequest:
      // Paramiko asks for ssh-userauth before each method that it tries.
      return server && phase != Phase::kAuthenticated ? Verdict::kDeliver : Verdict::kRefused;
    case kMsgServiceAccept:
      return !server && phase != Phase::kAuthenticated ? Verdict::kDeliver : Verdict::kRefused;
    default: break;
  }

  // Key exchange messages outside of an exchange, and number 0, which RFC 4250 does not have.
  if (message == 0 || message == kMsgNewKeys || (message >= 30 && message <= 49)) {
    return Verdict::kRefused;
  }

  if (message >= 50 && message <= 79) {
    if (server) {
      if (phase == Phase::kAuthenticated) {
        // RFC 4252 5.1: requests that were under way when the answer was yes are dropped.
        return message == kMsgUserauthRequest ? Verdict::kTransport : Verdict::kRefused;
      }
      return phase == Phase::kAuth &&
                     (message == kMsgUserauthRequest || message == kMsgUserauthInfoResponse)
                 ? Verdict::kDeliver
                 : Verdict::kRefused;
    }
    return phase == Phase::kAuth &&
                   (message == kMsgUserauthFailure || message == kMsgUserauthSuccess ||
                    message == kMsgUserauthBanner || message == kMsgUserauthPkOk)
               ? Verdict::kDeliver
               : Verdict::kRefused;
  }

  if (phase != Phase::kAuthenticated) {
    return Verdict::kRefused;
  }
  return connection ? Verdict::kDeliver : Verdict::kUnimplemented;
}

/// waits_for_new_keys says which of our own messages may not leave between our KEXINIT and our
/// NEWKEYS (RFC 4253 7.1).
constexpr bool waits_for_new_keys(std::uint8_t message) {
  return message == kMsgServiceRequest || message == kMsgServiceAccept || message == kMsgExtInfo ||
         message >= 50;
}

}  // namespace bastion::proto
