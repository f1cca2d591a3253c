#pragma once

#include <cstdint>

#include "bench/peers/session.h"

namespace bastion::bench {

struct ClientSetup {
  Identity identity;
  Plan plan;
  std::size_t count = 0;  // logins, sessions, or keys
};

/// run_logins logs in `count` times, `concurrent` at a time, runs `true` and leaves. Its result has
/// the milliseconds of each from the connect to the channel's end, sorted, and the seconds of all.
void run_logins(const ClientSetup& setup, std::size_t concurrent);
/// run_hold holds `count` sessions that run `hold`.
void run_hold(const ClientSetup& setup, std::size_t concurrent);
/// run_keys types `count` keys into a shell that echoes, one each interval, and waits for each
/// echo; its result has the microseconds of each, sorted.
void run_keys(const ClientSetup& setup, int interval_ms);
/// run_streams has each of `count` sessions get (or send) so many bytes, all at once; its result
/// has the seconds from the start to the last byte.
void run_streams(const ClientSetup& setup, std::uint64_t bytes, bool up);

}  // namespace bastion::bench
