#include "bench/relay/socket.h"

#include <poll.h>

#include <cerrno>

namespace bastion::bench {

std::size_t receive_some(int socket, MutBytes into) {
  ssize_t n;
  do {
    n = recv(socket, into.data(), into.size(), 0);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

bool send_all(int socket, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0) {
      return false;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

bool send_pieces(int socket, std::span<iovec> pieces) {
  constexpr std::size_t kPiecesMax = 512;  // of one call
  while (!pieces.empty()) {
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = std::min(pieces.size(), kPiecesMax);
    ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (n < 0) {
      return false;
    }
    while (!pieces.empty() && static_cast<std::size_t>(n) >= pieces.front().iov_len) {
      n -= static_cast<ssize_t>(pieces.front().iov_len);
      pieces = pieces.subspan(1);
    }
    if (!pieces.empty()) {
      pieces.front().iov_base = static_cast<std::uint8_t*>(pieces.front().iov_base) + n;
      pieces.front().iov_len -= static_cast<std::size_t>(n);
    }
  }
  return true;
}

unsigned wait_for_input(int first, int second) {
  pollfd both[] = {{first, POLLIN, 0}, {second, POLLIN, 0}};
  while (poll(both, 2, -1) <= 0) {
  }
  return (both[0].revents != 0 ? 1U : 0U) | (both[1].revents != 0 ? 2U : 0U);
}

}  // namespace bastion::bench
