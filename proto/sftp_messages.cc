#include "proto/sftp_messages.h"

#include <array>

#include "base/path_rules.h"
#include "base/wire.h"

namespace bastion::proto {
namespace {

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kIdEnd = kLengthBytes + 1 + 4;
constexpr std::uint32_t kAttrSize = 0x1;
constexpr std::uint32_t kAttrOwner = 0x2;
constexpr std::uint32_t kAttrMode = 0x4;
constexpr std::uint32_t kAttrTimes = 0x8;

struct ExtensionName {
  std::string_view name;
  SftpExtension extension;
};
constexpr std::array<ExtensionName, 11> kExtensions{{
    {"posix-rename@openssh.com", SftpExtension::kPosixRename},
    {"hardlink@openssh.com", SftpExtension::kHardlink},
    {"fsync@openssh.com", SftpExtension::kFsync},
    {"statvfs@openssh.com", SftpExtension::kStatvfs},
    {"fstatvfs@openssh.com", SftpExtension::kFstatvfs},
    {"lsetstat@openssh.com", SftpExtension::kLsetstat},
    {"limits@openssh.com", SftpExtension::kLimits},
    {"expand-path@openssh.com", SftpExtension::kExpandPath},
    {"copy-data", SftpExtension::kCopyData},
    {"home-directory", SftpExtension::kHomeDirectory},
    {"users-groups-by-id@openssh.com", SftpExtension::kUsersGroups},
}};

std::string_view read_path(Reader& reader) {
  const std::string_view path = reader.text(kFilePathBytesMax);
  // A server in C would take it for the part before the NUL.
  if (path.find('\0') != path.npos) {
    reader.set_failed();
  }
  return path;
}

std::string_view read_handle(Reader& reader) { return reader.text(kSftpHandleBytesMax); }

FileAttributes read_attributes(Reader& reader) {
  FileAttributes out;
  const std::uint32_t flags = reader.u32();
  out.has_size = (flags & kAttrSize) != 0;
  out.has_owner = (flags & kAttrOwner) != 0;
  out.has_mode = (flags & kAttrMode) != 0;
  out.has_times = (flags & kAttrTimes) != 0;
  if (out.has_size) {
    out.size = reader.u64();
  }
  if (out.has_owner) {
    out.uid = reader.u32();
    out.gid = reader.u32();
  }
  if (out.has_mode) {
    out.mode = reader.u32();
  }
  if (out.has_times) {
    out.atime = reader.u32();
    out.mtime = reader.u32();
  }
  return out;  // extended attributes may follow: they are the target's to judge
}

void read_extended(Reader& reader, SftpRequest& out) {
  out.name = reader.text(kSftpHandleBytesMax);
  out.extension = SftpExtension::kUnknown;
  for (const ExtensionName& known : kExtensions) {
    if (known.name == out.name) {
      out.extension = known.extension;
    }
  }
  switch (out.extension) {
    case SftpExtension::kPosixRename:
    case SftpExtension::kHardlink:
      out.path = read_path(reader);
      out.other_path = read_path(reader);
      break;
    case SftpExtension::kStatvfs:
    case SftpExtension::kExpandPath: out.path = read_path(reader); break;
    case SftpExtension::kLsetstat:
      out.path = read_path(reader);
      out.attributes = read_attributes(reader);
      break;
    case SftpExtension::kFsync:
    case SftpExtension::kFstatvfs: out.handle = read_handle(reader); break;
    case SftpExtension::kCopyData:
      out.handle = read_handle(reader);
      out.offset = reader.u64();
      out.length = reader.u64();
      out.other_handle = read_handle(reader);
      out.other_offset = reader.u64();
      break;
    default: break;
  }
}

void read_fields(Reader& reader, SftpRequest& out) {
  switch (out.type) {
    case SftpType::kOpen:
      out.path = read_path(reader);
      out.open_flags = reader.u32();
      out.attributes = read_attributes(reader);
      break;
    case SftpType::kClose:
    case SftpType::kFstat:
    case SftpType::kReaddir: out.handle = read_handle(reader); break;
    case SftpType::kRead:
    case SftpType::kWrite:
      out.handle = read_handle(reader);
      out.offset = reader.u64();
      out.length = reader.u32();
      break;
    case SftpType::kFsetstat:
      out.handle = read_handle(reader);
      out.attributes = read_attributes(reader);
      break;
    case SftpType::kSetstat:
    case SftpType::kMkdir:
      out.path = read_path(reader);
      out.attributes = read_attributes(reader);
      break;
    case SftpType::kLstat:
    case SftpType::kStat:
    case SftpType::kOpendir:
    case SftpType::kRemove:
    case SftpType::kRmdir:
    case SftpType::kRealpath:
    case SftpType::kReadlink: out.path = read_path(reader); break;
    case SftpType::kRename:
      out.path = read_path(reader);
      out.other_path = read_path(reader);
      break;
    case SftpType::kSymlink:
      // OpenSSH and everybody after it send what the link says first (PROTOCOL 4.1).
      out.other_path = read_path(reader);
      out.path = read_path(reader);
      break;
    case SftpType::kExtended: read_extended(reader, out); break;
    default: out.known = false; break;
  }
}

}  // namespace

Result<std::size_t> sftp_request_need(ByteView seen) {
  if (seen.size() < kLengthBytes + 1) {
    return kLengthBytes + 1;
  }
  const std::size_t total = kLengthBytes + load_u32(seen.data());
  if (total < kIdEnd || total > kSftpFrameBytesMax) {
    return fail(ErrorCode::kProtocol, "an sftp request of an impossible length",
                load_u32(seen.data()));
  }
  if (static_cast<SftpType>(seen[kLengthBytes]) != SftpType::kWrite) {
    return total <= kSftpSmallFrameBytesMax
               ? Result<std::size_t>(total)
               : fail(ErrorCode::kProtocol, "an sftp request that is too long",
                      load_u32(seen.data()));
  }
  const std::size_t handle_at = kIdEnd + 4;
  if (seen.size() < handle_at) {
    return handle_at;
  }
  const std::size_t handle_len = load_u32(seen.data() + kIdEnd);
  const std::size_t need = handle_at + handle_len + 8 + 4;
  if (handle_len > kSftpHandleBytesMax || need > total) {
    return fail(ErrorCode::kProtocol, "a malformed sftp WRITE");
  }
  return need;
}

Result<SftpRequest> parse_sftp_request(ByteView message) {
  Reader reader(message);
  const std::size_t total = kLengthBytes + std::size_t{reader.u32()};
  SftpRequest out;
  out.type = static_cast<SftpType>(reader.u8());
  out.id = reader.u32();
  read_fields(reader, out);
  if (!reader.ok() || (out.type == SftpType::kRead && !reader.done())) {
    return fail(ErrorCode::kProtocol, "a malformed sftp request", static_cast<int>(out.type));
  }
  if (out.type == SftpType::kWrite && message.size() + out.length != total) {
    return fail(ErrorCode::kProtocol, "an sftp WRITE whose lengths differ");
  }
  return out;
}

Bytes make_sftp_status(std::uint32_t id, std::uint32_t status, std::string_view text) {
  Writer body;
  body.u8(static_cast<std::uint8_t>(SftpType::kStatus)).u32(id).u32(status).text(text).text("en");
  Writer out;
  out.string(body.view());
  return out.take();
}

}  // namespace bastion::proto
