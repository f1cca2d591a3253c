#pragma once

#include <cstddef>
#include <string_view>

#include "proto/channel_open.h"
#include "proto/permissions.h"
#include "proto/requests.h"

/// The one place where proto/ asks the permissions: every channel and every request of a routed
/// session, of either side, passes one of these three. Whether something was asked for before (a
/// forwarding, X11, the agent), and limits, are the bridge's own matter.
namespace bastion::proto {

/// allows of a channel: whether the grant has room for its type and, of direct-tcpip and
/// direct-streamlocal, for its destination as it is written.
bool allows(const Permissions& permissions, const ChannelOpen& open);

/// allows of a channel request from `leg`. Any shell, exec or subsystem request asks for the forced
/// command where there is one: allowed where the grant allows commands or a shell at all, or that
/// subsystem.
bool allows(const Permissions& permissions, Leg leg, const ChannelRequest& request);

/// allows of a global request of the user.
bool allows(const Permissions& permissions, const GlobalRequest& request);

/// kEnvNameBytesMax, kEnvValueBytesMax: the longest of one variable; a session channel may set
/// kEnvCountMax, so all of them are 256 KiB at most, and those are the target's.
inline constexpr std::size_t kEnvNameBytesMax = 64;
inline constexpr std::size_t kEnvValueBytesMax = 4096;
inline constexpr std::size_t kEnvCountMax = 64;
/// is_env_name: [A-Za-z_][A-Za-z0-9_]*, and none of those that make a program load or run
/// something (LD_*, GIT_*, BASH_ENV, …), whatever the policy says.
bool is_env_name(std::string_view name);

/// is_visible_ascii: no blanks, no control characters, nothing above 0x7e.
bool is_visible_ascii(std::string_view text);

}  // namespace bastion::proto
