#pragma once

#include <cstdint>
#include <utility>

#include "base/bytes.h"
#include "daemon/ring/ring.h"

namespace bastion::daemon {

/// InputBuffer is where the bytes that one socket gave wait to be taken, packet by packet, in
/// place.
///
/// Bytes arrive in one of the ring's shared buffers (a *slab*), so an idle socket holds no memory.
/// A packet that is not complete yet
/// - stays in its slab while enough slabs are free, and the next receive goes right behind it: a
///   busy socket so reads into linear memory. Its last stretch, as long as a packet, is received
///   into only to complete one, exactly, so that at its end there is no half packet to move;
/// - else is copied out into a piece of its own, and the slab goes back at once: half packets never
///   pin the memory that others need.
/// Bytes that cannot be taken yet (park) are copied out likewise.
///
/// The order is always: own piece first, slab behind it. front() is never empty while there are
/// bytes, and Ring::kBufferMargin writable bytes lie around whatever it gives. One thread; the ring
/// outlives the buffer.
class InputBuffer {
 public:
  explicit InputBuffer(Ring& ring) : ring_(&ring) {}
  /// No receive may be in flight.
  ~InputBuffer() { release_slab(); }
  InputBuffer(const InputBuffer&) = delete;
  InputBuffer& operator=(const InputBuffer&) = delete;

  /// receive arms one receive of at most `bytes_max` bytes: behind what lies in the slab, or into a
  /// slab that the ring chooses.
  void receive(int fd, Token token, std::size_t bytes_max = SIZE_MAX);
  /// received takes the completion of that receive, which gave `completion.result` > 0 bytes.
  void received(const Completion& completion);
  /// dropped gives back the slab of a completion that brought no bytes.
  void dropped(const Completion& completion);

  /// front is the run of bytes to take from; valid until any other call but consume.
  MutBytes front();
  void consume(std::size_t n);

  /// incomplete says that front() lacks bytes: `need` in all. True where it could be completed from
  /// what is here, so that front() is worth another look; false where a receive is needed.
  [[nodiscard]] bool incomplete(std::size_t need);
  /// park copies everything out of the slab and gives that back: nobody will take the bytes soon.
  void park();
  /// settle gives the slab back where nothing is left in it.
  void settle();

  /// append puts bytes behind everything else (a session's input that moved with it).
  void append(ByteView bytes);

  /// holds_slab: the next receive goes behind what lies there, and takes no slab.
  bool holds_slab() const { return slab_ != kNoSlab; }

  std::size_t bytes() const { return own_end_ - own_begin_ + (slab_end_ - slab_begin_); }
  bool empty() const { return bytes() == 0; }
  /// copied is how many bytes were moved by memcpy since the last call.
  std::size_t take_copied() { return std::exchange(copied_, 0); }

 private:
  static constexpr int kNoSlab = -1;
  /// A slab is kept for a socket's half packet only while at least this share of them is free.
  static constexpr std::uint32_t kFreeShareToKeep = 2;

  /// release_slab gives the slab back, unless the kernel may still write into it.
  void release_slab();
  void add_to_own(ByteView bytes);
  void move_to_own(std::size_t n);
  bool may_keep_slab() const;
  /// room_for_more: so much may be received, of `room` bytes that are free.
  std::size_t room_for_more(std::size_t room) const;

  Ring* ring_;
  Bytes own_;  // margin | taken | [own_begin_, own_end_) | margin
  std::size_t own_begin_ = 0;
  std::size_t own_end_ = 0;
  int slab_ = kNoSlab;
  std::size_t slab_begin_ = 0;
  std::size_t slab_end_ = 0;
  std::size_t lacking_ = 0;  // what the packet at the end of the slab lacks; 0: unknown or none
  std::size_t copied_ = 0;
  bool receiving_here_ = false;  // a receive behind slab_end_ is in flight: the slab must stay
};

}  // namespace bastion::daemon
