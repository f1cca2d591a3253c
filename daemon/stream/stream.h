#pragma once

#include <sys/uio.h>

#include <array>

#include "daemon/ring/ring.h"
#include "daemon/stream/input_buffer.h"
#include "daemon/unique_fd.h"
#include "proto/send_queue.h"

namespace bastion::daemon {

/// Stream is one connected socket on the ring: at most one receive and one write in flight, bytes
/// in by an InputBuffer, bytes out of a SendQueue. Its owner gives it the completions of its two
/// tokens.
///
/// A stream ends in two steps: close() cancels what is in flight, and when idle() the memory may
/// go.
class Stream {
 public:
  Stream(Ring& ring, UniqueFd socket, Token read, Token write)
      : ring_(&ring), socket_(std::move(socket)), read_(read), write_(write), in_(ring) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  InputBuffer& in() { return in_; }
  int fd() const { return socket_.get(); }

  /// arm_receive asks for at most `bytes_max` more bytes (not 0), unless that is under way, or the
  /// peer has ended, or the stream waits for a slab.
  void arm_receive(std::size_t bytes_max = SIZE_MAX);
  enum class Received : std::uint8_t {
    kBytes,    // more lies in in()
    kEnd,      // the peer has sent its last byte
    kFailed,   // the connection is broken; error() says how
    kNothing,  // interrupted, cancelled: arm again where it makes sense
    kStarved,  // the ring has no slab: the stream waits for one, see SlabQueue
  };
  Received on_receive(const Completion& completion);
  Token read_token() const { return read_; }
  /// draws_slab: arm_receive would ask the ring for a slab.
  bool draws_slab() const { return may_receive() && !in_.holds_slab(); }
  /// Between begin_wait (kStarved does it, too) and end_wait arm_receive does nothing.
  void begin_wait() { waiting_ = true; }
  void end_wait() {
    waiting_ = false;
    had_turn_ = true;
  }
  /// had_turn: it has waited, and received nothing since.
  bool had_turn() const { return had_turn_; }

  /// arm_write writes what the queue holds, unless a write is under way.
  void arm_write(const proto::SendQueue& queue);
  /// on_write takes the written bytes off the queue. False: the connection is broken.
  [[nodiscard]] bool on_write(const Completion& completion, proto::SendQueue& queue);

  /// close cancels; the socket itself is closed once idle().
  void close();
  bool closing() const { return closing_; }
  bool idle() const { return !receiving_ && !writing_; }
  bool receiving() const { return receiving_; }
  bool writing() const { return writing_; }
  bool at_end() const { return at_end_; }
  int error() const { return error_; }
  /// release gives the socket away; only while idle().
  UniqueFd release() { return std::move(socket_); }

 private:
  bool may_receive() const {
    return !receiving_ && !at_end_ && !closing_ && !waiting_ && error_ == 0;
  }
  static constexpr std::size_t kPiecesMax = 16;

  Ring* ring_;
  UniqueFd socket_;
  Token read_;
  Token write_;
  InputBuffer in_;
  std::array<iovec, kPiecesMax> pieces_{};
  int error_ = 0;
  bool receiving_ = false;
  bool writing_ = false;
  bool waiting_ = false;  // for a slab
  bool had_turn_ = false;
  bool at_end_ = false;
  bool closing_ = false;
};

}  // namespace bastion::daemon
