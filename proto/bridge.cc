#include "proto/bridge.h"

#include "proto/bridge_state.h"
#include "proto/connection_messages.h"

namespace bastion::proto {

Bridge::Bridge(const Permissions& permissions, PacketSink& downstream, PacketSink& upstream,
               BridgeEvents& events)
    : state_(std::make_unique<State>(permissions, downstream, upstream, events)) {}
Bridge::~Bridge() = default;

void Bridge::set_names(const SessionNames& names) {
  state_->names = {std::string(names.user), std::string(names.login), std::string(names.target),
                   std::string(names.session)};
}

void Bridge::set_now(std::int64_t now_us) { state_->now_us = now_us; }

Status Bridge::on_message(Leg from, Payload payload) {
  if (state_->is_lost(from) || payload.len == 0) {
    return fail(ErrorCode::kInternal, "a message of a leg that is lost, or of no bytes");
  }
  const std::uint8_t message = payload.message();
  switch (message) {
    case kMsgGlobalRequest: return state_->on_global_request(from, payload);
    case kMsgRequestSuccess:
    case kMsgRequestFailure: return state_->on_global_reply(from, payload);
    case kMsgChannelOpen: return state_->on_open(from, payload);
    default:
      if (message >= kMsgChannelOpenConfirmation && message <= kMsgChannelFailure) {
        return state_->on_channel_message(from, payload);
      }
      return fail(ErrorCode::kUnsupported, "unknown message of the connection protocol", message);
  }
}

PeerChannel Bridge::State::peer_channel(Leg from, ChannelNumber number) const {
  const Channel* channel = channels.find(number);
  if (channel == nullptr) {
    return channels.is_stale(number) ? PeerChannel::kStale : PeerChannel::kNone;
  }
  const ChannelSide& side = channel->side(from);
  if (!channel->open) {
    return channel->opener == from ? PeerChannel::kAsking : PeerChannel::kAsked;
  }
  if (side.close_in) {
    return PeerChannel::kClosed;
  }
  return side.eof_in ? PeerChannel::kEof : PeerChannel::kOpen;
}

Status Bridge::State::on_channel_message(Leg from, Payload payload) {
  if (payload.len < 5) {
    return fail(ErrorCode::kProtocol, "a channel message without a channel", payload.message());
  }
  const std::uint8_t message = payload.message();
  const ChannelNumber number = load_u32(payload.data + 1);
  switch (channel_permitted(peer_channel(from, number), message)) {
    case ChannelVerdict::kRefused:
      return fail(ErrorCode::kProtocol, "a message that this channel's state does not allow",
                  message);
    case ChannelVerdict::kDropped: return {};
    case ChannelVerdict::kHandled: break;
  }
  Channel& channel = *channels.find(number);
  switch (message) {
    case kMsgChannelOpenConfirmation: return on_confirmation(from, number, channel, payload);
    case kMsgChannelOpenFailure: return on_open_failure(from, number, channel, payload);
    case kMsgChannelWindowAdjust: return on_window_adjust(from, number, channel, payload);
    case kMsgChannelData:
    case kMsgChannelExtendedData: return on_data(from, channel, payload);
    case kMsgChannelRequest: return on_channel_request(from, number, channel, payload);
    default: break;
  }
  if (payload.len != 5) {
    return fail(ErrorCode::kProtocol, "a channel message with bytes left over", message);
  }
  switch (message) {
    case kMsgChannelEof: on_eof(from, number, channel); return {};
    case kMsgChannelClose: on_close(from, number, channel); return {};
    default: return on_channel_reply(from, number, channel, payload);
  }
}

ChannelInfo Bridge::State::info(ChannelNumber number, const Channel& channel) const {
  const bool closing = channel.side(Leg::kDownstream).close_in ||
                       channel.side(Leg::kUpstream).close_in || channel.ending;
  return {
      .number = number,
      .type = channel.type,
      .opener = channel.opener,
      .use = channel.use,
      .pty = channel.pty,
      .open = channel.open && !closing,
      .moves_files = channel.files != nullptr,
      .detail = channel.detail,
      .origin = channel.origin,
      .bytes_up = channel.num_bytes[index(Leg::kDownstream)],
      .bytes_down = channel.num_bytes[index(Leg::kUpstream)],
      .exit_status = channel.exit_status,
      .num_untold = channel.num_untold,
  };
}

void Bridge::State::erase(ChannelNumber number, Channel& channel) {
  if (channel.files != nullptr) {
    channel.files->finish(info(number, channel), now_us);
  }
  if (channel.open) {
    events.channel_closed(info(number, channel));
  } else {
    --num_opening[index(channel.opener)];
  }
  if (channel.type == ChannelType::kSession) {
    --num_sessions;
  }
  channels.erase(number);
  if (is_lost(Leg::kUpstream)) {
    tell_finished();
  }
}

void Bridge::State::tell_finished() {
  if (channels.size() == 0 && !finished_told) {
    finished_told = true;
    events.finished();
  }
}

void Bridge::drained(Leg leg) {
  State& state = *state_;
  if (!state.credit_held[index(leg)]) {
    return;
  }
  state.credit_held[index(leg)] = false;
  state.channels.for_each([&](ChannelNumber, Channel& channel) {
    if (channel.open) {
      state.grant(other(leg), channel, false);
    }
  });
}

void Bridge::upstream_lost(std::string_view text) {
  State& state = *state_;
  if (state.is_lost(Leg::kUpstream) || state.is_lost(Leg::kDownstream)) {
    return;
  }
  state.lost[index(Leg::kUpstream)] = true;
  state.lost_text = text;
  state.forwards.clear();
  state.expected[index(Leg::kUpstream)].clear();
  for (Answer& answer : state.owed[index(Leg::kDownstream)]) {
    answer = answer == Answer::kAwaited ? Answer::kFailure : answer;
  }
  state.flush_global(Leg::kDownstream);

  state.channels.for_each([&](ChannelNumber number, Channel& channel) {
    ChannelSide& upstream = channel.side(Leg::kUpstream);
    upstream.close_in = true;
    upstream.close_out = true;
    if (channel.open) {
      state.end_channel(number, channel, text);
    } else if (channel.opener == Leg::kUpstream) {
      channel.orphan = true;
    } else {
      send_open_failure(state.sink(Leg::kDownstream), channel.side(Leg::kDownstream).peer_number,
                        OpenFailure::kConnectFailed, text);
      state.events.channel_refused(
          {channel.type, channel.opener, OpenRefused::Why::kPeer, channel.detail, state.lost_text});
      state.erase(number, channel);
    }
  });
  state.tell_finished();
}

void Bridge::downstream_lost() {
  State& state = *state_;
  state.lost = {true, true};
  state.forwards.clear();
  state.channels.for_each(
      [&](ChannelNumber number, Channel& channel) { state.erase(number, channel); });
  state.tell_finished();
}

bool Bridge::inject_stderr(ChannelNumber number, std::string_view line) {
  State& state = *state_;
  Channel* channel = state.channels.find(number);
  if (channel == nullptr || !channel->open || channel->type != ChannelType::kSession ||
      channel->ending) {
    return false;
  }
  const ChannelSide& user = channel->side(Leg::kDownstream);
  if (user.eof_out || user.close_out || user.close_in) {
    return false;
  }
  const std::string text = printable(line) + (channel->pty ? "\r\n" : "\n");
  if (text.size() > user.max_packet ||
      !channel->from(Leg::kUpstream).inject(static_cast<std::uint32_t>(text.size()))) {
    return false;
  }
  send_channel_stderr(state.sink(Leg::kDownstream), user.peer_number, text);
  state.events.line_sent(state.info(number, *channel), text);
  return true;
}

bool Bridge::send_keepalive(Leg leg) {
  State& state = *state_;
  if (state.is_lost(leg) ||
      !state.expected[index(leg)].push({.of = ExpectedReply::Of::kKeepalive, .wanted = false})) {
    return false;
  }
  send_keepalive_request(state.sink(leg));
  return true;
}

std::vector<ChannelInfo> Bridge::channels() const {
  std::vector<ChannelInfo> infos;
  infos.reserve(state_->channels.size());
  std::as_const(state_->channels).for_each([&](ChannelNumber number, const Channel& channel) {
    infos.push_back(state_->info(number, channel));
  });
  return infos;
}

std::size_t Bridge::num_channels() const { return state_->channels.size(); }
std::uint64_t Bridge::bytes_up() const { return state_->num_bytes[index(Leg::kDownstream)]; }
std::uint64_t Bridge::bytes_down() const { return state_->num_bytes[index(Leg::kUpstream)]; }

}  // namespace bastion::proto
