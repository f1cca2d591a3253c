#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "proto/channel.h"

/// What a routed session does with files, as the connection layer sees it pass: one FileEvent for
/// each operation of an sftp, scp, rsync or git channel, and views of file content for a digest.
/// docs/file-transfers.md says what is seen and what is not.
namespace bastion::proto {

enum class FileTool : std::uint8_t { kSftp, kScp, kRsync, kGit };

enum class FileOperation : std::uint8_t {
  kOpen,     // sftp: answered; scp: the file is announced
  kClose,    // … with the totals of that file; also when the channel ends without a close
  kOpenDir,  // a folder is listed
  kMkdir,    // sftp, and scp's D line
  kRmdir,
  kRemove,
  kRename,     // rename, posix-rename@openssh.com
  kSymlink,    // `other_path` is what the link says
  kHardlink,   // hardlink@openssh.com
  kSetStat,    // setstat, fsetstat, lsetstat@openssh.com: `attributes`
  kCopy,       // copy-data, within the target: `path` to `other_path`
  kExtension,  // any other extended request: `name`
  kLookup,     // stat, lstat, readlink, realpath, expand-path, …: told only where it is refused
  kTransfer,   // rsync, git: the whole conversation, when it ends; `name` is the command
  kSession,    // the sftp conversation itself: begun, or (kFailed, with `reason`) broken
};

enum class FileOutcome : std::uint8_t {
  kDone,        // the target said so (scp, rsync, git: the exchange ended in good order)
  kFailed,      // the target said `status`; or, with a `reason`, the conversation broke off
  kRefused,     // by the session's rule, for `reason`: the target has not seen the request
  kUnanswered,  // the channel ended before the target said what came of it
};

/// FileAttributes is what a setstat, open or mkdir asked to set, or scp's mode.
struct FileAttributes {
  bool has_size = false;
  bool has_owner = false;
  bool has_mode = false;
  bool has_times = false;
  std::uint64_t size = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t mode = 0;
  std::uint32_t atime = 0;  // seconds since 1970, as sftp version 3 has them
  std::uint32_t mtime = 0;
};

/// The pflags of SSH_FXP_OPEN (draft-ietf-secsh-filexfer-02 6.3), also in FileEvent::open_flags.
enum FileOpenFlag : std::uint32_t {
  kFileRead = 0x01,
  kFileWrite = 0x02,
  kFileAppend = 0x04,
  kFileCreate = 0x08,
  kFileTruncate = 0x10,
  kFileExclusive = 0x20,
};

/// kFileTooLarge is the reason where a rule's `size` refuses.
inline constexpr std::string_view kFileTooLarge = "bastion: larger than files may be here";

/// FileEvent is one operation that is over. The views live for the call. `path`, `other_path` and
/// `name` are the peer's own bytes, not normalised and not escaped.
struct FileEvent {
  FileTool tool = FileTool::kSftp;
  FileOperation operation = FileOperation::kLookup;
  FileOutcome outcome = FileOutcome::kDone;
  /// The number of an open file within its channel, from 1, the same in kOpen, FileData and kClose;
  /// 0: the event is about none.
  std::uint32_t file = 0;
  std::string_view path;
  std::string_view other_path;  // of kRename, kSymlink, kHardlink, kCopy
  std::string_view name;        // of kExtension, kTransfer
  std::string_view reason;      // why it was refused or broke off: a text of ours
  std::string_view rule;        // of the policy, that refused it
  std::uint32_t open_flags = 0;
  FileAttributes attributes;
  std::uint64_t bytes_read = 0;     // of kClose and kTransfer: content that went to the user
  std::uint64_t bytes_written = 0;  // … and that the user sent
  /// whole_read, whole_written: the content passed from its first byte to its last, in order, each
  /// byte once, so a digest over the file's FileData is the digest of the file as it was then.
  bool whole_read = false;
  bool whole_written = false;
  /// Of kClose, where content passed and was not whole: why not, a text of ours.
  std::string_view why_not_whole;
  std::uint32_t status = 0;      // SSH_FX_*; scp: 0, 1 (warning), 2 (error)
  std::int64_t duration_us = 0;  // from the request to its answer; kClose: from the open
};

/// FileData is content of an open file as it passes, only while it has passed in order from offset
/// 0: `offset` is where the last view of this file and direction ended. Of two directions of one
/// file (opened for both) each has its own order. The bytes live for the call.
struct FileData {
  std::uint32_t file = 0;
  Leg from = Leg::kUpstream;  // kUpstream: a download
  std::uint64_t offset = 0;
  ByteView bytes;
};

}  // namespace bastion::proto
