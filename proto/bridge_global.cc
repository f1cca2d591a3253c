#include <algorithm>

#include "proto/allow.h"
#include "proto/bridge_state.h"
#include "proto/connection_messages.h"

namespace bastion::proto {

Status Bridge::State::on_global_request(Leg from, Payload payload) {
  const auto parsed = parse_global_request(payload.view());
  if (!parsed) {
    return std::unexpected(parsed.error());
  }
  const GlobalRequest& request = *parsed;
  // Of a target nothing is passed: its keepalives are answered here, and its hostkeys-00 would make
  // the user's client note the target's keys as ours.
  if (from == Leg::kUpstream) {
    return answer_global(from, request.want_reply, false);
  }
  if (request.type == GlobalRequestType::kNoMoreSessions) {
    no_more_sessions = true;
  }
  if (is_lost(Leg::kUpstream)) {
    return answer_global(from, request.want_reply, false);
  }
  switch (request.type) {
    case GlobalRequestType::kTcpipForward:
    case GlobalRequestType::kStreamlocalForward: return on_forward(request, payload);
    case GlobalRequestType::kCancelTcpipForward:
    case GlobalRequestType::kCancelStreamlocalForward: return on_cancel_forward(request, payload);
    case GlobalRequestType::kNoMoreSessions:
      if (!request.want_reply) {
        sink(Leg::kUpstream).send_in_place(payload);
        return {};
      }
      return relay_global(request, {}, payload);
    case GlobalRequestType::kUnknown: break;
  }
  return answer_global(from, request.want_reply, false);
}

Status Bridge::State::answer_global(Leg to, bool want_reply, bool success) {
  if (!want_reply) {
    return {};
  }
  if (!owed[index(to)].push(success ? Answer::kSuccess : Answer::kFailure)) {
    return fail(ErrorCode::kLimit, "too many requests without an answer");
  }
  flush_global(to);
  return {};
}

void Bridge::State::flush_global(Leg to) {
  auto& queue = owed[index(to)];
  while (!queue.empty() && queue.front() != Answer::kAwaited) {
    send_global_reply(sink(to), queue.front() == Answer::kSuccess);
    queue.pop();
  }
}

/// relay_global passes a request of the user on and awaits its answer, also where the user does not
/// want it: what it allows later depends on it.
Status Bridge::State::relay_global(const GlobalRequest& request, ExpectedReply expected_reply,
                                   Payload payload) {
  auto& queue = owed[index(Leg::kDownstream)];
  auto& awaited = expected[index(Leg::kUpstream)];
  if (queue.full() || awaited.full()) {
    return fail(ErrorCode::kLimit, "too many requests without an answer");
  }
  expected_reply.wanted = request.want_reply;
  (void)awaited.push(expected_reply);
  if (request.want_reply) {
    (void)queue.push(Answer::kAwaited);
  }
  set_want_reply(payload.bytes(), true);
  sink(Leg::kUpstream).send_in_place(payload);
  return {};
}

Status Bridge::State::on_forward(const GlobalRequest& request, Payload payload) {
  const bool socket = request.type == GlobalRequestType::kStreamlocalForward;
  // Who does not want to know which port it became cannot use it.
  const bool answerable = request.want_reply || socket || request.port != 0;
  const bool allowed = allows(permissions, request) && answerable && forwards.size() < kForwardsMax;
  events.forward_decided({request.name, request.host_or_path, request.port, allowed, false});
  if (!allowed) {
    return answer_global(Leg::kDownstream, request.want_reply, false);
  }
  const std::uint32_t id = next_forward_id++;
  forwards.push_back({.id = id,
                      .step = Forward::Step::kAsked,
                      .socket = socket,
                      .port = request.port,
                      .host_or_path = std::string(request.host_or_path)});
  return relay_global(request, {.of = ExpectedReply::Of::kForward, .forward_id = id}, payload);
}

Status Bridge::State::on_cancel_forward(const GlobalRequest& request, Payload payload) {
  const bool socket = request.type == GlobalRequestType::kCancelStreamlocalForward;
  const auto forward = std::ranges::find_if(forwards, [&](const Forward& known) {
    return known.step == Forward::Step::kActive && known.socket == socket &&
           known.port == request.port && known.host_or_path == request.host_or_path;
  });
  const bool allowed = allows(permissions, request) && forward != forwards.end();
  events.forward_decided({request.name, request.host_or_path, request.port, allowed, false});
  if (!allowed) {
    return answer_global(Leg::kDownstream, request.want_reply, false);
  }
  forward->step = Forward::Step::kCancelling;
  return relay_global(request, {.of = ExpectedReply::Of::kForward, .forward_id = forward->id},
                      payload);
}

Forward* Bridge::State::find_forward(std::uint32_t id) {
  const auto found = std::ranges::find(forwards, id, &Forward::id);
  return found == forwards.end() ? nullptr : &*found;
}

/// settle_forward notes what became of a forwarding or its cancellation. A reply to a request for
/// any port has to carry the port.
Status Bridge::State::settle_forward(const ExpectedReply& reply, ByteView message) {
  Forward* forward = find_forward(reply.forward_id);
  if (forward == nullptr) {
    return {};
  }
  const bool success = message[0] == kMsgRequestSuccess;
  const bool cancelling = forward->step == Forward::Step::kCancelling;
  if (success && !cancelling && !forward->socket && forward->port == 0) {
    if (message.size() < 5) {
      return fail(ErrorCode::kProtocol, "an answer to tcpip-forward without its port");
    }
    forward->port = load_u32(message.data() + 1);
    if (forward->port == 0 || forward->port > UINT16_MAX) {
      return fail(ErrorCode::kProtocol, "an answer to tcpip-forward with no real port");
    }
  }
  if (success) {
    const std::string_view name = forward->socket
                                      ? (cancelling ? "cancel-streamlocal-forward@openssh.com"
                                                    : "streamlocal-forward@openssh.com")
                                      : (cancelling ? "cancel-tcpip-forward" : "tcpip-forward");
    events.forward_decided({name, forward->host_or_path, forward->port, true, true});
  }
  if (success == cancelling) {
    // Cancelled, or never there. A cancellation that failed leaves it as it was.
    forwards.erase(forwards.begin() + (forward - forwards.data()));
  } else {
    forward->step = Forward::Step::kActive;
  }
  return {};
}

Status Bridge::State::on_global_reply(Leg from, Payload payload) {
  auto& awaited = expected[index(from)];
  if (awaited.empty()) {
    return {};  // an answer that nobody asked for
  }
  const ExpectedReply reply = awaited.front();
  awaited.pop();
  if (reply.of == ExpectedReply::Of::kForward) {
    const Forward* forward = find_forward(reply.forward_id);
    const bool any_port = forward != nullptr && !forward->socket && forward->port == 0;
    // Only an answer that has a port to tell is longer than its number.
    const bool with_port = any_port && payload.message() == kMsgRequestSuccess;
    BASTION_TRY(settle_forward(reply, payload.view()));
    payload.len = with_port ? 5 : 1;
  } else {
    payload.len = 1;
  }
  if (reply.wanted) {
    const Leg to = other(from);
    owed[index(to)].pop();
    sink(to).send_in_place(payload);
    flush_global(to);
  }
  return {};
}

}  // namespace bastion::proto
