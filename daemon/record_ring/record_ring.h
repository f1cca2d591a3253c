#pragma once

#include <memory>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "daemon/record_ring/layout.h"
#include "daemon/unique_fd.h"

namespace bastion::daemon::record {

/// make_memory is a new ring's memory: set up, and sealed so that nobody can make it shorter.
Result<UniqueFd> make_memory();

/// Mapping is a ring's memory as one side sees it.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  /// map maps the memory behind `fd`, which is borrowed. kIo; kMalformed: it is no ring's.
  static Result<Mapping> map(int fd);

  Counters& counters() const { return *reinterpret_cast<Counters*>(base_); }
  Slot& slot(std::uint32_t index) const {
    return reinterpret_cast<Slot*>(base_ + kCountersBytes)[index];
  }
  /// at is the byte of a position; kDataBytes may be used from there.
  std::uint8_t* at(std::uint64_t position) const {
    return base_ + kDataOffset + position % kDataBytes;
  }

 private:
  std::uint8_t* base_ = nullptr;
};

/// Producer is the worker's end. One thread.
class Producer {
 public:
  explicit Producer(Mapping mapping);

  /// room is how many bytes of frames fit now.
  std::size_t room() const;
  /// used_up: over half of the ring waits for the recorder: worth a bell.
  bool used_up() const { return room() < kDataBytes / 2; }
  std::uint64_t granted(std::uint32_t slot) const {
    return mapping_.slot(slot).granted.load(std::memory_order_acquire);
  }
  /// recorder_seen is when the recorder last looked at this ring.
  MonoTime recorder_seen() const {
    return {mapping_.counters().alive_ns.load(std::memory_order_relaxed)};
  }
  /// put appends one frame of these pieces; total_len and padding are filled in. False where there
  /// is no room for it, or it is too long; nothing is put in then.
  [[nodiscard]] bool put(FrameHeader header, std::span<const ByteView> pieces);

 private:
  Mapping mapping_;
  std::uint64_t head_ = 0;
};

/// Frame is one frame in the ring. The payload lies in shared memory: copy it once, then look.
struct Frame {
  FrameHeader header;  // copied out and checked
  ByteView payload;
  std::uint64_t end = 0;  // the position behind it
};

/// Consumer is the recorder's end. It believes nothing that the memory says: the header is copied
/// once, lengths are held against what is there, and its own place is read but once, where the
/// recorder before it left it.
class Consumer {
 public:
  explicit Consumer(Mapping mapping);

  /// head: kMalformed where the worker wrote a position that cannot be.
  Result<std::uint64_t> head() const;
  std::uint64_t tail() const { return tail_; }
  /// frame gives the frame at `position`, which is before `head`. kMalformed: it is none.
  Result<Frame> frame(std::uint64_t position, std::uint64_t head) const;
  /// pass gives everything before `position` back to the worker.
  void pass(std::uint64_t position) {
    tail_ = position;
    mapping_.counters().tail.store(position, std::memory_order_release);
  }
  std::uint64_t granted(std::uint32_t slot) const {
    return mapping_.slot(slot).granted.load(std::memory_order_relaxed);
  }
  void grant(std::uint32_t slot, std::uint64_t bytes) {
    mapping_.slot(slot).granted.store(bytes, std::memory_order_release);
  }
  void seen(MonoTime now) { mapping_.counters().alive_ns.store(now.ns, std::memory_order_relaxed); }

 private:
  Mapping mapping_;
  std::uint64_t tail_ = 0;
};

}  // namespace bastion::daemon::record
