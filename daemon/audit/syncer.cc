#include "daemon/audit/syncer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace bastion::audit {

Syncer::~Syncer() {
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Syncer::request(int fd) {
  const std::lock_guard lock(mutex_);
  next_.reset(fcntl(fd, F_DUPFD_CLOEXEC, 10));
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { run(); });
  }
  wake_.notify_one();
}

void Syncer::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return end_ || next_; });
    if (!next_) {
      return;
    }
    const daemon::UniqueFd fd = std::move(next_);
    lock.unlock();
    if (fdatasync(fd.get()) != 0) {
      error_ = errno;
    }
    lock.lock();
  }
}

}  // namespace bastion::audit
