#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>

#include "daemon/bastionctl/player.h"
#include "daemon/bastionctl/recordings.h"
#include "daemon/bastionctl/terminal.h"

namespace bastion::ctl {
namespace {

using recording::Entry;
using recording::EntryKind;

constexpr std::uint64_t kSeekUs = 5'000'000;
/// Undoes what a recording may have left: colours, hidden cursor, mouse reports, bracketed paste,
/// application keys, alternate screen, scroll region. The prompt comes below all of it.
constexpr std::string_view kRestore =
    "\x1b[0m\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[?"
    "47l\x1b[r"
    "\x1b[9999;1H\r\n";

/// Keyboard is the terminal on stdin without line editing, put back at the end. What came in
/// meanwhile is thrown away: a recording can make a terminal answer, and the answer must not reach
/// a shell.
class Keyboard {
 public:
  Keyboard() : on_(isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (on_) {
      termios raw = before_;
      raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
      tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
  }
  ~Keyboard() {
    if (on_) {
      tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }
  }
  Keyboard(const Keyboard&) = delete;
  Keyboard& operator=(const Keyboard&) = delete;

  /// wait sleeps so long (for ever where that is negative) or until a key came.
  PlayKey wait(std::int64_t us) {
    pollfd ready{on_ ? STDIN_FILENO : -1, POLLIN, 0};
    timespec time{us / 1'000'000, (us % 1'000'000) * 1000};
    if (ppoll(&ready, 1, us < 0 ? nullptr : &time, nullptr) <= 0) {
      return PlayKey::kNone;
    }
    std::uint8_t octet = 0;
    if (read(STDIN_FILENO, &octet, 1) != 1) {
      on_ = false;
      return PlayKey::kQuit;
    }
    return keys_.take(octet);
  }
  bool on() const { return on_; }

 private:
  termios before_{};
  bool on_;
  KeyReader keys_;
};

bool write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

/// typed_line shows what was typed in the last row, without moving the cursor.
std::string typed_line(ByteView bytes) {
  return "\x1b"
         "7\x1b[9999;1H\x1b[7m" +
         lines_shown(as_text(bytes)).substr(0, 60) +
         "\x1b[0m\x1b[K\x1b"
         "8";
}

class Player {
 public:
  Player(const RecordingsOptions& options, const Recordings& recordings, const index::File& file,
         std::uint32_t channel)
      : options_(options),
        recordings_(recordings),
        file_(file),
        channel_(channel),
        safe_(options.safe || !isatty(STDOUT_FILENO)),
        clock_(options.speed, static_cast<std::uint64_t>(options.idle_limit * 1e6)),
        hurry_until_us_(static_cast<std::uint64_t>(options.start_at * 1e6)) {}

  int run() {
    while (true) {
      restart_ = false;
      const auto outcome =
          recordings_.read(file_, [&](const recording::RecordingReader::Item& item) {
            const auto* entry = std::get_if<Entry>(&item);
            return entry == nullptr || entry->channel != channel_ || take(*entry);
          });
      if (!outcome) {
        return complain(outcome.error(), 3);
      }
      if (restart_) {
        clock_.restart();
        if (!safe_) {
          write_all("\x1b[0m\x1b[2J\x1b[H");
        }
        continue;
      }
      if (!safe_) {
        write_all(kRestore);
      } else {
        write_all("\n");
      }
      return say_outcome(*outcome);
    }
  }

 private:
  /// take shows one entry when it is due; false: the end, or again from the beginning.
  bool take(const Entry& entry) {
    const std::uint64_t wait_us = clock_.wait_us(entry.time_us);
    if (isatty(STDOUT_FILENO) && clock_.played_us() > hurry_until_us_ && !pause(wait_us)) {
      return false;
    }
    if (safe_) {
      return write_all(shown_entry(entry));
    }
    switch (entry.kind) {
      case EntryKind::kStdout:
      case EntryKind::kStderr: return write_all(as_text(entry.bytes));
      case EntryKind::kStdin: return !options_.show_input || write_all(typed_line(entry.bytes));
      case EntryKind::kStart:
        // A shell shows itself; a command would not be seen.
        if (const auto start = recording::parse_start(entry.bytes);
            start && start->kind != recording::StartKind::kShell) {
          return write_all("$ " + lines_shown(start->command) + "\r\n");
        }
        return true;
      default: return true;
    }
  }

  bool pause(std::uint64_t wait_us) {
    using Clock = std::chrono::steady_clock;
    auto due = Clock::now() + std::chrono::microseconds(wait_us);
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::microseconds>(due - Clock::now()).count();
      if (!paused_ && left <= 0) {
        return true;
      }
      switch (keyboard_.wait(paused_ ? -1 : left)) {
        case PlayKey::kNone: break;
        case PlayKey::kQuit: return false;
        case PlayKey::kPause:
          paused_ = !paused_;
          due = paused_ ? due : Clock::now();
          break;
        case PlayKey::kStep:
          if (paused_) {
            return true;
          }
          break;
        case PlayKey::kForward: hurry_until_us_ = clock_.played_us() + kSeekUs; return true;
        case PlayKey::kBack:
          hurry_until_us_ = clock_.played_us() - std::min(clock_.played_us(), kSeekUs);
          restart_ = true;
          return false;
        case PlayKey::kFaster: clock_.faster(); break;
        case PlayKey::kSlower: clock_.slower(); break;
      }
    }
  }

  const RecordingsOptions& options_;
  const Recordings& recordings_;
  const index::File& file_;
  std::uint32_t channel_;
  bool safe_;
  PlayClock clock_;
  Keyboard keyboard_;
  std::uint64_t hurry_until_us_;
  bool paused_ = false;
  bool restart_ = false;
};

}  // namespace

int recordings_play(const RecordingsOptions& options) {
  const auto recordings = Recordings::open(options);
  if (!recordings) {
    return complain(recordings.error(), 3);
  }
  const auto file = recordings->find(options.id);
  if (!file) {
    return complain(file.error(), 1);
  }
  const auto main = main_channel(*recordings, *file);
  if (!main) {
    return complain(main.error(), 3);
  }
  std::optional<std::uint32_t> channel = options.channel;
  if (!channel && *main) {
    channel = (*main)->number;
    if ((*main)->others > 0) {
      (void)complain("channel " + std::to_string(*channel) + " of " +
                         std::to_string((*main)->others + 1) + "; --channel N for another",
                     0);
    }
  }
  if (!channel) {
    // Nothing was started, or it cannot be read: say which.
    const auto outcome = recordings->read(*file, [](const auto&) { return true; });
    if (!outcome) {
      return complain(outcome.error(), 3);
    }
    const int status = say_outcome(*outcome);
    return status != 0 ? status : complain("nothing was started in this session", 1);
  }
  return Player(options, *recordings, *file, *channel).run();
}

}  // namespace bastion::ctl
