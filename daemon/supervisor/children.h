#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "daemon/ipc/channel.h"
#include "daemon/ipc/message.h"
#include "daemon/ring/ring.h"

namespace bastion::daemon {

/// RestartDelay says how long to wait before a dead child is replaced: at once where it had lived
/// for a while, else twice as long each time, so that a child that cannot start costs little.
class RestartDelay {
 public:
  static constexpr std::int64_t kFirstMs = 100;
  static constexpr std::int64_t kLongestMs = 5'000;
  static constexpr std::int64_t kHealthyMs = 10'000;

  /// next_ms is asked at each death, with how long the child had lived.
  std::int64_t next_ms(std::int64_t lived_ms) {
    if (lived_ms >= kHealthyMs) {
      failures_ = 0;
      return 0;
    }
    const std::int64_t delay = failures_ >= 6 ? kLongestMs : kFirstMs << failures_;
    ++failures_;
    return delay < kLongestMs ? delay : kLongestMs;
  }

 private:
  int failures_ = 0;
};

/// Child is one place of the process table; the process in it may be replaced.
struct Child {
  ipc::Role role{};
  std::uint32_t index = 0;       // among those of its role
  std::uint32_t generation = 0;  // of the process in this place
  pid_t pid = 0;                 // 0: none at the moment
  std::optional<ipc::Channel> channel;
  bool write_armed = false;
  MonoTime started;
  MonoTime start_again = kNever;  // where there is none
  std::uint32_t restarts = 0;
  RestartDelay delay;
  std::string why;  // it was ended by us: for the log

  std::string name() const;  // "gate 1", "warden"
  bool alive() const { return pid != 0; }
};

/// how_it_ended puts a wait status into words: "by signal 9 (Killed)", "with exit status 1".
std::string how_it_ended(int status);

}  // namespace bastion::daemon
