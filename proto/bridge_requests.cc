#include <algorithm>

#include "proto/allow.h"
#include "proto/bridge_state.h"
#include "proto/connection_messages.h"

namespace bastion::proto {
namespace {

/// has_consequences: what an audit log wants to know even when it was allowed.
constexpr bool has_consequences(ChannelRequestType type) {
  switch (type) {
    case ChannelRequestType::kPty:
    case ChannelRequestType::kX11:
    case ChannelRequestType::kAgent:
    case ChannelRequestType::kEnv:
    case ChannelRequestType::kShell:
    case ChannelRequestType::kExec:
    case ChannelRequestType::kSubsystem:
    case ChannelRequestType::kSignal: return true;
    default: return false;
  }
}

}  // namespace

void Bridge::State::tell_request(ChannelNumber number, Channel& channel,
                                 const ChannelRequest& request, bool allowed) {
  const bool worth_telling =
      allowed ? has_consequences(request.type) : request.type != ChannelRequestType::kKeepalive;
  if (!worth_telling) {
    return;
  }
  // What runs, and what opens a way back to the user, is never hidden behind a crowd of others.
  const bool always =
      allowed &&
      (starts_session(request.type) || request.type == ChannelRequestType::kPty ||
       request.type == ChannelRequestType::kX11 || request.type == ChannelRequestType::kAgent);
  if (!always && channel.num_told == kToldRequestsMax) {
    ++channel.num_untold;
    return;
  }
  if (!always) {
    ++channel.num_told;
  }
  events.request_decided(
      info(number, channel),
      {.name = request.name,
       .detail = request.text,
       .allowed = allowed,
       .forced = allowed && starts_session(request.type) && !permissions.force_command.empty()});
}

Status Bridge::State::on_channel_request(Leg from, ChannelNumber number, Channel& channel,
                                         Payload payload) {
  const auto parsed = parse_channel_request(payload.view());
  if (!parsed) {
    return std::unexpected(parsed.error());
  }
  const ChannelRequest& request = *parsed;
  if (channel.side(from).close_out && channel.is_ended()) {
    return {};  // it crossed our close; nothing may follow that, not even an answer
  }
  // A terminal that comes when a program runs already is none of that program's: what the user
  // sends it would pass for what is typed. And what was sent to a program that the target then did
  // not start may wait there for the next one: whoever follows that would not have seen it.
  const bool is_first =
      channel.start == Channel::Start::kNone && channel.num_bytes[index(Leg::kDownstream)] == 0;
  const bool startable = starts_session(request.type) ? is_first
                                                      : request.type != ChannelRequestType::kPty ||
                                                            channel.start == Channel::Start::kNone;
  const bool countable = request.type != ChannelRequestType::kEnv || channel.num_env < kEnvCountMax;
  const bool reachable = !is_lost(other(from)) && !channel.side(other(from)).close_out;
  const bool permitted =
      channel.type == ChannelType::kSession && allows(permissions, from, request);
  if (permitted && startable && countable && reachable) {
    note_relayed(number, channel, request);
    // Before it is relayed: that uses the message up.
    tell_request(number, channel, request, true);
    events.request_relayed(info(number, channel), from, request);
    return relay_request(from, channel, request, payload);
  }

  tell_request(number, channel, request, false);
  const bool refuse_start = from == Leg::kDownstream && channel.type == ChannelType::kSession &&
                            starts_session(request.type) && startable && reachable;
  if (!refuse_start) {
    return answer(
        from, number, channel,
        {.type = request.type, .answer = Answer::kFailure, .want_reply = request.want_reply});
  }
  // "request failed" is all that clients print of a refused shell. So it succeeds, says why on
  // stderr, and ends.
  channel.start = Channel::Start::kRefused;
  channel.end_line = start_refused_text(names, permissions, request);
  return answer(
      from, number, channel,
      {.type = request.type, .answer = Answer::kRefusal, .want_reply = request.want_reply});
}

Status Bridge::State::relay_request(Leg from, Channel& channel, const ChannelRequest& request,
                                    Payload payload) {
  const Leg to = other(from);
  // These change what is allowed later, so we want to know what became of them.
  const bool awaited = starts_session(request.type) || request.type == ChannelRequestType::kX11 ||
                       request.type == ChannelRequestType::kAgent ||
                       request.type == ChannelRequestType::kPty;
  if (request.want_reply || awaited) {
    const Answer answer = request.want_reply ? Answer::kAwaited : Answer::kAwaitedUnasked;
    if (!channel.side(from).owed.push(
            {.type = request.type, .answer = answer, .want_reply = request.want_reply})) {
      return fail(ErrorCode::kLimit, "too many channel requests without an answer");
    }
  }
  if (starts_session(request.type) && !permissions.force_command.empty()) {
    send_exec(sink(to), channel.side(to).peer_number, permissions.force_command, true);
    return {};
  }
  set_want_reply(payload.bytes(), request.want_reply || awaited);
  store_u32(payload.data + 1, channel.side(to).peer_number);
  sink(to).send_in_place(payload);
  return {};
}

void Bridge::State::note_relayed(ChannelNumber number, Channel& channel,
                                 const ChannelRequest& request) {
  switch (request.type) {
    case ChannelRequestType::kEnv: ++channel.num_env; break;
    case ChannelRequestType::kShell:
    case ChannelRequestType::kExec:
    case ChannelRequestType::kSubsystem:
      channel.start = Channel::Start::kAwaited;
      channel.use = use_of(request.type);
      channel.detail = request.text.substr(0, kDetailBytesMax);
      channel.files =
          FileStage::make(*this, number, channel.use, request.text, permissions, now_us);
      break;
    case ChannelRequestType::kExitStatus:
      channel.exit_seen = true;
      channel.exit_status = request.exit_status;
      break;
    case ChannelRequestType::kExitSignal: channel.exit_seen = true; break;
    default: break;
  }
}

Status Bridge::State::on_channel_reply(Leg from, ChannelNumber number, Channel& channel,
                                       Payload payload) {
  const Leg to = other(from);
  auto& owed_replies = channel.side(to).owed;
  // Answers of ours leave as soon as nothing is awaited before them, so the first one is awaited.
  if (owed_replies.empty()) {
    return {};  // an answer that nobody asked for
  }
  const OwedChannelReply reply = owed_replies.front();
  owed_replies.pop();
  const bool success = payload.message() == kMsgChannelSuccess;
  if (reply.answer == Answer::kAwaited && !channel.side(to).close_out) {
    store_u32(payload.data + 1, channel.side(to).peer_number);
    sink(to).send_in_place(payload);
  }
  switch (reply.type) {
    case ChannelRequestType::kPty: channel.pty = channel.pty || success; break;
    case ChannelRequestType::kX11: x11_accepted = x11_accepted || success; break;
    case ChannelRequestType::kAgent: agent_accepted = agent_accepted || success; break;
    case ChannelRequestType::kShell:
    case ChannelRequestType::kExec:
    case ChannelRequestType::kSubsystem:
      // psftp tries the sftp subsystem, and a command where the target has none.
      channel.start = success ? Channel::Start::kStarted : Channel::Start::kNone;
      if (success) {
        events.session_started(info(number, channel));
      } else {
        channel.use = ChannelUse::kNone;
        channel.detail.clear();
        drop_files(channel);
      }
      break;
    default: break;
  }
  flush_replies(to, number, channel);
  return {};
}

Status Bridge::State::answer(Leg to, ChannelNumber number, Channel& channel,
                             OwedChannelReply reply) {
  if (!reply.want_reply && reply.answer != Answer::kRefusal) {
    return {};
  }
  if (!channel.side(to).owed.push(reply)) {
    return fail(ErrorCode::kLimit, "too many channel requests without an answer");
  }
  flush_replies(to, number, channel);
  return {};
}

void Bridge::State::flush_replies(Leg to, ChannelNumber number, Channel& channel) {
  ChannelSide& side = channel.side(to);
  while (!side.owed.empty()) {
    const OwedChannelReply reply = side.owed.front();
    if (reply.answer == Answer::kAwaited || reply.answer == Answer::kAwaitedUnasked) {
      return;
    }
    side.owed.pop();
    if (reply.want_reply && !side.close_out && !side.close_in) {
      send_channel_reply(sink(to), side.peer_number, reply.answer != Answer::kFailure);
    }
    if (reply.answer == Answer::kRefusal) {
      const std::string text = std::move(channel.end_line);
      end_channel(number, channel, text);
      return;
    }
  }
}

}  // namespace bastion::proto
