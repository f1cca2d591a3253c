#pragma once

#include <string>
#include <vector>

#include "daemon/audit/chain.h"
#include "daemon/bastionctl/audit.h"

namespace bastion::ctl {

// What audit.cc and audit_verify.cc share.

inline constexpr const char* kUsualFile = "/var/log/bastiond/audit.jsonl";
inline constexpr const char* kUsualKey = "/etc/bastiond/audit_key.pub";
inline constexpr int kYes = 0;
inline constexpr int kNo = 1;
inline constexpr int kUsage = 2;

/// AuditOptions is what the command line says to them.
struct AuditOptions {
  std::string file;
  std::vector<std::string> files;
  AuditFilter filter;
  std::string since;
  std::string until;
  std::vector<std::string> keys;
  std::string head;
  std::size_t lines = 20;
  bool follow = false;
};

/// DaemonLog is what a running daemon says of its audit log; empty where none answers.
struct DaemonLog {
  std::string file;
  audit::Head head;
};
DaemonLog ask_daemon_log(const std::string& socket);

/// usage_error says what is wrong with the command, and gives its exit status.
int usage_error(const std::string& text);

/// verify_audit does `audit verify` and gives its exit status.
int verify_audit(const AuditOptions& options, const std::string& socket, bool json);

}  // namespace bastion::ctl
