#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/limits.h"

namespace bastion::config {

enum class AlgorithmPreset : std::uint8_t { kStandard, kCompatible };

/// Algorithms are a preset (proto/algorithms.h has the names), and lists in order of preference
/// that take the place of the preset's where they are not empty. Each name in a list is one that
/// crypto/ has and that is not legacy.
struct Algorithms {
  AlgorithmPreset preset = AlgorithmPreset::kStandard;
  std::vector<std::string> kex;
  std::vector<std::string> ciphers;
  std::vector<std::string> macs;
  std::vector<std::string> host_keys;    // ours towards users, and those of targets
  std::vector<std::string> public_keys;  // what users may sign with: server-sig-algs
  friend bool operator==(const Algorithms&, const Algorithms&) = default;
};

/// Limits that an administrator may set, with their defaults.
struct ServiceLimits {
  std::int64_t first_factor_ms = 30'000;
  std::int64_t login_grace_ms = 120'000;
  std::uint32_t unauthenticated = 1024;
  std::uint32_t unauthenticated_per_source = 64;
  std::uint32_t auth_failures = 6;
  std::uint32_t key_offers = 64;
  std::uint32_t sessions_per_user = 100;
  std::uint32_t channels_per_session = 64;
  std::uint32_t session_channels_per_session = 10;
  std::int64_t connect_ms = 10'000;    // TCP towards a target, name resolution included
  std::int64_t handshake_ms = 10'000;  // from connected to logged in at the target
  std::int64_t keepalive_ms = 60'000;  // silence before a keepalive; 0: none
  std::uint32_t keepalive_missed = 3;  // unanswered ones that end the session
  std::int64_t shutdown_ms = 5'000;    // for sessions to end after SIGTERM
  friend bool operator==(const ServiceLimits&, const ServiceLimits&) = default;
};

struct RekeyLimits {
  std::uint64_t bytes = limits::kRekeyBytes;
  std::int64_t seconds = limits::kRekeySeconds;
  friend bool operator==(const RekeyLimits&, const RekeyLimits&) = default;
};

struct ControlConfig {
  std::string socket = "/run/bastiond/control.sock";
  std::string admin_group = "bastion-admin";
  std::string viewer_group = "bastion-viewer";
  friend bool operator==(const ControlConfig&, const ControlConfig&) = default;
};

/// RecordingConfig is how sessions are recorded, where `enabled`: a rule that does not say `record`
/// then means `full`, and `none` otherwise.
struct RecordingConfig {
  bool enabled = false;
  std::vector<std::string> recipients;                   // who may read them; empty: not encrypted
  std::int64_t retention_age_ms = 0;                     // 0: no limit
  std::uint64_t retention_bytes = 0;                     // 0: no limit
  std::uint64_t reserve_bytes = std::uint64_t{1} << 30;  // of the disk that recordings leave free
  bool notice = true;                                    // terminals say that they are recorded
  friend bool operator==(const RecordingConfig&, const RecordingConfig&) = default;
};

/// AuditSinkConfig is one receiver of the audit log beside its file.
struct AuditSinkConfig {
  enum class Kind : std::uint8_t { kJournald, kUnix, kUdp, kTcp };
  Kind kind = Kind::kJournald;
  std::string path;                  // kJournald, kUnix: its socket
  std::optional<Endpoint> endpoint;  // kUdp, kTcp
  bool drops = true;                 // what it does not take is dropped; else it stops the service
  friend bool operator==(const AuditSinkConfig&, const AuditSinkConfig&) = default;
};

struct AuditConfig {
  std::string file;  // empty: there is no audit log
  bool drops = false;
  std::uint64_t rotate_bytes = 0;  // 0: not by size
  std::int64_t rotate_age_ms = 0;  // 0: not by age
  std::vector<AuditSinkConfig> sinks;
  friend bool operator==(const AuditConfig&, const AuditConfig&) = default;
};

enum class LogLevel : std::uint8_t { kError, kWarning, kInfo, kDebug };

/// ServiceConfig is bastiond.yaml, checked, with the defaults filled in. Paths are resolved against
/// the file's folder. Plain data: copy it to whatever process needs it.
struct ServiceConfig {
  std::string path;              // of bastiond.yaml itself
  std::string name;              // as users call us, in messages; empty: the machine's host name
  std::vector<Endpoint> listen;  // at least one; port 0 lets the kernel choose (tests)
  std::vector<std::string> host_keys;          // private key files, at least one
  std::vector<std::string> host_certificates;  // each belongs to one of host_keys
  std::string user_ca;                         // private key file; empty: none
  std::vector<IpAddress> cert_source_address;  // empty: the connection's own
  std::string policy;
  std::uint32_t workers = 0;  // 0: auto
  std::uint32_t gates = 0;    // 0: auto
  Algorithms algorithms;
  ServiceLimits limits;
  RekeyLimits rekey;
  /// Variables that every grant passes, by name or glob: what a terminal needs to speak the user's
  /// language. TERM comes with the pty.
  std::vector<std::string> env = {"LANG", "LANGUAGE", "LC_*", "COLORTERM", "NO_COLOR"};
  ControlConfig control;
  LogLevel log_level = LogLevel::kInfo;
  std::string state_dir = "/var/lib/bastiond";
  RecordingConfig recording;
  std::string audit_key;  // private key file that signs recordings and the audit log; empty: none
  AuditConfig audit;
  std::vector<Endpoint> metrics_listen;  // none, or one
  friend bool operator==(const ServiceConfig&, const ServiceConfig&) = default;
};

}  // namespace bastion::config
