#include "daemon/bastionctl/asciicast.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/screen/utf8.h"

namespace bastion::ctl {
namespace {

using Json = nlohmann::json;
using recording::EntryKind;

std::string ascii(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

/// playable is a size that players take: users choose theirs, and may have none.
recording::Size playable(std::uint32_t columns, std::uint32_t rows) {
  return {columns == 0 ? Asciicast::kColumnsUnknown : std::min(columns, Asciicast::kSizeMax),
          rows == 0 ? Asciicast::kRowsUnknown : std::min(rows, Asciicast::kSizeMax)};
}

}  // namespace

Asciicast::Asciicast(int version, const Header& header)
    : version_(version), header_(header), last_us_(header.start_us) {}

std::string Asciicast::header() const {
  Json json = {{"version", version_}, {"timestamp", header_.start_us / 1'000'000}};
  const recording::Size size = playable(header_.columns, header_.rows);
  if (version_ == 2) {
    json["width"] = size.columns;
    json["height"] = size.rows;
    if (!header_.term.empty()) {
      json["env"] = {{"TERM", header_.term}};
    }
  } else {
    json["term"] = {{"cols", size.columns}, {"rows", size.rows}};
    if (!header_.term.empty()) {
      json["term"]["type"] = header_.term;
    }
  }
  if (!header_.command.empty()) {
    json["command"] = header_.command;
  }
  if (!header_.title.empty()) {
    json["title"] = header_.title;
  }
  return ascii(json) + "\n";
}

std::string Asciicast::line(std::uint64_t time_us, char code, const std::string& data) {
  // Version 2 has the time since the beginning, 3 the time since the event before. Neither goes
  // back.
  const std::uint64_t at = std::max(time_us, last_us_);
  const std::uint64_t shown = version_ == 2 ? at - header_.start_us : at - last_us_;
  last_us_ = at;
  char number[40];
  std::snprintf(number, sizeof number, "%llu.%06llu",
                static_cast<unsigned long long>(shown / 1'000'000),
                static_cast<unsigned long long>(shown % 1'000'000));
  return "[" + std::string(number) + ", \"" + code + "\", " + ascii(data) + "]\n";
}

std::string Asciicast::text(std::string& waiting, std::string_view bytes) {
  std::string all = std::exchange(waiting, {}).append(bytes);
  const std::size_t keep = screen::utf8_unfinished(all);
  waiting = all.substr(all.size() - keep);
  all.resize(all.size() - keep);
  return all;
}

std::string Asciicast::event(const recording::Entry& entry) {
  switch (entry.kind) {
    case EntryKind::kStdout:
    case EntryKind::kStderr: {
      std::string data = text(out_waiting_, as_text(entry.bytes));
      if (header_.term.empty()) {  // no terminal: LF begins a new line
        std::string lines;
        for (const char c : data) {
          lines += c == '\n' ? "\r\n" : std::string(1, c);
        }
        data = std::move(lines);
      }
      return data.empty() ? "" : line(entry.time_us, 'o', data);
    }
    case EntryKind::kStdin: {
      const std::string data = text(in_waiting_, as_text(entry.bytes));
      return data.empty() ? "" : line(entry.time_us, 'i', data);
    }
    case EntryKind::kResize:
      if (const auto changed = recording::parse_size(entry.bytes)) {
        const recording::Size size = playable(changed->columns, changed->rows);
        return line(entry.time_us, 'r',
                    std::to_string(size.columns) + "x" + std::to_string(size.rows));
      }
      return {};
    case EntryKind::kExitStatus:
      if (const auto status = recording::parse_number(entry.bytes); status && version_ == 3) {
        exit_ = {entry.time_us, *status};
      }
      return {};
    default: return {};
  }
}

std::string Asciicast::finish() {
  std::string lines;
  for (const auto& [waiting, code] :
       {std::pair(&out_waiting_, 'o'), std::pair(&in_waiting_, 'i')}) {
    if (!waiting->empty()) {
      lines += line(last_us_, code, std::exchange(*waiting, {}));
    }
  }
  if (const auto exit = std::exchange(exit_, std::nullopt)) {
    lines += line(exit->time_us, 'x', std::to_string(exit->status));
  }
  return lines;
}

}  // namespace bastion::ctl
