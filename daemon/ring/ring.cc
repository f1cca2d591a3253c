#include "daemon/ring/ring.h"

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <deque>
#include <vector>

namespace bastion::daemon {
namespace {

constexpr std::uint64_t kOwn = ~std::uint64_t{0};  // user_data of cancellations
constexpr std::uint16_t kGroup = 0;                // of the one provided-buffer ring

/// io_uring_disabled is the sysctl of that name: 0 allowed, 1 for a group only, 2 for nobody.
char io_uring_disabled() {
  char value = '0';
  const int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    if (read(fd, &value, 1) != 1) {
      value = '0';
    }
    close(fd);
  }
  return value;
}

std::unexpected<Error> set_up_failed(int error) {
  switch (error) {
    case ENOSYS:
      return fail(ErrorCode::kUnsupported,
                  "this kernel has no io_uring: Linux 6.1 or newer with CONFIG_IO_URING is needed",
                  error);
    case EINVAL:
      return fail(ErrorCode::kUnsupported,
                  "this kernel's io_uring is too old: Linux 6.1 or newer is needed", error);
    case EPERM:
    case EACCES:
      if (io_uring_disabled() != '0') {
        return fail(ErrorCode::kUnsupported,
                    "io_uring is switched off here: run `sysctl kernel.io_uring_disabled=0`",
                    error);
      }
      return fail(ErrorCode::kUnsupported,
                  "io_uring is blocked, most likely by a container's seccomp profile: allow "
                  "io_uring_setup, io_uring_enter and io_uring_register in it",
                  error);
    case ENOMEM:
      return fail(ErrorCode::kIo,
                  "no memory for an io_uring: raise RLIMIT_MEMLOCK (LimitMEMLOCK=) or the "
                  "memory limit",
                  error);
    case EMFILE:
    case ENFILE:
      return fail(ErrorCode::kIo,
                  "no descriptor left for an io_uring: raise RLIMIT_NOFILE (LimitNOFILE=)", error);
    default: return fail(ErrorCode::kIo, "io_uring_setup failed", error);
  }
}

std::vector<std::uint8_t> operations(RingProfile profile) {
  switch (profile) {
    case RingProfile::kGate:
    case RingProfile::kWorker:
      return {IORING_OP_RECV, IORING_OP_WRITEV, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL};
    case RingProfile::kWarden:
      return {IORING_OP_CONNECT, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL};
    case RingProfile::kSupervisor:
      return {IORING_OP_ACCEPT, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL};
  }
  return {};
}

}  // namespace

struct Ring::Impl {
  io_uring ring{};
  bool made = false;
  bool enabled = false;
  RingFeatures features;

  io_uring_buf_ring* buffer_ring = nullptr;
  std::size_t buffer_ring_bytes = 0;
  std::uint8_t* buffers = nullptr;
  std::size_t buffers_bytes = 0;
  std::uint32_t buffer_count = 0;
  std::uint32_t buffer_bytes = 0;
  std::vector<bool> lent;  // given out with a completion, not recycled yet
  std::uint32_t lent_count = 0;

  // What found no room in the submission queue, in order; and the addresses of connects that the
  // kernel has not read yet.
  std::deque<io_uring_sqe> pending;
  std::deque<sockaddr_storage> addresses;

  ~Impl() {
    if (made) {
      io_uring_queue_exit(&ring);
    }
    if (buffer_ring != nullptr) {
      munmap(buffer_ring, buffer_ring_bytes);
    }
    if (buffers != nullptr) {
      munmap(buffers, buffers_bytes);
    }
  }

  Status make_buffers(const RingOptions& options);
  void add_buffer(std::uint16_t id);
  std::size_t stride() const { return Ring::kBufferMargin + buffer_bytes + Ring::kBufferMargin; }
  std::uint8_t* start(std::uint16_t id) const {
    return buffers + std::size_t{id} * stride() + Ring::kBufferMargin;
  }

