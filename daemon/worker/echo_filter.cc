#include "daemon/worker/echo_filter.h"

#include <algorithm>

namespace bastion::daemon {
namespace {

constexpr char kEscape = '\x1b';
/// Enter, and what else ends a line: Ctrl-C, Ctrl-D, Ctrl-Z, Ctrl-\.
constexpr std::string_view kLineEnds = "\r\n\x03\x04\x1a\x1c";

bool is_printable(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte != 0x7f;
}

/// sequence_len is the length of the control sequence at the beginning of `text` (ECMA-48 CSI, SS3,
/// or a lone ESC with a final letter); 0: none.
std::size_t sequence_len(std::string_view text) {
  if (text.size() < 3 || text[0] != kEscape || (text[1] != '[' && text[1] != 'O')) {
    return 0;
  }
  std::size_t at = 2;
  if (text[1] == '[') {
    while (at < text.size() && text[at] >= 0x20 && text[at] < 0x40) {
      ++at;
    }
  }
  return at < text.size() && text[at] >= 0x40 && text[at] <= 0x7e ? at + 1 : 0;
}

/// skippable_len: what may stand around an echo: a cursor sequence, a bell, a backspace.
std::size_t skippable_len(std::string_view text) {
  return !text.empty() && (text.front() == '\a' || text.front() == '\b') ? 1 : sequence_len(text);
}

/// echo_len is how much of `text` is the echo of a whole line, its end included; 0: it is none.
std::size_t echo_len(std::string_view text, std::string_view line) {
  std::size_t at = 0;
  for (const char c : line) {
    while (const std::size_t skipped = skippable_len(text.substr(at))) {
      at += skipped;
    }
    if (at == text.size() || text[at] != c) {
      return 0;
    }
    ++at;
  }
  while (const std::size_t skipped = skippable_len(text.substr(at))) {
    at += skipped;
  }
  if (at == text.size() || (text[at] != '\r' && text[at] != '\n' && text[at] != '^')) {
    return 0;
  }
  const std::size_t end = text.find('\n', at);
  return end == std::string_view::npos ? text.size() : end + 1;
}

}  // namespace

// hide forgets `count` waiting bytes: the printable ones are counted, the controls shown.
void EchoFilter::hide(Shown& shown, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (is_printable(waiting_[i])) {
      ++shown.num_hidden;
    } else {
      shown.text += waiting_[i];
    }
  }
  waiting_.erase(0, count);
}

// release_controls shows what stands before the next printable byte.
void EchoFilter::release_controls(Shown& shown) {
  std::size_t at = 0;
  while (at < waiting_.size() && !is_printable(waiting_[at])) {
    ++at;
  }
  shown.text += waiting_.substr(0, at);
  waiting_.erase(0, at);
}

EchoFilter::Shown EchoFilter::typed(ByteView input) {
  Shown shown;
  std::string_view text = as_text(input);
  if (passed_over_) {
    // The target has answered with something else (an editor's screen, a menu).
    hide(shown, waiting_.size());
    passed_over_ = false;
  }
  while (!text.empty()) {
    if (const std::size_t len = sequence_len(text); len > 0 && waiting_.empty()) {
      shown.text += text.substr(0, len);
      text.remove_prefix(len);
      continue;
    }
    waiting_ += text.front();
    text.remove_prefix(1);
  }
  release_controls(shown);
  if (waiting_.size() > kWaitingMax) {
    hide(shown, waiting_.size() - kWaitingMax);
  }
  return shown;
}

EchoFilter::Shown EchoFilter::output(ByteView bytes) {
  Shown shown;
  if (waiting_.empty()) {
    return shown;
  }
  std::string_view text = as_text(bytes);
  const std::size_t before = waiting_.size();
  while (!text.empty() && !waiting_.empty()) {
    const std::size_t enter = waiting_.find_first_of(kLineEnds);
    if (enter != std::string::npos) {
      // A line that was over before its echo came: all of it, or none.
      std::size_t used = echo_len(text, std::string_view(waiting_).substr(0, enter));
      if (used > 0) {
        shown.text += waiting_.substr(0, enter + 1);
        waiting_.erase(0, enter + 1);
        release_controls(shown);
      } else {
        used = text.find('\n') + 1;
        if (used == 0) {
          break;
        }
        hide(shown, enter + 1);
      }
      text.remove_prefix(used);
    } else if (const std::size_t skipped = skippable_len(text); skipped > 0) {
      text.remove_prefix(skipped);
    } else if (text.front() == waiting_.front()) {
      shown.text += text.front();
      waiting_.erase(0, 1);
      text.remove_prefix(1);
      release_controls(shown);
    } else {
      break;
    }
  }
  passed_over_ = !waiting_.empty() && waiting_.size() == before;
  return shown;
}

EchoFilter::Shown EchoFilter::finish() {
  Shown shown;
  hide(shown, waiting_.size());
  return shown;
}

}  // namespace bastion::daemon
