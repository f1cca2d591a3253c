#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace bastion::daemon {

/// SlowPool runs the warden's work that takes milliseconds (RSA signatures: 2.3 ms each) on threads
/// of its own, so that a login by Ed25519 never waits behind it. Jobs are bounded; they touch nothing
/// but what they own. Results come back in any order through completed(), after the eventfd at
/// wake_fd() became readable.
class SlowPool {
 public:
  static constexpr std::size_t kJobsMax = 1024;
  using Job = std::move_only_function<Result<Bytes>()>;
  using Done = std::move_only_function<void(Result<Bytes>)>;

  explicit SlowPool(std::size_t num_threads);
  ~SlowPool();
  SlowPool(const SlowPool&) = delete;
  SlowPool& operator=(const SlowPool&) = delete;

  /// submit is false where the queue is full: the caller refuses the request.
  [[nodiscard]] bool submit(Job job, Done done);
  /// run_completed calls `done` of every finished job, on the caller's thread.
  void run_completed();
  int wake_fd() const { return wake_fd_; }
  std::size_t pending() const { return pending_; }

 private:
  struct Entry {
    Job job;
    Done done;
    Result<Bytes> result;
  };
  void work();

  int wake_fd_ = -1;
  std::size_t pending_ = 0;  // the owner's thread only
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Entry> waiting_;
  std::deque<Entry> finished_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace bastion::daemon