  /// submit hands queued entries to the kernel without waiting; false where it took none.
  bool submit() { return enabled && io_uring_submit(&ring) > 0; }

  void push(const io_uring_sqe& entry) {
    if (pending.empty()) {
      io_uring_sqe* slot = io_uring_get_sqe(&ring);
      if (slot == nullptr && submit()) {
        slot = io_uring_get_sqe(&ring);
      }
      if (slot != nullptr) {
        *slot = entry;
        return;
      }
    }
    pending.push_back(entry);
  }

  void push_pending() {
    while (!pending.empty()) {
      io_uring_sqe* slot = io_uring_get_sqe(&ring);
      if (slot == nullptr && submit()) {
        slot = io_uring_get_sqe(&ring);
      }
      if (slot == nullptr) {
        return;
      }
      *slot = pending.front();
      pending.pop_front();
    }
  }

  void forget_addresses() {
    if (pending.empty() && io_uring_sq_ready(&ring) == 0) {
      addresses.clear();
    }
  }

  std::size_t reap(std::span<Completion> out);
};

Status Ring::Impl::make_buffers(const RingOptions& options) {
  if (options.buffer_count == 0) {
    return {};
  }
  if (!std::has_single_bit(options.buffer_count) || options.buffer_count > 32768) {
    return fail(ErrorCode::kInternal, "the number of ring buffers must be a power of two",
                options.buffer_count);
  }
  buffer_count = options.buffer_count;
  buffer_bytes = options.buffer_bytes;
  buffer_ring_bytes = buffer_count * sizeof(io_uring_buf);
  buffers_bytes = std::size_t{buffer_count} * stride();
  void* ring_memory =
      mmap(nullptr, buffer_ring_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (ring_memory == MAP_FAILED) {
    return fail(ErrorCode::kIo, "no memory for the ring's buffers", errno);
  }
  buffer_ring = static_cast<io_uring_buf_ring*>(ring_memory);
  void* memory =
      mmap(nullptr, buffers_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (memory == MAP_FAILED) {
    return fail(ErrorCode::kIo, "no memory for the ring's buffers", errno);
  }
  buffers = static_cast<std::uint8_t*>(memory);

  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(buffer_ring);
  registration.ring_entries = buffer_count;
  registration.bgid = kGroup;
  if (const int error = io_uring_register_buf_ring(&ring, &registration, 0); error < 0) {
    return set_up_failed(-error);
  }
  io_uring_buf_ring_init(buffer_ring);
  lent.assign(buffer_count, false);
  for (std::uint32_t id = 0; id < buffer_count; ++id) {
    add_buffer(static_cast<std::uint16_t>(id));
  }
  return {};
}

void Ring::Impl::add_buffer(std::uint16_t id) {
  io_uring_buf_ring_add(buffer_ring, start(id), buffer_bytes, id,
                        io_uring_buf_ring_mask(buffer_count), 0);
  io_uring_buf_ring_advance(buffer_ring, 1);
}

std::size_t Ring::Impl::reap(std::span<Completion> out) {
  std::size_t count = 0;
  unsigned head = 0;
  unsigned seen = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring, head, cqe) {
    if (count == out.size()) {
      break;
    }
    ++seen;
    if (cqe->user_data == kOwn) {
      continue;
    }
    Completion& completion = out[count++];
    completion.token = Token::unpack(cqe->user_data);
    completion.result = cqe->res;
    completion.more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    completion.has_buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0;
    completion.buffer = 0;
    if (completion.has_buffer) {
      completion.buffer = static_cast<std::uint16_t>(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
      lent[completion.buffer] = true;
      ++lent_count;
    }
  }
  io_uring_cq_advance(&ring, seen);
  return count;
}

Ring::Ring(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Ring::~Ring() = default;

Result<std::unique_ptr<Ring>> Ring::create(const RingOptions& options) {
  auto impl = std::make_unique<Impl>();
  io_uring_params params{};
  params.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
  params.cq_entries = options.cq_entries;
  if (const int error = io_uring_queue_init_params(options.entries, &impl->ring, &params);
      error < 0) {
    return set_up_failed(-error);
  }
  impl->made = true;
  // NODROP: completions are never lost; EXT_ARG: a deadline without an operation of its own;
  // SUBMIT_STABLE: what an entry points to is read when it is submitted. All are in 6.1.
  constexpr std::uint32_t kNeeded =
      IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_SUBMIT_STABLE;
  if ((params.features & kNeeded) != kNeeded) {
    return set_up_failed(EINVAL);
  }
#ifdef IORING_FEAT_MIN_TIMEOUT
  impl->features.min_timeout = (params.features & IORING_FEAT_MIN_TIMEOUT) != 0;
#endif
  if (io_uring_probe* probe = io_uring_get_probe_ring(&impl->ring); probe != nullptr) {
    impl->features.send_zc = io_uring_opcode_supported(probe, IORING_OP_SEND_ZC) != 0;
    io_uring_free_probe(probe);
  }
  BASTION_TRY(impl->make_buffers(options));
  return std::unique_ptr<Ring>(new Ring(std::move(impl)));
}

Status Ring::restrict_and_enable(RingProfile profile) {
  std::vector<io_uring_restriction> list;
  for (const std::uint8_t operation : operations(profile)) {
    io_uring_restriction entry{};
    entry.opcode = IORING_RESTRICTION_SQE_OP;
    entry.sqe_op = operation;
    list.push_back(entry);
  }
  io_uring_restriction flags{};
  flags.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
  const bool draws_buffers = profile == RingProfile::kGate || profile == RingProfile::kWorker;
  flags.sqe_flags = draws_buffers ? IOSQE_BUFFER_SELECT : 0;
  list.push_back(flags);
  if (const int error = io_uring_register_restrictions(&impl_->ring, list.data(),
                                                       static_cast<unsigned>(list.size()));
      error < 0) {
    return set_up_failed(-error);
  }
  if (const int error = io_uring_enable_rings(&impl_->ring); error < 0) {
    return set_up_failed(-error);
  }
  impl_->enabled = true;
  return {};
}

void Ring::recv(int fd, Token token, std::uint32_t bytes_max) {
  io_uring_sqe entry{};
  io_uring_prep_recv(&entry, fd, nullptr, bytes_max, 0);
  entry.flags = IOSQE_BUFFER_SELECT;
  entry.buf_group = kGroup;
  entry.user_data = token.pack();
  impl_->push(entry);
}

void Ring::recv_into(int fd, MutBytes into, Token token) {
  io_uring_sqe entry{};
  io_uring_prep_recv(&entry, fd, into.data(), into.size(), 0);
  entry.user_data = token.pack();
  impl_->push(entry);
}

void Ring::writev(int fd, const iovec* iov, std::uint32_t count, Token token) {
  io_uring_sqe entry{};
  io_uring_prep_writev(&entry, fd, iov, count, 0);
  entry.user_data = token.pack();
  impl_->push(entry);
}

void Ring::poll_in(int fd, Token token) {
  io_uring_sqe entry{};
  io_uring_prep_poll_add(&entry, fd, POLLIN);
  entry.user_data = token.pack();
  impl_->push(entry);
}

void Ring::poll_out(int fd, Token token) {
  io_uring_sqe entry{};
  io_uring_prep_poll_add(&entry, fd, POLLOUT);
  entry.user_data = token.pack();
  impl_->push(entry);
}

void Ring::poll_in_multishot(int fd, Token token) {
  io_uring_sqe entry{};
  io_uring_prep_poll_multishot(&entry, fd, POLLIN);
  entry.user_data = token.pack();
  impl_->push(entry);
}

void Ring::accept(int fd, Token token) {
  io_uring_sqe entry{};
  io_uring_prep_accept(&entry, fd, nullptr, nullptr, SOCK_CLOEXEC);
  entry.user_data = token.pack();
  impl_->push(entry);
}

void Ring::connect(int fd, const sockaddr* address, socklen_t length, Token token) {
  sockaddr_storage& copy = impl_->addresses.emplace_back();
  std::memcpy(&copy, address, std::min<std::size_t>(length, sizeof copy));
  io_uring_sqe entry{};
  io_uring_prep_connect(&entry, fd, reinterpret_cast<const sockaddr*>(&copy), length);
  entry.user_data = token.pack();
  impl_->push(entry);
}

void Ring::cancel(Token token) {
  io_uring_sqe entry{};
  io_uring_prep_cancel64(&entry, token.pack(), IORING_ASYNC_CANCEL_ALL);
  entry.user_data = kOwn;
  impl_->push(entry);
}

std::size_t Ring::wait(MonoTime deadline, std::span<Completion> out) {
  Impl& impl = *impl_;
  if (!impl.enabled || out.empty()) {
    return 0;
  }
  while (true) {
    impl.push_pending();
    // Without anything to wait for (completions lie there already, or the deadline has passed) the
    // kernel is only given what is queued and asked to run what it has deferred.
    const std::int64_t left_ns = deadline == kNever ? kNever.ns : deadline.ns - mono_now().ns;
    int error = 0;
    if (io_uring_cq_ready(&impl.ring) != 0 || left_ns <= 0 || !impl.pending.empty()) {
      error = io_uring_submit_and_get_events(&impl.ring);
    } else if (deadline == kNever) {
      error = io_uring_submit_and_wait(&impl.ring, 1);
    } else {
      __kernel_timespec timeout{left_ns / kNsPerSecond, left_ns % kNsPerSecond};
      io_uring_cqe* cqe = nullptr;
      error = io_uring_submit_and_wait_timeout(&impl.ring, &cqe, 1, &timeout, nullptr);
    }
    impl.forget_addresses();
    const std::size_t count = impl.reap(out);
    // -EBUSY, -EAGAIN and -ETIME say nothing that matters here: entries stay queued for the next
    // round, and completions that overflowed are kept by the kernel.
    if (count != 0 || error == -EINTR || (deadline != kNever && mono_now() >= deadline)) {
      return count;
    }
  }
}

void Ring::submit() {
  impl_->push_pending();
  impl_->submit();
  impl_->forget_addresses();
}

bool Ring::has_more() const {
  return io_uring_cq_ready(&impl_->ring) != 0 ||
         (IO_URING_READ_ONCE(*impl_->ring.sq.kflags) & IORING_SQ_TASKRUN) != 0;
}

MutBytes Ring::buffer(std::uint16_t id) const {
  if (id >= impl_->buffer_count) {
    return {};
  }
  return {impl_->start(id), impl_->buffer_bytes};
}

void Ring::recycle(std::uint16_t id) {
  // Giving one back twice would let two receives write into the same memory.
  if (id >= impl_->buffer_count || !impl_->lent[id]) {
    return;
  }
  impl_->lent[id] = false;
  --impl_->lent_count;
  impl_->add_buffer(id);
}

std::uint32_t Ring::buffers() const { return impl_->buffer_count; }
std::uint32_t Ring::buffers_free() const { return impl_->buffer_count - impl_->lent_count; }
void Ring::drop_buffers() {
  // The kernel receives only while it is entered, so what it has filled is lent or waits here.
  const bool filled = impl_->lent_count != 0 || io_uring_cq_ready(&impl_->ring) != 0;
  if (!filled && impl_->buffers != nullptr) {
    madvise(impl_->buffers, impl_->buffers_bytes, MADV_DONTNEED);
  }
}
const RingFeatures& Ring::features() const { return impl_->features; }
int Ring::fd() const { return impl_->ring.ring_fd; }

void Ring::submit_raw(std::uint8_t operation, int fd, Token token) {
  io_uring_sqe entry{};
  entry.opcode = operation;
  entry.fd = fd;
  entry.user_data = token.pack();
  impl_->push(entry);
}

}  // namespace bastion::daemon
