#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/ip.h"
#include "base/result.h"
#include "daemon/audit/formats.h"
#include "daemon/unique_fd.h"

namespace bastion::audit {

/// What happens to events that a sink does not take.
enum class OnFailure : std::uint8_t {
  kStop,  // sessions end and no new ones begin until it takes them again
  kDrop,  // they are dropped and counted, and an event says how many
};

/// Where a sink sends to.
struct SinkAddress {
  using Kind = SinkKind;
  Kind kind = Kind::kUnix;
  std::string path;   // kJournald, kUnix
  Endpoint endpoint;  // kUdp, kTcp
};

/// SocketSink sends messages to a socket without ever waiting: journald's and syslog's datagrams,
/// and RFC 6587 frames over TCP. What is not taken waits in a queue of at most kQueueBytesMax; the
/// connection is made again once a second where it was lost.
///
/// A TCP receiver whose end of the connection has come is not sent to. What our kernel took before,
/// or while that end was under way, counts as sent: it is lost uncounted where the receiver did not
/// read it. That nobody hears a UDP datagram comes back, if at all, when it is gone: all that were
/// sent until then count as one dropped. From then on the next is on probation: it is sent and
/// waits in the queue until nothing has come back for a second.
class SocketSink {
 public:
  static constexpr std::size_t kQueueBytesMax = 4 << 20;

  SocketSink(SinkAddress address, OnFailure on_failure)
      : address_(std::move(address)), on_failure_(on_failure) {}

  std::string_view name() const { return is_journald() ? "journald" : "syslog"; }
  bool is_journald() const { return address_.kind == SinkAddress::Kind::kJournald; }
  OnFailure on_failure() const { return on_failure_; }
  /// framed gives a syslog message the form that this socket takes.
  std::string framed(std::string message) const {
    return address_.kind == SinkAddress::Kind::kTcp ? syslog_frame(message) : std::move(message);
  }

  /// add queues a message. Where there is no room it is dropped and counted; with kStop twice as
  /// much has room, so that the last events of sessions that end for it are not among those.
  void add(std::string message);
  /// pump sends what can be sent now.
  void pump(MonoTime now);
  /// failing says whether the queue is full, or nobody takes anything while something waits.
  bool failing() const {
    return queued_bytes_ > kQueueBytesMax || (!why_.empty() && !queue_.empty());
  }
  const std::string& why() const { return why_; }
  /// take_dropped gives how many were dropped since it was last asked, once it works again.
  std::uint64_t take_dropped();
  std::string take_dropped_reason() { return std::exchange(dropped_reason_, {}); }

  /// fd is to be polled for writing while wants_writable(); due is when pump wants to be called.
  int fd() const { return fd_.get(); }
  bool wants_writable() const { return fd_ && !queue_.empty() && blocked_; }
  MonoTime due() const;

  bool told_failing = false;  // the log's: its event says so

 private:
  enum class Sent : std::uint8_t { kWhole, kBlocked, kLost, kNever };
  bool connect(MonoTime now);
  Sent send_front();
  Sent send_large();
  void lose(MonoTime now, int error);
  void drop_front(std::string reason);
  void front_is_taken();
  void check_peer(MonoTime now);
  void count_unheard(int error);

  SinkAddress address_;
  OnFailure on_failure_;
  daemon::UniqueFd fd_;
  bool connecting_ = false;  // TCP: under way
  bool blocked_ = false;
  MonoTime retry_at_{};
  MonoTime at_once_from_{};    // TCP: a connection that was closed may be made again without delay
  bool on_probation_ = false;  // UDP: nobody heard what was sent
  MonoTime probe_until_{};     // of the first in the queue, which was sent; 0: it is not
  std::deque<std::string> queue_;
  std::size_t queued_bytes_ = 0;
  std::size_t sent_ = 0;  // of the first, over a stream
  std::string why_;
  std::uint64_t dropped_ = 0;
  std::string dropped_reason_;
};

}  // namespace bastion::audit
