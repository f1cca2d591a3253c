#include "daemon/ipc/channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace bastion::daemon::ipc {
namespace {

/// The only flags with which gates and workers may send; their seccomp list compares them.
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;

/// Room for every message that is under way in one direction. The kernel doubles it and caps it at
/// net.core.wmem_max; a message needs the whole of itself at once.
constexpr int kSendBufferBytes = 1024 * 1024;

/// So many packets are fetched by one call. Their buffers take memory only as far as they were
/// used.
constexpr std::size_t kBatchMax = 4;

}  // namespace

struct Channel::Batch {
  struct Packet {
    std::size_t len = 0;
    bool surplus = false;
    std::array<UniqueFd, kDescriptorsMax> fds;

    /// take looks at what the kernel wrote; every descriptor that came is owned from then on.
    void take(const mmsghdr& message);
  };
  /// One descriptor more than is allowed, so that surplus is seen; anything beyond is MSG_CTRUNC.
  using Control = std::array<char, CMSG_SPACE((kDescriptorsMax + 1) * sizeof(int))>;

  Batch() : bytes(new std::uint8_t[kBatchMax * kMessageBytesMax]) {}
  ~Batch() {
    for (std::size_t i = 0; i < count; ++i) {
      wipe({memory(i), packets[i].len});
    }
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  std::uint8_t* memory(std::size_t i) const { return bytes.get() + i * kMessageBytesMax; }
  void wipe_last() {
    if (next > 0) {
      wipe({memory(next - 1), packets[next - 1].len});
      packets[next - 1].len = 0;
    }
  }

  std::unique_ptr<std::uint8_t[]> bytes;  // not initialised
  alignas(cmsghdr) std::array<Control, kBatchMax> control{};
  std::array<Packet, kBatchMax> packets;
  std::size_t count = 0;
  std::size_t next = 0;
  bool drained = false;  // the kernel had no more when this batch was fetched
};

void Channel::Batch::Packet::take(const mmsghdr& message) {
  len = message.msg_len;
  fds = {};
  std::size_t num_fds = 0;
  msghdr header = message.msg_hdr;
  for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr; each = CMSG_NXTHDR(&header, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const std::size_t fd_bytes = each->cmsg_len - CMSG_LEN(0);
    for (std::size_t at = 0; at + sizeof(int) <= fd_bytes; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(each) + at, sizeof fd);
      UniqueFd owned(fd);
      if (num_fds < kDescriptorsMax) {
        fds[num_fds] = std::move(owned);
      }
      ++num_fds;
    }
  }
  surplus = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || num_fds > kDescriptorsMax;
}

Channel::Channel(UniqueFd fd) : fd_(std::move(fd)) {}
Channel::~Channel() = default;
Channel::Channel(Channel&&) noexcept = default;
Channel& Channel::operator=(Channel&&) noexcept = default;

Result<std::array<UniqueFd, 2>> socket_pair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
    return fail(ErrorCode::kIo, "cannot make a socket pair", errno);
  }
  for (const int fd : fds) {
    // A smaller buffer works too, with more waiting, so a refusal is no error.
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes);
  }
  return std::array<UniqueFd, 2>{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Status Channel::transmit(ByteView packet, std::span<const int> fds, bool& would_block) {
  would_block = false;
  iovec iov{const_cast<std::uint8_t*>(packet.data()), packet.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kDescriptorsMax * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  while (sendmsg(fd_.get(), &message, kSendFlags) < 0) {
    if (errno == EINTR) {
      continue;
    }
    if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS) {
      would_block = true;
      return {};
    }
    return fail(ErrorCode::kIo, "the other process is gone", errno);
  }
  return {};
}

Status Channel::send_packet(SecretBytes packet, std::span<const int> fds) {
  if (packet.size() > kMessageBytesMax || fds.size() > kDescriptorsMax) {
    return fail(ErrorCode::kLimit, "a message between processes is too large",
                static_cast<std::int64_t>(packet.size()));
  }
  bool would_block = !queue_.empty();
  if (!would_block) {
    BASTION_TRY(transmit(packet, fds, would_block));
    if (!would_block) {
      return {};
    }
  }
  if (queued_bytes_ + packet.size() > kChannelQueueBytesMax) {
    return fail(ErrorCode::kLimit, "the other process does not read its messages",
                static_cast<std::int64_t>(queued_bytes_));
  }
  Queued entry;
  for (const int fd : fds) {
    UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!copy) {
      return fail(ErrorCode::kIo, "no descriptor left to keep a message's", errno);
    }
    entry.fds.push_back(std::move(copy));
  }
  queued_bytes_ += packet.size();
  queued_descriptors_ += entry.fds.size();
  entry.packet = std::move(packet);
  queue_.push_back(std::move(entry));
  return {};
}

