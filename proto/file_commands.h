#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bastion::proto {

/// FileCommand is an exec command that moves files, recognised for what it is. Recognition is
/// strict: the command is plain words to any POSIX shell (quotes and backslashes are understood,
/// globs may be there; nothing that runs, joins or redirects, and no braces), the program is named
/// bare or by a system's path, all its options are known, and no glob can become one. Everything
/// else is kNone: a command like any other.
struct FileCommand {
  enum class Kind : std::uint8_t {
    kNone,
    kSftp,   // sftp-server, internal-sftp: what follows on the channel is sftp
    kScp,    // scp -t, scp -f
    kRsync,  // rsync --server
    kGit,    // git-upload-pack, git-receive-pack, git-upload-archive
  };
  Kind kind = Kind::kNone;
  bool downloads = false;          // content goes to the user
  bool uploads = false;            // … comes from the user, or the target is changed otherwise
  bool plain = false;              // no sudo before it
  std::vector<std::string> paths;  // as the shell was given them, quotes removed
};

FileCommand recognise_command(std::string_view command);

}  // namespace bastion::proto
