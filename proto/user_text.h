#pragma once

#include <string>
#include <string_view>

#include "proto/channel.h"
#include "proto/channel_open.h"
#include "proto/permissions.h"
#include "proto/requests.h"

namespace bastion::proto {

/// printable makes text safe for a terminal: every control character (C0, DEL, C1), every
/// direction-changing character of Unicode and everything that is not UTF-8 becomes "?", and what
/// is behind kUserTextBytesMax bytes is cut.
inline constexpr std::size_t kUserTextBytesMax = 1024;
std::string printable(std::string_view text);

/// stderr_line is one line for the user: "bastion: `text`" made printable, with its line end. On a
/// terminal that is not at the start of a line, `fresh_line` begins a new one.
std::string stderr_line(std::string_view text, bool pty, bool fresh_line);

/// OwnedNames is SessionNames with its own memory.
struct OwnedNames {
  std::string user;
  std::string login;
  std::string target;
  std::string session;
};

/// start_refused_text says that this shell, command or subsystem is not allowed, and what is.
std::string start_refused_text(const OwnedNames& names, const Permissions& permissions,
                               const ChannelRequest& request);
/// open_refused_text says the same of a channel that the policy does not allow.
std::string open_refused_text(const OwnedNames& names, const ChannelOpen& open);

/// describe_destination is what a channel is about: "host:port", or the path of a socket; as the
/// peer wrote it, cut at kDetailBytesMax.
inline constexpr std::size_t kDetailBytesMax = 256;
std::string describe_destination(const ChannelOpen& open);
/// describe_origin is who caused it, likewise: "host:port", or empty where the opener names nobody.
std::string describe_origin(const ChannelOpen& open);

}  // namespace bastion::proto
