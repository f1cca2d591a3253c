#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "daemon/unique_fd.h"

namespace bastion::audit {

/// Syncer flushes a file to the disk in a thread of its own: fdatasync may take a second. Start it
/// where threads may be started: after the sandbox was entered.
class Syncer {
 public:
  Syncer() = default;
  Syncer(const Syncer&) = delete;
  Syncer& operator=(const Syncer&) = delete;
  ~Syncer();

  /// request asks for a sync of what is written by now; `fd` is duplicated. One that is under way
  /// does not count for it.
  void request(int fd);
  /// error is the errno of the last sync that failed, once; 0: none did.
  int take_error() { return error_.exchange(0); }

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  daemon::UniqueFd next_;
  bool end_ = false;
  std::atomic<int> error_ = 0;
  std::thread thread_;
};

}  // namespace bastion::audit
