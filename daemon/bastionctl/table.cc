#include "daemon/bastionctl/table.h"

#include <algorithm>
#include <cstdio>

namespace bastion::ctl {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowest = 6;

std::string cut(const std::string& text, std::size_t width) {
  return text.size() <= width ? text : text.substr(0, width - 1) + "~";
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) {
      c = '?';
    }
  }
  return out;
}

void Table::add(std::vector<std::string> row) {
  row.resize(columns_.size());
  for (std::string& cell : row) {
    cell = printable(cell);
  }
  rows_.push_back(std::move(row));
}

std::string Table::text(std::size_t width, bool bold_title) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t widest = columns_[i].title.size();
    for (const auto& row : rows_) {
      widest = std::max(widest, row[i].size());
    }
    widths.push_back(widest);
  }
  const auto total = [&] {
    std::size_t sum = kGap * (widths.size() - 1);
    for (const std::size_t w : widths) {
      sum += w;
    }
    return sum;
  };
  while (width != 0 && total() > width) {
    const auto widest = std::ranges::max_element(widths);
    if (*widest <= kNarrowest) {
      break;
    }
    --*widest;
  }
  std::string out;
  const auto line = [&](const auto& cell_of) {
    std::string text_line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string cell = cut(cell_of(i), widths[i]);
      const std::string fill(widths[i] - cell.size(), ' ');
      text_line += columns_[i].right ? fill + cell : cell + fill;
      text_line.append(kGap, ' ');
    }
    text_line.erase(text_line.find_last_not_of(' ') + 1);
    return text_line;
  };
  const std::string title = line([&](std::size_t i) { return columns_[i].title; });
  out += bold_title ? "\x1b[1m" + title + "\x1b[0m\n" : title + "\n";
  for (const auto& row : rows_) {
    out += line([&](std::size_t i) { return row[i]; }) + "\n";
  }
  return out;
}

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1000) {
    return std::to_string(bytes);
  }
  constexpr char kUnits[] = "KMGTPE";
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < sizeof kUnits - 1) {
    value /= 1024;
    ++unit;
  }
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, value < 9.95 ? "%.1f%c" : "%.0f%c", value, kUnits[unit]);
  return buffer;
}

std::string human_seconds(std::int64_t seconds) {
  const auto two = [](std::int64_t a, const char* a_unit, std::int64_t b, const char* b_unit) {
    std::string text = std::to_string(a) + a_unit;
    return b == 0 ? text : text + " " + std::to_string(b) + b_unit;
  };
  if (seconds < 1) {
    return "now";
  }
  if (seconds < 60) {
    return std::to_string(seconds) + "s";
  }
  if (seconds < 3600) {
    return std::to_string(seconds / 60) + "m";
  }
  if (seconds < 86'400) {
    return two(seconds / 3600, "h", seconds % 3600 / 60, "m");
  }
  return two(seconds / 86'400, "d", seconds % 86'400 / 3600, "h");
}

std::string clock_time(std::int64_t when, std::int64_t now) {
  const std::time_t then_time = when;
  const std::time_t now_time = now;
  std::tm then_tm{}, now_tm{};
  localtime_r(&then_time, &then_tm);
  localtime_r(&now_time, &now_tm);
  const bool today = then_tm.tm_yday == now_tm.tm_yday && then_tm.tm_year == now_tm.tm_year;
  char buffer[32];
  if (today) {
    std::strftime(buffer, sizeof buffer, "%H:%M", &then_tm);
  } else if (now - when < 6 * 86'400) {
    std::strftime(buffer, sizeof buffer, "%a %H:%M", &then_tm);
  } else {
    std::strftime(buffer, sizeof buffer, "%Y-%m-%d", &then_tm);
  }
  return buffer;
}

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, ",");
  }
  return text;
}

}  // namespace bastion::ctl
