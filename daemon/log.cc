#include "daemon/log.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

#include "daemon/unique_fd.h"

namespace bastion::daemon {
namespace {

/// A pipe that is writable takes PIPE_BUF (4,096) bytes without blocking, and one write of at most
/// that many is never torn by another process's.
constexpr std::size_t kLineBytesMax = 4096;

std::string_view journal_priority(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "<7>";
    case LogLevel::kInfo: return "<6>";
    case LogLevel::kWarning: return "<4>";
    case LogLevel::kError: return "<3>";
  }
  return "<6>";
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

/// StderrSink writes whole lines to descriptor 2 and never waits: a reader that has stopped costs
/// lines, which are counted and told of when it reads again.
class StderrSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t formatted;
    formatter_->format(message, formatted);
    std::string line(formatted.data(), formatted.size());
    if (line.size() > kLineBytesMax) {
      line.resize(kLineBytesMax - 1);
      line += '\n';
    }
    if (lost_ != 0) {
      std::string note = "log: " + std::to_string(lost_) + " lines were lost, nobody read them\n";
      if (write_line(note)) {
        lost_ = 0;
      }
    }
    if (lost_ != 0 || !write_line(line)) {
      ++lost_;
    }
  }
  void flush_() override {}

 private:
  /// How descriptor 2 is written to, found out with the first line.
  enum class Way : std::uint8_t {
    kUnknown,
    kFile,    // a file never makes anybody wait for a reader
    kNoWait,  // a pipe or a socket says at once that it is full
    kPolled,  // anything else, and where the kernel cannot do that, is asked first
  };

  static Way way_of_stderr() {
    struct stat status{};
    if (fstat(STDERR_FILENO, &status) != 0) {
      return Way::kPolled;
    }
    if (S_ISREG(status.st_mode)) {
      return Way::kFile;
    }
    return S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) ? Way::kNoWait : Way::kPolled;
  }

  bool write_line(std::string_view line) {
    if (way_ == Way::kUnknown) {
      way_ = way_of_stderr();
    }
    ssize_t n = write_once(line);
    if (n < 0 && way_ == Way::kNoWait && errno != EAGAIN && errno != EPIPE) {
      way_ = Way::kPolled;  // EOPNOTSUPP for pipes of older kernels; ENOSYS where a filter is
      n = write_once(line);
    }
    return n == static_cast<ssize_t>(line.size());
  }

  ssize_t write_once(std::string_view line) const {
    pollfd ready{STDERR_FILENO, POLLOUT, 0};
    if (way_ == Way::kPolled && (::poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0)) {
      errno = EAGAIN;
      return -1;
    }
    iovec piece{const_cast<char*>(line.data()), line.size()};  // only read
    ssize_t n;
    do {
      n = way_ == Way::kNoWait ? ::pwritev2(STDERR_FILENO, &piece, 1, -1, RWF_NOWAIT)
                               : ::write(STDERR_FILENO, line.data(), line.size());
    } while (n < 0 && errno == EINTR);
    return n;
  }

  std::uint64_t lost_ = 0;
  Way way_ = Way::kUnknown;
};

/// own_terminal opens a terminal that is descriptor 2 once more, for us alone and without waiting:
/// one that its user has stopped (Ctrl-S) says that it is writable and takes no whole line. Where
/// it may not be opened it stays as it is.
void own_terminal() {
  if (isatty(STDERR_FILENO) == 1) {
    const UniqueFd own(open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (own) {
      dup2(own.get(), STDERR_FILENO);
    }
  }
}

/// stderr_is_journal compares JOURNAL_STREAM ("device:inode") with descriptor 2, since the variable
/// is inherited by those whose output goes elsewhere.
bool stderr_is_journal() {
  const char* value = std::getenv("JOURNAL_STREAM");
  struct stat status{};
  if (value == nullptr || fstat(STDERR_FILENO, &status) != 0) {
    return false;
  }
  return value == std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

/// plain says whether a value needs no quotes.
bool plain(std::string_view value) {
  return !value.empty() && value.find_first_of(" \"=") == std::string_view::npos;
}

}  // namespace

Result<LogLevel> parse_log_level(std::string_view name) {
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    if (name == log_level_name(level)) {
      return level;
    }
  }
  return fail(ErrorCode::kMalformed, "a log level is debug, info, warning or error");
}

std::string_view log_level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarning: return "warning";
    case LogLevel::kError: return "error";
  }
  return "info";
}

std::string format_line(std::string_view text, std::initializer_list<Field> fields) {
  // The text is ours, but a mistake there must not open the log to a peer either.
  std::string line = escaped(text, 2048);
  for (const Field& field : fields) {
    line += ' ';
    line += field.name;
    line += '=';
    const std::string value = escaped(field.value, 1024);
    if (plain(value)) {
      line += value;
      continue;
    }
    line += '"';
    for (std::string_view rest = value; !rest.empty();) {
      const std::size_t run = std::min(rest.find('"'), rest.size());
      line += rest.substr(0, run);
      line += run < rest.size() ? "\\\"" : "";
      rest.remove_prefix(std::min(run + 1, rest.size()));
    }
    line += '"';
  }
  return line;
}

std::string describe(const Error& error) {
  std::string line(error.text);
  if (error.detail == 0) {
    return line;
  }
  if (error.code == ErrorCode::kIo || error.code == ErrorCode::kUnsupported) {
    char buffer[128];
    line += ": ";
    line += strerror_r(static_cast<int>(error.detail), buffer, sizeof buffer);
    return line;
  }
  return line + " (" + std::to_string(error.detail) + ")";
}

struct Log::Impl {
  bool journal = false;
  std::string role;
  spdlog::logger logger;
  explicit Impl(std::string_view name) : role(name), logger(role, std::make_shared<StderrSink>()) {}
};

Log::Log(std::string_view role, LogLevel level) : impl_(std::make_unique<Impl>(role)) {
  own_terminal();
  impl_->journal = stderr_is_journal();
  // UTC: the local zone would be read from a file, which most of our processes may not open.
  impl_->logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
      impl_->journal ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %v", spdlog::pattern_time_type::utc));
  set_level(level);
}

Log::~Log() = default;

void Log::set_level(LogLevel level) { impl_->logger.set_level(to_spdlog(level)); }
bool Log::enabled(LogLevel level) const { return impl_->logger.should_log(to_spdlog(level)); }

void Log::write(LogLevel level, std::string_view text, std::initializer_list<Field> fields) {
  if (!enabled(level)) {
    return;
  }
  std::string line;
  if (impl_->journal) {
    line = journal_priority(level);
    line += impl_->role;
    line += ": ";
  } else {
    line = log_level_name(level);
    line += ' ';
    line += impl_->role;
    line += ": ";
  }
  line += format_line(text, fields);
  impl_->logger.log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace bastion::daemon
