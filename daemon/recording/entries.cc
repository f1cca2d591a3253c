#include "daemon/recording/entries.h"

#include <array>
#include <limits>

namespace bastion::recording {
namespace {

constexpr std::array<std::string_view, kEntryKindLast> kNames = {
    "channel-open", "channel-close", "pty",    "resize",       "start",  "env",
    "stdout",       "stderr",        "stdin",  "input-hidden", "eof",    "exit-status",
    "exit-signal",  "cap-reached",   "notice", "file",         "forward"};

void append_text(Bytes& out, std::string_view text) {
  append_varint(out, text.size());
  out.insert(out.end(), text.begin(), text.end());
}

/// Fields takes an entry's content apart; the first failure sticks.
class Fields {
 public:
  explicit Fields(ByteView bytes) : rest_(bytes) {}

  std::uint64_t number(std::uint64_t max = std::numeric_limits<std::uint64_t>::max()) {
    const std::optional<std::uint64_t> value = read_varint(rest_);
    if (!value || *value > max) {
      ok_ = false;
      rest_ = {};
      return 0;
    }
    return *value;
  }
  std::uint32_t u32() {
    return static_cast<std::uint32_t>(number(std::numeric_limits<std::uint32_t>::max()));
  }
  std::string_view text() {
    const std::uint64_t len = number(rest_.size());
    if (len > rest_.size()) {
      ok_ = false;
      return {};
    }
    const ByteView found = rest_.first(static_cast<std::size_t>(len));
    rest_ = rest_.subspan(found.size());
    return as_text(found);
  }
  std::string_view all() {
    const ByteView found = rest_;
    rest_ = {};
    return as_text(found);
  }
  std::uint8_t octet(std::uint8_t min, std::uint8_t max) {
    if (rest_.empty() || rest_.front() < min || rest_.front() > max) {
      ok_ = false;
      rest_ = {};
      return min;
    }
    const std::uint8_t value = rest_.front();
    rest_ = rest_.subspan(1);
    return value;
  }
  bool done() const { return ok_ && rest_.empty(); }

 private:
  ByteView rest_;
  bool ok_ = true;
};

template <typename T>
std::optional<T> when_done(const Fields& fields, const T& value) {
  return fields.done() ? std::optional<T>(value) : std::nullopt;
}

constexpr std::uint8_t octet_of(EntryKind kind) { return static_cast<std::uint8_t>(kind); }

EntryKind stream(Fields& fields) {
  return static_cast<EntryKind>(
      fields.octet(octet_of(EntryKind::kStdout), octet_of(EntryKind::kStdin)));
}

}  // namespace

std::string_view entry_kind_name(EntryKind kind) {
  return kNames[static_cast<std::size_t>(kind) - 1];
}

void append_varint(Bytes& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::uint8_t>(value));
}

std::optional<std::uint64_t> read_varint(ByteView& bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size() && i < 10; ++i) {
    const std::uint8_t octet = bytes[i];
    if (i == 9 && octet > 1) {
      return std::nullopt;  // above 2^64 - 1
    }
    value |= static_cast<std::uint64_t>(octet & 0x7f) << (7 * i);
    if ((octet & 0x80) == 0) {
      if (octet == 0 && i > 0) {
        return std::nullopt;  // longer than needed
      }
      bytes = bytes.subspan(i + 1);
      return value;
    }
  }
  return std::nullopt;
}

Bytes encode(const ChannelOpen& open) { return to_bytes(open.type); }

Bytes encode(const Size& size) {
  Bytes out;
  append_varint(out, size.columns);
  append_varint(out, size.rows);
  return out;
}

Bytes encode(const Pty& pty) {
  Bytes out = encode(pty.size);
  append_text(out, pty.term);
  return out;
}

Bytes encode(const Start& start) {
  Bytes out{static_cast<std::uint8_t>(start.kind)};
  out.insert(out.end(), start.command.begin(), start.command.end());
  return out;
}

Bytes encode(const Env& env) {
  Bytes out;
  append_text(out, env.name);
  append_text(out, env.value);
  return out;
}

