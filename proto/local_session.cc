#include <algorithm>

#include "proto/connection_messages.h"
#include "proto/local_state.h"
#include "proto/user_text.h"

namespace bastion::proto {
namespace {

constexpr std::uint32_t kExitRefused = 255;
constexpr std::uint32_t kExitUsage = 2;

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') {
    text.remove_prefix(1);
  }
  while (!text.empty() && text.back() == ' ') {
    text.remove_suffix(1);
  }
  return text;
}

/// lines_for makes a text of several lines safe to print and gives each its end.
std::string lines_for(std::string_view text, bool pty) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    out += printable(text.substr(0, end));
    if (end == std::string_view::npos) {
      break;
    }
    out += pty ? "\r\n" : "\n";
    text.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace

std::string LocalConnection::State::usage() const {
  const std::string name = options.bastion_name.empty() ? "bastion" : options.bastion_name;
  return "`ssh " + name + " ls` lists what you may reach; `ssh login@target@" + name +
         "` takes you there.";
}

Status LocalConnection::State::on_channel_request(ChannelNumber number, LocalChannel& channel,
                                                  Payload payload) {
  const auto request = parse_channel_request(payload.view());
  if (!request) {
    return std::unexpected(request.error());
  }
  if (channel.step != LocalChannel::Step::kOpen) {
    return {};  // it crossed our close; nothing may follow that, not even an answer
  }
  bool success = false;
  bool starts = false;
  if (channel.type == ChannelType::kSession && may_be_sent_by(Leg::kDownstream, request->type)) {
    switch (request->type) {
      case ChannelRequestType::kPty:
        channel.pty = true;
        channel.columns = request->columns;
        success = true;
        break;
      case ChannelRequestType::kWindowChange:
        channel.columns = request->columns;
        success = true;
        break;
      case ChannelRequestType::kAgent:
      case ChannelRequestType::kX11:
      case ChannelRequestType::kEnv:
        // Nothing comes of them here. Clients print a line for each that is refused, and the only
        // line that the user needs is the one that follows.
        success = true;
        break;
      case ChannelRequestType::kShell:
      case ChannelRequestType::kExec:
      case ChannelRequestType::kSubsystem:
        success = starts = !channel.started && !channel.ending;
        break;
      default: break;
    }
  }
  if (request->want_reply) {
    send_channel_reply(sink, channel.peer_number, success);
  }
  if (starts) {
    start(number, channel, *request);
  }
  return {};
}

void LocalConnection::State::start(ChannelNumber number, LocalChannel& channel,
                                   const ChannelRequest& request) {
  channel.started = true;
  channel.use = use_of(request.type);
  channel.detail = request.text.substr(0, kDetailBytesMax);
  events.session_request(info(number, channel));
  if (options.mode == LocalOptions::Mode::kRefuse) {
    end_session(channel, stderr_line(options.refusal, channel.pty, false), true, kExitRefused);
    return;
  }
  const bool listing = request.type == ChannelRequestType::kShell ||
                       (request.type == ChannelRequestType::kExec && trim(request.text) == "ls");
  if (!listing) {
    end_session(channel, stderr_line(usage(), channel.pty, false), true, kExitUsage);
    return;
  }
  events.need_listing(number, channel.pty ? channel.columns : 0);
}

void LocalConnection::State::end_session(LocalChannel& channel, std::string out, bool is_stderr,
                                         std::uint32_t exit_status) {
  if (channel.step != LocalChannel::Step::kOpen) {
    return;
  }
  channel.out = std::move(out);
  channel.out_sent = 0;
  channel.out_is_stderr = is_stderr;
  channel.exit_status = exit_status;
  channel.ending = true;
  pump(channel);
}

void LocalConnection::State::pump(LocalChannel& channel) {
  if (!channel.ending || channel.step != LocalChannel::Step::kOpen) {
    return;
  }
  while (channel.out_sent < channel.out.size()) {
    const std::size_t n = std::min<std::size_t>(
        {channel.out.size() - channel.out_sent, channel.credit, channel.max_packet});
    if (n == 0) {
      return;  // goes on when the user's window opens
    }
    const auto piece = std::string_view(channel.out).substr(channel.out_sent, n);
    if (channel.out_is_stderr) {
      send_channel_stderr(sink, channel.peer_number, piece);
    } else {
      send_channel_data(sink, channel.peer_number, piece);
    }
    channel.credit -= static_cast<std::uint32_t>(n);
    channel.out_sent += n;
  }
  send_exit_status(sink, channel.peer_number, channel.exit_status);
  channel.eof_out = true;
  send_channel_eof(sink, channel.peer_number);
  close(channel);
}

void LocalConnection::provide_text(ChannelNumber number, std::string_view text,
                                   std::uint32_t exit_status) {
  LocalChannel* channel = state_->channels.find(number);
  if (channel != nullptr && channel->type == ChannelType::kSession && !channel->ending) {
    state_->end_session(*channel, lines_for(text, channel->pty), false, exit_status);
  }
}

}  // namespace bastion::proto
