#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/channel.h"

namespace bastion::proto {

/// ChannelRequestType is the type of a CHANNEL_REQUEST that we know (RFC 4254 6, RFC 4335, OpenSSH
/// PROTOCOL 2.1 and 2.4, and its keepalive).
enum class ChannelRequestType : std::uint8_t {
  kUnknown,
  kPty,
  kX11,
  kAgent,
  kEnv,
  kShell,
  kExec,
  kSubsystem,
  kWindowChange,
  kXonXoff,
  kSignal,
  kBreak,
  kEow,
  kExitStatus,
  kExitSignal,
  kKeepalive,
};

/// ChannelRequest is a CHANNEL_REQUEST. The views point into the message. Of an unknown type only
/// the common fields are read.
struct ChannelRequest {
  ChannelRequestType type = ChannelRequestType::kUnknown;
  std::uint32_t recipient = 0;
  std::string_view name;
  bool want_reply = false;
  /// TERM, command, subsystem, variable's name, signal's name, or X11 authentication protocol.
  std::string_view text;
  std::string_view value;     // the variable's
  ByteView modes;             // encoded terminal modes (RFC 4254 8), as they are
  std::uint32_t columns = 0;  // of pty-req and window-change
  std::uint32_t rows = 0;     // …
  std::uint32_t exit_status = 0;
};

/// parse_channel_request reads a whole message, its number included. Errors: kProtocol where it is
/// cut short, or a known type's fields are not what they should be.
Result<ChannelRequest> parse_channel_request(ByteView message);

/// set_want_reply overwrites the want_reply field of a message that has been parsed: a
/// GLOBAL_REQUEST or a CHANNEL_REQUEST.
void set_want_reply(MutBytes message, bool want_reply);

/// starts_session is true for the three of which a session channel has one.
constexpr bool starts_session(ChannelRequestType type) {
  return type == ChannelRequestType::kShell || type == ChannelRequestType::kExec ||
         type == ChannelRequestType::kSubsystem;
}
ChannelUse use_of(ChannelRequestType type);

/// may_be_sent_by says which side may send a request at all (RFC 4254 6: exit-status, exit-signal
/// and xon-xoff only the target; eow and keepalive both; everything else only the user).
constexpr bool may_be_sent_by(Leg leg, ChannelRequestType type) {
  switch (type) {
    case ChannelRequestType::kUnknown: return false;
    case ChannelRequestType::kXonXoff:
    case ChannelRequestType::kExitStatus:
    case ChannelRequestType::kExitSignal: return leg == Leg::kUpstream;
    case ChannelRequestType::kEow:
    case ChannelRequestType::kKeepalive: return true;
    default: return leg == Leg::kDownstream;
  }
}

/// GlobalRequestType is the type of a GLOBAL_REQUEST that we act on (RFC 4254 7.1, OpenSSH PROTOCOL
/// 2.2, 2.4, 2.5); kUnknown ones are refused, keepalive@openssh.com among them: that is the answer.
enum class GlobalRequestType : std::uint8_t {
  kUnknown,
  kTcpipForward,
  kCancelTcpipForward,
  kStreamlocalForward,
  kCancelStreamlocalForward,
  kNoMoreSessions,
};

struct GlobalRequest {
  GlobalRequestType type = GlobalRequestType::kUnknown;
  std::string_view name;
  bool want_reply = false;
  std::string_view host_or_path;
  std::uint32_t port = 0;
};

/// parse_global_request reads a whole message, its number included. Errors as above.
Result<GlobalRequest> parse_global_request(ByteView message);

}  // namespace bastion::proto
