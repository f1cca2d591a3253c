#include "daemon/supervisor/configuration.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "config/load.h"

namespace bastion::daemon {

Result<UniqueFd> sealed_memory(ByteView bytes) {
  UniqueFd fd(memfd_create("bastiond-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) {
    return fail(ErrorCode::kIo, "no memory for the configuration", errno);
  }
  while (!bytes.empty()) {
    const ssize_t n = write(fd.get(), bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      return fail(ErrorCode::kIo, "no memory for the configuration", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return fail(ErrorCode::kIo, "cannot seal the configuration", errno);
  }
  return fd;
}

std::optional<LoadedFiles> load_files(const std::string& path, config::Problems& problems) {
  const config::SystemFiles system;
  config::FileBundle bundle;
  const config::CollectingFiles files(system, bundle);
  auto loaded = config::load_configuration(files, path);
  problems = std::move(loaded.problems);
  if (!loaded) {
    return std::nullopt;
  }
  const SecretBytes bytes = bundle.serialise();
  Result<UniqueFd> memory = sealed_memory(bytes);
  if (!memory) {
    problems.errors.push_back({path, 0, 0, describe(memory.error())});
    return std::nullopt;
  }
  return LoadedFiles{std::move(loaded.value->service), config::summary(*loaded.value->policy),
                     std::move(*memory)};
}

LogLevel to_log_level(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::kError: return LogLevel::kError;
    case config::LogLevel::kWarning: return LogLevel::kWarning;
    case config::LogLevel::kInfo: return LogLevel::kInfo;
    case config::LogLevel::kDebug: return LogLevel::kDebug;
  }
  return LogLevel::kInfo;
}

}  // namespace bastion::daemon
