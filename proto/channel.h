#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bastion::proto {

/// Leg is one of a session's two connections: downstream towards the user, upstream towards the
/// target. As a direction of data, "from downstream" is up and "from upstream" is down.
enum class Leg : std::uint8_t { kDownstream = 0, kUpstream = 1 };
inline constexpr std::array kLegs{Leg::kDownstream, Leg::kUpstream};
constexpr std::size_t index(Leg leg) { return static_cast<std::size_t>(leg); }
constexpr Leg other(Leg leg) { return leg == Leg::kDownstream ? Leg::kUpstream : Leg::kDownstream; }

/// ChannelNumber is our own number of a channel, the same one towards both legs: the place in the
/// table in the low 8 bits and the place's generation above, so that a message for a channel that
/// is gone never reaches its successor. It also names the channel in this interface.
using ChannelNumber = std::uint32_t;

/// ChannelType is the type of a CHANNEL_OPEN (RFC 4254 5.1, 6.1, 6.3.2, 7.2; OpenSSH PROTOCOL 2.4,
/// 4.11). kUnknown is everything else: never passed.
enum class ChannelType : std::uint8_t {
  kUnknown,
  kSession,
  kDirectTcpip,
  kDirectStreamlocal,
  kForwardedTcpip,
  kForwardedStreamlocal,
  kX11,
  kAgent,
};

/// ChannelUse is what a session channel runs: what its shell, exec or subsystem request asked for.
enum class ChannelUse : std::uint8_t { kNone, kShell, kExec, kSubsystem };

/// ChannelInfo describes one channel to logs, audit and `bastionctl sessions`. The views point into
/// the connection and live until it is called again. `detail` is the peer's own bytes, unescaped:
/// the command, the subsystem's name, "host:port" or the path of a socket, cut at 256 bytes.
struct ChannelInfo {
  ChannelNumber number = 0;
  ChannelType type = ChannelType::kUnknown;
  Leg opener = Leg::kDownstream;
  ChannelUse use = ChannelUse::kNone;
  bool pty = false;
  bool open = false;         // confirmed, and not yet closed by either side
  bool moves_files = false;  // sftp, scp, rsync or git: told as file events
  std::string_view detail;
  std::string_view origin;       // forwardings and X11: who caused it, as the opener wrote it
  std::uint64_t bytes_up = 0;    // data and extended data bytes relayed to the target
  std::uint64_t bytes_down = 0;  // … and to the user
  std::optional<std::uint32_t> exit_status = std::nullopt;
  std::uint64_t num_untold = 0;  // requests of it that were too many to be told of
};

/// ChannelLimit is which limit a CHANNEL_OPEN was refused for, if for one.
enum class ChannelLimit : std::uint8_t {
  kNone,
  kChannels,  // open at once
  kSessions,  // of type "session" among them
  kOther,     // opening at once, the packets' size
};

/// type_name is the type as RFC 4254 and OpenSSH's PROTOCOL spell it; "unknown" for kUnknown.
std::string_view type_name(ChannelType type);

/// short_name is the one word for a list of channels: "shell", "exec", "sftp" (a subsystem's own
/// name: the peer's bytes), "session" before its request, "tcp", "socket", "tcp-back",
/// "socket-back", "x11", "agent".
std::string_view short_name(const ChannelInfo& info);

/// SessionNames is what the lines for the user say about the session. Empty ones are left out.
struct SessionNames {
  std::string_view user;     // the identity, "alice"
  std::string_view login;    // the account on the target, "deploy"
  std::string_view target;   // "web1"
  std::string_view session;  // the short session id, "7q2m"
};

}  // namespace bastion::proto
