#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "daemon/ipc/message.h"

namespace bastion::daemon {

/// CookiePool remembers the KEXINIT cookies that one gate or worker was given, so that an exchange
/// hash with one of them in I_S is known to be fresh: made after the cookie was, and never asked
/// for before. A cookie is good for one signature. Taking more than kOutstandingMax drops the
/// oldest, so the memory of a pool is bounded (64 KiB) whatever its owner does.
class CookiePool {
 public:
  static constexpr std::size_t kOutstandingMax = 2048;
  static constexpr std::size_t kGrantMax = 512;  // in one answer

  /// issue makes up to `count` cookies, at most kGrantMax.
  std::vector<ipc::Cookie> issue(std::size_t count, RandomSource& random);
  /// spend is true once for each issued cookie, then never again.
  [[nodiscard]] bool spend(const ipc::Cookie& cookie);
  std::size_t outstanding() const { return live_.size(); }

 private:
  struct CookieHash {
    /// The cookies are random: any eight bytes of one are a hash of it.
    std::size_t operator()(const ipc::Cookie& c) const { return load_u64(c.data()); }
  };
  std::unordered_map<ipc::Cookie, std::uint64_t, CookieHash> live_;  // cookie → when issued
  std::deque<std::pair<ipc::Cookie, std::uint64_t>> by_age_;
  std::uint64_t next_ = 0;
};

}  // namespace bastion::daemon
