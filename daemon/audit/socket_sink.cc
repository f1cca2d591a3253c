#include "daemon/audit/socket_sink.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace bastion::audit {
namespace {

constexpr std::int64_t kRetryNs = kNsPerSecond;
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

Address to_system(const SinkAddress& address) {
  Address out;
  if (!address.path.empty()) {
    auto& local = reinterpret_cast<sockaddr_un&>(out.storage);
    local.sun_family = AF_UNIX;
    std::memcpy(local.sun_path, address.path.data(),
                std::min(address.path.size(), sizeof local.sun_path - 1));
    out.length = sizeof local;
  } else if (address.endpoint.address.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(out.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.endpoint.port);
    std::memcpy(&v4.sin_addr, address.endpoint.address.octets().data(), sizeof v4.sin_addr);
    out.length = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(out.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.endpoint.port);
    std::memcpy(&v6.sin6_addr, address.endpoint.address.octets().data(), sizeof v6.sin6_addr);
    out.length = sizeof v6;
  }
  return out;
}

std::string errno_text(int error) {
  char buffer[128];
  return strerror_r(error, buffer, sizeof buffer);
}

}  // namespace

void SocketSink::add(std::string message) {
  const std::size_t most = on_failure_ == OnFailure::kStop ? 2 * kQueueBytesMax : kQueueBytesMax;
  if (queued_bytes_ + message.size() > most) {
    ++dropped_;
    dropped_reason_ = why_.empty() ? "it does not keep up" : why_;
    return;
  }
  queued_bytes_ += message.size();
  queue_.push_back(std::move(message));
}

bool SocketSink::connect(MonoTime now) {
  if (now < retry_at_) {
    return false;
  }
  const Address to = to_system(address_);
  const bool stream = address_.kind == SinkAddress::Kind::kTcp;
  fd_.reset(socket(to.storage.ss_family,
                   (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd_) {
    lose(now, errno);
    return false;
  }
  if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length) != 0) {
    if (errno != EINPROGRESS) {
      lose(now, errno);
      return false;
    }
    connecting_ = blocked_ = true;
  }
  return true;
}

// check_peer: has the other end closed the connection, or let us know that nobody is there? Sockets
// of the file system say so to whoever sends.
void SocketSink::check_peer(MonoTime now) {
  const bool stream = address_.kind == SinkAddress::Kind::kTcp;
  pollfd state{fd_.get(), POLLRDHUP, 0};
  const bool by_network = stream || address_.kind == SinkAddress::Kind::kUdp;
  if (!by_network || !fd_ || connecting_ || poll(&state, 1, 0) <= 0) {
    return;
  }
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
    error = errno;
  }
  if (!stream && error != 0) {
    count_unheard(error);
    lose(now, error);
  } else if (stream) {
    const bool between_frames = sent_ == 0;
    lose(now, error != 0 ? error : ECONNRESET);
    if (between_frames && now >= at_once_from_) {
      // It may be back already: whether it fails the next connection tells.
      at_once_from_ = after(now, kRetryNs);
      retry_at_ = now;
      why_.clear();
    }
  }
}

// count_unheard: what came back is of a datagram that was sent before. One on probation still
// waits.
void SocketSink::count_unheard(int error) {
  if (!on_probation_) {
    ++dropped_;
    dropped_reason_ = errno_text(error);
  }
}

void SocketSink::front_is_taken() {
  connecting_ = blocked_ = on_probation_ = false;
  probe_until_ = {};
  why_.clear();
  queued_bytes_ -= queue_.front().size();
  queue_.pop_front();
  sent_ = 0;
}

void SocketSink::pump(MonoTime now) {
  check_peer(now);
  while (!queue_.empty()) {
    if (probe_until_.ns != 0) {
      if (now < probe_until_) {
        return;
      }
      front_is_taken();
      continue;
    }
    if (!fd_ && !connect(now)) {
      return;
    }
    const Sent sent = send_front();
    blocked_ = sent == Sent::kBlocked;
    switch (sent) {
      case Sent::kWhole:
        if (on_probation_) {
          probe_until_ = after(now, kRetryNs);
          sent_ = 0;
          return;
        }
        front_is_taken();
        break;
      case Sent::kBlocked: return;
      case Sent::kLost: {
        const int error = errno;
        if (error == ECONNREFUSED && address_.kind == SinkAddress::Kind::kUdp) {
          count_unheard(error);
        }
        return lose(now, error);
      }
      case Sent::kNever: drop_front(errno_text(errno)); break;
    }
  }
}

SocketSink::Sent SocketSink::send_front() {
  const std::string& message = queue_.front();
  const ssize_t n = ::send(fd_.get(), message.data() + sent_, message.size() - sent_, kSendFlags);
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR || (connecting_ && errno == ENOTCONN)) {
      return Sent::kBlocked;
    }
    if (errno != EMSGSIZE) {
      return Sent::kLost;
    }
    return address_.kind == SinkAddress::Kind::kJournald ? send_large() : Sent::kNever;
  }
  connecting_ = false;
  sent_ += static_cast<std::size_t>(n);
  return sent_ == message.size() ? Sent::kWhole : Sent::kBlocked;
}

// send_large: journald takes an entry that is too long for a datagram as a sealed memfd.
SocketSink::Sent SocketSink::send_large() {
  const std::string& message = queue_.front();
  const daemon::UniqueFd memory(memfd_create("audit", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory ||
      write(memory.get(), message.data(), message.size()) != static_cast<ssize_t>(message.size()) ||
      fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) !=
          0) {
    return Sent::kNever;
  }
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = memory.get();
  std::memcpy(CMSG_DATA(part), &fd, sizeof fd);
  if (sendmsg(fd_.get(), &header, kSendFlags) >= 0) {
    return Sent::kWhole;
  }
  return errno == EAGAIN ? Sent::kBlocked : Sent::kLost;
}

void SocketSink::lose(MonoTime now, int error) {
  on_probation_ = address_.kind == SinkAddress::Kind::kUdp;
  fd_.reset();
  connecting_ = blocked_ = false;
  probe_until_ = {};
  // A frame of which a part went out cannot be gone on with on another connection.
  sent_ = 0;
  retry_at_ = after(now, kRetryNs);
  why_ = errno_text(error);
}

void SocketSink::drop_front(std::string reason) {
  queued_bytes_ -= queue_.front().size();
  queue_.pop_front();
  sent_ = 0;
  ++dropped_;
  dropped_reason_ = std::move(reason);
}

std::uint64_t SocketSink::take_dropped() { return failing() ? 0 : std::exchange(dropped_, 0); }

MonoTime SocketSink::due() const {
  if (queue_.empty() || wants_writable()) {
    return {std::numeric_limits<std::int64_t>::max()};
  }
  return std::max(retry_at_, probe_until_);
}

}  // namespace bastion::audit
