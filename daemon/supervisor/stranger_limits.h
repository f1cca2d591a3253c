#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "config/schema.h"
#include "daemon/ipc/supervisor_messages.h"

namespace bastion::daemon {

/// StrangerLimits counts how often those who are not logged in reach a limit. Each limit is told at
/// once, and then at most once a second with how often since: a flood fills no log.
class StrangerLimits {
 public:
  enum class Limit : std::uint8_t {
    kUnauthenticated,
    kUnauthenticatedPerSource,
    kFirstFactor,
    kLoginGrace,
    kAuthFailures,
    kKeyOffers,
  };
  static constexpr std::size_t kLimits = 6;
  static constexpr std::int64_t kQuietNs = kNsPerSecond;

  /// limit_of is the limit that ended a connection.
  static std::optional<Limit> limit_of(ipc::ConnectionEnd end);

  void reached(Limit limit, const IpAddress& source);
  /// take gives what is to be told now; its values are those of `limits`, times in milliseconds.
  std::vector<ipc::LimitReached> take(const config::ServiceLimits& limits, MonoTime now);
  MonoTime next_deadline() const;

 private:
  struct Tally {
    std::uint64_t untold = 0;
    IpAddress source;  // the last one's
    MonoTime quiet_until{};
  };
  std::array<Tally, kLimits> tallies_;
};

}  // namespace bastion::daemon
