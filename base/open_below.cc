#include "base/open_below.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace bastion {
namespace {

int open_one(int folder, std::string_view name, int flags, mode_t mode) {
  return openat(folder, std::string(name).c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode);
}

bool is_plain(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

}  // namespace

int open_below(int folder, std::string_view path, int flags, mode_t mode) {
  if (path == ".") {
    return open_one(folder, path, flags, mode);
  }
  int at = folder;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    const bool last = slash == std::string_view::npos;
    int next = -1;
    if (!is_plain(name)) {
      errno = EINVAL;
    } else {
      next = last ? open_one(at, name, flags, mode) : open_one(at, name, O_PATH | O_DIRECTORY, 0);
    }
    const int error = errno;
    if (at != folder) {
      close(at);
    }
    errno = error;
    if (last || next < 0) {
      return next;
    }
    at = next;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace bastion
