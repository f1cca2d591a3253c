#include <algorithm>

#include "proto/bridge_state.h"
#include "proto/connection_messages.h"

namespace bastion::proto {

Status Bridge::State::on_data(Leg from, Channel& channel, Payload payload) {
  const auto parsed = parse_channel_data(payload.view());
  if (!parsed) {
    return std::unexpected(parsed.error());
  }
  const std::uint32_t n = parsed->data_len;
  const Leg to = other(from);
  ChannelSide& receiver = channel.side(to);
  WindowLedger& window = channel.from(from);
  if (channel.is_ended()) {
    return {};  // it crossed our close
  }
  // Extended data is stderr, which only a session's program has. What else comes is dropped, since
  // peers ignore it without giving its credit back.
  const bool extended = parsed->kind != 0;
  const bool relayed =
      !extended || (parsed->kind == kExtendedDataStderr && from == Leg::kUpstream &&
                    channel.type == ChannelType::kSession);
  // Before anything runs there is nobody to read it. Some targets would keep it for what is started
  // then, and whatever watches that (proto/bridge_files.h) would not have seen it.
  const bool too_early =
      channel.type == ChannelType::kSession && from == Leg::kDownstream &&
      (channel.start == Channel::Start::kNone || channel.start == Channel::Start::kRefused);
  if (!relayed || too_early || receiver.eof_out || receiver.close_out) {
    if (!window.swallow(n)) {
      return fail(ErrorCode::kProtocol, "more channel data than the window allows", n);
    }
    grant(from, channel, false);
    return {};
  }
  if (!window.relay(n)) {
    return fail(ErrorCode::kProtocol, "more channel data than the window allows", n);
  }
  if (channel.type == ChannelType::kAgent && from == Leg::kUpstream &&
      !channel.agent.pass(payload.view().subspan(parsed->header_len))) {
    send_close(Leg::kUpstream, channel);
    send_close(Leg::kDownstream, channel);
    events.request_decided(info(parsed->recipient, channel),
                           {.name = type_name(channel.type),
                            .detail = "a request that a forwarded agent does not get",
                            .allowed = false});
    return {};
  }
  ByteView told = payload.view().subspan(parsed->header_len);
  Bytes spoken;
  if (channel.files != nullptr && channel.files->scp() != nullptr && !extended) {
    // The content of files is told by events and digests (file_event, file_data).
    spoken = channel.files->scp()->pass(from, told, now_us);
    told = spoken;
  }
  if (!told.empty() &&
      !events.channel_data(info(parsed->recipient, channel), from, extended, told)) {
    return fail(ErrorCode::kInternal, "the recorder did not take what was to be relayed");
  }
  channel.num_bytes[index(from)] += n;
  num_bytes[index(from)] += n;
  if (channel.files != nullptr && !extended) {
    return pass_files(from, parsed->recipient, channel, payload, parsed->header_len);
  }
  if (n <= receiver.max_packet) {
    store_u32(payload.data + 1, receiver.peer_number);
    sink(to).send_in_place(payload);
  } else {
    send_data_in_pieces(sink(to), receiver.peer_number, payload.bytes().subspan(parsed->header_len),
                        parsed->header_len, receiver.max_packet);
  }
  grant(from, channel, false);
  return {};
}

void Bridge::State::grant(Leg sender, Channel& channel, bool by_adjust) {
  const ChannelSide& side = channel.side(sender);
  if (side.eof_in || side.close_in || side.close_out) {
    return;
  }
  if (sender == Leg::kDownstream && channel.files != nullptr && channel.files->congested()) {
    return;  // until enough of its requests are answered
  }
  WindowLedger& window = channel.from(sender);
  const std::uint32_t n = window.grantable();
  if (n == 0 || (!by_adjust && !window.worth_granting(n))) {
    return;
  }
  const Leg receiver = other(sender);
  if (!is_lost(receiver) && sink(receiver).queued_bytes() > kGrantQueueMax) {
    credit_held[index(receiver)] = true;
    return;
  }
  window.grant(n);
  send_window_adjust(sink(sender), side.peer_number, n);
}

Status Bridge::State::on_window_adjust(Leg from, ChannelNumber number, Channel& channel,
                                       Payload payload) {
  if (payload.len != 9) {
    return fail(ErrorCode::kProtocol, "malformed window adjustment");
  }
  const Leg sender = other(from);
  if (!channel.from(sender).adjust(load_u32(payload.data + 5))) {
    return fail(ErrorCode::kProtocol, "a window of more than 2^32 - 1 bytes");
  }
  if (channel.ending) {
    pump_ending(number, channel);
  } else {
    pump_answers(channel);  // what we have to say comes first
    grant(sender, channel, true);
  }
  return {};
}

void Bridge::State::on_eof(Leg from, ChannelNumber number, Channel& channel) {
  channel.side(from).eof_in = true;
  events.channel_eof(info(number, channel), from);
  send_eof(other(from), channel);
}

void Bridge::State::on_close(Leg from, ChannelNumber number, Channel& channel) {
  channel.side(from).close_in = true;
  ChannelSide& user = channel.side(Leg::kDownstream);
  if (from == Leg::kUpstream) {
    if (channel.start == Channel::Start::kRefused && !channel.ending && !user.close_out) {
      // The refusal waits for the target's answers to what was asked before: they never come.
      for (OwedChannelReply& reply : user.owed) {
        const bool awaited =
            reply.answer == Answer::kAwaited || reply.answer == Answer::kAwaitedUnasked;
        reply.answer = awaited ? Answer::kFailure : reply.answer;
      }
      flush_replies(Leg::kDownstream, number, channel);
      return;
    }
    user.owed.clear();
  } else if (channel.ending) {
    channel.ending = false;
    send_close(Leg::kDownstream, channel);
  }
  if (!channel.ending) {
    send_close(other(from), channel);
  }
  if (is_lost(other(from))) {
    send_close(from, channel);
  }
  settle(number, channel);
}

void Bridge::State::send_eof(Leg to, Channel& channel) {
  ChannelSide& side = channel.side(to);
  if (side.eof_out || side.close_out || (to == Leg::kDownstream && channel.ending)) {
    return;
  }
  side.eof_out = true;
  send_channel_eof(sink(to), side.peer_number);
}

void Bridge::State::send_close(Leg to, Channel& channel) {
  ChannelSide& side = channel.side(to);
  if (side.close_out) {
    return;
  }
  side.close_out = true;
  send_channel_close(sink(to), side.peer_number);
}

void Bridge::State::end_channel(ChannelNumber number, Channel& channel, std::string_view text) {
  if (channel.ending) {
    pump_ending(number, channel);
    return;
  }
  send_close(Leg::kUpstream, channel);
  channel.from(Leg::kUpstream).end_sender();
  channel.side(Leg::kDownstream).owed.clear();
  channel.end_line.clear();
  const ChannelSide& user = channel.side(Leg::kDownstream);
  if (channel.type == ChannelType::kSession && !user.eof_out && !user.close_in && !user.close_out) {
    channel.end_line = stderr_line(text, channel.pty, channel.num_bytes[1] > 0);
  }
  channel.end_sent = 0;
  channel.ending = true;
  pump_ending(number, channel);
}

void Bridge::State::pump_ending(ChannelNumber number, Channel& channel) {
  ChannelSide& user = channel.side(Leg::kDownstream);
  WindowLedger& window = channel.from(Leg::kUpstream);
  while (channel.end_sent < channel.end_line.size()) {
    const std::size_t left = channel.end_line.size() - channel.end_sent;
    const auto n = static_cast<std::uint32_t>(
        std::min<std::size_t>({left, window.injectable(), user.max_packet}));
    if (n == 0 || !window.inject(n)) {
      return;  // goes on when the user's window opens
    }
    send_channel_stderr(sink(Leg::kDownstream), user.peer_number,
                        std::string_view(channel.end_line).substr(channel.end_sent, n));
    events.line_sent(info(number, channel),
                     std::string_view(channel.end_line).substr(channel.end_sent, n));
    channel.end_sent += n;
  }
  channel.ending = false;
  if (channel.type == ChannelType::kSession && !channel.exit_seen && !user.close_in &&
      !user.close_out) {
    channel.exit_seen = true;
    channel.exit_status = 255;
    send_exit_status(sink(Leg::kDownstream), user.peer_number, 255);
  }
  send_eof(Leg::kDownstream, channel);
  send_close(Leg::kDownstream, channel);
  settle(number, channel);
}

void Bridge::State::settle(ChannelNumber number, Channel& channel) {
  const auto done = [](const ChannelSide& side) { return side.close_in && side.close_out; };
  if (done(channel.side(Leg::kDownstream)) && done(channel.side(Leg::kUpstream))) {
    erase(number, channel);
  }
}

}  // namespace bastion::proto
