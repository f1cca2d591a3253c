#pragma once

#include <sys/types.h>

#include <string_view>

namespace bastion {

/// open_below opens `path` below the folder `folder`, one component after the other, and follows no
/// symbolic link. What openat2(2) does with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS; that call is
/// not there under systemd's RestrictSUIDSGID=, whose filter cannot see its flags. "." alone is the
/// folder itself; other paths may have neither "." nor ".." and do not begin with a slash.
/// Returns a descriptor (close-on-exec), which is the caller's, or -1 and errno; EINVAL for such a
/// path, ELOOP or ENOTDIR where a link stands.
int open_below(int folder, std::string_view path, int flags, mode_t mode);

}  // namespace bastion