Bytes encode(const ExitSignal& signal) {
  Bytes out;
  append_text(out, signal.name);
  out.push_back(signal.core_dumped ? 1 : 0);
  append_text(out, signal.message);
  return out;
}

Bytes encode(const Cap& cap) {
  Bytes out{octet_of(cap.stream)};
  append_varint(out, cap.limit_bytes);
  return out;
}

Bytes encode_number(std::uint64_t number) {
  Bytes out;
  append_varint(out, number);
  return out;
}

Bytes encode_eof(EntryKind stream_kind) { return {octet_of(stream_kind)}; }

std::optional<ChannelOpen> parse_channel_open(ByteView bytes) {
  return ChannelOpen{as_text(bytes)};
}

std::optional<Size> parse_size(ByteView bytes) {
  Fields fields(bytes);
  Size size;
  size.columns = fields.u32();
  size.rows = fields.u32();
  return when_done(fields, size);
}

std::optional<Pty> parse_pty(ByteView bytes) {
  Fields fields(bytes);
  Pty pty;
  pty.size.columns = fields.u32();
  pty.size.rows = fields.u32();
  pty.term = fields.text();
  return when_done(fields, pty);
}

std::optional<Start> parse_start(ByteView bytes) {
  Fields fields(bytes);
  Start start;
  start.kind = static_cast<StartKind>(fields.octet(1, 3));
  start.command = fields.all();
  return when_done(fields, start);
}

std::optional<Env> parse_env(ByteView bytes) {
  Fields fields(bytes);
  Env env;
  env.name = fields.text();
  env.value = fields.text();
  return when_done(fields, env);
}

std::optional<ExitSignal> parse_exit_signal(ByteView bytes) {
  Fields fields(bytes);
  ExitSignal signal;
  signal.name = fields.text();
  signal.core_dumped = fields.octet(0, 1) == 1;
  signal.message = fields.text();
  return when_done(fields, signal);
}

std::optional<Cap> parse_cap(ByteView bytes) {
  Fields fields(bytes);
  Cap cap;
  cap.stream = stream(fields);
  cap.limit_bytes = fields.number();
  return when_done(fields, cap);
}

std::optional<std::uint64_t> parse_number(ByteView bytes) {
  Fields fields(bytes);
  const std::uint64_t number = fields.number();
  return when_done(fields, number);
}

std::optional<EntryKind> parse_eof(ByteView bytes) {
  Fields fields(bytes);
  const EntryKind ended = stream(fields);
  return when_done(fields, ended);
}

void append_entry(Bytes& out, std::uint64_t previous_time_us, const Entry& entry) {
  append_varint(out, zigzag(static_cast<std::int64_t>(entry.time_us - previous_time_us)));
  append_varint(out, entry.channel);
  out.push_back(octet_of(entry.kind));
  append_varint(out, entry.bytes.size());
  out.insert(out.end(), entry.bytes.begin(), entry.bytes.end());
}

std::optional<Entry> EntryCursor::next() {
  ByteView at = rest_;
  const std::optional<std::uint64_t> delta = read_varint(at);
  const std::optional<std::uint64_t> channel = read_varint(at);
  if (!delta || !channel || *channel > std::numeric_limits<std::uint32_t>::max() || at.empty() ||
      !is_entry_kind(at.front())) {
    return std::nullopt;
  }
  Entry entry;
  entry.time_us = time_us_ + static_cast<std::uint64_t>(unzigzag(*delta));
  entry.channel = static_cast<std::uint32_t>(*channel);
  entry.kind = static_cast<EntryKind>(at.front());
  at = at.subspan(1);
  const std::optional<std::uint64_t> len = read_varint(at);
  if (!len || *len > at.size()) {
    return std::nullopt;
  }
  entry.bytes = at.first(static_cast<std::size_t>(*len));
  rest_ = at.subspan(entry.bytes.size());
  time_us_ = entry.time_us;
  return entry;
}

}  // namespace bastion::recording
