#pragma once

#include <array>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "daemon/ipc/codec.h"
#include "daemon/ipc/message.h"
#include "daemon/unique_fd.h"

namespace bastion::daemon::ipc {

inline constexpr std::size_t kDescriptorsMax = 2;  // with one message
/// What may wait to be sent on one channel. A peer that does not read that much (fifty of the
/// largest messages) is stuck or hostile.
inline constexpr std::size_t kChannelQueueBytesMax = 50 * kMessageBytesMax;

/// socket_pair makes the two ends of a channel: SOCK_SEQPACKET, close-on-exec, blocking mode.
Result<std::array<UniqueFd, 2>> socket_pair();

/// Received is what `Channel::receive` found.
struct Received {
  enum class State : std::uint8_t { kMessage, kNothing, kClosed };
  State state = State::kNothing;
  Header header;
  ByteView body;                              // until the next receive; for decode<Message>
  std::array<UniqueFd, kDescriptorsMax> fds;  // close-on-exec; what is not taken is closed
};

/// Channel speaks messages over one end of a pair. Nothing here waits: every call passes
/// MSG_DONTWAIT, and what cannot be sent at once is queued until `on_writable`. The owner arms
/// poll_in for `fd()` (one-shot, again after reading until kNothing) and poll_out while
/// `wants_writable()`.
class Channel {
 public:
  explicit Channel(UniqueFd fd);
  ~Channel();
  Channel(Channel&&) noexcept;
  Channel& operator=(Channel&&) noexcept;

  int fd() const { return fd_.get(); }

  /// send encodes and sends, or queues. `fds` are borrowed; where the message has to wait they are
  /// duplicated. Errors: kLimit (queue full or message too large), kIo (the peer is gone: EPIPE,
  /// ECONNRESET). After an error the channel is of no further use.
  template <typename Message>
  Status send(const Header& header, const Message& message, std::span<const int> fds = {}) {
    return send_packet(encode(header, message), fds);
  }
  Status send_packet(SecretBytes packet, std::span<const int> fds = {});
  Status on_writable();
  bool wants_writable() const { return !queue_.empty(); }
  std::size_t queued_bytes() const { return queued_bytes_; }
  /// queued_descriptors: those that wait here with their messages, each a duplicate.
  std::size_t queued_descriptors() const { return queued_descriptors_; }

  /// receive takes one packet. kClosed: the peer has closed its end. Errors: kMalformed (not one of
  /// our messages, too long, too many descriptors), kIo. Packets are fetched several at a time, so
  /// whoever stops before kNothing asks has_fetched: poll says nothing of what lies here.
  Result<Received> receive();
  bool has_fetched() const;

 private:
  struct Queued {
    SecretBytes packet;
    std::vector<UniqueFd> fds;
  };
  struct Batch;
  Status transmit(ByteView packet, std::span<const int> fds, bool& would_block);
  Status fetch();

  UniqueFd fd_;
  std::deque<Queued> queue_;
  std::size_t queued_bytes_ = 0;
  std::size_t queued_descriptors_ = 0;
  std::unique_ptr<Batch> batch_;  // from the first receive on
};

}  // namespace bastion::daemon::ipc
