#include <algorithm>

#include "proto/allow.h"
#include "proto/bridge_state.h"
#include "proto/connection_messages.h"

namespace bastion::proto {
namespace {

/// is_opened_by: sessions and direct-* are the user's to open, the others the target's.
constexpr bool is_opened_by(Leg leg, ChannelType type) {
  switch (type) {
    case ChannelType::kUnknown: return false;
    case ChannelType::kSession:
    case ChannelType::kDirectTcpip:
    case ChannelType::kDirectStreamlocal: return leg == Leg::kDownstream;
    case ChannelType::kForwardedTcpip:
    case ChannelType::kForwardedStreamlocal:
    case ChannelType::kX11:
    case ChannelType::kAgent: return leg == Leg::kUpstream;
  }
  return false;
}

/// stands_for: a target names the address that it was asked to listen on; where that means any or
/// every address of it, it may name another spelling (the port is what tells them apart).
bool stands_for(std::string_view asked, std::string_view named) {
  return asked == named || asked.empty() || asked == "*" || asked == "0.0.0.0" || asked == "::" ||
         asked == "localhost";
}

constexpr std::string_view kTooManyChannels = "too many channels on this connection";

}  // namespace

void Bridge::State::refuse_open(Leg from, const ChannelOpen& open, OpenFailure reason,
                                OpenRefused::Why why, std::string_view text, ChannelLimit limit) {
  send_open_failure(sink(from), open.sender, reason, text);
  events.channel_refused({open.type, from, why, describe_destination(open), text, limit});
}

auto Bridge::State::open_limit(Leg from, const ChannelOpen& open) const
    -> std::optional<OpenLimit> {
  if (channels.size() >= limits::kChannelsMax || channels.size() >= permissions.channels_max) {
    return OpenLimit{ChannelLimit::kChannels,
                     std::string(kTooManyChannels) + ": " + std::to_string(channels.size())};
  }
  if (open.type == ChannelType::kSession && num_sessions >= permissions.session_channels_max) {
    return OpenLimit{ChannelLimit::kSessions,
                     "too many sessions on this connection: " + std::to_string(num_sessions)};
  }
  if (num_opening[index(from)] >= kOpensInFlightMax) {
    return OpenLimit{ChannelLimit::kOther, "too many channels are opening at once: " +
                                               std::to_string(num_opening[index(from)])};
  }
  if (open.max_packet < kPeerMaxPacketMin) {
    return OpenLimit{ChannelLimit::kOther,
                     "the maximum packet size is too small: " + std::to_string(open.max_packet)};
  }
  return std::nullopt;
}

bool Bridge::State::was_asked_for(const ChannelOpen& open) const {
  switch (open.type) {
    case ChannelType::kX11: return x11_accepted;
    case ChannelType::kAgent: return agent_accepted;
    case ChannelType::kForwardedTcpip:
    case ChannelType::kForwardedStreamlocal:
      return std::ranges::any_of(forwards, [&](const Forward& forward) {
        if (forward.step == Forward::Step::kAsked) {
          return false;
        }
        if (open.type == ChannelType::kForwardedStreamlocal) {
          return forward.socket && forward.host_or_path == open.host_or_path;
        }
        return !forward.socket && forward.port == open.port &&
               stands_for(forward.host_or_path, open.host_or_path);
      });
    default: return true;
  }
}

Status Bridge::State::on_open(Leg from, Payload payload) {
  using enum OpenFailure;
  using Why = OpenRefused::Why;
  const auto parsed = parse_channel_open(payload.view());
  if (!parsed) {
    return std::unexpected(parsed.error());
  }
  const ChannelOpen& open = *parsed;
  const Leg to = other(from);
  if (!is_opened_by(from, open.type)) {
    refuse_open(from, open, kUnknownChannelType, Why::kPolicy, "unknown channel type");
    return {};
  }
  if (is_lost(to)) {
    refuse_open(from, open, kConnectFailed, Why::kPeer, lost_text);
    return {};
  }
  if (!allows(permissions, open) || !was_asked_for(open)) {
    refuse_open(from, open, kAdministrativelyProhibited, Why::kPolicy,
                open_refused_text(names, open));
    return {};
  }
  if (open.type == ChannelType::kSession && no_more_sessions) {
    refuse_open(from, open, kAdministrativelyProhibited, Why::kPolicy,
                "no more sessions were to be opened on this connection");
    return {};
  }
  if (const auto limit = open_limit(from, open)) {
    refuse_open(from, open, kResourceShortage, Why::kLimit, limit->text, limit->limit);
    return {};
  }

  const auto number = channels.insert();
  if (!number) {
    refuse_open(from, open, kResourceShortage, Why::kLimit, kTooManyChannels,
                ChannelLimit::kChannels);
    return {};
  }
  ++num_opening[index(from)];
  num_sessions += open.type == ChannelType::kSession ? 1 : 0;
  Channel& channel = *channels.find(*number);
  channel.type = open.type;
  channel.opener = from;
  channel.detail = describe_destination(open);
  channel.origin = describe_origin(open);
  ChannelSide& side = channel.side(from);
  side.peer_number = open.sender;
  side.max_packet = std::min(open.max_packet, limits::kMaxPacketBytes);
  side.confirmed = true;
  // What it will run is not known yet.
  const bool answers = open.type == ChannelType::kSession &&
                       (permissions.sftp_files.restricts() || permissions.exec_files.restricts());
  const std::uint32_t window =
      answers ? channel.from(to).open_for_answers(open.window)
              : channel.from(to).open(open.window, open.type == ChannelType::kSession);
  rewrite_channel_open(payload, *number, window, side.max_packet);
  sink(to).send_in_place(payload);
  return {};
}

Status Bridge::State::on_confirmation(Leg from, ChannelNumber number, Channel& channel,
                                      Payload payload) {
  const auto confirmation = parse_channel_confirmation(payload.view());
  if (!confirmation) {
    return std::unexpected(confirmation.error());
  }
  if (confirmation->max_packet < kPeerMaxPacketMin) {
    return fail(ErrorCode::kProtocol, "the maximum packet size of a channel is too small",
                confirmation->max_packet);
  }
  const Leg opener = channel.opener;
  ChannelSide& side = channel.side(from);
  side.peer_number = confirmation->sender;
  side.max_packet = std::min(confirmation->max_packet, limits::kMaxPacketBytes);
  side.confirmed = true;
  const std::uint32_t window = channel.from(opener).open(confirmation->window, false);
  channel.open = true;
  --num_opening[index(opener)];
  if (channel.orphan) {
    send_close(from, channel);
    events.channel_opened(info(number, channel));
    return {};
  }
  store_u32(payload.data + 1, channel.side(opener).peer_number);
  store_u32(payload.data + 5, number);
  store_u32(payload.data + 9, window);
  store_u32(payload.data + 13, side.max_packet);
  sink(opener).send_in_place(payload);
  events.channel_opened(info(number, channel));
  return {};
}

Status Bridge::State::on_open_failure(Leg /*from*/, ChannelNumber number, Channel& channel,
                                      Payload payload) {
  const auto failure = parse_channel_open_failure(payload.view());
  if (!failure) {
    return std::unexpected(failure.error());
  }
  if (!channel.orphan) {
    send_open_failure(sink(channel.opener), channel.side(channel.opener).peer_number,
                      failure->reason, failure->text);
  }
  events.channel_refused(
      {channel.type, channel.opener, OpenRefused::Why::kPeer, channel.detail, failure->text});
  erase(number, channel);
  return {};
}

}  // namespace bastion::proto
