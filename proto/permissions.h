#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bastion::proto {

/// ForwardPattern is one destination that a forwarding may have: a host glob (`*`, `?`; matched
/// without case against the host as the client wrote it) and a port range.
struct ForwardPattern {
  std::string host;
  std::uint16_t port_min = 0;
  std::uint16_t port_max = 65535;
  friend bool operator==(const ForwardPattern&, const ForwardPattern&) = default;
};

/// FileRules is what one rule says of files: of an sftp channel, and of scp and rsync where they
/// are recognised. The default restricts nothing.
struct FileRules {
  enum class Command : std::uint8_t {
    kAsExec,   // allowed where any command is
    kAllowed,  // … and also where no other command is
    kRefused,
  };
  bool download = true;  // content may be read
  bool upload = true;    // content may be written, and anything else changed
  /// What may be touched, and what may not: patterns of base/path_rules.h. No `paths`: everything.
  std::vector<std::string> paths;
  std::vector<std::string> deny_paths;
  std::uint64_t size_max = 0;  // bytes of one file; 0: no limit
  bool digest = false;         // content is shown to the owner, for digests
  Command scp = Command::kAsExec;
  Command rsync = Command::kAsExec;
  std::string rule;  // whose these are, for what is told of a refusal

  bool has_paths() const { return !paths.empty() || !deny_paths.empty(); }
  /// restricts: an sftp request may be refused by them.
  bool restricts() const { return !download || !upload || has_paths() || size_max != 0; }
  friend bool operator==(const FileRules&, const FileRules&) = default;
};

/// RecordMode is how much of a channel is recorded. kMetadata: what was opened, asked for, how it
/// ended and how many bytes passed; kFull: the bytes, too.
enum class RecordMode : std::uint8_t { kNone, kMetadata, kFull };

/// RecordTerms is how one kind of channel is recorded. `input`: what is typed at a terminal, too,
/// as far as the target echoes it. `bytes_max`: of a channel without a terminal so much of each
/// direction is kept; the rest is counted. `file_content`: what rsync and git send is kept
/// likewise.
struct RecordTerms {
  RecordMode mode = RecordMode::kNone;
  bool input = false;
  std::uint64_t bytes_max = std::uint64_t{10} << 20;
  bool file_content = false;
  friend bool operator==(const RecordTerms&, const RecordTerms&) = default;
};

/// RecordPlan is how one session is recorded: by what a session channel runs; `forwards` is of
/// forwardings, agents and displays, of which never more than the metadata is recorded.
struct RecordPlan {
  RecordTerms shell;
  RecordTerms exec;
  RecordTerms subsystem;
  RecordTerms forwards;

  bool any() const {
    return shell.mode != RecordMode::kNone || exec.mode != RecordMode::kNone ||
           subsystem.mode != RecordMode::kNone || forwards.mode != RecordMode::kNone;
  }
  friend bool operator==(const RecordPlan&, const RecordPlan&) = default;
};

/// Permissions is what one session may do inside SSH: the part of a grant that proto/ enforces.
/// The default allows nothing. Compiled by the policy, carried to the worker by the warden,
/// immutable for the life of the session.
struct Permissions {
  bool shell = false;
  bool exec = false;
  bool pty = false;
  bool agent = false;
  bool x11 = false;
  bool every_subsystem = false;
  std::vector<std::string> subsystems;              // exact names, "sftp" among them
  std::vector<ForwardPattern> forward_local;        // direct-tcpip, as the target sees them
  std::vector<ForwardPattern> forward_remote;       // tcpip-forward: bind address and port
  std::vector<std::string> forward_local_sockets;   // direct-streamlocal: path globs
  std::vector<std::string> forward_remote_sockets;  // streamlocal-forward: path globs
  std::vector<std::string> env;                     // globs of variable names
  /// force_command replaces every shell, exec and subsystem request (a user certificate's critical
  /// option); empty: none. With it neither pty-less subsystems nor signals of the user pass.
  std::string force_command;
  FileRules sftp_files;                     // of the rule that allows the subsystem sftp
  FileRules exec_files;                     // … and that allows exec
  std::uint32_t channels_max = 64;          // all kinds, per connection
  std::uint32_t session_channels_max = 10;  // "session" channels, per connection

  friend bool operator==(const Permissions&, const Permissions&) = default;
};

}  // namespace bastion::proto
