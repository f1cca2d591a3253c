#include "daemon/warden/cookie_pool.h"

#include <algorithm>

namespace bastion::daemon {

std::vector<ipc::Cookie> CookiePool::issue(std::size_t count, RandomSource& random) {
  std::vector<ipc::Cookie> cookies(std::min(count, kGrantMax));
  for (ipc::Cookie& cookie : cookies) {
    random.fill(cookie);
    live_.emplace(cookie, next_);
    by_age_.emplace_back(cookie, next_);
    ++next_;
  }
  // A spent cookie leaves its entry in by_age_ behind; both are bounded by dropping from the front.
  while (by_age_.size() > kOutstandingMax) {
    const auto& [oldest, issued] = by_age_.front();
    if (const auto found = live_.find(oldest); found != live_.end() && found->second == issued) {
      live_.erase(found);
    }
    by_age_.pop_front();
  }
  return cookies;
}

bool CookiePool::spend(const ipc::Cookie& cookie) { return live_.erase(cookie) == 1; }

}  // namespace bastion::daemon
