#include "config/file_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/wire.h"

namespace bastion::config {
namespace {

constexpr std::size_t kTextBytesMax = 8 * 1024 * 1024;
constexpr std::size_t kKeyBytesMax = 64 * 1024;
constexpr std::string_view kBundleMagic = "bastiond files 1";

/// Descriptor closes what it holds.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::unexpected<std::string> refuse(std::string text) {
  return std::unexpected<std::string>(std::move(text));
}

std::string system_error(int error) {
  std::array<char, 128> buffer{};
  return strerror_r(error, buffer.data(), buffer.size());
}

std::string mode_text(mode_t mode) {
  std::array<char, 8> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%04o", static_cast<unsigned>(mode & 07777));
  return buffer.data();
}

bool owner_is_trusted(uid_t owner) { return owner == 0 || owner == geteuid(); }
bool group_is_trusted(gid_t group) { return group == 0 || group == getegid(); }

/// path_of is where an open folder is, for a message.
std::string path_of(int folder) {
  std::array<char, PATH_MAX> buffer{};
  const ssize_t len =
      readlink(("/proc/self/fd/" + std::to_string(folder)).c_str(), buffer.data(), buffer.size());
  return len > 0 ? std::string(buffer.data(), static_cast<std::size_t>(len)) : "a folder above it";
}

/// folder_problem: others must not be able to put another file, or another folder, in its place.
std::string folder_problem(int folder, const struct stat& info, bool nearest) {
  const auto which = [&] { return nearest ? std::string("its folder") : path_of(folder); };
  const auto cure = [&] { return nearest ? std::string("the folder") : path_of(folder); };
  if (!owner_is_trusted(info.st_uid)) {
    return which() + " belongs to uid " + std::to_string(info.st_uid) +
           ", neither root nor us: chown " + (nearest ? "it" : cure());
  }
  const bool group_writes = (info.st_mode & S_IWGRP) != 0 && !group_is_trusted(info.st_gid);
  const bool others_write = (info.st_mode & S_IWOTH) != 0;
  if ((group_writes || others_write) && (info.st_mode & S_ISVTX) == 0) {
    return "others may write to " + which() + (nearest ? " (mode " : ", a folder above it (mode ") +
           mode_text(info.st_mode) + "): chmod go-w " + cure();
  }
  return {};
}

/// way_problem looks at an open folder and at those above it, up to the root.
std::string way_problem(int folder) {
  constexpr int kDepthMax = PATH_MAX / 2;
  Descriptor at(fcntl(folder, F_DUPFD_CLOEXEC, 0));
  struct stat info{};
  if (at.get() < 0 || fstat(at.get(), &info) != 0) {
    return "cannot examine its folder: " + system_error(errno);
  }
  for (int depth = 0; depth < kDepthMax; ++depth) {
    if (std::string problem = folder_problem(at.get(), info, depth == 0); !problem.empty()) {
      return problem;
    }
    Descriptor above(openat(at.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat above_info{};
    if (above.get() < 0 || fstat(above.get(), &above_info) != 0) {
      return "cannot open the folder above " + path_of(at.get()) + ": " + system_error(errno);
    }
    if (above_info.st_dev == info.st_dev && above_info.st_ino == info.st_ino) {
      return {};  // the root
    }
    at = std::move(above);
    info = above_info;
  }
  return "it lies too deep";
}

/// file_problem: who owns it, who may write to it and, for a private key, who may read it.
std::string file_problem(const struct stat& file, FileKind kind) {
  if (!S_ISREG(file.st_mode)) {
    return S_ISDIR(file.st_mode) ? "it is a folder, expected a file" : "it is not a regular file";
  }
  if (!owner_is_trusted(file.st_uid)) {
    return "it belongs to uid " + std::to_string(file.st_uid) + ", neither root nor us: chown it";
  }
  if ((file.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return "others may write to it (mode " + mode_text(file.st_mode) + "): chmod go-w it";
  }
  if (kind == FileKind::kPrivateKey) {
    const bool group_reads = (file.st_mode & S_IRGRP) != 0 && !group_is_trusted(file.st_gid);
    if (group_reads || (file.st_mode & S_IROTH) != 0) {
      return "others may read this private key (mode " + mode_text(file.st_mode) +
             "): chmod 600 it";
    }
  }
  return {};
}

std::string too_large(FileKind kind) {
  return "it is larger than " + std::to_string(file_bytes_max(kind) / 1024) + " KiB";
}

}  // namespace

std::size_t file_bytes_max(FileKind kind) {
  return kind == FileKind::kText ? kTextBytesMax : kKeyBytesMax;
}

FileContents SystemFiles::read(const std::string& path, FileKind kind) const {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return refuse("it is not a path");
  }
  const std::size_t slash = path.rfind('/');
  const std::string folder_path = slash == std::string::npos ? "."
                                  : slash == 0               ? "/"
                                                             : path.substr(0, slash);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") {
    return refuse("it is a folder, expected a file");
  }
  if (kind == FileKind::kPrivateKey && name.ends_with(".pub")) {
    return refuse("by its name it is a public key: name the private one, without .pub");
  }
  const Descriptor folder(open(folder_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) {
    return refuse("cannot open its folder: " + system_error(errno));
  }
  if (std::string problem = way_problem(folder.get()); !problem.empty()) {
    return refuse(std::move(problem));
  }
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const Descriptor file(openat(folder.get(), name.c_str(),
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ELOOP) {
      return refuse("it is a symbolic link: name the file itself");
    }
    const bool to_make = errno == ENOENT && kind == FileKind::kPrivateKey;
    return refuse("cannot open it: " + system_error(errno) +
                  (to_make ? "; make it with: ssh-keygen -q -t ed25519 -N '' -f " + path : ""));
  }
  struct stat info{};
  if (fstat(file.get(), &info) != 0) {
    return refuse("cannot examine it: " + system_error(errno));
  }
  if (std::string problem = file_problem(info, kind); !problem.empty()) {
    return refuse(std::move(problem));
  }
  const std::size_t bytes_max = file_bytes_max(kind);
  if (static_cast<std::uint64_t>(info.st_size) > bytes_max) {
    return refuse(too_large(kind));
  }
  SecretBytes contents(static_cast<std::size_t>(info.st_size) + 1);
  std::size_t len = 0;
  for (;;) {
    const ssize_t got = ::read(file.get(), contents.data() + len, contents.size() - len);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return refuse("cannot read it: " + system_error(errno));
    }
    if (got == 0) {
      break;
    }
    len += static_cast<std::size_t>(got);
    if (len > bytes_max) {
      return refuse(too_large(kind));
    }
    if (len == contents.size()) {  // it has grown since fstat
      contents.resize(contents.size() * 2);
    }
  }
  contents.resize(len);
  return contents;
}

void FileBundle::add(std::string path, SecretBytes contents) {
  files_.insert_or_assign(std::move(path), std::move(contents));
}

FileContents FileBundle::read(const std::string& path, FileKind kind) const {
  const auto found = files_.find(path);
  if (found == files_.end()) {
    return refuse("it is not among the files that were passed on");
  }
  if (found->second.size() > file_bytes_max(kind)) {
    return refuse(too_large(kind));
  }
  return found->second;
}

SecretBytes FileBundle::serialise() const {
  SecretWriter out;
  out.text(kBundleMagic).u32(static_cast<std::uint32_t>(files_.size()));
  for (const auto& [path, contents] : files_) {
    out.text(path).string(contents);
  }
  return out.take();
}

Result<FileBundle> FileBundle::parse(ByteView bytes) {
  Reader in(bytes);
  if (in.text() != kBundleMagic) {
    return fail(ErrorCode::kMalformed, "not a bundle of files");
  }
  FileBundle bundle;
  const std::uint32_t count = in.u32();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    const std::string_view path = in.text();
    const ByteView contents = in.string(kTextBytesMax);
    if (in.ok()) {
      bundle.add(std::string(path), to_secret(contents));
    }
  }
  if (!in.done() || bundle.files_.size() != count) {
    return fail(ErrorCode::kMalformed,
                "a bundle of files that is cut short or has more than files");
  }
  return bundle;
}

FileContents CollectingFiles::read(const std::string& path, FileKind kind) const {
  FileContents contents = source_.read(path, kind);
  if (contents) {
    bundle_.add(path, *contents);
  }
  return contents;
}

std::string resolve_path(std::string_view in_file, std::string_view named) {
  const std::size_t slash = in_file.rfind('/');
  if (named.starts_with('/') || slash == in_file.npos) {
    return std::string(named);
  }
  return std::string(in_file.substr(0, slash + 1)) + std::string(named);
}

}  // namespace bastion::config
