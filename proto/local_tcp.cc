#include <algorithm>

#include "proto/connection_messages.h"
#include "proto/local_state.h"

namespace bastion::proto {
namespace {

/// tcp_channel finds a TCP channel in this step; null for what is gone or something else.
LocalChannel* tcp_channel(SlotTable<LocalChannel>& channels, ChannelNumber number,
                          LocalChannel::Step step) {
  LocalChannel* channel = channels.find(number);
  const bool is_it =
      channel != nullptr && channel->type == ChannelType::kDirectTcpip && channel->step == step;
  return is_it ? channel : nullptr;
}

}  // namespace

void LocalConnection::tcp_connected(ChannelNumber number) {
  LocalChannel* channel = tcp_channel(state_->channels, number, LocalChannel::Step::kAwaited);
  if (channel == nullptr) {
    return;
  }
  --state_->num_awaited;
  channel->step = LocalChannel::Step::kOpen;
  const std::uint32_t spent = std::min(state_->tcp_windows, kTcpWindowsMax);
  channel->window = std::clamp(kTcpWindowsMax - spent, kTcpWindowMin, limits::kWindowBytesMax);
  channel->granted = channel->window;
  state_->tcp_windows += channel->window;
  send_open_confirmation(state_->sink, channel->peer_number, number, channel->granted,
                         limits::kMaxPacketBytes);
}

void LocalConnection::tcp_refused(ChannelNumber number, TcpRefusal why, std::string_view text) {
  LocalChannel* channel = tcp_channel(state_->channels, number, LocalChannel::Step::kAwaited);
  if (channel == nullptr) {
    return;
  }
  const OpenFailure reason = why == TcpRefusal::kProhibited
                                 ? OpenFailure::kAdministrativelyProhibited
                             : why == TcpRefusal::kLimit ? OpenFailure::kResourceShortage
                                                         : OpenFailure::kConnectFailed;
  send_open_failure(state_->sink, channel->peer_number, reason, text);
  --state_->num_awaited;
  state_->channels.erase(number);
}

std::size_t LocalConnection::tcp_room(ChannelNumber number) const {
  const LocalChannel* channel = tcp_channel(state_->channels, number, LocalChannel::Step::kOpen);
  return channel == nullptr || channel->eof_out ? 0 : channel->credit;
}

std::size_t LocalConnection::send_tcp_data(ChannelNumber number, MutBytes data) {
  LocalChannel* channel = tcp_channel(state_->channels, number, LocalChannel::Step::kOpen);
  if (channel == nullptr || channel->eof_out || data.empty()) {
    return 0;
  }
  const std::size_t n = std::min<std::size_t>(data.size(), channel->credit);
  if (n > 0) {
    constexpr std::size_t kHeaderBytes = 9;
    send_data_in_pieces(state_->sink, channel->peer_number, data.first(n), kHeaderBytes,
                        channel->max_packet);
    channel->credit -= static_cast<std::uint32_t>(n);
    channel->bytes_down += n;
    state_->bytes_down += n;
  }
  channel->blocked = channel->credit == 0;
  return n;
}

std::vector<ChannelNumber> LocalConnection::ready_channels() {
  std::vector<ChannelNumber> ready;
  if (state_->num_ready == 0) {
    return ready;
  }
  ready.reserve(state_->num_ready);
  state_->channels.for_each([&](ChannelNumber number, LocalChannel& channel) {
    if (channel.ready) {
      channel.ready = false;
      ready.push_back(number);
    }
  });
  state_->num_ready = 0;
  return ready;
}

void LocalConnection::tcp_written(ChannelNumber number, std::size_t n) {
  LocalChannel* channel = tcp_channel(state_->channels, number, LocalChannel::Step::kOpen);
  if (channel == nullptr) {
    return;
  }
  // Never more than was taken: the window must not grow by a mistake of the owner.
  const std::uint32_t taken = channel->window - channel->granted - channel->consumed;
  state_->consume(*channel, static_cast<std::uint32_t>(std::min<std::size_t>(n, taken)));
}

void LocalConnection::tcp_eof(ChannelNumber number) {
  LocalChannel* channel = tcp_channel(state_->channels, number, LocalChannel::Step::kOpen);
  if (channel != nullptr && !channel->eof_out) {
    channel->eof_out = true;
    send_channel_eof(state_->sink, channel->peer_number);
  }
}

void LocalConnection::tcp_closed(ChannelNumber number) {
  tcp_eof(number);
  LocalChannel* channel = tcp_channel(state_->channels, number, LocalChannel::Step::kOpen);
  if (channel != nullptr) {
    state_->close(*channel);
  }
}

}  // namespace bastion::proto
