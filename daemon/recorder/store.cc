#include "daemon/recorder/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <memory>
#include <tuple>
#include <utility>

#include "base/boot_clock.h"
#include "base/clock.h"
#include "base/open_below.h"
#include "daemon/recording/format.h"

namespace bastion::daemon::recorder {
namespace {

constexpr std::size_t kDayLen = 10;
constexpr auto kSyncEvery = std::chrono::seconds(1);
constexpr auto kTidyEvery = std::chrono::seconds(30);
/// What a probe asks the disk for: as much as a new recording does.
constexpr off_t kProbeBytes = 256 * 1024;

using Folder = std::unique_ptr<DIR, int (*)(DIR*)>;

std::string name_beside(std::string_view day, std::string_view session, std::string_view suffix) {
  std::string name(day);
  name += '/';
  name += session;
  name += suffix;
  return name;
}

struct statx state_of(int folder, const std::string& name) {
  struct statx state{};
  statx(folder, name.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BLOCKS | STATX_MTIME | STATX_TYPE, &state);
  return state;
}

}  // namespace

bool is_day(std::string_view text) {
  return text.size() == kDayLen && text[4] == '-' && text[7] == '-' &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || c == '-'; });
}

std::string recording_name(std::string_view day, std::string_view session) {
  return name_beside(day, session, kRecordingSuffix);
}

std::string hold_name(std::string_view day, std::string_view session) {
  return name_beside(day, session, kHoldSuffix);
}

