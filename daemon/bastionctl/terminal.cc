#include "daemon/bastionctl/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/escape.h"

namespace bastion::ctl {

std::size_t terminal_width() {
  winsize size{};
  if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) {
    return 0;
  }
  return size.ws_col;
}

bool colour() {
  const char* off = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) && (off == nullptr || *off == '\0');
}

std::string lines_shown(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
    if (end != std::string_view::npos && line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    out += escaped(line, SIZE_MAX);
    if (end != std::string_view::npos) {
      out += '\n';
    }
  }
  return out;
}

int complain(std::string_view text, int status) {
  std::fprintf(stderr, "bastionctl: %s\n", escaped(text, SIZE_MAX).c_str());
  return status;
}

}  // namespace bastion::ctl
