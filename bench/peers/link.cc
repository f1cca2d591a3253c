#include "bench/peers/link.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bastion::bench {
namespace {

/// Below this much queued output an endpoint is asked for more.
constexpr std::size_t kLowWaterBytes = 256 * 1024;
/// Receives of one turn, so that one busy peer does not starve the others.
constexpr int kReceivesMax = 4;

}  // namespace

struct Loop::Link {
  daemon::UniqueFd socket;
  std::unique_ptr<Endpoint> endpoint;
  bool waits_to_write = false;
  bool armed_to_write = false;  // what epoll was told
  bool broken = false;
};

void die(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  std::exit(1);
}

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  rlimit wanted{.rlim_cur = 65536, .rlim_max = std::max<rlim_t>(limit.rlim_max, 65536)};
  if (setrlimit(RLIMIT_NOFILE, &wanted) != 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

daemon::UniqueFd connect_to(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1)));
  if (colon == std::string::npos ||
      inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) {
    die(address + " is no address with a port");
  }
  daemon::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 &&
      errno != EINPROGRESS) {
    die("connecting to " + address + ": " + std::strerror(errno));
  }
  return fd;
}

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), now_(mono_now()), buffer_(kBufferBytes) {}

Loop::~Loop() { close(epoll_); }

void Loop::add(daemon::UniqueFd socket, std::unique_ptr<Endpoint> endpoint) {
  const int fd = socket.get();
  auto link = std::make_unique<Link>();
  link->socket = std::move(socket);
  link->endpoint = std::move(endpoint);
  link->waits_to_write = link->armed_to_write = true;  // a connecting socket says when it is there
  epoll_event event{.events = EPOLLIN | EPOLLOUT, .data = {.fd = fd}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
    die(std::string("epoll_ctl: ") + std::strerror(errno));
  }
  by_endpoint_[link->endpoint.get()] = link.get();
  links_[fd] = std::move(link);
}

void Loop::watch(int fd, Watcher& watcher) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
    die(std::string("epoll_ctl: ") + std::strerror(errno));
  }
  watchers_[fd] = &watcher;
}

void Loop::unwatch(int fd) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  watchers_.erase(fd);
}

void Loop::turn(int ms_max) {
  std::array<epoll_event, 256> events;
  const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), ms_max);
  now_ = mono_now();
  for (int i = 0; i < n; ++i) {
    const int fd = events[static_cast<std::size_t>(i)].data.fd;
    if (const auto watcher = watchers_.find(fd); watcher != watchers_.end()) {
      watcher->second->readable();
    } else if (const auto link = links_.find(fd); link != links_.end()) {
      serve(*link->second, events[static_cast<std::size_t>(i)].events);
    }
  }
}

void Loop::touch(Endpoint& endpoint) {
  if (const auto found = by_endpoint_.find(&endpoint); found != by_endpoint_.end()) {
    Link& link = *found->second;
    if (!link.waits_to_write && !write_all(link)) {
      link.broken = true;
    }
    settle(link);
  }
}

void Loop::serve(Link& link, std::uint32_t events) {
  bool fine = true;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    fine = read_all(link);
  }
  if (fine && (events & EPOLLOUT) != 0) {
    link.waits_to_write = false;
  }
  if (fine && !link.waits_to_write) {
    fine = write_all(link);
  }
  if (!fine) {
    link.broken = true;
    link.endpoint->lost();
  }
  settle(link);
}

bool Loop::read_all(Link& link) {
  for (int i = 0; i < kReceivesMax; ++i) {
    const ssize_t n = recv(link.socket.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (n < 0) {
      return errno == EAGAIN || errno == EINTR;
    }
    if (n == 0) {
      return false;
    }
    link.endpoint->receive({buffer_.data(), static_cast<std::size_t>(n)}, now_);
    if (static_cast<std::size_t>(n) < buffer_.size()) {
      return true;
    }
  }
  return true;
}

bool Loop::write_all(Link& link) {
  proto::SendQueue& queue = link.endpoint->output();
  while (!queue.empty()) {
    std::array<ByteView, 16> views;
    std::array<iovec, 16> pieces;
    const std::size_t count = queue.gather(views);
    for (std::size_t i = 0; i < count; ++i) {
      pieces[i] = {const_cast<std::uint8_t*>(views[i].data()), views[i].size()};
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = count;
    const ssize_t n = sendmsg(link.socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EAGAIN || errno == EINTR) {
        link.waits_to_write = true;
        return true;
      }
      return false;
    }
    queue.consume(static_cast<std::size_t>(n));
    if (queue.bytes() < kLowWaterBytes) {
      link.endpoint->drained();
    }
  }
  return true;
}

/// settle closes what is done, and asks epoll for what the link waits for.
void Loop::settle(Link& link) {
  const int fd = link.socket.get();
  if (link.broken || (link.endpoint->done() && link.endpoint->output().empty())) {
    by_endpoint_.erase(link.endpoint.get());
    links_.erase(fd);
    return;
  }
  if (link.armed_to_write != link.waits_to_write) {
    link.armed_to_write = link.waits_to_write;
    const auto out = link.waits_to_write ? static_cast<std::uint32_t>(EPOLLOUT) : 0U;
    epoll_event event{.events = EPOLLIN | out, .data = {.fd = fd}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
  }
}

}  // namespace bastion::bench
