#include "proto/requests.h"

#include <array>
#include <utility>

#include "base/wire.h"
#include "proto/messages.h"

namespace bastion::proto {
namespace {

constexpr std::array<std::pair<std::string_view, ChannelRequestType>, 16> kChannelRequests{{
    {"pty-req", ChannelRequestType::kPty},
    {"x11-req", ChannelRequestType::kX11},
    {"auth-agent-req@openssh.com", ChannelRequestType::kAgent},
    {"auth-agent-req", ChannelRequestType::kAgent},
    {"env", ChannelRequestType::kEnv},
    {"shell", ChannelRequestType::kShell},
    {"exec", ChannelRequestType::kExec},
    {"subsystem", ChannelRequestType::kSubsystem},
    {"window-change", ChannelRequestType::kWindowChange},
    {"xon-xoff", ChannelRequestType::kXonXoff},
    {"signal", ChannelRequestType::kSignal},
    {"break", ChannelRequestType::kBreak},
    {"eow@openssh.com", ChannelRequestType::kEow},
    {"exit-status", ChannelRequestType::kExitStatus},
    {"exit-signal", ChannelRequestType::kExitSignal},
    {"keepalive@openssh.com", ChannelRequestType::kKeepalive},
}};

constexpr std::array<std::pair<std::string_view, GlobalRequestType>, 5> kGlobalRequests{{
    {"tcpip-forward", GlobalRequestType::kTcpipForward},
    {"cancel-tcpip-forward", GlobalRequestType::kCancelTcpipForward},
    {"streamlocal-forward@openssh.com", GlobalRequestType::kStreamlocalForward},
    {"cancel-streamlocal-forward@openssh.com", GlobalRequestType::kCancelStreamlocalForward},
    {"no-more-sessions@openssh.com", GlobalRequestType::kNoMoreSessions},
}};

template <typename Table, typename Type>
Type look_up(const Table& table, std::string_view name, Type unknown) {
  for (const auto& [known, type] : table) {
    if (known == name) {
      return type;
    }
  }
  return unknown;
}

void read_pty(Reader& reader, ChannelRequest& request) {
  request.text = reader.text();
  request.columns = reader.u32();
  request.rows = reader.u32();
  reader.bytes(8);  // the same in pixels
  request.modes = reader.string();
}

}  // namespace

Result<ChannelRequest> parse_channel_request(ByteView message) {
  Reader reader(message);
  ChannelRequest request;
  const bool is_request = reader.u8() == kMsgChannelRequest;
  request.recipient = reader.u32();
  request.name = reader.text();
  request.want_reply = reader.lenient_boolean();
  if (!is_request || !reader.ok()) {
    return fail(ErrorCode::kProtocol, "malformed channel request");
  }
  request.type = look_up(kChannelRequests, request.name, ChannelRequestType::kUnknown);
  switch (request.type) {
    case ChannelRequestType::kPty: read_pty(reader, request); break;
    case ChannelRequestType::kX11:
      reader.lenient_boolean();  // single connection
      request.text = reader.text();
      reader.string();  // cookie
      reader.u32();     // screen
      break;
    case ChannelRequestType::kEnv:
      request.text = reader.text();
      request.value = reader.text();
      break;
    case ChannelRequestType::kExec:
    case ChannelRequestType::kSubsystem:
    case ChannelRequestType::kSignal: request.text = reader.text(); break;
    case ChannelRequestType::kWindowChange:
      request.columns = reader.u32();
      request.rows = reader.u32();
      reader.bytes(8);
      break;
    case ChannelRequestType::kXonXoff: reader.lenient_boolean(); break;
    case ChannelRequestType::kBreak:
      reader.u32();  // milliseconds
      break;
    case ChannelRequestType::kExitStatus: request.exit_status = reader.u32(); break;
    case ChannelRequestType::kExitSignal:
      request.text = reader.text();
      reader.lenient_boolean();  // core dumped
      reader.string();           // message
      reader.string();           // language tag
      break;
    case ChannelRequestType::kShell:
    case ChannelRequestType::kAgent:
    case ChannelRequestType::kEow:
    case ChannelRequestType::kKeepalive: break;
    case ChannelRequestType::kUnknown: return request;
  }
  if (!reader.done()) {
    return fail(ErrorCode::kProtocol, "malformed channel request");
  }
  return request;
}

void set_want_reply(MutBytes message, bool want_reply) {
  const std::size_t name = message[0] == kMsgChannelRequest ? 5 : 1;
  message[name + 4 + load_u32(message.data() + name)] = want_reply ? 1 : 0;
}

ChannelUse use_of(ChannelRequestType type) {
  switch (type) {
    case ChannelRequestType::kShell: return ChannelUse::kShell;
    case ChannelRequestType::kExec: return ChannelUse::kExec;
    case ChannelRequestType::kSubsystem: return ChannelUse::kSubsystem;
    default: return ChannelUse::kNone;
  }
}

Result<GlobalRequest> parse_global_request(ByteView message) {
  Reader reader(message);
  GlobalRequest request;
  const bool is_request = reader.u8() == kMsgGlobalRequest;
  request.name = reader.text();
  request.want_reply = reader.lenient_boolean();
  if (!is_request || !reader.ok()) {
    return fail(ErrorCode::kProtocol, "malformed global request");
  }
  request.type = look_up(kGlobalRequests, request.name, GlobalRequestType::kUnknown);
  switch (request.type) {
    case GlobalRequestType::kTcpipForward:
    case GlobalRequestType::kCancelTcpipForward:
      request.host_or_path = reader.text();
      request.port = reader.u32();
      break;
    case GlobalRequestType::kStreamlocalForward:
    case GlobalRequestType::kCancelStreamlocalForward: request.host_or_path = reader.text(); break;
    case GlobalRequestType::kNoMoreSessions: break;
    case GlobalRequestType::kUnknown: return request;
  }
  if (!reader.done()) {
    return fail(ErrorCode::kProtocol, "malformed global request");
  }
  return request;
}

}  // namespace bastion::proto
