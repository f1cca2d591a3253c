#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "daemon/recording/problem.h"

namespace bastion::recording {

/// What an entry says. Numbers are stable: they are in every file.
enum class EntryKind : std::uint8_t {
  kChannelOpen = 1,   // ChannelOpen
  kChannelClose = 2,  // nothing
  kPty = 3,           // Pty
  kResize = 4,        // Size
  kStart = 5,         // Start
  kEnv = 6,           // Env
  kStdout = 7,        // bytes as they reached the user
  kStderr = 8,        // likewise
  kStdin = 9,         // bytes as they came from the user
  kInputHidden = 10,  // varint: so many bytes of input were typed while the terminal did not echo
  kEof = 11,          // one octet: the stream that ended, an EntryKind of 7 to 9
  kExitStatus = 12,   // varint
  kExitSignal = 13,   // ExitSignal
  kCapReached = 14,   // Cap
  kNotice = 15,       // UTF-8: what the bastion itself told the user
  kFile = 16,         // JSON: a file operation (docs/audit-events.md)
  kForward = 17,      // JSON: a forwarded connection
};
inline constexpr std::uint8_t kEntryKindLast = 17;
constexpr bool is_entry_kind(std::uint8_t kind) { return kind >= 1 && kind <= kEntryKindLast; }
/// entry_kind_name: "channel-open", "stdout", …
std::string_view entry_kind_name(EntryKind kind);
/// is_stream: stdout, stderr and stdin, which are bytes of the session itself.
constexpr bool is_stream(EntryKind kind) {
  return kind >= EntryKind::kStdout && kind <= EntryKind::kStdin;
}

/// kNoChannel is in place of a channel's number for what is the session's own. The first channel is
/// 0.
inline constexpr std::uint32_t kNoChannel = UINT32_MAX;

/// Entry is one thing that happened. `bytes` belongs to whoever made it.
struct Entry {
  std::uint64_t time_us = 0;  // wall clock, µs since 1970
  std::uint32_t channel = 0;  // the session's own number, as in the audit log; or kNoChannel
  EntryKind kind = EntryKind::kNotice;
  ByteView bytes;
};

/// The typed contents. Texts borrow from what they were parsed from.
struct ChannelOpen {
  std::string_view type;  // "session", "direct-tcpip", …
};
struct Size {
  std::uint32_t columns = 0;
  std::uint32_t rows = 0;
};
struct Pty {
  Size size;
  std::string_view term;  // TERM
};
enum class StartKind : std::uint8_t { kShell = 1, kExec = 2, kSubsystem = 3 };
struct Start {
  StartKind kind = StartKind::kShell;
  std::string_view command;  // of exec; the name of a subsystem; empty for a shell
};
struct Env {
  std::string_view name;
  std::string_view value;
};
struct ExitSignal {
  std::string_view name;  // without SIG
  bool core_dumped = false;
  std::string_view message;
};
/// Cap: from here on that stream of that channel is no longer recorded.
struct Cap {
  EntryKind stream = EntryKind::kStdout;
  std::uint64_t limit_bytes = 0;
};

/// encode makes an entry's bytes; each parse gives nullopt for bytes that encode would not have
/// made.
Bytes encode(const ChannelOpen& open);
Bytes encode(const Size& size);
Bytes encode(const Pty& pty);
Bytes encode(const Start& start);
Bytes encode(const Env& env);
Bytes encode(const ExitSignal& signal);
Bytes encode(const Cap& cap);
Bytes encode_number(std::uint64_t number);  // kInputHidden, kExitStatus
Bytes encode_eof(EntryKind stream);
std::optional<ChannelOpen> parse_channel_open(ByteView bytes);
std::optional<Size> parse_size(ByteView bytes);
std::optional<Pty> parse_pty(ByteView bytes);
std::optional<Start> parse_start(ByteView bytes);
std::optional<Env> parse_env(ByteView bytes);
std::optional<ExitSignal> parse_exit_signal(ByteView bytes);
std::optional<Cap> parse_cap(ByteView bytes);
std::optional<std::uint64_t> parse_number(ByteView bytes);
std::optional<EntryKind> parse_eof(ByteView bytes);

/// append_varint writes LEB128: seven bits an octet, the lowest first, the top bit says that more
/// follow. read_varint takes one off the front; nullopt where it is cut, longer than needed or
/// above 2^64 - 1.
void append_varint(Bytes& out, std::uint64_t value);
std::optional<std::uint64_t> read_varint(ByteView& bytes);
/// Signed numbers are stored as 0, -1, 1, -2, … → 0, 1, 2, 3, …
constexpr std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>((value >> 1) ^ (0 - (value & 1)));
}

/// append_entry writes one entry: zigzag varint of the time since `previous_time_us`, varint
/// channel, octet kind, varint length, bytes.
void append_entry(Bytes& out, std::uint64_t previous_time_us, const Entry& entry);

/// EntryCursor walks the entries of one opened block. Views live as long as `raw`.
class EntryCursor {
 public:
  EntryCursor() = default;
  EntryCursor(ByteView raw, std::uint64_t first_time_us) : rest_(raw), time_us_(first_time_us) {}

  bool done() const { return rest_.empty(); }
  /// next gives the next entry, or nullopt where the bytes are no entry (done() is false then).
  std::optional<Entry> next();

 private:
  ByteView rest_;
  std::uint64_t time_us_ = 0;
};

}  // namespace bastion::recording
