#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/wire.h"
#include "proto/sftp_stream.h"

namespace bastion::proto::sftp_test {

inline Bytes frame(std::uint8_t type, ByteView body) {
  Writer out;
  out.u32(static_cast<std::uint32_t>(body.size() + 1)).u8(type).bytes(body);
  return out.take();
}
inline Bytes init(std::uint32_t version = 3) { return frame(1, Writer().u32(version).take()); }
inline Bytes version(std::uint32_t number = 3) { return frame(2, Writer().u32(number).take()); }
inline Bytes open(std::uint32_t id, std::string_view path, std::uint32_t flags) {
  return frame(3, Writer().u32(id).text(path).u32(flags).u32(0).take());
}
inline Bytes close(std::uint32_t id, std::string_view handle) {
  return frame(4, Writer().u32(id).text(handle).take());
}
inline Bytes read(std::uint32_t id, std::string_view handle, std::uint64_t at, std::uint32_t n) {
  return frame(5, Writer().u32(id).text(handle).u64(at).u32(n).take());
}
inline Bytes write(std::uint32_t id, std::string_view handle, std::uint64_t at,
                   std::string_view content) {
  return frame(6, Writer().u32(id).text(handle).u64(at).text(content).take());
}
/// path_request: lstat 7, opendir 11, remove 13, rmdir 15, realpath 16, stat 17, readlink 19.
inline Bytes path_request(std::uint8_t type, std::uint32_t id, std::string_view path) {
  return frame(type, Writer().u32(id).text(path).take());
}
inline Bytes mkdir(std::uint32_t id, std::string_view path) {
  return frame(14, Writer().u32(id).text(path).u32(0).take());
}
inline Bytes set_size(std::uint32_t id, std::string_view handle, std::uint64_t size) {
  return frame(10, Writer().u32(id).text(handle).u32(1).u64(size).take());
}
inline Bytes two_paths(std::uint8_t type, std::uint32_t id, std::string_view a,
                       std::string_view b) {
  return frame(type, Writer().u32(id).text(a).text(b).take());
}
inline Bytes extended(std::uint32_t id, std::string_view name, ByteView rest) {
  return frame(200, Writer().u32(id).text(name).bytes(rest).take());
}
inline Bytes status(std::uint32_t id, std::uint32_t code) {
  return frame(101, Writer().u32(id).u32(code).text("").text("").take());
}
inline Bytes handle(std::uint32_t id, std::string_view name) {
  return frame(102, Writer().u32(id).text(name).take());
}
inline Bytes data(std::uint32_t id, std::string_view content) {
  return frame(103, Writer().u32(id).text(content).take());
}
inline Bytes name(std::uint32_t id, std::string_view path) {
  return frame(104, Writer().u32(id).u32(1).text(path).text(path).u32(0).take());
}
inline Bytes attrs(std::uint32_t id, std::uint64_t size) {
  return frame(105, Writer().u32(id).u32(1).u64(size).take());
}

inline Bytes lstat_attrs(std::uint32_t id, std::uint64_t size, std::uint32_t mode) {
  return frame(105, Writer().u32(id).u32(7).u64(size).u32(0).u32(0).u32(mode).take());
}

inline Bytes& operator+=(Bytes& to, const Bytes& more) {
  to.insert(to.end(), more.begin(), more.end());
  return to;
}

/// Log writes each event as one line, and keeps the content that it is shown.
class Log : public FileEvents {
 public:
  void file_event(const FileEvent& event) override {
    static constexpr const char* kNames[] = {
        "open",     "close",   "opendir", "mkdir",     "rmdir",  "remove",   "rename", "symlink",
        "hardlink", "setstat", "copy",    "extension", "lookup", "transfer", "session"};
    static constexpr const char* kOutcomes[] = {"done", "failed", "refused", "unanswered"};
    std::string line = kNames[static_cast<std::size_t>(event.operation)];
    line += std::string(" ") + kOutcomes[static_cast<std::size_t>(event.outcome)];
    line += event.file == 0 ? "" : " #" + std::to_string(event.file);
    line += event.path.empty() ? "" : " " + std::string(event.path);
    line += event.other_path.empty() ? "" : " -> " + std::string(event.other_path);
    if (event.operation == FileOperation::kClose) {
      line += " read " + std::to_string(event.bytes_read) + (event.whole_read ? "!" : "") +
              " written " + std::to_string(event.bytes_written) + (event.whole_written ? "!" : "");
    }
    line += event.status == 0 ? "" : " status " + std::to_string(event.status);
    lines.push_back(line);
    reasons.emplace_back(event.reason);
    why_not_whole = event.why_not_whole;
    rule = event.rule;
  }
  void file_data(const FileData& data) override {
    std::string& to = data.from == Leg::kUpstream ? downloaded : uploaded;
    to += as_text(data.bytes);
  }
  std::vector<std::string> lines;
  std::vector<std::string> reasons;
  std::string why_not_whole;  // of the last event
  std::string rule;           // likewise
  std::string downloaded;
  std::string uploaded;
};

/// ToServer keeps what passes.
class ToServer : public SftpOutput {
 public:
  void pass(MutBytes piece) override { all.insert(all.end(), piece.begin(), piece.end()); }
  void pass_kept(ByteView bytes) override { all.insert(all.end(), bytes.begin(), bytes.end()); }
  Bytes all;
};

/// Watched is one conversation whose two sides the test plays.
class Watched {
 public:
  explicit Watched(FileRules with = {}) : rules(std::move(with)), stream(rules, log) {}

  Status client(Bytes bytes, std::int64_t now_us = 0) {
    const std::size_t before = out.all.size() + stream.kept_bytes();
    const auto dropped = stream.from_client(bytes, now_us, out);
    if (!dropped) {
      return std::unexpected(dropped.error());
    }
    exact = exact && before + bytes.size() == out.all.size() + stream.kept_bytes() + *dropped;
    return {};
  }
  Status server(const Bytes& bytes, std::int64_t now_us = 0) {
    const auto boundary = stream.from_server(bytes, now_us);
    return boundary ? Status() : std::unexpected(boundary.error());
  }
  /// begin is INIT and VERSION.
  void begin() {
    (void)client(init());
    (void)server(version());
    out.all.clear();
    log.lines.clear();
  }
  /// open_file has the server give this handle.
  void open_file(std::uint32_t id, std::string_view path, std::uint32_t flags,
                 std::string_view with) {
    (void)client(sftp_test::open(id, path, flags));
    (void)server(sftp_test::handle(id, with));
    out.all.clear();
  }
  /// answers are the (id, status) of the refused requests that are to be delivered.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> answers() {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> all;
    while (stream.has_answer()) {
      const Bytes message = stream.next_answer();
      all.emplace_back(load_u32(message.data() + 5), load_u32(message.data() + 9));
      stream.pop_answer();
    }
    return all;
  }

  FileRules rules;
  Log log;
  ToServer out;
  SftpStream stream;
  bool exact = true;  // every byte was passed, kept or taken out
};

}  // namespace bastion::proto::sftp_test
