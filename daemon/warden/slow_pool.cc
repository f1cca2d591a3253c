#include "daemon/warden/slow_pool.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace bastion::daemon {

SlowPool::SlowPool(std::size_t num_threads) : wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (std::size_t i = 0; i < num_threads; ++i) {
    threads_.emplace_back([this] { work(); });
  }
}

SlowPool::~SlowPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
  close(wake_fd_);
}

bool SlowPool::submit(PeerId owner, Job job, Done done) {
  std::size_t& pending = pending_[owner];
  if (pending >= kJobsOfPeerMax) {
    return false;
  }
  ++pending;
  {
    const std::lock_guard lock(mutex_);
    std::deque<Entry>& own = waiting_[owner];
    if (own.empty()) {
      turns_.push_back(owner);
    }
    own.push_back({owner, std::move(job), std::move(done), fail(ErrorCode::kInternal, "not run")});
  }
  ready_.notify_one();
  return true;
}

void SlowPool::forget(PeerId owner) {
  std::deque<Entry> dropped;  // destroyed after the lock is given back
  {
    const std::lock_guard lock(mutex_);
    const auto own = waiting_.find(owner);
    if (own == waiting_.end()) {
      return;
    }
    dropped = std::move(own->second);
    waiting_.erase(own);
    std::erase(turns_, owner);
  }
  settle(owner, dropped.size());
}

std::size_t SlowPool::pending(PeerId owner) const {
  const auto found = pending_.find(owner);
  return found == pending_.end() ? 0 : found->second;
}

// settle takes jobs that came to their end off their owner's count.
void SlowPool::settle(PeerId owner, std::size_t count) {
  const auto found = pending_.find(owner);
  found->second -= count;
  if (found->second == 0) {
    pending_.erase(found);
  }
}

void SlowPool::run_completed() {
  std::uint64_t ignored = 0;
  [[maybe_unused]] const ssize_t n = read(wake_fd_, &ignored, sizeof ignored);
  std::deque<Entry> finished;
  {
    const std::lock_guard lock(mutex_);
    finished.swap(finished_);
  }
  for (Entry& entry : finished) {
    settle(entry.owner, 1);
    entry.done(std::move(entry.result));
  }
}

void SlowPool::work() {
  while (true) {
    Entry entry{};
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return stopping_ || !turns_.empty(); });
      if (stopping_) {
        return;
      }
      const auto own = waiting_.find(turns_.front());
      turns_.pop_front();
      entry = std::move(own->second.front());
      own->second.pop_front();
      if (own->second.empty()) {
        waiting_.erase(own);
      } else {
        turns_.push_back(entry.owner);
      }
    }
    entry.result = entry.job();
    {
      const std::lock_guard lock(mutex_);
      finished_.push_back(std::move(entry));
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(wake_fd_, &one, sizeof one);
  }
}

}  // namespace bastion::daemon
