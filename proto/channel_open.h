#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "proto/channel.h"
#include "proto/payload.h"

namespace bastion::proto {

/// ChannelOpen is a CHANNEL_OPEN (RFC 4254 5.1) with the fields of the types that we know. The
/// views point into the message. For kUnknown only the common fields are read.
struct ChannelOpen {
  ChannelType type = ChannelType::kUnknown;
  std::string_view type_name;
  std::uint32_t sender = 0;
  std::uint32_t window = 0;
  std::uint32_t max_packet = 0;
  /// Where to (direct-*), or which of our forwardings was reached (forwarded-*): host and port, or
  /// the path of a socket.
  std::string_view host_or_path;
  std::uint32_t port = 0;
  /// Who caused it: for X11 as well.
  std::string_view originator_host;
  std::uint32_t originator_port = 0;
};

/// parse_channel_open reads a whole message, its number included. Errors: kProtocol where it is cut
/// short, has bytes left over, or a known type's fields are not what they should be.
Result<ChannelOpen> parse_channel_open(ByteView message);

/// rewrite_channel_open puts our own channel number, window and packet size in place of the
/// sender's. The message has been parsed.
void rewrite_channel_open(Payload message, std::uint32_t sender, std::uint32_t window,
                          std::uint32_t max_packet);

/// ChannelConfirmation is a CHANNEL_OPEN_CONFIRMATION (RFC 4254 5.1); none of our types has more.
struct ChannelConfirmation {
  std::uint32_t recipient = 0;
  std::uint32_t sender = 0;
  std::uint32_t window = 0;
  std::uint32_t max_packet = 0;
};
Result<ChannelConfirmation> parse_channel_confirmation(ByteView message);

/// ChannelOpenFailure is a CHANNEL_OPEN_FAILURE; a missing language tag is forgiven.
struct ChannelOpenFailure {
  std::uint32_t recipient = 0;
  std::uint32_t reason = 0;
  std::string_view text;
};
Result<ChannelOpenFailure> parse_channel_open_failure(ByteView message);

/// ChannelData is CHANNEL_DATA or CHANNEL_EXTENDED_DATA (RFC 4254 5.2); `kind` is 0 for the former.
/// The data is the end of the message.
struct ChannelData {
  std::uint32_t recipient = 0;
  std::uint32_t kind = 0;
  std::size_t header_len = 0;
  std::uint32_t data_len = 0;
};
Result<ChannelData> parse_channel_data(ByteView message);

}  // namespace bastion::proto