std::string day_of(std::uint64_t time_us) {
  const auto seconds = static_cast<std::time_t>(time_us / 1'000'000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d", &utc);
  return text;
}

std::string disk_error(int error) {
  switch (error) {
    case ENOSPC: return "no space left on the disk";
    case EDQUOT: return "the quota on the disk is used up";
    case EROFS: return "the disk is read-only";
    case EIO: return "the disk fails";
    case ENOENT: return "the file was removed";
    case EFBIG: return "files may be no larger here: raise LimitFSIZE= or ulimit -f";
    default: return std::strerror(error);
  }
}

Store::~Store() {
  ending_ = true;
  stop_syncing();
  if (tidying_.joinable()) {
    tidying_.join();
  }
}

void Store::stop_syncing() {
  syncing_ends_ = true;
  if (syncing_.joinable()) {
    syncing_.join();
  }
}

std::int64_t Store::wall_us() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

Result<UniqueFd> Store::open_at(int folder, const std::string& name, int flags) const {
  UniqueFd fd(open_below(folder, name, flags, 0600));
  if (!fd) {
    return fail(ErrorCode::kIo, "cannot open a recording's file", errno);
  }
  return fd;
}

/// names_in reads a folder. One that cannot be read is told of: nothing in it is sealed or removed.
std::vector<std::string> Store::names_in(Result<UniqueFd> folder) {
  std::vector<std::string> names;
  const Folder opened(folder ? fdopendir(folder->get()) : nullptr, &closedir);
  if (opened == nullptr) {
    note("a folder of recordings cannot be read",
         folder ? disk_error(errno) : disk_error(static_cast<int>(folder.error().detail)));
    return names;
  }
  (void)folder->release();
  while (const dirent* entry = readdir(opened.get())) {
    names.emplace_back(entry->d_name);
  }
  return names;
}

Status Store::lock(int wait_ms) {
  auto file = open_at(folder_.get(), ".lock", O_CREAT | O_RDONLY);
  if (!file) {
    return std::unexpected(file.error());
  }
  while (flock(file->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || wait_ms <= 0) {
      return fail(ErrorCode::kIo, "another recorder has the folder of recordings", errno);
    }
    usleep(10'000);
    wait_ms -= 10;
  }
  lock_ = std::move(*file);
  if (mkdirat(folder_.get(), "open", 0700) != 0 && errno != EEXIST) {
    return fail(ErrorCode::kIo, "cannot write to the folder of recordings", errno);
  }
  return {};
}

void Store::start_threads() {
  syncing_ = std::thread([this] { sync_loop(); });
  tidying_ = std::thread([this] { tidy_loop(); });
}

void Store::set_retention(std::uint64_t seconds, std::uint64_t bytes) {
  retention_seconds_ = seconds;
  retention_bytes_ = bytes;
}

Result<UniqueFd> Store::create(std::string_view day, std::string_view session) {
  if (!is_day(day) || !recording::is_session_id(session)) {
    return fail(ErrorCode::kMalformed, "not a recording's name");
  }
  const std::string mark = "open/" + std::string(day) + "." + std::string(session);
  const std::string folder(day);
  if (mkdirat(folder_.get(), folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(ErrorCode::kIo, "cannot make a folder of recordings", errno);
  }
  if (const auto marked = open_at(folder_.get(), mark, O_CREAT | O_WRONLY); !marked) {
    return std::unexpected(marked.error());
  }
  auto file = open_at(folder_.get(), recording_name(day, session), O_CREAT | O_EXCL | O_RDWR);
  if (!file) {
    unlinkat(folder_.get(), mark.c_str(), 0);
  }
  return file;
}

Result<UniqueFd> Store::open(std::string_view day, std::string_view session) {
  if (!is_day(day) || !recording::is_session_id(session)) {
    return fail(ErrorCode::kMalformed, "not a recording's name");
  }
  return open_at(folder_.get(), recording_name(day, session), O_RDWR);
}

void Store::remove(std::string_view day, std::string_view session) {
  unlinkat(folder_.get(), recording_name(day, session).c_str(), 0);
  remove_mark(day, session);
}

void Store::remove_mark(std::string_view day, std::string_view session) {
  const std::string mark = "open/" + std::string(day) + "." + std::string(session);
  unlinkat(folder_.get(), mark.c_str(), 0);
}

std::vector<OpenMark> Store::marks() {
  std::vector<OpenMark> out;
  auto folder = open_at(folder_.get(), "open", O_RDONLY | O_DIRECTORY);
  for (const std::string& name : names_in(std::move(folder))) {
    if (name.size() == kDayLen + 1 + recording::kSessionIdLen && name[kDayLen] == '.' &&
        is_day(std::string_view(name).substr(0, kDayLen)) &&
        recording::is_session_id(std::string_view(name).substr(kDayLen + 1))) {
      out.push_back({name.substr(0, kDayLen), name.substr(kDayLen + 1)});
    }
  }
  return out;
}

Result<Disk> Store::disk() const {
  struct statfs found{};
  if (fstatfs(folder_.get(), &found) != 0) {
    return fail(ErrorCode::kIo, "cannot ask the disk how full it is", errno);
  }
  const auto block = static_cast<std::uint64_t>(found.f_frsize);
  return Disk{found.f_blocks * block, found.f_bavail * block};
}

Status Store::probe() { return probe_with("open/probe", 1, false); }

Status Store::probe_with(const std::string& name, std::size_t written_bytes, bool synced) {
  auto file = open_at(folder_.get(), name, O_CREAT | O_RDWR);
  if (!file) {
    return std::unexpected(file.error());
  }
  const std::string bytes(written_bytes, 'x');
  const bool done =
      (fallocate(file->get(), FALLOC_FL_KEEP_SIZE, 0, kProbeBytes) == 0 || errno == EOPNOTSUPP) &&
      pwrite(file->get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()) &&
      (!synced || fdatasync(file->get()) == 0);
  const int error = errno;
  unlinkat(folder_.get(), name.c_str(), 0);
  if (!done) {
    return fail(ErrorCode::kIo, "cannot write to the folder of recordings", error);
  }
  return {};
}

Status Store::sync_now() {
  if (sync_(folder_.get()) != 0) {
    return fail(ErrorCode::kIo, "the disk does not keep what was written", errno);
  }
  return {};
}

void Store::note(std::string text, std::string about) {
  const std::lock_guard lock(notes_mutex_);
  notes_.push_back({std::move(text), std::move(about)});
}

std::vector<Store::Note> Store::take_notes() {
  const std::lock_guard lock(notes_mutex_);
  return std::exchange(notes_, {});
}

void Store::sync_loop() {
  auto due = std::chrono::steady_clock::now() + kSyncEvery;
  while (!syncing_ends_) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (std::chrono::steady_clock::now() < due) {
      continue;
    }
    if (!keeps_) {
      keeps_ = probe_with("open/synced", kProbeBytes, true).has_value();
    } else if (written_.exchange(false)) {
      const std::uint64_t number = ++syncs_begun_;
      if (const Status kept = sync_now(); kept) {
        sync_kept_ = number;
      } else {
        sync_error_ = static_cast<int>(kept.error().detail);
        keeps_ = false;
      }
    } else {
      continue;  // what comes after a silence is synced without delay
    }
    due = std::chrono::steady_clock::now() + kSyncEvery;
  }
}

void Store::tidy_loop() {
  auto due = std::chrono::steady_clock::now();
  std::pair<std::uint64_t, std::uint64_t> limits{};
  while (!ending_) {
    const std::pair now_limits{retention_seconds_.load(), retention_bytes_.load()};
    if (std::chrono::steady_clock::now() >= due || now_limits != limits) {
      limits = now_limits;
      tidy();
      due = std::chrono::steady_clock::now() + kTidyEvery;
    }
    answer_holds();
    remove_approved();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

/// may_go: it is neither open nor held. Where that cannot be told it stays.
bool Store::may_go(const Expired& expired) const {
  if (!recording::is_session_id(expired.session)) {
    return false;
  }
  const std::string beside = hold_name(expired.day, expired.session);
  const std::string mark = "open/" + expired.day + "." + expired.session;
  return std::ranges::all_of(std::array{beside, mark}, [&](const std::string& name) {
    const auto there = open_at(folder_.get(), name, O_RDONLY);
    return !there && there.error().detail == ENOENT;
  });
}

std::vector<Expired> Store::take_expired() {
  const std::lock_guard lock(expired_mutex_);
  return std::exchange(expired_, {});
}

void Store::remove_expired(Expired expired) {
  const std::lock_guard lock(expired_mutex_);
  approved_.push_back(std::move(expired));
}

void Store::remove_approved() {
  std::vector<Expired> approved;
  {
    const std::lock_guard lock(expired_mutex_);
    approved.swap(approved_);
  }
  const std::string today = day_of(static_cast<std::uint64_t>(clock_()) * 1'000'000);
  for (const Expired& each : approved) {
    const std::string name = recording_name(each.day, each.session);
    if (may_go(each) && unlinkat(folder_.get(), name.c_str(), 0) == 0) {
      bytes_ -= std::min(bytes_.load(), each.bytes);
      note("a recording was removed by retention", name + ", for its " + each.why);
      if (each.day < today) {
        unlinkat(folder_.get(), each.day.c_str(), AT_REMOVEDIR);  // where it is empty now
      }
    }
    const std::lock_guard lock(expired_mutex_);
    awaited_.erase(name);
  }
}

// trusts_clock looks whether the clock was set ahead since it was last looked at.
bool Store::trusts_clock(WallTime wall) {
  const MonoTime boot = boot_now();
  if (const auto jump = doubt_->look(wall, boot)) {
    note("the clock was set ahead: no recording is removed for its age for a day",
         std::to_string(*jump) + " s");
  }
  return doubt_->believed(boot);
}

/// tidy counts what there is and finds what is too old, or the oldest where it is too much. What is
/// open or held stays, whatever it is.
void Store::tidy() {
  struct Found {
    std::string day;
    std::string session;
    std::int64_t changed_ns = 0;
    std::uint64_t bytes = 0;
    bool kept = false;
  };
  std::vector<Found> all;
  std::uint64_t total = 0;
  auto top = open_at(folder_.get(), ".", O_RDONLY | O_DIRECTORY);
  for (const std::string& day : names_in(std::move(top))) {
    if (!is_day(day) || ending_) {
      continue;
    }
    auto folder = open_at(folder_.get(), day, O_RDONLY | O_DIRECTORY);
    if (!folder) {
      continue;
    }
    std::vector<std::string> names = names_in(UniqueFd(fcntl(folder->get(), F_DUPFD_CLOEXEC, 0)));
    std::ranges::sort(names);
    for (const std::string& name : names) {
      if (!name.ends_with(kRecordingSuffix)) {
        continue;
      }
      const struct statx state = state_of(folder->get(), name);
      const std::string session = name.substr(0, name.size() - kRecordingSuffix.size());
      // What cannot be asked for its age is not taken for an old one.
      const bool kept = std::ranges::binary_search(names, session + std::string(kHoldSuffix)) ||
                        (state.stx_mask & STATX_MTIME) == 0;
      all.push_back({day, session, state.stx_mtime.tv_sec * kNsPerSecond + state.stx_mtime.tv_nsec,
                     state.stx_blocks * 512, kept});
      total += all.back().bytes;
    }
  }
  std::ranges::sort(all, {},
                    [](const Found& found) { return std::tie(found.day, found.changed_ns); });
  const std::uint64_t seconds = retention_seconds_;
  const std::uint64_t bytes_max = retention_bytes_;
  const std::int64_t now = clock_();
  const bool ages = trusts_clock(now);
  std::uint64_t left = total;
  std::vector<Expired> due;
  for (const Found& found : all) {
    const bool old = ages && seconds != 0 &&
                     found.changed_ns / kNsPerSecond + static_cast<std::int64_t>(seconds) < now;
    const bool much = bytes_max != 0 && left > bytes_max;
    Expired expired{found.day, found.session, found.bytes, old ? "age" : "size"};
    if ((!old && !much) || found.kept || ending_ || !may_go(expired)) {
      continue;
    }
    left -= found.bytes;
    due.push_back(std::move(expired));
  }
  bytes_ = total;
  const std::lock_guard lock(expired_mutex_);
  for (Expired& expired : due) {
    if (awaited_.insert(recording_name(expired.day, expired.session)).second) {
      expired_.push_back(std::move(expired));
    }
  }
}

}  // namespace bastion::daemon::recorder
