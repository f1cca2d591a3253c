#include "daemon/stream/stream.h"

#include <algorithm>
#include <cerrno>

namespace bastion::daemon {
namespace {

/// One write takes no more than this: larger ones save nothing more, and the loop is held for as
/// long as the kernel copies (1 MiB: a quarter of a millisecond).
constexpr std::size_t kWriteBytesMax = 1024 * 1024;

}  // namespace

void Stream::arm_receive(std::size_t bytes_max) {
  if (!may_receive()) {
    return;
  }
  receiving_ = true;
  in_.receive(socket_.get(), read_, bytes_max);
}

Stream::Received Stream::on_receive(const Completion& completion) {
  receiving_ = false;
  if (completion.result > 0 && !closing_) {
    in_.received(completion);
    had_turn_ = false;
    return Received::kBytes;
  }
  in_.dropped(completion);
  if (closing_) {
    return Received::kNothing;
  }
  if (completion.result == 0) {
    at_end_ = true;
    return Received::kEnd;
  }
  switch (-completion.result) {
    case ENOBUFS: waiting_ = true; return Received::kStarved;
    case EINTR:
    case EAGAIN:
    case ECANCELED: return Received::kNothing;
    default: error_ = -completion.result; return Received::kFailed;
  }
}

void Stream::arm_write(const proto::SendQueue& queue) {
  if (writing_ || closing_ || error_ != 0 || queue.empty()) {
    return;
  }
  std::array<ByteView, kPiecesMax> views;
  const std::size_t gathered = queue.gather(views);
  std::size_t n = 0;
  for (std::size_t bytes = 0; n < gathered && bytes < kWriteBytesMax; ++n) {
    const std::size_t len = std::min(views[n].size(), kWriteBytesMax - bytes);
    // writev only reads; its interface has no const.
    pieces_[n] = {const_cast<std::uint8_t*>(views[n].data()), len};
    bytes += len;
  }
  writing_ = true;
  ring_->writev(socket_.get(), pieces_.data(), static_cast<std::uint32_t>(n), write_);
}

bool Stream::on_write(const Completion& completion, proto::SendQueue& queue) {
  writing_ = false;
  if (completion.result >= 0) {
    queue.consume(static_cast<std::size_t>(completion.result));
    return true;
  }
  if (completion.result == -EINTR || completion.result == -EAGAIN ||
      completion.result == -ECANCELED) {
    return true;
  }
  error_ = -completion.result;
  return false;
}

void Stream::close() {
  if (closing_) {
    return;
  }
  closing_ = true;
  if (receiving_) {
    ring_->cancel(read_);
  }
  if (writing_) {
    ring_->cancel(write_);
  }
}

}  // namespace bastion::daemon
