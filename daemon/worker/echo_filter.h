#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace bastion::daemon {

/// EchoFilter keeps what is typed at a terminal apart from what is typed unseen (a password). What
/// is printable waits until the target echoes it; what an answer leaves out was typed unseen: it is
/// counted and forgotten. Control characters (Enter, Backspace, Ctrl-C, cursor keys) are no secret
/// and pass at once, after the text before them.
///
/// An echo is what stands at the beginning of the target's next output, cursor sequences aside, or
/// right behind the echo before it; of a line that is over already all of it, or nothing. A line
/// that is over (its Enter was answered by a new line) is echoed no more, nor is what the target
/// has passed over when more is typed.
class EchoFilter {
 public:
  /// What may be recorded: bytes as they were typed, and how many were typed unseen before them.
  struct Shown {
    std::string text;
    std::uint64_t num_hidden = 0;
    bool empty() const { return text.empty() && num_hidden == 0; }
  };

  /// typed takes input, about to be relayed.
  Shown typed(ByteView input);
  /// output takes what the target answers.
  Shown output(ByteView bytes);
  /// finish counts what was never echoed.
  Shown finish();

  /// So much may wait for its echo: more than a line that people type.
  static constexpr std::size_t kWaitingMax = 4096;

 private:
  void hide(Shown& shown, std::size_t count);
  void release_controls(Shown& shown);

  std::string waiting_;       // typed and not echoed; printable bytes and the controls between them
  bool passed_over_ = false;  // output came since, and none of it was their echo
};

}  // namespace bastion::daemon
