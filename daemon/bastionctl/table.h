#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace bastion::ctl {

/// Table lays rows out in columns that fit a terminal: where they are too wide, the widest columns
/// are cut, with an ellipsis. Numbers are put to the right. What it is given is made printable.
class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> row);
  /// text: `width` columns; 0 does not cut. `bold_title` puts the titles in bold.
  std::string text(std::size_t width, bool bold_title) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// human_bytes: "0", "12K", "1.8M", "1.1G".
std::string human_bytes(std::uint64_t bytes);
/// human_seconds: "now", "3s", "5m", "2h 10m", "12d 4h".
std::string human_seconds(std::int64_t seconds);
/// clock_time: "14:02" today, "Mon 14:02" within a week, else "2026-03-01".
std::string clock_time(std::int64_t when, std::int64_t now);
/// grouped: "2,311".
std::string grouped(std::uint64_t number);

/// printable replaces control and non-ASCII octets by '?', whatever the daemon sent.
std::string printable(std::string_view text);

}  // namespace bastion::ctl
