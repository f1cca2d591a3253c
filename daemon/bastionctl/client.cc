#include "daemon/bastionctl/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "daemon/unique_fd.h"

namespace bastion::ctl {
namespace {

constexpr std::size_t kReplyBytesMax = std::size_t{64} << 20;
constexpr int kWaitMs = 30'000;

std::string why(const std::string& path, int error) {
  const std::string begin = "cannot reach bastiond at " + path + ": ";
  switch (error) {
    case ENOENT:
      return begin + "no such socket; is it running? (--socket or BASTIOND_SOCKET names another)";
    case ECONNREFUSED: return begin + "nobody listens there; is it running?";
    case EACCES:
      return begin + "you may not; it takes root or the group of `control: admin_group:`";
    default: return begin + std::strerror(error);
  }
}

}  // namespace

std::expected<std::string, std::string> ask(const std::string& socket_path,
                                            const std::string& request) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.empty() || socket_path.size() >= sizeof address.sun_path) {
    return std::unexpected(why(socket_path, ENAMETOOLONG));
  }
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  const daemon::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return std::unexpected(why(socket_path, errno));
  }
  const std::string line = request + "\n";
  if (send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) {
    return std::unexpected(why(socket_path, errno));
  }
  std::string reply;
  char buffer[65536];
  while (reply.find('\n') == std::string::npos) {
    pollfd ready{fd.get(), POLLIN, 0};
    if (poll(&ready, 1, kWaitMs) == 0) {
      return std::unexpected("bastiond does not answer");
    }
    const ssize_t n = recv(fd.get(), buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0 || reply.size() > kReplyBytesMax) {
      return std::unexpected("bastiond closed the connection without an answer");
    }
    reply.append(buffer, static_cast<std::size_t>(n));
  }
  reply.resize(reply.find('\n'));
  return reply;
}

}  // namespace bastion::ctl
