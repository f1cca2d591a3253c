#include "daemon/bastionctl/player.h"

#include <algorithm>
#include <utility>

#include "base/escape.h"
#include "daemon/bastionctl/table.h"
#include "daemon/bastionctl/terminal.h"

namespace bastion::ctl {

using recording::EntryKind;

namespace {

/// Thirty days: nobody waits longer, and clocks do not overflow.
constexpr std::uint64_t kPauseMaxUs = std::uint64_t{30} * 86'400 * 1'000'000;

}  // namespace

PlayKey KeyReader::take(std::uint8_t octet) {
  constexpr std::size_t kSequenceMax = 64;
  if (!sequence_.empty()) {
    sequence_ += static_cast<char>(octet);
    const char kind = sequence_.size() > 1 ? sequence_[1] : '\0';
    const bool string = kind == ']' || kind == 'P' || kind == '_' || kind == '^';
    const bool done = sequence_.size() > kSequenceMax ||
                      (sequence_.size() == 2 && kind != '[' && kind != 'O' && !string) ||
                      (string && (octet == 0x07 || sequence_.ends_with("\x1b\\"))) ||
                      (!string && sequence_.size() > 2 && octet >= 0x40 && octet <= 0x7e);
    if (!done) {
      return PlayKey::kNone;
    }
    const std::string sequence = std::exchange(sequence_, {});
    if (sequence == "\x1b[C" || sequence == "\x1bOC") {
      return PlayKey::kForward;
    }
    if (sequence == "\x1b[D" || sequence == "\x1bOD") {
      return PlayKey::kBack;
    }
    return PlayKey::kNone;
  }
  switch (octet) {
    case 0x1b: sequence_ = "\x1b"; return PlayKey::kNone;
    case ' ': return PlayKey::kPause;
    case '.': return PlayKey::kStep;
    case '+': return PlayKey::kFaster;
    case '-': return PlayKey::kSlower;
    case 'q':
    case 0x03: return PlayKey::kQuit;
    default: return PlayKey::kNone;
  }
}

std::uint64_t PlayClock::wait_us(std::uint64_t time_us) {
  if (!begun_) {
    begun_ = true;
    last_us_ = time_us;
  }
  std::uint64_t pause =
      time_us > last_us_ ? time_us - last_us_ : 0;  // the clock may have gone back
  last_us_ = std::max(last_us_, time_us);
  if (idle_limit_us_ > 0) {
    pause = std::min(pause, idle_limit_us_);
  }
  pause = std::min(pause, kPauseMaxUs);  // whatever the file says
  played_us_ += pause;
  return std::min(static_cast<std::uint64_t>(static_cast<double>(pause) / speed_), kPauseMaxUs);
}

std::string shown_entry(const recording::Entry& entry) {
  // One backslash is what no content can show: there it stands as two, or as the four of \xNN.
  const auto note = [](const std::string& text) { return "\n\\-- " + text + "\n"; };
  switch (entry.kind) {
    case EntryKind::kStdout: return lines_shown(as_text(entry.bytes));
    case EntryKind::kStderr: return lines_shown(as_text(entry.bytes));
    case EntryKind::kStdin: return "\n\\< " + escaped(entry.bytes, SIZE_MAX) + "\n";
    case EntryKind::kInputHidden:
      return note(std::to_string(recording::parse_number(entry.bytes).value_or(0)) +
                  " octets typed without echo");
    case EntryKind::kStart:
      if (const auto start = recording::parse_start(entry.bytes)) {
        return note(start->kind == recording::StartKind::kShell ? "shell"
                    : start->kind == recording::StartKind::kExec
                        ? "exec: " + escaped(start->command, SIZE_MAX)
                        : "subsystem: " + escaped(start->command));
      }
      return {};
    case EntryKind::kExitStatus:
      return note("exit status " +
                  std::to_string(recording::parse_number(entry.bytes).value_or(0)));
    case EntryKind::kExitSignal:
      if (const auto signal = recording::parse_exit_signal(entry.bytes)) {
        return note("ended by signal " + escaped(signal->name));
      }
      return {};
    case EntryKind::kCapReached:
      if (const auto cap = recording::parse_cap(entry.bytes)) {
        return note(std::string(recording::entry_kind_name(cap->stream)) +
                    " is not recorded from here on: more than " + human_bytes(cap->limit_bytes));
      }
      return {};
    case EntryKind::kNotice: return note("bastion: " + escaped(entry.bytes, SIZE_MAX));
    case EntryKind::kFile:
    case EntryKind::kForward: return note(escaped(entry.bytes, SIZE_MAX));
    default: return {};
  }
}

}  // namespace bastion::ctl
