#pragma once

#include <expected>
#include <string>

#include "base/ip.h"
#include "daemon/unique_fd.h"

namespace bastion::daemon {

struct Listener {
  UniqueFd fd;
  Endpoint bound;  // with the port that the kernel chose where 0 was asked for
};

/// listen_on binds and listens: blocking, close-on-exec, SO_REUSEADDR, IPv6 without IPv4; what it
/// accepts inherits TCP_NODELAY and SO_KEEPALIVE. The error is one line with cause and cure.
std::expected<Listener, std::string> listen_on(const Endpoint& endpoint);

/// peer_address is whom a connected socket leads to; `::` where it is gone already.
IpAddress peer_address(int fd);

}  // namespace bastion::daemon
