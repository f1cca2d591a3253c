#include <algorithm>
#include <utility>

#include "base/path_rules.h"
#include "base/wire.h"
#include "proto/sftp_stream.h"

/// The server's half of SftpStream.
namespace bastion::proto {
namespace {

constexpr std::size_t kTypeAt = 4;
constexpr std::size_t kIdEnd = 4 + 1 + 4;
constexpr std::size_t kSizesMax = 4;
constexpr std::uint32_t kAttrSize = 0x1;
constexpr std::uint32_t kAttrOwner = 0x2;
constexpr std::uint32_t kAttrMode = 0x4;
/// Flags, size, owner and mode.
constexpr std::size_t kAttributesSeen = 4 + 8 + 8 + 4;
constexpr std::uint32_t kModeKind = 0170000;
constexpr std::uint32_t kModeRegular = 0100000;

FileOperation operation_of(SftpType type, SftpExtension extension) {
  switch (type) {
    case SftpType::kOpen: return FileOperation::kOpen;
    case SftpType::kClose: return FileOperation::kClose;
    case SftpType::kOpendir: return FileOperation::kOpenDir;
    case SftpType::kRemove: return FileOperation::kRemove;
    case SftpType::kMkdir: return FileOperation::kMkdir;
    case SftpType::kRmdir: return FileOperation::kRmdir;
    case SftpType::kRename: return FileOperation::kRename;
    case SftpType::kSymlink: return FileOperation::kSymlink;
    case SftpType::kSetstat:
    case SftpType::kFsetstat: return FileOperation::kSetStat;
    case SftpType::kExtended: break;
    default: return FileOperation::kLookup;
  }
  switch (extension) {
    case SftpExtension::kPosixRename: return FileOperation::kRename;
    case SftpExtension::kHardlink: return FileOperation::kHardlink;
    case SftpExtension::kLsetstat: return FileOperation::kSetStat;
    case SftpExtension::kCopyData: return FileOperation::kCopy;
    case SftpExtension::kExpandPath:
    case SftpExtension::kHomeDirectory:
    case SftpExtension::kUsersGroups:
    case SftpExtension::kLimits: return FileOperation::kLookup;
    default: return FileOperation::kExtension;
  }
}

/// is_start: the path is where relative ones start, whatever links there are: "x/.." may be
/// anywhere.
bool is_start(std::string_view path) {
  return !path.starts_with('/') && path.find("..") == path.npos && normalise_path(path, {}) == "~";
}

}  // namespace

Result<std::size_t> SftpStream::from_server(ByteView data, std::int64_t now_us) {
  std::size_t at = 0;
  std::size_t boundary = data.size() + 1;
  while (at < data.size()) {
    if (down_.left > 0) {
      const std::size_t n = std::min(down_.left, data.size() - at);
      if (down_.file != nullptr) {
        on_content(*down_.file, Leg::kUpstream, down_.offset, data.subspan(at, n));
        down_.offset += n;
      }
      down_.left -= n;
      at += n;
      if (down_.left == 0) {
        boundary = std::min(boundary, at);
        File* const done = std::exchange(down_.file, nullptr);
        release(done);
      }
      continue;
    }
    ByteView message;
    if (down_.head.empty()) {
      const auto need = reply_need(data.subspan(at));
      if (!need) {
        return broken(need.error());
      }
      if (*need <= data.size() - at) {
        message = data.subspan(at, *need);
        at += *need;
      }
    }
    while (message.empty() && at < data.size()) {
      const auto need = reply_need(down_.head);
      if (!need) {
        return broken(need.error());
      }
      const std::size_t n = std::min(*need - down_.head.size(), data.size() - at);
      down_.head.insert(down_.head.end(), data.begin() + static_cast<std::ptrdiff_t>(at),
                        data.begin() + static_cast<std::ptrdiff_t>(at + n));
      at += n;
      const auto then = reply_need(down_.head);
      if (!then) {
        return broken(then.error());
      }
      if (*then <= down_.head.size()) {
        message = down_.head;
      }
    }
    if (message.empty()) {
      break;
    }
    const std::size_t total = kTypeAt + std::size_t{load_u32(message.data())};
    down_.left = total - message.size();
    if (const Status status = on_reply(message, total, now_us); !status) {
      return broken(status.error());
    }
    down_.head.clear();
    if (down_.left == 0) {
      boundary = std::min(boundary, at);
      File* const done = std::exchange(down_.file, nullptr);
      release(done);
    }
  }
  return boundary;
}

/// reply_need: as sftp_request_need, for the server's messages; most of each is not read.
Result<std::size_t> SftpStream::reply_need(ByteView seen) const {
  if (seen.size() < kIdEnd) {
    return kIdEnd;
  }
  const std::size_t total = kTypeAt + std::size_t{load_u32(seen.data())};
  const auto malformed = [&] {
    return fail(ErrorCode::kProtocol, "the server's answer is not one of sftp", seen[kTypeAt]);
  };
  if (total < kIdEnd || total > kSftpFrameBytesMax) {
    return malformed();
  }
  std::size_t need = kIdEnd;
  switch (static_cast<SftpType>(seen[kTypeAt])) {
    case SftpType::kVersion:
    case SftpType::kExtendedReply: break;
    case SftpType::kStatus:
    case SftpType::kData: need = kIdEnd + 4; break;
    case SftpType::kHandle:
      need = kIdEnd + 4;
      if (seen.size() >= need) {
        const std::size_t handle_len = load_u32(seen.data() + kIdEnd);
        if (handle_len > kSftpHandleBytesMax) {
          return malformed();
        }
        need += handle_len;
      }
      break;
    case SftpType::kAttrs: need = std::min(total, kIdEnd + kAttributesSeen); break;
    case SftpType::kName: {
      // Only where it says where relative paths start.
      const auto found = requests_.find(load_u32(seen.data() + kTypeAt + 1));
      if (home_.empty() && found != requests_.end() && found->second.type == SftpType::kRealpath &&
          found->second.names != nullptr && is_start(found->second.names->path)) {
        need = std::min(total, kIdEnd + 4 + 4);
        if (seen.size() >= kIdEnd + 8) {
          const std::size_t name_len = load_u32(seen.data() + kIdEnd + 4);
          need = std::min(total, kIdEnd + 8 + std::min(name_len, kFilePathBytesMax));
        }
      }
      break;
    }
    default: return malformed();
  }
  return need <= total ? Result<std::size_t>(need) : malformed();
}

Status SftpStream::on_reply(ByteView message, std::size_t total, std::int64_t now_us) {
  Reader reader(message.subspan(kTypeAt));
  const auto type = static_cast<SftpType>(reader.u8());
  const std::uint32_t id = reader.u32();
  down_.file = nullptr;
  if (type == SftpType::kVersion) {
    if (version_seen_ || !init_seen_ || id != kSftpVersion) {
      return fail(ErrorCode::kProtocol, "the server does not speak version 3 of sftp", id);
    }
    version_seen_ = true;
    FileEvent event;
    event.operation = FileOperation::kSession;
    events_.file_event(event);
    return {};
  }
  const auto found = requests_.find(id);
  if (found == requests_.end()) {
    return fail(ErrorCode::kProtocol, "an sftp answer that nobody asked for", id);
  }
  Request& request = found->second;
  switch (type) {
    case SftpType::kStatus: {
      const std::uint32_t status = reader.u32();
      if (request.type == SftpType::kRead && status == kSftpEof && request.file != nullptr &&
          request.offset == request.file->read.next) {
        request.file->read.end_seen = true;
      }
      settle(request, status, true, now_us);
      break;
    }
    case SftpType::kData: {
      const std::size_t n = reader.u32();
      if (request.type != SftpType::kRead || n > request.length || message.size() + n != total) {
        return fail(ErrorCode::kProtocol, "sftp content that was not asked for",
                    static_cast<std::int64_t>(n));
      }
      if (request.file == nullptr) {
        return fail(ErrorCode::kProtocol,
                    "sftp content of a file that was not open when asked for");
      }
      down_.file = request.file;
      down_.offset = request.offset;
      ++request.file->uses;  // until its content has passed
      break;
    }
    case SftpType::kHandle:
      if (request.type != SftpType::kOpen && request.type != SftpType::kOpendir) {
        return fail(ErrorCode::kProtocol, "an sftp handle that was not asked for");
      }
      BASTION_TRY(on_handle(request, reader.text(kSftpHandleBytesMax), now_us));
      break;
    case SftpType::kAttrs:
      if (const std::uint32_t flags = reader.u32(); (flags & kAttrSize) != 0) {
        const std::uint64_t size = reader.u64();
        if ((flags & kAttrOwner) != 0) {
          (void)reader.u64();
        }
        const std::uint32_t mode = (flags & kAttrMode) != 0 ? reader.u32() : 0;
        // What a link itself is long says nothing of the file.
        const bool counts = request.type != SftpType::kLstat || (mode & kModeKind) == kModeRegular;
        if (reader.ok() && counts) {
          on_attributes(request, size);
        }
      }
      break;
    case SftpType::kName:
      if (message.size() > kIdEnd && reader.u32() == 1) {
        const std::string_view name = reader.text(kFilePathBytesMax);
        if (reader.ok() && name.starts_with('/') && name.find('\0') == name.npos) {
          home_ = normalise_path(name, {});
        }
      }
      break;
    default: settle(request, kSftpOk, false, now_us); break;
  }
  erase_request(found);
  return {};
}

Status SftpStream::on_handle(Request& request, std::string_view handle, std::int64_t now_us) {
  if (handles_.contains(handle)) {
    return fail(ErrorCode::kProtocol, "the server gave one sftp handle twice");
  }
  if (files_.size() >= kFilesMax) {
    return fail(ErrorCode::kLimit, "too many open files on one sftp channel",
                static_cast<std::int64_t>(files_.size()));
  }
  const std::uint32_t number = next_file_++;
  File& file = files_[number];
  file.number = number;
  file.folder = request.type == SftpType::kOpendir;
  file.flags = request.names->open_flags;
  file.fresh = (file.flags & kFileTruncate) != 0 ||
               ((file.flags & kFileCreate) != 0 && (file.flags & kFileExclusive) != 0);
  file.path = request.names->path;
  file.opened_us = request.asked_us;
  for (const Seen& seen : sizes_) {
    if (seen.path == file.path) {
      file.size = seen.size;
      file.size_known = true;
    }
  }
  handles_[std::string(handle)] = &file;
  FileEvent event = event_of(request);
  event.file = file.folder ? 0 : number;
  event.duration_us = now_us - request.asked_us;
  events_.file_event(event);
  return {};
}

void SftpStream::on_attributes(const Request& request, std::uint64_t size) {
  if (request.type == SftpType::kFstat && request.file != nullptr) {
    request.file->size = size;
    request.file->size_known = true;
  } else if (request.type == SftpType::kStat || request.type == SftpType::kLstat) {
    for (auto& [number, file] : files_) {
      if (file.path == request.names->path) {
        file.size = size;
        file.size_known = true;
      }
    }
    std::erase_if(sizes_, [&](const Seen& seen) { return seen.path == request.names->path; });
    sizes_.push_back({request.names->path, size});
    if (sizes_.size() > kSizesMax) {
      sizes_.pop_front();
    }
  }
}

/// settle tells of a request that is answered by anything but what it asked for, or that asks for
/// nothing but a status.
void SftpStream::settle(Request& request, std::uint32_t status, bool told_status,
                        std::int64_t now_us) {
  const FileOutcome outcome =
      status == kSftpOk || !told_status ? FileOutcome::kDone : FileOutcome::kFailed;
  if (request.type == SftpType::kWrite) {
    if (outcome != FileOutcome::kDone && request.file != nullptr) {
      request.file->spoilt = true;
      request.file->bytes_written -= request.length;
    }
    return;
  }
  if (request.type == SftpType::kClose) {
    if (request.file != nullptr && !request.file->folder) {
      tell_close(*request.file, outcome, status, now_us);
    }
    return;
  }
  if (request.trims && outcome == FileOutcome::kDone) {
    request.file->fresh = true;
  }
  FileEvent event = event_of(request);
  if (event.operation == FileOperation::kLookup) {
    return;
  }
  event.outcome = outcome;
  event.status = status;
  event.duration_us = now_us - request.asked_us;
  events_.file_event(event);
}

FileEvent SftpStream::event_of(const Request& request) const {
  FileEvent event;
  event.operation = operation_of(request.type, request.extension);
  if (request.names != nullptr) {
    event.path = request.names->path;
    event.other_path = request.names->other_path;
    event.name = request.names->name;
    event.open_flags = request.names->open_flags;
    event.attributes = request.names->attributes;
  }
  if (request.file != nullptr) {
    event.path = event.path.empty() ? std::string_view(request.file->path) : event.path;
    event.file = request.file->folder ? 0 : request.file->number;
  }
  if (request.other_file != nullptr) {
    event.other_path = request.other_file->path;
  }
  return event;
}

void SftpStream::tell_refused(const SftpRequest& request, const File* file,
                              std::string_view reason) {
  FileEvent event;
  event.operation = operation_of(request.type, request.extension);
  if (request.type == SftpType::kWrite || request.type == SftpType::kRead) {
    event.operation = FileOperation::kExtension;
    event.name = request.type == SftpType::kWrite ? "write" : "read";
  }
  event.outcome = FileOutcome::kRefused;
  event.path = request.path;
  event.other_path = request.other_path;
  event.name = event.name.empty() ? request.name : event.name;
  event.open_flags = request.open_flags;
  event.attributes = request.attributes;
  event.reason = reason;
  event.rule = rules_.rule;
  if (file != nullptr) {
    event.file = file->number;
    event.path = event.path.empty() ? std::string_view(file->path) : event.path;
  }
  events_.file_event(event);
}

}  // namespace bastion::proto
