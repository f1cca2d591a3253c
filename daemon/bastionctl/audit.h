#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bastion::ctl {

/// AuditFilter is what `audit tail` and `audit search` look for; empty members match everything.
struct AuditFilter {
  std::string session{};  // its id or a beginning of it
  std::string user{};
  std::string target{};
  std::string event{};  // its name, or a beginning up to a dot: "channel"
  std::uint64_t since_us = 0;
  std::uint64_t until_us = UINT64_MAX;

  /// matches reads one line of the log; what is no event matches nothing.
  bool matches(std::string_view line) const;
};

/// parse_moment takes "2026-03-01", "2026-03-01T09:14:02Z" (UTC, with or without microseconds), and
/// "30m", "12h", "7d": so long before `now_us`.
std::optional<std::uint64_t> parse_moment(std::string_view text, std::uint64_t now_us);

/// line_text shows one event in one line of at most `width` columns (0: as long as it is): time,
/// event, session, user, and the other fields. Control characters that a forged log may hold are
/// shown, never sent.
std::string line_text(std::string_view line, std::size_t width);

/// log_files gives the files of a log, oldest first: those that rotation left beside it, and
/// itself.
std::vector<std::string> log_files(const std::string& path);

/// add_audit_commands adds `audit tail`, `search` and `verify`. Their results go to `status`.
/// `socket` and `json` are the program's own options.
void add_audit_commands(CLI::App& app, const std::string& socket, const bool& json, int& status);

}  // namespace bastion::ctl
