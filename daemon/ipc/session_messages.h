#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/secret.h"
#include "daemon/audit/event.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/message.h"
#include "proto/permissions.h"

/// The warden's channel with a worker: a session's adoption, its target, its events and its end.
namespace bastion::daemon::ipc {

// --- warden → worker ----------------------------------------------------------------------------

enum class SessionMode : std::uint8_t {
  kRouted,   // a target is being dialled; TargetConnected or TargetFailed follows
  kMenu,     // no target named: listing, and ProxyJump tunnels
  kRefused,  // `refusal` is what every session channel is told
};
constexpr SessionMode last_of(SessionMode) { return SessionMode::kRefused; }
/// Adopt: a session comes to this worker.
struct Adopt {  // + the user's socket
  static constexpr Type kType = Type::kAdopt;
  SessionMode mode{};
  std::string short_id;  // for messages to the user: "7q2m"
  std::string user;      // identity
  std::string target;    // routed: the target's name
  std::string login;     // routed
  std::string refusal;   // kRefused
  proto::Permissions permissions;
  bool recorded = false;  // in `record_slot` of the worker's ring, by `record`
  std::uint32_t record_slot = 0;
  proto::RecordPlan record;
  bool notice = false;   // terminals are told
  bool audited = false;  // AuditNotes are wanted
  SecretBytes state;
  SecretBytes input;
  void fields(auto& f) {
    f(mode);
    f(short_id);
    f(user);
    f(target);
    f(login);
    f(refusal);
    f(permissions);
    f(recorded);
    f(record_slot);
    f(record);
    f(notice);
    f(audited);
    f(state);
    f(input);
  }
};
struct TargetConnected {  // + the target's socket
  static constexpr Type kType = Type::kTargetConnected;
  std::vector<std::string> host_key_algorithms;  // those on record for this target first
  std::vector<std::string> legacy;               // the target's `legacy:` names
  void fields(auto& f) {
    f(host_key_algorithms);
    f(legacy);
  }
  friend bool operator==(const TargetConnected&, const TargetConnected&) = default;
};
struct TargetFailed {
  static constexpr Type kType = Type::kTargetFailed;
  std::string text;  // one line for the user
  void fields(auto& f) { f(text); }
};
/// TargetVerify (worker, once): the first exchange with the target and the host's signature over
/// it. The warden computes the hash, verifies, holds the key against what is on record.
struct TargetVerify {
  static constexpr Type kType = Type::kTargetVerify;
  Exchange exchange;
  Bytes signature;
  void fields(auto& f) {
    f(exchange);
    f(signature);
  }
};
struct TargetCredential {
  std::string algorithm;  // empty for an RSA key: the worker picks by server-sig-algs, TargetSign
  Bytes blob;             // public key or certificate, as USERAUTH_REQUEST carries it
  Bytes signature;        // over userauth_signed_data for this exchange and login; empty for RSA
  std::vector<std::string> algorithms;  // RSA: what TargetSign may ask for
  void fields(auto& f) {
    f(algorithm);
    f(blob);
    f(signature);
    f(algorithms);
  }
};
struct TargetVerified {
  static constexpr Type kType = Type::kTargetVerified;
  Bytes hash;
  std::vector<TargetCredential> credentials;  // in the order to try
  void fields(auto& f) {
    f(hash);
    f(credentials);
  }
};
struct TargetSign {
  static constexpr Type kType = Type::kTargetSign;
  std::uint32_t credential = 0;
  std::string algorithm;
  void fields(auto& f) {
    f(credential);
    f(algorithm);
  }
};
struct TargetSignature {
  static constexpr Type kType = Type::kTargetSignature;
  Bytes signature;
  void fields(auto& f) { f(signature); }
};
/// OpenTunnel (menu sessions): a direct-tcpip of ProxyJump. Answer: TunnelOpened or Refused.
struct OpenTunnel {
  static constexpr Type kType = Type::kOpenTunnel;
  std::uint32_t channel = 0;
  std::string host;
  std::uint32_t port = 0;
  void fields(auto& f) {
    f(channel);
    f(host);
    f(port);
  }
};
struct TunnelOpened {  // + socket
  static constexpr Type kType = Type::kTunnelOpened;
  std::uint32_t channel = 0;
  void fields(auto& f) { f(channel); }
};
struct AskListing {
  static constexpr Type kType = Type::kAskListing;
  void fields(auto& /*f*/) {}
};
struct Listing {
  static constexpr Type kType = Type::kListing;
  std::string text;  // lines end with \n
  void fields(auto& f) { f(text); }
};
struct EndSession {
  static constexpr Type kType = Type::kEndSession;
  std::string text;  // for the user
  void fields(auto& f) { f(text); }
};
/// RecordingReady: the session is being recorded, or cannot be; `text` is then one line for the
/// user. The bridge waits for it, where Adopt asked for a recording.
struct RecordingReady {
  static constexpr Type kType = Type::kRecordingReady;
  bool ok = false;
  std::string text;
  void fields(auto& f) {
    f(ok);
    f(text);
  }
};
/// SessionEvent (one-way): what a log line says: "channel opened", "request refused"…
struct SessionEvent {
  static constexpr Type kType = Type::kSessionEvent;
  bool warning = false;
  std::string text;  // our own words; a peer's bytes in it are escaped already
  void fields(auto& f) {
    f(warning);
    f(text);
  }
};
/// AuditNote (one-way): something happened in a session that belongs into the audit log. Only what
/// audit/schema.h lets a worker say, and without who and where: the warden adds those.
/// Its digests are numbers of the session's own, by which the recorder has what went through the
/// worker's ring (record_ring/layout.h); 0: none.
struct AuditNote {
  static constexpr Type kType = Type::kAuditNote;
  audit::Event event;
  std::uint32_t digest_read = 0, digest_written = 0;
  void fields(auto& f) {
    f(event);
    f(digest_read);
    f(digest_written);
  }
};
/// AuditAccepted (warden → worker): so many of the worker's AuditNotes, the oldest, are on record.
struct AuditAccepted {
  static constexpr Type kType = Type::kAuditAccepted;
  std::uint32_t count = 0;
  void fields(auto& f) { f(count); }
};
/// SessionStats (one-way, at most one a second and only when something changed).
struct SessionStats {
  static constexpr Type kType = Type::kSessionStats;
  std::uint64_t bytes_up = 0, bytes_down = 0;  // channel data from the user, to the user
  std::string channels;                        // "shell, sftp"
  void fields(auto& f) {
    f(bytes_up);
    f(bytes_down);
    f(channels);
  }
};
/// WorkerStats is about all of a worker's sessions together, since it started.
struct WorkerStats {
  static constexpr Type kType = Type::kWorkerStats;
  std::uint64_t bytes_relayed = 0;         // payload bytes that went on from leg to leg
  std::uint64_t bytes_copied = 0;          // … and those that a memcpy moved on their way
  std::uint64_t packets = 0;               // that were opened
  std::uint64_t turns = 0;                 // of the worker's loop
  std::uint64_t turns_put_off = 0;         // in which a leg had more packets than its share
  std::uint64_t receives_starved = 0;      // that found no slab
  std::uint64_t packets_per_turn_max = 0;  // of one leg
  void fields(auto& f) {
    f(bytes_relayed);
    f(bytes_copied);
    f(packets);
    f(turns);
    f(turns_put_off);
    f(receives_starved);
    f(packets_per_turn_max);
  }
};
struct SessionEnded {
  static constexpr Type kType = Type::kSessionEnded;
  std::string reason;
  std::uint64_t bytes_up = 0, bytes_down = 0;
  void fields(auto& f) {
    f(reason);
    f(bytes_up);
    f(bytes_down);
  }
};

}  // namespace bastion::daemon::ipc
