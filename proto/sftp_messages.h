#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/file_events.h"

/// The messages of sftp version 3 (draft-ietf-secsh-filexfer-02) and OpenSSH's extensions (PROTOCOL
/// 4), as far as one who watches has to know them.
namespace bastion::proto {

enum class SftpType : std::uint8_t {
  kInit = 1,
  kVersion = 2,
  kOpen = 3,
  kClose = 4,
  kRead = 5,
  kWrite = 6,
  kLstat = 7,
  kFstat = 8,
  kSetstat = 9,
  kFsetstat = 10,
  kOpendir = 11,
  kReaddir = 12,
  kRemove = 13,
  kMkdir = 14,
  kRmdir = 15,
  kRealpath = 16,
  kStat = 17,
  kRename = 18,
  kReadlink = 19,
  kSymlink = 20,
  kStatus = 101,
  kHandle = 102,
  kData = 103,
  kName = 104,
  kAttrs = 105,
  kExtended = 200,
  kExtendedReply = 201,
};

enum class SftpExtension : std::uint8_t {
  kNone,  // not an extended request
  kPosixRename,
  kHardlink,
  kFsync,
  kStatvfs,
  kFstatvfs,
  kLsetstat,
  kLimits,
  kExpandPath,
  kCopyData,
  kHomeDirectory,
  kUsersGroups,
  kUnknown,
};

/// SSH_FX_*.
inline constexpr std::uint32_t kSftpOk = 0;
inline constexpr std::uint32_t kSftpEof = 1;
inline constexpr std::uint32_t kSftpPermissionDenied = 3;
inline constexpr std::uint32_t kSftpFailure = 4;
inline constexpr std::uint32_t kSftpUnsupported = 8;

inline constexpr std::uint32_t kSftpVersion = 3;
/// A message with its length field: OpenSSH takes and makes 256 KiB.
inline constexpr std::size_t kSftpFrameBytesMax = 256 * 1024 + 4;
/// A request that carries no content: two paths of PATH_MAX and attributes, or the 8,000 numbers of
/// one users-groups-by-id.
inline constexpr std::size_t kSftpSmallFrameBytesMax = 64 * 1024;
/// The draft's own limit on handles (section 6.3).
inline constexpr std::size_t kSftpHandleBytesMax = 256;
/// What has to be there of a WRITE before its content: length, type, id, handle, offset, length.
inline constexpr std::size_t kSftpWriteHeaderMax = 4 + 1 + 4 + 4 + kSftpHandleBytesMax + 8 + 4;

/// sftp_request_need says how many bytes of a client's message, whose beginning is `seen`, have to
/// be there before it can be read: more than seen.size() while it is not known yet. All of it but
/// for a WRITE, of which the content is left out. Error: kProtocol, it is no message of sftp.
Result<std::size_t> sftp_request_need(ByteView seen);

/// SftpRequest is a client's message that has been read. Views point into it.
struct SftpRequest {
  SftpType type{};
  SftpExtension extension = SftpExtension::kNone;
  bool known = true;  // false: of a type that version 3 has not
  std::uint32_t id = 0;
  std::string_view path;
  std::string_view other_path;  // the link's name of a SYMLINK is `path`, what it says this
  std::string_view name;        // of an extended request
  std::string_view handle;
  std::string_view other_handle;  // copy-data's destination
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // READ, WRITE (content bytes), copy-data (0: to the end)
  std::uint64_t other_offset = 0;
  std::uint32_t open_flags = 0;
  FileAttributes attributes;
};

/// parse_sftp_request reads sftp_request_need() bytes. Error: kProtocol, malformed.
Result<SftpRequest> parse_sftp_request(ByteView message);

/// make_sftp_status writes a whole SSH_FXP_STATUS.
Bytes make_sftp_status(std::uint32_t id, std::uint32_t status, std::string_view text);

}  // namespace bastion::proto
