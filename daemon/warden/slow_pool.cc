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

bool SlowPool::submit(Job job, Done done) {
  if (pending_ >= kJobsMax) {
    return false;
  }
  ++pending_;
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({std::move(job), std::move(done), fail(ErrorCode::kInternal, "not run")});
  }
  ready_.notify_one();
  return true;
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
    --pending_;
    entry.done(std::move(entry.result));
  }
}

void SlowPool::work() {
  while (true) {
    Entry entry{};
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) {
        return;
      }
      entry = std::move(waiting_.front());
      waiting_.pop_front();
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
