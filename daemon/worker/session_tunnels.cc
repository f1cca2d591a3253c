#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/worker/session.h"
#include "daemon/worker/worker.h"

/// ProxyJump: the tunnels of a session without a target. What comes from the user is written from
/// where it was opened; what comes from the target is sealed from where it was received.
namespace bastion::daemon {
namespace {

/// Pieces of one write; a slab holds eight full packets.
constexpr std::size_t kBatchMax = 64;
/// What one tunnel may hold towards a slow target before the user's leg is read no more: more than
/// its window, so that only a user who ignores windows gets here.
constexpr std::size_t kTunnelQueueMax = limits::kWindowBytesMax + limits::kMaxPacketBytes;
/// What the user sent before he closed a channel is still written, so long and so much of it at
/// once: nothing else bounds how many such tunnels a target that does not read can leave behind.
constexpr std::int64_t kLingerMsMax = 30'000;
constexpr std::size_t kLingeringMax = 8;
constexpr std::size_t kLingeringBytesMax = 2 * limits::kWindowBytesMax;

}  // namespace

void WorkerSession::open_tcp(const proto::TcpOpen& open) {
  ipc::OpenTunnel message;
  message.channel = open.channel;
  message.host = open.host;
  message.port = open.port;
  asked_[worker_.ask(*this, message)] = {Asked::What::kTunnel, open.channel};
}

void WorkerSession::on_tunnel_opened(const ipc::TunnelOpened& message, UniqueFd socket) {
  const std::vector<proto::ChannelInfo> open =
      local_ != nullptr ? local_->channels() : std::vector<proto::ChannelInfo>();
  const bool wanted = std::ranges::any_of(
      open, [&](const proto::ChannelInfo& channel) { return channel.number == message.channel; });
  if (!socket || !wanted || state_ != State::kLocal) {
    return;  // the user gave it up; the socket closes here
  }
  auto tunnel = std::make_unique<Tunnel>(message.channel, worker_.pool());
  tunnel->slot = worker_.add_tunnel(slot_);
  tunnel->stream = std::make_unique<Stream>(
      worker_.ring(), std::move(socket), worker_.tunnel_token(TokenKind::kTunnelRead, tunnel->slot),
      worker_.tunnel_token(TokenKind::kTunnelWrite, tunnel->slot));
  tunnels_.push_back(std::move(tunnel));
  audit_opened_[message.channel] = worker_.now();
  local_->tcp_connected(message.channel);
  arm_tunnel(*tunnels_.back());
}

void WorkerSession::on_tunnel_refused(std::uint32_t request, const ipc::Refused& refused) {
  const auto asked = asked_.find(request);
  if (local_ != nullptr && asked != asked_.end()) {
    local_->tcp_refused(asked->second.channel,
                        refused.unreachable ? proto::LocalConnection::TcpRefusal::kConnectFailed
                                            : proto::LocalConnection::TcpRefusal::kProhibited,
                        refused.text);
  }
}

Tunnel* WorkerSession::find_tunnel(proto::ChannelNumber channel) {
  const auto found = std::ranges::find_if(tunnels_, [&](const auto& tunnel) {
    return tunnel->channel == channel && !tunnel->channel_gone;
  });
  return found == tunnels_.end() ? nullptr : found->get();
}

Tunnel* WorkerSession::tunnel_at(std::uint32_t tunnel_slot) {
  const auto found = std::ranges::find_if(
      tunnels_, [&](const auto& tunnel) { return tunnel->slot == tunnel_slot; });
  return found == tunnels_.end() ? nullptr : found->get();
}

bool WorkerSession::tunnels_congested() const {
  return std::ranges::any_of(
      tunnels_, [](const auto& tunnel) { return tunnel->out.bytes() > kTunnelQueueMax; });
}

// --- from the user to the target -----------------------------------------------------------------

void WorkerSession::take_tunnel_data(const proto::TcpData& data) {
  Tunnel* tunnel = find_tunnel(data.channel);
  if (tunnel == nullptr || tunnel->stream->closing()) {
    return;
  }
  tunnel->batch.push_back({data.data.data(), data.data.size()});
  if (tunnel->batch.size() == kBatchMax) {
    flush_batch(*tunnel);
  }
}

void WorkerSession::flush_batches() {
  for (const auto& tunnel : tunnels_) {
    if (!tunnel->batch.empty()) {
      flush_batch(*tunnel);
    }
  }
}

// flush_batch writes the turn's data from where it was opened; what the socket does not take at
// once is copied, so that one slow target does not hold the memory that all share.
void WorkerSession::flush_batch(Tunnel& tunnel) {
  std::size_t taken = 0;
  down().transport->count_relayed(tunnel.batch_bytes());
  if (tunnel.out.empty() && !tunnel.stream->writing()) {
    const ssize_t n = pwritev2(tunnel.stream->fd(), tunnel.batch.data(),
                               static_cast<int>(tunnel.batch.size()), -1, RWF_NOWAIT);
    // Before Linux 6.4 sockets know no RWF_NOWAIT: all of it is copied then, and the ring writes
    // it.
    if (n < 0 && errno != EAGAIN && errno != EINTR && errno != EOPNOTSUPP) {
      tunnel.batch.clear();
      return close_tunnel(tunnel);
    }
    taken = n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  if (taken > 0 && local_ != nullptr && !tunnel.channel_gone) {
    local_->tcp_written(tunnel.channel, taken);
  }
  for (const iovec& piece : tunnel.batch) {
    const std::size_t skip = std::min(taken, piece.iov_len);
    taken -= skip;
    const std::size_t left = piece.iov_len - skip;
    if (left > 0) {
      std::memcpy(tunnel.out.reserve(left).data(),
                  static_cast<std::uint8_t*>(piece.iov_base) + skip, left);
      tunnel.out.commit(left);
      down().transport->count_copied(left);
    }
  }
  tunnel.batch.clear();
  tunnel.stream->arm_write(tunnel.out);
  settle_tunnel(tunnel);
}

void WorkerSession::on_tunnel_written(std::uint32_t tunnel_slot, const Completion& completion) {
  Tunnel* tunnel = tunnel_at(tunnel_slot);
  if (tunnel == nullptr) {
    return;
  }
  const bool ok = tunnel->stream->on_write(completion, tunnel->out);
  if (!ok) {
    close_tunnel(*tunnel);
  } else if (completion.result > 0 && local_ != nullptr && !tunnel->channel_gone) {
    local_->tcp_written(tunnel->channel, static_cast<std::size_t>(completion.result));
  }
  tunnel->stream->arm_write(tunnel->out);
  settle_tunnel(*tunnel);
  after_work();
}

void WorkerSession::tcp_eof(proto::ChannelNumber channel) {
  if (Tunnel* tunnel = find_tunnel(channel)) {
    tunnel->user_ended = true;
    flush_batch(*tunnel);
  }
}

// --- from the target to the user -----------------------------------------------------------------

void WorkerSession::on_tunnel_read(std::uint32_t tunnel_slot, const Completion& completion) {
  Tunnel* tunnel = tunnel_at(tunnel_slot);
  if (tunnel == nullptr) {
    return;
  }
  switch (tunnel->stream->on_receive(completion)) {
    case Stream::Received::kBytes:
    case Stream::Received::kEnd: feed_user(*tunnel); break;
    case Stream::Received::kFailed: close_tunnel(*tunnel); break;
    case Stream::Received::kStarved: return worker_.starved(*this, *tunnel->stream);
    case Stream::Received::kNothing: settle_tunnel(*tunnel); break;
  }
  after_work();
}

// feed_user sends what the user's window takes. The rest waits in a piece of its own, and the
// socket is not read until it has gone.
void WorkerSession::feed_user(Tunnel& tunnel) {
  InputBuffer& in = tunnel.stream->in();
  const auto room = [&] {
    return tunnel.channel_gone || local_ == nullptr ||
                   down().transport->queued_bytes() >= limits::kSendQueueBytesMax
               ? std::size_t{0}
               : local_->tcp_room(tunnel.channel);
  };
  while (!in.empty() && room() > 0) {
    const std::size_t sent = local_->send_tcp_data(tunnel.channel, in.front());
    if (sent == 0) {
      break;
    }
    in.consume(sent);
  }
  if (!in.empty()) {
    in.park();
    down().transport->count_copied(in.take_copied());
    return;
  }
  in.settle();
  if (tunnel.stream->at_end() && !tunnel.end_told && !tunnel.channel_gone && local_ != nullptr) {
    tunnel.end_told = true;
    local_->tcp_eof(tunnel.channel);
  }
  settle_tunnel(tunnel);
}

// settle_tunnel does what follows from the state of both directions.
void WorkerSession::settle_tunnel(Tunnel& tunnel) {
  if (!tunnel.stream->closing() && tunnel.out.empty() && tunnel.batch.empty()) {
    if (tunnel.user_ended && !tunnel.write_shut) {
      tunnel.write_shut = true;
      shutdown(tunnel.stream->fd(), SHUT_WR);
    }
    const bool both_ended = tunnel.write_shut && tunnel.end_told;
    if (both_ended || tunnel.channel_gone) {
      close_tunnel(tunnel);
    }
  }
  arm_tunnel(tunnel);
}

// arm_tunnel reads no more than the user's window takes, so that next to nothing is ever parked;
// ready_channels tells when a window opens again.
void WorkerSession::arm_tunnel(Tunnel& tunnel) {
  if (tunnel.stream->closing() || !tunnel.stream->in().empty() || tunnel.channel_gone ||
      local_ == nullptr) {
    return;
  }
  const std::size_t room = local_->tcp_room(tunnel.channel);
  if (room > 0 && down().transport->queued_bytes() < limits::kSendQueueBytesMax) {
    worker_.arm_receive(*this, *tunnel.stream, room);
  }
}

void WorkerSession::tcp_closed(const proto::ChannelInfo& channel) {
  audit_channel(audit::Name::kChannelClose, channel);
  note(false, "closed tunnel \"" + escaped(channel.detail, 256) + "\", " +
                  std::to_string(channel.bytes_up) + " bytes up, " +
                  std::to_string(channel.bytes_down) + " down");
  if (Tunnel* tunnel = find_tunnel(channel.number)) {
    flush_batch(*tunnel);
    tunnel->channel_gone = true;
    tunnel->leave_at = after(worker_.now(), kLingerMsMax * kNsPerMs);
    settle_tunnel(*tunnel);
    limit_lingering();
    update_timer();
  }
}

// limit_lingering gives the oldest of the tunnels up that only wait for their targets to read,
// where there are too many of them.
void WorkerSession::limit_lingering() {
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (const auto& tunnel : tunnels_) {
    if (tunnel->channel_gone && !tunnel->stream->closing()) {
      ++count;
      bytes += tunnel->out.bytes();
    }
  }
  while (count > kLingeringMax || bytes > kLingeringBytesMax) {
    Tunnel* oldest = nullptr;
    for (const auto& tunnel : tunnels_) {
      if (tunnel->channel_gone && !tunnel->stream->closing() &&
          (oldest == nullptr || tunnel->leave_at < oldest->leave_at)) {
        oldest = tunnel.get();
      }
    }
    --count;
    bytes -= oldest->out.bytes();
    close_tunnel(*oldest);
  }
}

MonoTime WorkerSession::first_to_leave() const {
  MonoTime first = kNever;
  for (const auto& tunnel : tunnels_) {
    if (tunnel->channel_gone && !tunnel->stream->closing() && tunnel->leave_at.ns != 0) {
      first = std::min(first, tunnel->leave_at);
    }
  }
  return first;
}

void WorkerSession::end_overdue_tunnels() {
  for (const auto& tunnel : tunnels_) {
    if (tunnel->channel_gone && tunnel->leave_at.ns != 0 && tunnel->leave_at <= worker_.now()) {
      close_tunnel(*tunnel);
    }
  }
}

void WorkerSession::close_tunnel(Tunnel& tunnel) {
  if (tunnel.stream->closing()) {
    return;
  }
  tunnel.stream->close();
  if (!tunnel.channel_gone && local_ != nullptr) {
    local_->tcp_closed(tunnel.channel);
    tunnel.channel_gone = true;
  }
}

void WorkerSession::close_tunnels() {
  // Those that end with the session are told of here; the others were, when they closed.
  if (local_ != nullptr) {
    for (const proto::ChannelInfo& channel : local_->channels()) {
      if (audit_opened_.contains(channel.number)) {
        audit_channel(audit::Name::kChannelClose, channel);
      }
    }
  }
  for (const auto& tunnel : tunnels_) {
    tunnel->stream->close();
  }
}

// reap_tunnels forgets those that are closed and have nothing in flight.
void WorkerSession::reap_tunnels() {
  std::erase_if(tunnels_, [this](const std::unique_ptr<Tunnel>& tunnel) {
    const bool done = tunnel->stream->closing() && tunnel->stream->idle();
    if (done) {
      worker_.remove_tunnel(tunnel->slot);
    }
    return done;
  });
}

}  // namespace bastion::daemon
