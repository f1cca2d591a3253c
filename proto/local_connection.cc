#include "proto/local_connection.h"

#include <algorithm>

#include "proto/allow.h"
#include "proto/connection_messages.h"
#include "proto/local_state.h"
#include "proto/user_text.h"
#include "proto/window.h"

namespace bastion::proto {

LocalConnection::LocalConnection(LocalOptions options, PacketSink& client, LocalEvents& events)
    : state_(std::make_unique<State>(std::move(options), client, events)) {}
LocalConnection::~LocalConnection() = default;

Result<TcpData> LocalConnection::on_message(Payload payload) {
  if (payload.len == 0) {
    return fail(ErrorCode::kInternal, "a message of no bytes");
  }
  const auto nothing = [](Status status) -> Result<TcpData> {
    return status ? Result<TcpData>(TcpData{}) : std::unexpected(status.error());
  };
  const std::uint8_t message = payload.message();
  switch (message) {
    case kMsgGlobalRequest: return nothing(state_->on_global_request(payload));
    case kMsgRequestSuccess:
    case kMsgRequestFailure:
      state_->num_expected -= state_->num_expected > 0 ? 1 : 0;
      return TcpData{};
    case kMsgChannelOpen: return nothing(state_->on_open(payload));
    default:
      if (message >= kMsgChannelOpenConfirmation && message <= kMsgChannelFailure) {
        return state_->on_channel_message(payload);
      }
      return fail(ErrorCode::kUnsupported, "unknown message of the connection protocol", message);
  }
}

Status LocalConnection::State::on_global_request(Payload payload) {
  const auto request = parse_global_request(payload.view());
  if (!request) {
    return std::unexpected(request.error());
  }
  const bool success = request->type == GlobalRequestType::kNoMoreSessions;
  no_more_sessions = no_more_sessions || success;
  if (request->want_reply) {
    send_global_reply(sink, success);
  }
  return {};
}

PeerChannel LocalConnection::State::peer_channel(ChannelNumber number) const {
  const LocalChannel* channel = channels.find(number);
  if (channel == nullptr) {
    return channels.is_stale(number) ? PeerChannel::kStale : PeerChannel::kNone;
  }
  if (channel->step == LocalChannel::Step::kAwaited) {
    return PeerChannel::kAsking;
  }
  return channel->eof_in ? PeerChannel::kEof : PeerChannel::kOpen;
}

Result<TcpData> LocalConnection::State::on_channel_message(Payload payload) {
  if (payload.len < 5) {
    return fail(ErrorCode::kProtocol, "a channel message without a channel", payload.message());
  }
  const std::uint8_t message = payload.message();
  const ChannelNumber number = load_u32(payload.data + 1);
  switch (channel_permitted(peer_channel(number), message)) {
    case ChannelVerdict::kRefused:
      return fail(ErrorCode::kProtocol, "a message that this channel's state does not allow",
                  message);
    case ChannelVerdict::kDropped: return TcpData{};
    case ChannelVerdict::kHandled: break;
  }
  LocalChannel& channel = *channels.find(number);
  Status status;
  switch (message) {
    case kMsgChannelData:
    case kMsgChannelExtendedData: return on_data(number, channel, payload);
    case kMsgChannelWindowAdjust: status = on_window_adjust(number, channel, payload); break;
    case kMsgChannelRequest: status = on_channel_request(number, channel, payload); break;
    default:
      if (payload.len != 5) {
        return fail(ErrorCode::kProtocol, "a channel message with bytes left over", message);
      }
      if (message == kMsgChannelEof) {
        channel.eof_in = true;
        if (channel.type == ChannelType::kDirectTcpip &&
            channel.step == LocalChannel::Step::kOpen) {
          events.tcp_eof(number);
        }
      } else if (message == kMsgChannelClose) {
        on_close(number, channel);
      }
      // Else an answer to a channel request: we make none.
      break;
  }
  if (!status) {
    return std::unexpected(status.error());
  }
  return TcpData{};
}

auto LocalConnection::State::why_not(const ChannelOpen& open) const -> std::optional<OpenRefusal> {
  using enum OpenFailure;
  const bool session = open.type == ChannelType::kSession;
  const bool tcp = open.type == ChannelType::kDirectTcpip;
  if (!session && !tcp && open.type != ChannelType::kDirectStreamlocal) {
    return OpenRefusal{kUnknownChannelType, "unknown channel type"};
  }
  if (shut_down) {
    return OpenRefusal{kConnectFailed, shut_down_text};
  }
  if (session && no_more_sessions) {
    return OpenRefusal{kAdministrativelyProhibited,
                       "no more sessions were to be opened on this connection"};
  }
  if (!session && (!tcp || !options.direct_tcpip)) {
    return OpenRefusal{kAdministrativelyProhibited,
                       options.mode == LocalOptions::Mode::kRefuse ? options.refusal : usage()};
  }
  if (tcp && (open.host_or_path.empty() || open.host_or_path.size() > kHostBytesMax ||
              !is_visible_ascii(open.host_or_path) || open.port == 0 || open.port > UINT16_MAX)) {
    return OpenRefusal{kConnectFailed, "that is not a host and port"};
  }
  if (channels.size() >= limits::kChannelsMax || channels.size() >= options.channels_max) {
    return OpenRefusal{kResourceShortage,
                       "too many channels on this connection: " + std::to_string(channels.size()),
                       ChannelLimit::kChannels};
  }
  if (session && num_sessions >= options.session_channels_max) {
    return OpenRefusal{kResourceShortage,
                       "too many sessions on this connection: " + std::to_string(num_sessions),
                       ChannelLimit::kSessions};
  }
  if (tcp && num_awaited >= kOpensInFlightMax) {
    return OpenRefusal{kResourceShortage,
                       "too many channels are opening at once: " + std::to_string(num_awaited),
                       ChannelLimit::kOther};
  }
  if (open.max_packet < kPeerMaxPacketMin) {
    return OpenRefusal{kResourceShortage,
                       "the maximum packet size is too small: " + std::to_string(open.max_packet),
                       ChannelLimit::kOther};
  }
  return std::nullopt;
}

Status LocalConnection::State::on_open(Payload payload) {
  const auto open = parse_channel_open(payload.view());
  if (!open) {
    return std::unexpected(open.error());
  }
  if (const auto refusal = why_not(*open)) {
    send_open_failure(sink, open->sender, refusal->reason, refusal->text);
    events.channel_refused(open->type, describe_destination(*open), refusal->text, refusal->limit);
    return {};
  }
  open_channel(*open);
  return {};
}

void LocalConnection::State::open_channel(const ChannelOpen& open) {
  // why_not has seen that the table has a place.
  const ChannelNumber number = *channels.insert();
  LocalChannel& channel = *channels.find(number);
  channel.type = open.type;
  channel.peer_number = open.sender;
  channel.max_packet = std::min(open.max_packet, limits::kMaxPacketBytes);
  channel.credit = open.window;
  channel.blocked = open.window == 0;
  channel.detail = describe_destination(open);
  channel.origin = describe_origin(open);
  if (open.type == ChannelType::kSession) {
    ++num_sessions;
    channel.granted = kLocalSessionWindow;
    send_open_confirmation(sink, open.sender, number, channel.granted, limits::kMaxPacketBytes);
    return;
  }
  ++num_awaited;
  channel.step = LocalChannel::Step::kAwaited;
  events.open_tcp({number, open.host_or_path, static_cast<std::uint16_t>(open.port),
                   open.originator_host, open.originator_port});
}

Result<TcpData> LocalConnection::State::on_data(ChannelNumber number, LocalChannel& channel,
                                                Payload payload) {
  const auto data = parse_channel_data(payload.view());
  if (!data) {
    return std::unexpected(data.error());
  }
  if (channel.step == LocalChannel::Step::kClosed) {
    return TcpData{};  // it crossed our close
  }
  if (data->data_len > channel.granted) {
    return fail(ErrorCode::kProtocol, "more channel data than the window allows", data->data_len);
  }
  channel.granted -= data->data_len;
  if (channel.type != ChannelType::kDirectTcpip || data->kind != 0) {
    consume(channel, data->data_len);
    return TcpData{};
  }
  channel.bytes_up += data->data_len;
  bytes_up += data->data_len;
  return TcpData{number, payload.bytes().subspan(data->header_len)};
}

/// consume grants the user anew what was taken of the window, in steps that are worth a message.
void LocalConnection::State::consume(LocalChannel& channel, std::uint32_t n) {
  channel.consumed += n;
  const bool worth =
      channel.consumed >= WindowLedger::kGrantStep || channel.consumed >= channel.granted;
  if (channel.consumed == 0 || !worth || channel.eof_in ||
      channel.step != LocalChannel::Step::kOpen) {
    return;
  }
  send_window_adjust(sink, channel.peer_number, channel.consumed);
  channel.granted += channel.consumed;
  channel.consumed = 0;
}

Status LocalConnection::State::on_window_adjust(ChannelNumber /*number*/, LocalChannel& channel,
                                                Payload payload) {
  if (payload.len != 9) {
    return fail(ErrorCode::kProtocol, "malformed window adjustment");
  }
  const std::uint32_t n = load_u32(payload.data + 5);
  if (n > UINT32_MAX - channel.credit) {
    return fail(ErrorCode::kProtocol, "a window of more than 2^32 - 1 bytes");
  }
  channel.credit += n;
  if (channel.type == ChannelType::kSession) {
    pump(channel);
  } else if (channel.blocked && channel.credit > 0) {
    channel.blocked = false;
    num_ready += channel.ready ? 0 : 1;
    channel.ready = true;
  }
  return {};
}

void LocalConnection::State::on_close(ChannelNumber number, LocalChannel& channel) {
  close(channel);
  erase(number, channel);
}

void LocalConnection::State::close(LocalChannel& channel) {
  if (channel.step == LocalChannel::Step::kClosed) {
    return;
  }
  channel.step = LocalChannel::Step::kClosed;
  send_channel_close(sink, channel.peer_number);
}

void LocalConnection::State::erase(ChannelNumber number, LocalChannel& channel) {
  const bool session = channel.type == ChannelType::kSession;
  num_sessions -= session ? 1 : 0;
  num_awaited -= channel.step == LocalChannel::Step::kAwaited ? 1 : 0;
  num_ready -= channel.ready ? 1 : 0;
  tcp_windows -= channel.window;
  // The number is dead when the owner hears of it, so nothing that it calls finds the channel.
  const LocalChannel gone = std::move(channel);
  channels.erase(number);
  if (!session) {
    events.tcp_closed(info(number, gone));
  }
}

ChannelInfo LocalConnection::State::info(ChannelNumber number, const LocalChannel& channel) const {
  return {
      .number = number,
      .type = channel.type,
      .opener = Leg::kDownstream,
      .use = channel.use,
      .pty = channel.pty,
      .open = channel.step == LocalChannel::Step::kOpen,
      .detail = channel.detail,
      .origin = channel.origin,
      .bytes_up = channel.bytes_up,
      .bytes_down = channel.bytes_down,
      .exit_status = channel.ending ? std::optional(channel.exit_status) : std::nullopt,
  };
}

void LocalConnection::shut_down(std::string_view text) {
  State& state = *state_;
  state.shut_down = true;
  state.shut_down_text = text;
  state.channels.for_each([&](ChannelNumber number, LocalChannel& channel) {
    if (channel.type == ChannelType::kSession) {
      if (!channel.ending) {
        state.end_session(channel, stderr_line(text, channel.pty, false), true, 255);
      }
    } else if (channel.step == LocalChannel::Step::kAwaited) {
      send_open_failure(state.sink, channel.peer_number, OpenFailure::kConnectFailed, text);
      state.erase(number, channel);
    } else {
      tcp_closed(number);
    }
  });
}

bool LocalConnection::send_keepalive() {
  if (state_->num_expected == limits::kPendingRepliesMax) {
    return false;
  }
  ++state_->num_expected;
  send_keepalive_request(state_->sink);
  return true;
}

std::vector<ChannelInfo> LocalConnection::channels() const {
  std::vector<ChannelInfo> infos;
  infos.reserve(state_->channels.size());
  std::as_const(state_->channels).for_each([&](ChannelNumber number, const LocalChannel& channel) {
    infos.push_back(state_->info(number, channel));
  });
  return infos;
}

std::size_t LocalConnection::num_channels() const { return state_->channels.size(); }
std::uint64_t LocalConnection::bytes_up() const { return state_->bytes_up; }
std::uint64_t LocalConnection::bytes_down() const { return state_->bytes_down; }

}  // namespace bastion::proto
