#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/escape.h"
#include "base/open_below.h"
#include "daemon/recorder/store.h"
#include "daemon/recording/format.h"

/// Recordings that an administrator has held. All of it is done by the thread that removes, so that
/// what is said to be held has not gone meanwhile.
namespace bastion::daemon::recorder {
namespace {

/// So many recordings with one beginning are enough to say that there are several.
constexpr std::size_t kFoundMax = 2;

bool is_beginning(std::string_view text) {
  return !text.empty() && text.size() <= recording::kSessionIdLen &&
         std::ranges::all_of(
             text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

std::string note_of(const ipc::HoldRecording& what) {
  const nlohmann::json note = {{"by", what.by}, {"reason", what.reason}, {"time_us", what.time_us}};
  return note.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

void Store::ask_hold(std::uint32_t request, ipc::HoldRecording what) {
  const std::lock_guard lock(holds_mutex_);
  holds_asked_.emplace_back(request, std::move(what));
}

std::vector<Store::Held> Store::take_held() {
  const std::lock_guard lock(holds_mutex_);
  return std::exchange(held_, {});
}

void Store::answer_holds() {
  std::vector<std::pair<std::uint32_t, ipc::HoldRecording>> asked;
  {
    const std::lock_guard lock(holds_mutex_);
    asked.swap(holds_asked_);
  }
  for (const auto& [request, what] : asked) {
    Held held{request, answer_hold(what)};
    const std::lock_guard lock(holds_mutex_);
    held_.push_back(std::move(held));
  }
}

std::vector<OpenMark> Store::with_prefix(const std::string& prefix) {
  std::vector<OpenMark> found;
  for (const std::string& day : names_in(open_at(folder_.get(), ".", O_RDONLY | O_DIRECTORY))) {
    if (!is_day(day)) {
      continue;
    }
    for (const std::string& name : names_in(open_at(folder_.get(), day, O_RDONLY | O_DIRECTORY))) {
      const std::string session =
          name.substr(0, name.size() - std::min(name.size(), kRecordingSuffix.size()));
      if (name.starts_with(prefix) && name.ends_with(kRecordingSuffix) &&
          recording::is_session_id(session)) {
        found.push_back({day, session});
      }
    }
    if (found.size() >= kFoundMax) {
      break;
    }
  }
  return found;
}

ipc::RecordingHeld Store::answer_hold(const ipc::HoldRecording& what) {
  if (!is_beginning(what.id)) {
    return {.session = {}, .why = "an id has small letters and digits only"};
  }
  const std::vector<OpenMark> found = with_prefix(what.id);
  if (found.size() != 1) {
    return {
        .session = {},
        .why = (found.empty() ? "no recording begins with " : "several recordings begin with ") +
               what.id};
  }
  const OpenMark& recording = found.front();
  ipc::RecordingHeld answer{.session = recording.session, .why = {}};
  const auto there =
      open_at(folder_.get(), hold_name(recording.day, recording.session), O_RDONLY | O_NONBLOCK);
  const bool held = there || there.error().detail != ENOENT;
  if (what.step == ipc::HoldStep::kFind) {
    if (held == what.hold) {
      answer.why = what.hold ? "it is held already" : "it is not held";
    }
  } else if (held != what.hold) {
    const Status done =
        what.hold ? make_hold(recording, what)
        : unlinkat(folder_.get(), hold_name(recording.day, recording.session).c_str(), 0) == 0
            ? Status()
            : fail(ErrorCode::kIo, "cannot remove it", errno);
    if (!done) {
      answer.why = disk_error(static_cast<int>(done.error().detail));
    }
    sync_now();
  }
  return answer;
}

/// make_hold: the file has its name when it has its content, and both are on the disk.
Status Store::make_hold(const OpenMark& recording, const ipc::HoldRecording& what) const {
  const std::string name = hold_name(recording.day, recording.session);
  const std::string made = name + ".new";
  auto file = open_at(folder_.get(), made, O_CREAT | O_TRUNC | O_WRONLY);
  if (!file) {
    return std::unexpected(file.error());
  }
  const std::string note = note_of(what);
  errno = ENOSPC;  // of a short write
  const bool done =
      pwrite(file->get(), note.data(), note.size(), 0) == static_cast<ssize_t>(note.size()) &&
      fsync(file->get()) == 0 &&
      syscall(SYS_renameat2, folder_.get(), made.c_str(), folder_.get(), name.c_str(), 0) == 0;
  if (!done) {
    const int error = errno;
    unlinkat(folder_.get(), made.c_str(), 0);
    return fail(ErrorCode::kIo, "cannot hold a recording", error);
  }
  return {};
}

}  // namespace bastion::daemon::recorder
