#pragma once

#include <string>
#include <string_view>

#include "proto/bridge.h"

/// Sentences that a session puts together of parts, for users and for the log. What peers wrote is
/// escaped in them.
namespace bastion::daemon {

/// disconnected_text ends "web1 …" or "user …": "disconnected: too many sessions", or without a
/// reason "disconnected". The reason's own full stop goes, since a sentence's follows.
std::string disconnected_text(std::string_view reason);

/// refused_channel_text: `refused a direct-tcpip channel to "10.0.0.1:80": WHY`.
std::string refused_channel_text(proto::ChannelType type, std::string_view detail,
                                 std::string_view why);

/// forward_text: "refused tcpip-forward localhost:8080". A socket has no port.
std::string forward_text(const proto::ForwardDecision& forward);

}  // namespace bastion::daemon
