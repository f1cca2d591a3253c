#include "daemon/supervisor/listen.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace bastion::daemon {
namespace {

/// The kernel cuts it to net.core.somaxconn; while gates are replaced, connections wait there.
constexpr int kBacklog = 4096;

socklen_t fill(const Endpoint& endpoint, sockaddr_storage& out) {
  out = {};
  const ByteView octets = endpoint.address.octets();
  if (endpoint.address.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, octets.data(), octets.size());
    return sizeof v4;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  std::memcpy(&v6.sin6_addr, octets.data(), octets.size());
  return sizeof v6;
}

Endpoint read_address(const sockaddr_storage& from) {
  Endpoint endpoint;
  if (from.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(from);
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&v4.sin_addr);
    endpoint.address = IpAddress::from_octets({raw, 4}).value_or(IpAddress());
    endpoint.port = ntohs(v4.sin_port);
  } else if (from.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from);
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&v6.sin6_addr);
    endpoint.address = IpAddress::from_octets({raw, 16}).value_or(IpAddress());
    endpoint.port = ntohs(v6.sin6_port);
  }
  return endpoint;
}

std::string why(const Endpoint& endpoint, int error) {
  const std::string where = endpoint.text();
  const std::string port = std::to_string(endpoint.port);
  switch (error) {
    case EADDRINUSE:
      return "cannot listen on " + where +
             ": another program has that port (`ss -ltnp 'sport = :" + port +
             "'` shows which); end it or choose another in `listen:`";
    case EACCES:
    case EPERM:
      return "cannot listen on " + where +
             ": ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another in `listen:`, "
             "or start bastiond by its systemd unit";
    case EADDRNOTAVAIL:
      return "cannot listen on " + where + ": no interface of this machine has that address";
    case EAFNOSUPPORT:
      return "cannot listen on " + where +
             ": this machine has no IPv6; take the address out of `listen:`";
    default: return "cannot listen on " + where + ": " + std::strerror(error);
  }
}

}  // namespace

std::expected<Listener, std::string> listen_on(const Endpoint& endpoint) {
  sockaddr_storage address;
  socklen_t length = fill(endpoint, address);
  Listener listener;
  listener.fd.reset(socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int fd = listener.fd.get();
  if (fd < 0) {
    return std::unexpected(why(endpoint, errno));
  }
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (address.ss_family == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      listen(fd, kBacklog) != 0) {
    return std::unexpected(why(endpoint, errno));
  }
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return std::unexpected(why(endpoint, errno));
  }
  listener.bound = read_address(address);
  return listener;
}

IpAddress peer_address(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return {};
  }
  return read_address(address).address;
}

}  // namespace bastion::daemon
