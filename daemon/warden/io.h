#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/ip.h"
#include "base/secret.h"
#include "daemon/log.h"
#include "daemon/unique_fd.h"
#include "daemon/warden/peer.h"
#include "daemon/warden/slow_pool.h"

namespace bastion::daemon {

/// ConnectToken names one attempt to connect; a token is never used twice.
using ConnectToken = std::uint64_t;

/// WardenIo is all that the warden does to the world. The process has one over its ring and
/// channels; unit tests have one that remembers.
class WardenIo {
 public:
  virtual ~WardenIo() = default;
  /// send queues an encoded message for a peer; `fd`, where there is one, travels with it. A peer
  /// that is gone swallows it.
  virtual void send(PeerId to, SecretBytes packet, UniqueFd fd) = 0;
  /// connect starts a TCP connection; Warden::on_connected follows once, never within the call.
  virtual void connect(ConnectToken token, const IpAddress& address, std::uint16_t port) = 0;
  /// cancel_connect gives an attempt up; its on_connected may still come and is ignored.
  virtual void cancel_connect(ConnectToken token) = 0;
  /// end_peer ends a process that broke the rules of permits.h.
  virtual void end_peer(PeerId peer, std::string_view why) = 0;
  /// answer_control answers a request of bastionctl's that Warden::control could not at once.
  virtual void answer_control(std::uint32_t request, std::string json) = 0;
  /// run_slow: as SlowPool::submit.
  [[nodiscard]] virtual bool run_slow(PeerId owner, SlowPool::Job job, SlowPool::Done done) = 0;
  /// descriptors_max: how many this process may have open.
  virtual std::size_t descriptors_max() = 0;
  /// queued_descriptors: how many wait with messages that a peer has not taken yet.
  virtual std::size_t queued_descriptors(PeerId peer) = 0;
  virtual void log(LogLevel level, std::string_view text, std::initializer_list<Field> fields) = 0;
  virtual MonoTime now() = 0;
  virtual WallTime wall_now() = 0;
  /// wall_now_us: microseconds since the Unix epoch.
  virtual std::uint64_t wall_now_us() { return static_cast<std::uint64_t>(wall_now()) * 1'000'000; }
};

}  // namespace bastion::daemon
