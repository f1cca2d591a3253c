#include "daemon/stream/stream.h"

#include <cerrno>

namespace bastion::daemon {

void Stream::arm_receive(std::size_t bytes_max) {
  if (receiving_ || at_end_ || closing_ || error_ != 0) {
    return;
  }
  receiving_ = true;
  in_.receive(socket_.get(), read_, bytes_max);
}

Stream::Received Stream::on_receive(const Completion& completion) {
  receiving_ = false;
  if (completion.result > 0 && !closing_) {
    in_.received(completion);
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
    case ENOBUFS:
      return Received::kStarved;
    case EINTR:
    case EAGAIN:
    case ECANCELED:
      return Received::kNothing;
    default:
      error_ = -completion.result;
      return Received::kFailed;
  }
}

void Stream::arm_write(const proto::SendQueue& queue) {
  if (writing_ || closing_ || error_ != 0 || queue.empty()) {
    return;
  }
  std::array<ByteView, kPiecesMax> views;
  const std::size_t n = queue.gather(views);
  for (std::size_t i = 0; i < n; ++i) {
    // writev only reads; its interface has no const.
    pieces_[i] = {const_cast<std::uint8_t*>(views[i].data()), views[i].size()};
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
