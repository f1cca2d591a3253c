#include <algorithm>

#include "base/path_rules.h"
#include "proto/sftp_stream.h"

/// What of an sftp conversation the rules let through. Only asked where they restrict something.
namespace bastion::proto {
namespace {

constexpr std::string_view kNoDownload = "bastion: downloads are not allowed here";
constexpr std::string_view kNoUpload = "bastion: nothing may be changed here";
constexpr std::string_view kNoPath = "bastion: this path is not allowed";
constexpr std::string_view kNoSymlink =
    "bastion: links cannot be made where only some paths are allowed";
constexpr std::string_view kNoHandle = "bastion: no such handle";
constexpr std::string_view kNotOpened = "bastion: the file was not opened for that";
constexpr std::string_view kUnknownRequest = "bastion: unknown request";

/// leads_out: a ".." that the letters alone cannot resolve.
bool leads_out(std::string_view normal) {
  return normal.ends_with("/..") || normal.find("/../") != normal.npos;
}

bool starts_at_home(std::string_view text) { return text.starts_with('~'); }

}  // namespace

/// covers: whether the pattern matches the path, or with `below` could match something in it. Where
/// one is absolute, the other relative, and nobody knows to what: `when_unknown`.
bool SftpStream::covers(const std::string& pattern, std::string_view normal, bool when_unknown,
                        bool below) const {
  const auto hit = [&](std::string_view path) {
    return below ? path_may_contain(pattern, path) : path_matches(pattern, path);
  };
  if (starts_at_home(pattern) == starts_at_home(normal)) {
    return hit(normal);
  }
  if (!starts_at_home(pattern) || home_.empty()) {
    return when_unknown;
  }
  const std::string_view home = home_ == "/" ? std::string_view() : home_;
  if (normal == home_) {
    return hit("~");
  }
  if (normal.starts_with(home) && normal.substr(home.size()).starts_with('/')) {
    return hit("~" + std::string(normal.substr(home.size())));
  }
  return below && (normal == "/" || home_.starts_with(std::string(normal) + "/"));
}

bool SftpStream::is_denied(std::string_view normal) const {
  return leads_out(normal) || std::ranges::any_of(rules_.deny_paths, [&](const auto& pattern) {
           return covers(pattern, normal, true, false);
         });
}

bool SftpStream::may_touch(std::string_view path) const {
  if (!rules_.has_paths()) {
    return true;
  }
  const std::string normal = normalise_path(path, home_);
  return !is_denied(normal) &&
         (rules_.paths.empty() || std::ranges::any_of(rules_.paths, [&](const auto& pattern) {
            return covers(pattern, normal, false, false);
          }));
}

/// check_lookup: what leads to an allowed path may be looked at, too.
SftpStream::Refusal SftpStream::check_lookup(std::string_view path) const {
  if (may_touch(path)) {
    return {};
  }
  const std::string normal = normalise_path(path, home_);
  const bool leads_there =
      !is_denied(normal) && std::ranges::any_of(rules_.paths, [&](const auto& pattern) {
        return covers(pattern, normal, false, true);
      });
  return leads_there ? Refusal{} : Refusal{kNoPath};
}

/// check_change; `moves`: what is below the path goes with it, so that nothing denied may be there.
SftpStream::Refusal SftpStream::check_change(std::string_view path, bool moves) const {
  if (!rules_.upload) {
    return {kNoUpload};
  }
  if (!may_touch(path)) {
    return {kNoPath};
  }
  const std::string normal = normalise_path(path, home_);
  const bool holds_denied = moves && std::ranges::any_of(rules_.deny_paths, [&](const auto& p) {
                              return covers(p, normal, true, true);
                            });
  return holds_denied ? Refusal{kNoPath} : Refusal{};
}

SftpStream::Refusal SftpStream::check_open(const SftpRequest& request) const {
  const std::uint32_t flags = request.open_flags;
  const std::uint32_t changing =
      kFileWrite | kFileAppend | kFileCreate | kFileTruncate | kFileExclusive;
  // Servers open for reading where neither is asked for.
  const bool reads = (flags & kFileRead) != 0 || (flags & kFileWrite) == 0;
  if (reads && !rules_.download) {
    return {kNoDownload};
  }
  if ((flags & changing) != 0 && !rules_.upload) {
    return {kNoUpload};
  }
  // With append the server ignores the offsets by which we count.
  if ((flags & kFileAppend) != 0 && rules_.size_max != 0) {
    return {kFileTooLarge};
  }
  const bool too_large = request.attributes.has_size && rules_.size_max != 0 &&
                         request.attributes.size > rules_.size_max;
  if (too_large) {
    return {kFileTooLarge};
  }
  return may_touch(request.path) ? Refusal{} : Refusal{kNoPath};
}

/// check_transfer of a READ or WRITE. A READ that goes over the limit is shortened in place, which
/// servers may do themselves: to one byte more than the limit, so that a file of just that size can
/// be read to its end.
SftpStream::Refusal SftpStream::check_transfer(const SftpRequest& request, MutBytes message,
                                               const File& file) const {
  const bool reads = request.type == SftpType::kRead;
  const bool opened = reads ? (file.flags & kFileRead) != 0 || (file.flags & kFileWrite) == 0
                            : (file.flags & kFileWrite) != 0;
  if (!opened) {
    return {kNotOpened};
  }
  if (rules_.size_max == 0) {
    return {};
  }
  const std::uint64_t most = reads ? rules_.size_max + 1 : rules_.size_max;
  if (request.offset > most || (request.offset == most && request.length > 0)) {
    return {kFileTooLarge};
  }
  if (request.length > most - request.offset) {
    if (!reads) {
      return {kFileTooLarge};
    }
    store_u32(message.data() + message.size() - 4,
              static_cast<std::uint32_t>(most - request.offset));
  }
  return {};
}

SftpStream::Refusal SftpStream::check(const SftpRequest& request, MutBytes message,
                                      const File* file, const File* other_file,
                                      bool handles_known) const {
  if (!request.known || request.extension == SftpExtension::kUnknown) {
    return {kUnknownRequest, kSftpUnsupported};
  }
  if (!handles_known) {
    return {kNoHandle, kSftpFailure};
  }
  const bool grows = request.attributes.has_size && rules_.size_max != 0 &&
                     request.attributes.size > rules_.size_max;
  switch (request.type) {
    case SftpType::kOpen: return check_open(request);
    case SftpType::kRead:
    case SftpType::kWrite:
      return file == nullptr ? Refusal{kNoHandle, kSftpFailure}
                             : check_transfer(request, message, *file);
    case SftpType::kFsetstat:
      if (!rules_.upload) {
        return {kNoUpload};
      }
      return grows ? Refusal{kFileTooLarge} : Refusal{};
    case SftpType::kSetstat:
    case SftpType::kMkdir:
      return grows ? Refusal{kFileTooLarge} : check_change(request.path, false);
    case SftpType::kRemove:
    case SftpType::kRmdir: return check_change(request.path, false);
    case SftpType::kSymlink:
      if (rules_.upload && rules_.has_paths()) {
        return {kNoSymlink};
      }
      return check_change(request.path, false);
    case SftpType::kRename: {
      const Refusal refusal = check_change(request.path, true);
      return refusal ? refusal : check_change(request.other_path, false);
    }
    case SftpType::kLstat:
    case SftpType::kStat:
    case SftpType::kOpendir:
    case SftpType::kReadlink: return check_lookup(request.path);
    case SftpType::kExtended: break;
    default: return {};  // by handle, or REALPATH, without which no client knows where it is
  }
  switch (request.extension) {
    case SftpExtension::kPosixRename:
    case SftpExtension::kHardlink: {
      const Refusal refusal = check_change(request.path, true);
      return refusal ? refusal : check_change(request.other_path, false);
    }
    case SftpExtension::kLsetstat:
      return grows ? Refusal{kFileTooLarge} : check_change(request.path, false);
    case SftpExtension::kStatvfs: return check_lookup(request.path);
    case SftpExtension::kCopyData: {
      if (file == nullptr || other_file == nullptr) {
        return {kNoHandle, kSftpFailure};
      }
      if ((file->flags & kFileRead) == 0 || (other_file->flags & kFileWrite) == 0) {
        return {kNotOpened};
      }
      const std::uint64_t most = rules_.size_max;
      const bool fits = most == 0 || (request.length != 0 && request.other_offset <= most &&
                                      request.length <= most - request.other_offset);
      return fits ? Refusal{} : Refusal{kFileTooLarge};
    }
    default: return {};
  }
}

}  // namespace bastion::proto
