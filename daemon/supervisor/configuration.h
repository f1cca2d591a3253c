#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "config/problem.h"
#include "config/schema.h"
#include "daemon/log.h"
#include "daemon/unique_fd.h"

namespace bastion::daemon {

/// LoadedFiles is a configuration that has been read and checked, and every file that it names as
/// one sealed memory file for the warden, which has no file system. It holds private keys.
struct LoadedFiles {
  config::ServiceConfig service;
  std::string summary;  // "2 users, 2 targets, 3 rules"
  UniqueFd bundle;
};

/// load_files reads bastiond.yaml and all that it names. Nothing where there are errors; `problems`
/// then has them, and warnings in both cases.
std::optional<LoadedFiles> load_files(const std::string& path, config::Problems& problems);

/// sealed_memory is a memfd with these bytes that nobody can change any more.
Result<UniqueFd> sealed_memory(ByteView bytes);

LogLevel to_log_level(config::LogLevel level);

}  // namespace bastion::daemon
