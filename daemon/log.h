#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "base/escape.h"
#include "base/result.h"

namespace bastion::daemon {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };

/// parse_log_level knows debug, info, warning and error.
Result<LogLevel> parse_log_level(std::string_view name);
std::string_view log_level_name(LogLevel level);

using bastion::escaped;

/// Field is one `name=value` of a log line. The value is escaped when it is written, so any
/// peer's bytes may be given.
struct Field {
  std::string_view name;
  std::string value;

  Field(std::string_view n, std::string_view v) : name(n), value(v) {}
  Field(std::string_view n, const char* v) : name(n), value(v) {}
  Field(std::string_view n, const std::string& v) : name(n), value(v) {}
  Field(std::string_view n, bool v) : name(n), value(v ? "yes" : "no") {}
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Field(std::string_view n, T v) : name(n), value(std::to_string(v)) {}
};

/// Log writes one line an event to stderr: `text name=value name="two words"`. Under systemd
/// (JOURNAL_STREAM) each begins with journald's priority, otherwise with time and level; then the
/// role. It never blocks: when nobody reads the pipe, or the terminal is stopped, lines are counted
/// and the loss is said later. A terminal is opened anew as descriptor 2 for that.
/// `text` is our own words; everything of a peer goes into fields.
class Log {
 public:
  /// `role` stands in each line: "supervisor", "gate 2".
  Log(std::string_view role, LogLevel level);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void set_level(LogLevel level);
  bool enabled(LogLevel level) const;

  void debug(std::string_view text, std::initializer_list<Field> fields = {}) {
    write(LogLevel::kDebug, text, fields);
  }
  void info(std::string_view text, std::initializer_list<Field> fields = {}) {
    write(LogLevel::kInfo, text, fields);
  }
  void warning(std::string_view text, std::initializer_list<Field> fields = {}) {
    write(LogLevel::kWarning, text, fields);
  }
  void error(std::string_view text, std::initializer_list<Field> fields = {}) {
    write(LogLevel::kError, text, fields);
  }
  void write(LogLevel level, std::string_view text, std::initializer_list<Field> fields = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// format_line is the text of one event without time, level and role (Log::write's, for tests and
/// for what is said elsewhere in the same form).
std::string format_line(std::string_view text, std::initializer_list<Field> fields);

/// describe gives an Error as one line: its text, and what the detail means where it is an errno.
std::string describe(const Error& error);

}  // namespace bastion::daemon
