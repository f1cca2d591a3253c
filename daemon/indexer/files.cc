#include "daemon/indexer/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/open_below.h"
#include "daemon/recording/format.h"

namespace bastion::index {
namespace {

constexpr std::string_view kSuffix = ".rec";
constexpr std::size_t kPieceBytes = 256 * 1024;
constexpr std::size_t kHoldBytesMax = 16 * 1024;

bool is_day(std::string_view name) {
  return name.size() == 10 &&
         std::ranges::all_of(std::array{0, 1, 2, 3, 5, 6, 8, 9},
                             [&](int i) {
                               const char c = name[static_cast<std::size_t>(i)];
                               return c >= '0' && c <= '9';
                             }) &&
         name[4] == '-' && name[7] == '-';
}

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

daemon::UniqueFd open_to_read(int folder, std::string_view path, int flags) {
  return daemon::UniqueFd(open_below(folder, path, O_RDONLY | flags, 0));
}

/// names gives what is in the folder; the descriptor is spent.
std::vector<std::string> names(daemon::UniqueFd fd) {
  std::vector<std::string> found;
  const std::unique_ptr<DIR, CloseDir> dir(fd ? fdopendir(fd.get()) : nullptr);
  if (!dir) {
    return found;
  }
  (void)fd.release();
  while (const dirent* entry = readdir(dir.get())) {
    found.emplace_back(entry->d_name);
  }
  std::ranges::sort(found);
  return found;
}

std::int64_t changed_ns(const struct stat& status) {
  return std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

}  // namespace

std::expected<Files, std::string> Files::open(const std::string& path) {
  daemon::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (!fd) {
    return std::unexpected("cannot read the recordings in " + path + ": " + std::strerror(errno) +
                           (errno == ENOENT ? " (--dir names another folder)" : ""));
  }
  return Files(path, std::move(fd));
}

std::vector<std::string> Files::days() const {
  std::vector<std::string> found = names(open_to_read(fd_.get(), ".", O_DIRECTORY));
  std::erase_if(found, [](const std::string& name) { return !is_day(name); });
  return found;
}

std::int64_t Files::day_changed_ns(const std::string& day) const {
  struct stat status{};
  return fstatat(fd_.get(), day.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 ? changed_ns(status)
                                                                            : 0;
}

std::vector<File> Files::in_day(const std::string& day) const {
  std::vector<File> files;
  const daemon::UniqueFd folder = open_to_read(fd_.get(), day, O_DIRECTORY);
  if (!folder) {
    return files;
  }
  for (const std::string& name : names(open_to_read(folder.get(), ".", O_DIRECTORY))) {
    const std::string_view session =
        std::string_view(name).substr(0, name.size() - std::min(name.size(), kSuffix.size()));
    struct stat status{};
    if (name.ends_with(kSuffix) && recording::is_session_id(session) &&
        fstatat(folder.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(status.st_mode)) {
      files.push_back({day, std::string(session), static_cast<std::uint64_t>(status.st_size),
                       changed_ns(status)});
    }
  }
  return files;
}

std::vector<File> Files::with_prefix(const std::string& prefix) const {
  std::vector<File> found;
  for (const std::string& day : days()) {
    for (File& file : in_day(day)) {
      if (file.session.starts_with(prefix)) {
        found.push_back(std::move(file));
      }
    }
  }
  return found;
}

bool Files::held(const std::string& day, const std::string& session) const {
  return faccessat(fd_.get(), (day + "/" + session + ".hold").c_str(), F_OK, AT_SYMLINK_NOFOLLOW) ==
         0;
}

std::optional<std::string> Files::hold(const File& file) const {
  if (!held(file.day, file.session)) {
    return std::nullopt;
  }
  const daemon::UniqueFd fd =
      open_to_read(fd_.get(), file.day + "/" + file.session + ".hold", O_NONBLOCK);
  std::string text(kHoldBytesMax, '\0');
  const ssize_t n = fd ? ::read(fd.get(), text.data(), text.size()) : 0;
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  return text;
}

std::expected<void, std::string> Files::read(const File& file,
                                             const std::function<bool(ByteView)>& take) const {
  const std::string name = file.session + std::string(kSuffix);
  const daemon::UniqueFd folder = open_to_read(fd_.get(), file.day, O_DIRECTORY);
  const daemon::UniqueFd fd =
      folder ? open_to_read(folder.get(), name, O_NONBLOCK) : daemon::UniqueFd();
  const auto failed = [&] {
    return std::unexpected("cannot read " + path_ + "/" + file.day + "/" + name + ": " +
                           std::strerror(errno));
  };
  if (!fd) {
    return failed();
  }
  Bytes piece(kPieceBytes);
  while (true) {
    const ssize_t n = ::read(fd.get(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return failed();
    }
    if (n == 0 || !take(ByteView(piece).first(static_cast<std::size_t>(n)))) {
      return {};
    }
  }
}

}  // namespace bastion::index
