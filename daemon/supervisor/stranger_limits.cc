#include "daemon/supervisor/stranger_limits.h"

#include <algorithm>
#include <utility>

#include "daemon/ring/ring.h"

namespace bastion::daemon {
namespace {

std::pair<std::string_view, std::uint64_t> described(StrangerLimits::Limit limit,
                                                     const config::ServiceLimits& limits) {
  using enum StrangerLimits::Limit;
  switch (limit) {
    case kUnauthenticated: return {"unauthenticated", limits.unauthenticated};
    case kUnauthenticatedPerSource:
      return {"unauthenticated_per_source", limits.unauthenticated_per_source};
    case kFirstFactor: return {"first_factor", static_cast<std::uint64_t>(limits.first_factor_ms)};
    case kLoginGrace: return {"login_grace", static_cast<std::uint64_t>(limits.login_grace_ms)};
    case kAuthFailures: return {"auth_failures", limits.auth_failures};
    case kKeyOffers: return {"key_offers", limits.key_offers};
  }
  return {};
}

}  // namespace

std::optional<StrangerLimits::Limit> StrangerLimits::limit_of(ipc::ConnectionEnd end) {
  switch (end) {
    case ipc::ConnectionEnd::kOther: return std::nullopt;
    case ipc::ConnectionEnd::kFirstFactor: return Limit::kFirstFactor;
    case ipc::ConnectionEnd::kLoginGrace: return Limit::kLoginGrace;
    case ipc::ConnectionEnd::kAuthFailures: return Limit::kAuthFailures;
    case ipc::ConnectionEnd::kKeyOffers: return Limit::kKeyOffers;
  }
  return std::nullopt;
}

void StrangerLimits::reached(Limit limit, const IpAddress& source) {
  Tally& tally = tallies_.at(static_cast<std::size_t>(limit));
  ++tally.untold;
  tally.source = source;
}

std::vector<ipc::LimitReached> StrangerLimits::take(const config::ServiceLimits& limits,
                                                    MonoTime now) {
  std::vector<ipc::LimitReached> out;
  for (std::size_t i = 0; i < kLimits; ++i) {
    Tally& tally = tallies_.at(i);
    if (tally.untold != 0 && now >= tally.quiet_until) {
      const auto [name, value] = described(static_cast<Limit>(i), limits);
      out.push_back(
          {std::string(name), value, std::exchange(tally.untold, 0), tally.source.text()});
      tally.quiet_until = after(now, kQuietNs);
    }
  }
  return out;
}

MonoTime StrangerLimits::next_deadline() const {
  MonoTime next = kNever;
  for (const Tally& tally : tallies_) {
    next = tally.untold == 0 ? next : std::min(next, tally.quiet_until);
  }
  return next;
}

}  // namespace bastion::daemon
