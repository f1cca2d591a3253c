#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "daemon/unique_fd.h"
#include "proto/send_queue.h"

namespace bastion::bench {

/// Endpoint is what sits behind one socket: bytes in, a queue of bytes out.
class Endpoint {
 public:
  virtual ~Endpoint() = default;
  /// receive may overwrite the bytes, which live for the call.
  virtual void receive(MutBytes bytes, MonoTime now) = 0;
  virtual proto::SendQueue& output() = 0;
  /// drained: the socket has taken some of the output, and there is room for more.
  virtual void drained() {}
  /// lost: the peer has closed, or the connection broke.
  virtual void lost() = 0;
  /// done: once the output has left, the socket is to be closed and the endpoint destroyed.
  virtual bool done() const = 0;
};

/// Loop serves sockets by epoll with one receive buffer for all of them, so that an idle connection
/// costs what its endpoint keeps and no more. One thread.
class Loop {
 public:
  static constexpr std::size_t kBufferBytes = 512 * 1024;

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// add takes a connected (or connecting) socket; its output is written from now on.
  void add(daemon::UniqueFd socket, std::unique_ptr<Endpoint> endpoint);
  /// on_readable watches a descriptor of the caller's for input (a listener, standard input).
  class Watcher {
   public:
    virtual ~Watcher() = default;
    virtual void readable() = 0;
  };
  void watch(int fd, Watcher& watcher);
  void unwatch(int fd);

  /// turn waits for at most `ms_max` and serves what is ready.
  void turn(int ms_max);
  /// touch: an endpoint has output although nothing was received for it.
  void touch(Endpoint& endpoint);
  std::size_t num_links() const { return links_.size(); }
  MonoTime now() const { return now_; }

 private:
  struct Link;
  void serve(Link& link, std::uint32_t events);
  bool read_all(Link& link);
  bool write_all(Link& link);
  void settle(Link& link);

  int epoll_;
  MonoTime now_;
  std::vector<std::uint8_t> buffer_;
  std::unordered_map<int, std::unique_ptr<Link>> links_;
  std::unordered_map<int, Watcher*> watchers_;
  std::unordered_map<Endpoint*, Link*> by_endpoint_;
};

/// connect_to begins a connection to "host:port" (numeric). Exits with a message where it cannot.
daemon::UniqueFd connect_to(const std::string& address);
/// die prints why and ends the program: these are benchmarks' tools, and half a result is none.
[[noreturn]] void die(const std::string& text);
/// raise_descriptor_limit lets the program hold as many sockets as the system allows.
void raise_descriptor_limit();

}  // namespace bastion::bench
