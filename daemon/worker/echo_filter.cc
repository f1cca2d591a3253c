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
  matched_ = 0;
}

// show gives `count` waiting bytes out: they were echoed.
void EchoFilter::show(Shown& shown, std::size_t count) {
  shown.text += waiting_.substr(0, count);
  waiting_.erase(0, count);
  matched_ = 0;
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
  bool follows = true;  // nothing but echo and cursor sequences so far
  const std::size_t before = waiting_.size();
  while (!text.empty() && !waiting_.empty()) {
    if (follows) {
      const std::size_t line_end = waiting_.find_first_of(kLineEnds);
      if (matched_ == line_end && (text.front() == '\r' || text.front() == '\n')) {
        show(shown, line_end + 1);
        release_controls(shown);
        text.remove_prefix(text.starts_with("\r\n") ? 2 : 1);
        continue;
      }
      if (text.front() == waiting_[matched_] && is_printable(text.front())) {
        ++matched_;
        text.remove_prefix(1);
        while (matched_ < waiting_.size() && matched_ < line_end &&
               !is_printable(waiting_[matched_])) {
          ++matched_;
        }
        if (line_end == std::string::npos) {
          show(shown, matched_);
        }
        continue;
      }
      if (const std::size_t len = sequence_len(text); len > 0) {
        text.remove_prefix(len);
        continue;
      }
      if (text.front() == '\a' || text.front() == '\b') {
        text.remove_prefix(1);
        continue;
      }
    }
    follows = false;
    matched_ = 0;
    if (text.front() == '\n') {
      // The line that ended with Enter is answered: what of it was not echoed never will be.
      const std::size_t enter = waiting_.find_first_of(kLineEnds);
      if (enter != std::string::npos) {
        hide(shown, enter + 1);
        follows = true;
      }
    } else if (text.front() == '\r') {
      text.remove_prefix(1);
      continue;
    }
    text.remove_prefix(1);
  }
  passed_over_ = !waiting_.empty() && waiting_.size() == before && matched_ == 0;
  return shown;
}

EchoFilter::Shown EchoFilter::finish() {
  Shown shown;
  hide(shown, waiting_.size());
  return shown;
}

}  // namespace bastion::daemon
