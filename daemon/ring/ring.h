#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "daemon/ring/token.h"

namespace bastion::daemon {

/// RingProfile chooses the operations that a ring is restricted to, for good. seccomp does not see
/// ring operations, so this list is as much a part of the sandbox as the system calls are.
/// All may poll and cancel; gates and workers also RECV and WRITEV, the warden CONNECT, the
/// supervisor ACCEPT.
enum class RingProfile : std::uint8_t { kGate, kWorker, kWarden, kSupervisor };

struct RingOptions {
  std::uint32_t entries = 256;  // of the submission queue; more than that is queued, not lost
  std::uint32_t cq_entries = 4096;
  /// The shared buffers that `recv` draws from: a power of two, or 0 for none.
  std::uint32_t buffer_count = 0;
  std::uint32_t buffer_bytes = 256 * 1024;
};

/// RingFeatures is what this kernel's io_uring offers beyond what `Ring` needs (Linux 6.1). Only
/// ring.cc asks the kernel for them.
struct RingFeatures {
  bool send_zc = false;      // 6.0; without use on loopback, kept out of every profile
  bool min_timeout = false;  // 6.12: wait for more than one completion, but not for long
};

/// Completion is the end of one operation: `result` is what the system call would have returned,
/// errors as -errno. Where `has_buffer`, `buffer` is the caller's until `recycle`, whatever the
/// result was. `more`: the operation (poll_in_multishot) stays armed.
struct Completion {
  Token token;
  std::int32_t result = 0;
  std::uint16_t buffer = 0;
  bool has_buffer = false;
  bool more = false;
};

inline constexpr MonoTime kNever{std::numeric_limits<std::int64_t>::max()};

/// Ring is one io_uring of one thread, and the only place that knows of liburing. Operations are
/// queued by the calls below, handed to the kernel by `wait`, and come back as completions with the
/// token that was given. They cannot fail at once: what does not fit is kept and submitted later.
///
/// Descriptors must be in blocking mode (no O_NONBLOCK), else operations end with -EAGAIN instead
/// of waiting. Memory that is given must stay until the completion. At most one recv and one writev
/// should be in flight per socket. Short results are normal. SIGPIPE must be ignored.
/// Closing a descriptor does not end its operations: cancel them first.
class Ring {
 public:
  /// create makes a disabled ring with its buffers; restrict_and_enable must follow before `wait`.
  /// Errors: kUnsupported or kIo with a text that names the cause and the cure, detail errno.
  static Result<std::unique_ptr<Ring>> create(const RingOptions& options);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// restrict_and_enable limits the ring to its profile for good and starts it. From here on no
  /// further buffers, files or rings can be registered with it.
  Status restrict_and_enable(RingProfile profile);

  /// recv: into one of the ring's own buffers, chosen when data is there, so that idle sockets hold
  /// none. -ENOBUFS: none was free; arm again after a `recycle`, never at once (it would spin).
  /// At most `bytes_max` of them; 0: as many as a buffer holds.
  void recv(int fd, Token token, std::uint32_t bytes_max = 0);
  /// recv_into: into the caller's memory.
  void recv_into(int fd, MutBytes into, Token token);
  /// writev: the iovecs and their bytes stay until the completion.
  void writev(int fd, const iovec* iov, std::uint32_t count, Token token);
  /// poll_*: result is a mask of POLLIN, POLLOUT, POLLHUP, POLLERR. The one-shot forms tell the
  /// state (level); the multishot form tells changes only, so read until EAGAIN each time.
  void poll_in(int fd, Token token);
  void poll_out(int fd, Token token);
  void poll_in_multishot(int fd, Token token);
  /// accept: one connection (single-shot); the result is the new descriptor, close-on-exec.
  void accept(int fd, Token token);
  /// connect: `address` is copied.
  void connect(int fd, const sockaddr* address, socklen_t length, Token token);
  /// cancel: everything armed with this token. Each ends with its own completion (-ECANCELED, or
  /// what it managed before); the cancellation itself has none. Nothing to cancel is no error.
  void cancel(Token token);

  /// wait submits what is queued, waits until something completes or the deadline passes, and
  /// fills `out` from its beginning. Returns how many; 0 is a timeout, or a signal.
  /// What does not fit into `out` comes with the next call.
  std::size_t wait(MonoTime deadline, std::span<Completion> out);

  /// submit hands what is queued to the kernel now and waits for nothing: what is to leave then
  /// need not wait for the work that its owner does before the next `wait`.
  void submit();
  /// has_more: something has completed, or could, since `wait` returned. No system call.
  bool has_more() const;

  /// kBufferMargin writable bytes lie before each buffer and behind it, and belong to it: room for
  /// the headers and tags of what is made of the received bytes in place.
  static constexpr std::size_t kBufferMargin = 64;
  /// buffer is the memory of one of the shared buffers; the first `result` bytes were received.
  MutBytes buffer(std::uint16_t id) const;
  void recycle(std::uint16_t id);
  std::uint32_t buffers() const;
  std::uint32_t buffers_free() const;
  /// drop_buffers gives the shared buffers' memory back to the system, unless one is lent: each
  /// takes memory again when it is next received into. What lay in them is gone.
  void drop_buffers();

  const RingFeatures& features() const;

  /// For the sandbox's self-test only: the ring's descriptor, and an operation by its number with
  /// zeros for all that it would need, which the restrictions refuse before they look at that.
  int fd() const;
  void submit_raw(std::uint8_t operation, int fd, Token token);

 private:
  struct Impl;
  explicit Ring(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bastion::daemon
