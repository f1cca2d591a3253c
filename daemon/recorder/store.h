#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <unistd.h>

#include "base/clock.h"
#include "base/result.h"
#include "daemon/ipc/recorder_messages.h"
#include "daemon/recorder/clock_doubt.h"
#include "daemon/unique_fd.h"

namespace bastion::daemon::recorder {

/// Disk is what the file system of the recordings has.
struct Disk {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;  // for us, without what is kept for root
};

/// OpenMark names a recording. While it is not sealed a file of this name is in "open/", so that
/// after the machine died nobody has to read all files to find those.
struct OpenMark {
  std::string day;
  std::string session;
};

/// Expired is a recording that is to be removed.
struct Expired {
  std::string day;
  std::string session;
  std::uint64_t bytes = 0;  // of the disk
  std::string why;
};

/// Store is the folder of recordings: DAY/SESSION.rec, open/DAY.SESSION, and .lock, which one
/// recorder at a time holds. Every name is a session id or a day, and is opened below the folder
/// without following a link. A file SESSION.hold beside a recording keeps it from being removed.
///
/// A thread syncs the file system once a second while something is written. A disk that took bytes
/// and then cannot keep them says so only here: what was written since the sync before is lost, and
/// the thread tries on until the disk keeps what it is given. Another looks for what is older or
/// larger than is to be kept: take_expired gives that, and what is given back to remove_expired is
/// removed. Between the two it is put on record. Where the clock was set ahead by more than an hour
/// nothing is too old for a day, in which somebody may set it right (ClockDoubt).
class Store {
 public:
  /// `sync` is syncfs, but for tests (0, or -1 with errno), and `clock` the system's.
  using Sync = std::function<int(int)>;
  using Clock = std::function<WallTime()>;
  explicit Store(UniqueFd folder, Sync sync = ::syncfs, Clock clock = wall_now)
      : folder_(std::move(folder)), sync_(std::move(sync)), clock_(std::move(clock)) {}
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  int fd() const { return folder_.get(); }
  /// wall_us is the system's clock: microseconds since 1970.
  static std::int64_t wall_us();
  /// lock waits up to `wait_ms` for a recorder before us to end.
  Status lock(int wait_ms);
  /// keep_doubt_in: what is known of the clock is in memory that outlives this. Before
  /// start_threads.
  void keep_doubt_in(ClockDoubt& doubt) { doubt_ = &doubt; }
  void start_threads();
  /// set_retention: 0: no limit.
  void set_retention(std::uint64_t seconds, std::uint64_t bytes);

  /// create makes a recording's file and its mark. Errors: kIo with errno.
  Result<UniqueFd> create(std::string_view day, std::string_view session);
  Result<UniqueFd> open(std::string_view day, std::string_view session);
  void remove(std::string_view day, std::string_view session);
  void remove_mark(std::string_view day, std::string_view session);
  std::vector<OpenMark> marks();

  Result<Disk> disk() const;
  /// probe tries what a recording needs: a new file with some space.
  Status probe();
  /// written: something is to be synced.
  void written() { written_.store(true, std::memory_order_relaxed); }
  /// take_sync_error gives the errno of syncs that failed since it was last asked, or 0.
  int take_sync_error() { return sync_error_.exchange(0); }
  /// keeps: the last sync went well, or a trial after it.
  bool keeps() const { return keeps_.load(); }
  /// A sync that begins after this call has the number of next_sync() or a higher one; one of at
  /// most kept_sync() is over and went well.
  std::uint64_t next_sync() const { return syncs_begun_.load() + 1; }
  std::uint64_t kept_sync() const { return sync_kept_.load(); }
  /// stop_syncing ends the thread that syncs. The kernel tells a failure once: of two who sync at a
  /// time one hears that all went well.
  void stop_syncing();
  /// sync_now syncs and waits for it. kIo with errno: what was written last may be lost.
  Status sync_now();
  /// Note is what a thread has to say to the log.
  struct Note {
    std::string text;
    std::string about;
  };
  std::vector<Note> take_notes();
  /// take_expired gives what is to go, each once until it is removed.
  std::vector<Expired> take_expired();
  /// remove_expired has the thread remove it, unless it is held by then.
  void remove_expired(Expired expired);
  /// ask_hold has the tidying thread, which removes, find, hold or release a recording; take_held
  /// gives what came of it, with the request's number.
  struct Held {
    std::uint32_t request = 0;
    ipc::RecordingHeld answer;
  };
  void ask_hold(std::uint32_t request, ipc::HoldRecording what);
  std::vector<Held> take_held();
  /// bytes of all recordings, as the last look at them found.
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  Result<UniqueFd> open_at(int folder, const std::string& name, int flags) const;
  std::vector<std::string> names_in(Result<UniqueFd> folder);
  void note(std::string text, std::string about);
  void sync_loop();
  Status probe_with(const std::string& name, std::size_t written_bytes, bool synced);
  void tidy_loop();
  void tidy();
  bool trusts_clock(WallTime wall);
  void remove_approved();
  bool may_go(const Expired& expired) const;
  void answer_holds();
  ipc::RecordingHeld answer_hold(const ipc::HoldRecording& what);
  std::vector<OpenMark> with_prefix(const std::string& prefix);
  Status make_hold(const OpenMark& recording, const ipc::HoldRecording& what) const;

  UniqueFd folder_;
  Sync sync_;
  Clock clock_;
  ClockDoubt own_doubt_;
  ClockDoubt* doubt_ = &own_doubt_;
  UniqueFd lock_;
  std::mutex notes_mutex_;
  std::vector<Note> notes_;
  std::mutex expired_mutex_;
  std::vector<Expired> expired_;   // nobody has taken them yet
  std::vector<Expired> approved_;  // to be removed
  std::set<std::string> awaited_;  // names of those that were given out
  std::mutex holds_mutex_;
  std::vector<std::pair<std::uint32_t, ipc::HoldRecording>> holds_asked_;
  std::vector<Held> held_;
  std::atomic<bool> written_ = false;
  std::atomic<std::uint64_t> syncs_begun_ = 0;
  std::atomic<std::uint64_t> sync_kept_ = 0;
  std::atomic<int> sync_error_ = 0;
  std::atomic<bool> keeps_ = true;
  std::atomic<bool> ending_ = false;
  std::atomic<bool> syncing_ends_ = false;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::atomic<std::uint64_t> retention_seconds_ = 0;
  std::atomic<std::uint64_t> retention_bytes_ = 0;
  std::thread syncing_;
  std::thread tidying_;
};

/// recording_name is a recording's name below its folder: "2026-11-25/ID.rec".
std::string recording_name(std::string_view day, std::string_view session);
/// hold_name is that of the file which holds it: "2026-11-25/ID.hold".
std::string hold_name(std::string_view day, std::string_view session);
inline constexpr std::string_view kRecordingSuffix = ".rec";
inline constexpr std::string_view kHoldSuffix = ".hold";

/// is_day: "2026-11-25", as far as that can be seen by its shape.
bool is_day(std::string_view text);
/// day_of is the UTC day of a time: "2026-11-25".
std::string day_of(std::uint64_t time_us);
/// disk_error puts an errno into words for users: "no space left on the disk".
std::string disk_error(int error);

}  // namespace bastion::daemon::recorder
