#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "daemon/warden/peer.h"

namespace bastion::daemon {

/// SlowPool runs the warden's work that takes milliseconds (RSA signatures: 2.3 ms each) on threads
/// of its own, so that a login by Ed25519 never waits behind it. Jobs touch nothing but what they
/// own. Each belongs to the gate or worker that asked: these take turns, one job at a time, and
/// each may have so many under way, so that one that is taken over keeps the others waiting for one
/// job of its own at most. Results come back in any order through run_completed(), after the
/// eventfd at wake_fd() became readable.
class SlowPool {
 public:
  /// Of one peer, waiting and running: at 2.3 ms on two threads the last of them waits 0.6 s, far
  /// inside every client's patience. Peers are few, so this bounds the whole pool.
  static constexpr std::size_t kJobsOfPeerMax = 512;
  using Job = std::move_only_function<Result<Bytes>()>;
  using Done = std::move_only_function<void(Result<Bytes>)>;

  explicit SlowPool(std::size_t num_threads);
  ~SlowPool();
  SlowPool(const SlowPool&) = delete;
  SlowPool& operator=(const SlowPool&) = delete;

  /// submit is false where the owner has kJobsOfPeerMax already: the caller refuses the request.
  [[nodiscard]] bool submit(PeerId owner, Job job, Done done);
  /// forget drops the jobs of a peer that is gone which are not begun yet; their `done` is not
  /// called.
  void forget(PeerId owner);
  /// run_completed calls `done` of every finished job, on the caller's thread.
  void run_completed();
  int wake_fd() const { return wake_fd_; }
  std::size_t pending(PeerId owner) const;

 private:
  struct Entry {
    PeerId owner;
    Job job;
    Done done;
    Result<Bytes> result;
  };
  void work();
  void settle(PeerId owner, std::size_t count);

  int wake_fd_ = -1;
  std::map<PeerId, std::size_t> pending_;  // the warden's thread only
  std::mutex mutex_;
  std::condition_variable ready_;
  std::map<PeerId, std::deque<Entry>> waiting_;  // those that have jobs waiting, never empty
  std::deque<PeerId> turns_;                     // the same, in the order of their turns
  std::deque<Entry> finished_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace bastion::daemon
