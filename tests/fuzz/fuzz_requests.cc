// Channel requests and global requests: the parsers, the decision about them, and the line that a
// refused user reads.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "proto/allow.h"
#include "proto/requests.h"
#include "proto/user_text.h"

namespace {

using namespace bastion;
using namespace bastion::proto;

void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void channel_request(Bytes message) {
  const auto request = parse_channel_request(message);
  if (!request) {
    return;
  }
  Permissions all;
  all.shell = all.exec = all.pty = all.agent = all.x11 = all.every_subsystem = true;
  all.env = {"*"};
  for (const Leg leg : kLegs) {
    const bool allowed = allows(all, leg, *request);
    check(!allowed || may_be_sent_by(leg, request->type));
    check(!allowed || request->type != ChannelRequestType::kUnknown);
    check(leg == Leg::kUpstream || request->type == ChannelRequestType::kEow ||
          !allows(Permissions{}, leg, *request) || request->type == ChannelRequestType::kSignal ||
          request->type == ChannelRequestType::kBreak);
    if (allowed && request->type == ChannelRequestType::kEnv) {
      check(is_env_name(request->text) && request->value.size() <= kEnvValueBytesMax);
    }
  }
  const OwnedNames names{"alice", "deploy", "web1", "7q2m"};
  const std::string line = stderr_line(start_refused_text(names, all, *request), true, false);
  check(line.ends_with("\r\n"));
  check(std::ranges::none_of(line.substr(0, line.size() - 2),
                             [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }));
  const auto type = request->type;
  set_want_reply(message, true);
  const auto again = parse_channel_request(message);
  check(again && again->want_reply && again->type == type);
}

void global_request(Bytes message) {
  const auto request = parse_global_request(message);
  if (!request) {
    return;
  }
  Permissions some;
  some.forward_remote = {{.host = "*", .port_min = 1, .port_max = 1023}};
  some.forward_remote_sockets = {"/run/*"};
  if (allows(some, *request) && request->type == GlobalRequestType::kTcpipForward) {
    check(request->port >= 1 && request->port <= 1023);
  }
  const auto type = request->type;
  set_want_reply(message, false);
  const auto again = parse_global_request(message);
  check(again && !again->want_reply && again->type == type);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input(data, data + size);
  channel_request(input);
  global_request(input);
  return 0;
}
