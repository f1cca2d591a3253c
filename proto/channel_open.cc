#include "proto/channel_open.h"

#include <array>
#include <utility>

#include "base/wire.h"
#include "proto/messages.h"

namespace bastion::proto {
namespace {

constexpr std::array<std::pair<std::string_view, ChannelType>, 8> kTypes{{
    {"session", ChannelType::kSession},
    {"direct-tcpip", ChannelType::kDirectTcpip},
    {"direct-streamlocal@openssh.com", ChannelType::kDirectStreamlocal},
    {"forwarded-tcpip", ChannelType::kForwardedTcpip},
    {"forwarded-streamlocal@openssh.com", ChannelType::kForwardedStreamlocal},
    {"x11", ChannelType::kX11},
    {"auth-agent@openssh.com", ChannelType::kAgent},
    {"auth-agent", ChannelType::kAgent},
}};

ChannelType type_of(std::string_view name) {
  for (const auto& [known, type] : kTypes) {
    if (known == name) {
      return type;
    }
  }
  return ChannelType::kUnknown;
}

}  // namespace

std::string_view type_name(ChannelType type) {
  for (const auto& [known, known_type] : kTypes) {
    if (known_type == type) {
      return known;
    }
  }
  return "unknown";
}

std::string_view short_name(const ChannelInfo& info) {
  switch (info.type) {
    case ChannelType::kSession:
      switch (info.use) {
        case ChannelUse::kShell: return "shell";
        case ChannelUse::kExec: return "exec";
        case ChannelUse::kSubsystem: return info.detail;
        case ChannelUse::kNone: return "session";
      }
      return "session";
    case ChannelType::kDirectTcpip: return "tcp";
    case ChannelType::kDirectStreamlocal: return "socket";
    case ChannelType::kForwardedTcpip: return "tcp-back";
    case ChannelType::kForwardedStreamlocal: return "socket-back";
    case ChannelType::kX11: return "x11";
    case ChannelType::kAgent: return "agent";
    case ChannelType::kUnknown: break;
  }
  return "unknown";
}

Result<ChannelOpen> parse_channel_open(ByteView message) {
  Reader reader(message);
  ChannelOpen open;
  const bool is_open = reader.u8() == kMsgChannelOpen;
  open.type_name = reader.text();
  open.sender = reader.u32();
  open.window = reader.u32();
  open.max_packet = reader.u32();
  if (!is_open || !reader.ok()) {
    return fail(ErrorCode::kProtocol, "malformed channel open");
  }
  open.type = type_of(open.type_name);
  switch (open.type) {
    case ChannelType::kDirectTcpip:
    case ChannelType::kForwardedTcpip:
      open.host_or_path = reader.text();
      open.port = reader.u32();
      open.originator_host = reader.text();
      open.originator_port = reader.u32();
      break;
    case ChannelType::kDirectStreamlocal:
      open.host_or_path = reader.text();
      open.originator_host = reader.text();  // reserved
      open.originator_port = reader.u32();   // reserved
      break;
    case ChannelType::kForwardedStreamlocal:
      open.host_or_path = reader.text();
      reader.string();  // reserved
      break;
    case ChannelType::kX11:
      open.originator_host = reader.text();
      open.originator_port = reader.u32();
      break;
    case ChannelType::kSession:
    case ChannelType::kAgent: break;
    case ChannelType::kUnknown: return open;
  }
  if (!reader.done()) {
    return fail(ErrorCode::kProtocol, "malformed channel open");
  }
  return open;
}

void rewrite_channel_open(Payload message, std::uint32_t sender, std::uint32_t window,
                          std::uint32_t max_packet) {
  std::uint8_t* fields = message.data + 1 + 4 + load_u32(message.data + 1);
  store_u32(fields, sender);
  store_u32(fields + 4, window);
  store_u32(fields + 8, max_packet);
}

Result<ChannelConfirmation> parse_channel_confirmation(ByteView message) {
  Reader reader(message);
  const bool is_confirmation = reader.u8() == kMsgChannelOpenConfirmation;
  ChannelConfirmation confirmation;
  confirmation.recipient = reader.u32();
  confirmation.sender = reader.u32();
  confirmation.window = reader.u32();
  confirmation.max_packet = reader.u32();
  if (!is_confirmation || !reader.done()) {
    return fail(ErrorCode::kProtocol, "malformed channel open confirmation");
  }
  return confirmation;
}

Result<ChannelOpenFailure> parse_channel_open_failure(ByteView message) {
  Reader reader(message);
  const bool is_failure = reader.u8() == kMsgChannelOpenFailure;
  ChannelOpenFailure failure;
  failure.recipient = reader.u32();
  failure.reason = reader.u32();
  failure.text = reader.text();
  if (reader.ok() && !reader.rest().empty()) {
    reader.string();  // language tag
  }
  if (!is_failure || !reader.done()) {
    return fail(ErrorCode::kProtocol, "malformed channel open failure");
  }
  return failure;
}

Result<ChannelData> parse_channel_data(ByteView message) {
  Reader reader(message);
  const std::uint8_t number = reader.u8();
  ChannelData data;
  data.recipient = reader.u32();
  data.header_len = 9;
  if (number == kMsgChannelExtendedData) {
    data.kind = reader.u32();
    data.header_len = 13;
    if (data.kind == 0) {
      reader.set_failed();
    }
  } else if (number != kMsgChannelData) {
    reader.set_failed();
  }
  data.data_len = static_cast<std::uint32_t>(reader.string().size());
  if (!reader.done()) {
    return fail(ErrorCode::kProtocol, "malformed channel data");
  }
  return data;
}

}  // namespace bastion::proto