Status Channel::on_writable() {
  while (!queue_.empty()) {
    const Queued& entry = queue_.front();
    std::array<int, kDescriptorsMax> fds{};
    for (std::size_t i = 0; i < entry.fds.size(); ++i) {
      fds[i] = entry.fds[i].get();
    }
    bool would_block = false;
    BASTION_TRY(transmit(entry.packet, std::span(fds).first(entry.fds.size()), would_block));
    if (would_block) {
      return {};
    }
    queued_bytes_ -= entry.packet.size();
    queued_descriptors_ -= entry.fds.size();
    queue_.pop_front();
  }
  return {};
}

bool Channel::has_fetched() const { return batch_ != nullptr && batch_->next < batch_->count; }

// fetch asks for as many packets as there are, up to a batch: one system call where a loop until
// EAGAIN makes two at least.
Status Channel::fetch() {
  if (batch_ == nullptr) {
    batch_ = std::make_unique<Batch>();
  }
  Batch& batch = *batch_;
  batch.next = batch.count = 0;
  batch.drained = false;
  std::array<mmsghdr, kBatchMax> headers{};
  std::array<iovec, kBatchMax> iov{};
  for (std::size_t i = 0; i < kBatchMax; ++i) {
    iov[i] = {batch.memory(i), kMessageBytesMax};
    msghdr& header = headers[i].msg_hdr;
    header.msg_iov = &iov[i];
    header.msg_iovlen = 1;
    header.msg_control = batch.control[i].data();
    header.msg_controllen = batch.control[i].size();
  }
  int n = 0;
  do {
    n = recvmmsg(fd_.get(), headers.data(), kBatchMax, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, nullptr);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (errno == EAGAIN) {
      return {};
    }
    if (errno == ECONNRESET) {  // as its end: a packet of no bytes
      batch.packets[0] = {};
      batch.count = 1;
      return {};
    }
    return fail(ErrorCode::kIo, "cannot receive from the other process", errno);
  }
  batch.count = static_cast<std::size_t>(n);
  batch.drained = batch.count < kBatchMax;
  for (std::size_t i = 0; i < batch.count; ++i) {
    batch.packets[i].take(headers[i]);
  }
  return {};
}

Result<Received> Channel::receive() {
  if (batch_ != nullptr) {
    batch_->wipe_last();
  }
  Received received;
  if (!has_fetched()) {
    if (batch_ != nullptr && batch_->drained) {
      batch_->drained = false;
      return received;
    }
    BASTION_TRY(fetch());
    if (!has_fetched()) {
      return received;
    }
  }
  Batch::Packet& packet = batch_->packets[batch_->next];
  const std::uint8_t* memory = batch_->memory(batch_->next++);
  received.fds = std::move(packet.fds);
  if (packet.len == 0) {
    received.state = Received::State::kClosed;
    return received;
  }
  if (packet.surplus) {
    batch_->drained = false;
    return fail(ErrorCode::kMalformed,
                "a message between processes is too long or carries too many descriptors",
                static_cast<std::int64_t>(packet.len));
  }
  received.body = {memory, packet.len};
  auto header = decode_header(received.body);
  if (!header) {
    batch_->drained = false;
    return std::unexpected(header.error());
  }
  received.state = Received::State::kMessage;
  received.header = *header;
  return received;
}

}  // namespace bastion::daemon::ipc
