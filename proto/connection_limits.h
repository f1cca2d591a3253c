#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.h"

/// The connection layer's own limits, each with what chose it.
namespace bastion::proto {

/// The smallest maximum packet that a peer may ask for. Under it our nine bytes of header and the
/// cipher's cost would outweigh the data (AsyncSSH and libssh looped for ever on 0).
inline constexpr std::uint32_t kPeerMaxPacketMin = 256;
/// Opens of one side that wait for the other's answer: a browser behind `ssh -D` has some dozens.
inline constexpr std::size_t kOpensInFlightMax = 48;
/// Forwardings towards the user of one connection; OpenSSH users write a handful.
inline constexpr std::size_t kForwardsMax = 64;
/// Channel requests that wait for their reply. Clients send pty-req, a few env and shell at once.
inline constexpr std::size_t kChannelRepliesMax = 64;
/// Refused requests, variables and signals of one channel that the owner is told of.
inline constexpr std::uint8_t kToldRequestsMax = 64;
/// Over this a sink's queue holds new credit back.
inline constexpr std::size_t kGrantQueueMax = limits::kWindowBytesMax / 2;
/// Windows of the TCP channels of one connection together: all that its stalled targets can make us
/// hold. The first four have limits::kWindowBytesMax each, what comes then has the least: 64
/// channels are 8 + 60 / 4 MiB.
inline constexpr std::uint32_t kTcpWindowsMax = 4 * limits::kWindowBytesMax;
inline constexpr std::uint32_t kTcpWindowMin = 256 * 1024;
/// What a target's resolver takes for a host name, and a sun_path (108 with its NUL) for a path.
inline constexpr std::size_t kHostBytesMax = 255;
inline constexpr std::size_t kSocketPathBytesMax = 107;

}  // namespace bastion::proto
