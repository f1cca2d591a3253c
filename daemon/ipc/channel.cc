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

}  // namespace

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

Result<Received> Channel::receive() {
  // The buffer keeps its size; only what the last message filled is wiped.
  wipe(MutBytes(buffer_).first(used_));
  used_ = 0;
  buffer_.resize(kMessageBytesMax);
  iovec iov{buffer_.data(), buffer_.size()};
  // One more than is allowed, so that surplus is seen here; anything beyond is MSG_CTRUNC.
  alignas(cmsghdr) char control[CMSG_SPACE((kDescriptorsMax + 1) * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n;
  do {
    n = recvmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);

  Received received;
  if (n < 0) {
    if (errno == EAGAIN) {
      return received;
    }
    if (errno == ECONNRESET) {
      received.state = Received::State::kClosed;
      return received;
    }
    return fail(ErrorCode::kIo, "cannot receive from the other process", errno);
  }
  std::size_t count = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const std::size_t bytes = header->cmsg_len - CMSG_LEN(0);
    for (std::size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
      UniqueFd owned(fd);
      if (count < kDescriptorsMax) {
        received.fds[count] = std::move(owned);
      }
      ++count;
    }
  }
  used_ = static_cast<std::size_t>(n);
  if (n == 0) {
    received.state = Received::State::kClosed;
    return received;
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || count > kDescriptorsMax) {
    return fail(ErrorCode::kMalformed,
                "a message between processes is too long or carries too many descriptors", n);
  }
  received.body = ByteView(buffer_).first(used_);
  auto header = decode_header(received.body);
  if (!header) {
    return std::unexpected(header.error());
  }
  received.state = Received::State::kMessage;
  received.header = *header;
  return received;
}

}  // namespace bastion::daemon::ipc
