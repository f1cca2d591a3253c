#include "proto/connection_messages.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/wire.h"
#include "proto/user_text.h"

namespace bastion::proto {
namespace {

/// send_fixed sends a message of a fixed number of u32 fields after its number.
template <typename... Fields>
void send_fixed(PacketSink& sink, std::uint8_t message, Fields... fields) {
  std::array<std::uint8_t, 1 + 4 * sizeof...(fields)> bytes{message};
  std::uint8_t* out = bytes.data() + 1;
  ((store_u32(out, fields), out += 4), ...);
  sink.send(bytes);
}

}  // namespace

void send_global_reply(PacketSink& sink, bool success) {
  send_fixed(sink, success ? kMsgRequestSuccess : kMsgRequestFailure);
}

void send_keepalive_request(PacketSink& sink) {
  Writer writer;
  writer.u8(kMsgGlobalRequest).text("keepalive@openssh.com").boolean(true);
  sink.send(writer.view());
}

void send_open_confirmation(PacketSink& sink, std::uint32_t channel, std::uint32_t own_number,
                            std::uint32_t window, std::uint32_t max_packet) {
  send_fixed(sink, kMsgChannelOpenConfirmation, channel, own_number, window, max_packet);
}

void send_open_failure(PacketSink& sink, std::uint32_t channel, std::uint32_t reason,
                       std::string_view text) {
  Writer writer;
  writer.u8(kMsgChannelOpenFailure).u32(channel).u32(reason).text(printable(text)).text("");
  sink.send(writer.view());
}

void send_window_adjust(PacketSink& sink, std::uint32_t channel, std::uint32_t n) {
  send_fixed(sink, kMsgChannelWindowAdjust, channel, n);
}

void send_channel_data(PacketSink& sink, std::uint32_t channel, std::string_view data) {
  Writer writer;
  writer.u8(kMsgChannelData).u32(channel).text(data);
  sink.send(writer.view());
}

void send_channel_stderr(PacketSink& sink, std::uint32_t channel, std::string_view data) {
  Writer writer;
  writer.u8(kMsgChannelExtendedData).u32(channel).u32(kExtendedDataStderr).text(data);
  sink.send(writer.view());
}

void send_channel_eof(PacketSink& sink, std::uint32_t channel) {
  send_fixed(sink, kMsgChannelEof, channel);
}

void send_channel_close(PacketSink& sink, std::uint32_t channel) {
  send_fixed(sink, kMsgChannelClose, channel);
}

void send_channel_reply(PacketSink& sink, std::uint32_t channel, bool success) {
  send_fixed(sink, success ? kMsgChannelSuccess : kMsgChannelFailure, channel);
}

void send_exec(PacketSink& sink, std::uint32_t channel, std::string_view command, bool want_reply) {
  Writer writer;
  writer.u8(kMsgChannelRequest).u32(channel).text("exec").boolean(want_reply).text(command);
  sink.send(writer.view());
}

void send_exit_status(PacketSink& sink, std::uint32_t channel, std::uint32_t status) {
  Writer writer;
  writer.u8(kMsgChannelRequest).u32(channel).text("exit-status").boolean(false).u32(status);
  sink.send(writer.view());
}

void send_data_in_pieces(PacketSink& sink, std::uint32_t channel, MutBytes data,
                         std::size_t header_len, std::uint32_t max_packet) {
  const std::uint8_t number = header_len == 13 ? kMsgChannelExtendedData : kMsgChannelData;
  std::array<std::uint8_t, 4> kind{};
  if (header_len == 13) {
    std::memcpy(kind.data(), data.data() - 8, kind.size());
  }
  // Each piece's header overwrites bytes that have been sent; what a sink may use up behind a piece
  // is saved over the call, because the next piece, or somebody else's bytes, lie there.
  std::array<std::uint8_t, limits::kPayloadTailroom> behind{};
  for (bool last = false; !last;) {
    const std::size_t n = std::min<std::size_t>(data.size(), max_packet);
    last = n == data.size();
    std::uint8_t* start = data.data() - header_len;
    start[0] = number;
    store_u32(start + 1, channel);
    if (header_len == 13) {
      std::memcpy(start + 5, kind.data(), kind.size());
    }
    store_u32(start + header_len - 4, static_cast<std::uint32_t>(n));
    std::memcpy(behind.data(), data.data() + n, behind.size());
    sink.send_in_place({start, header_len + n});
    std::memcpy(data.data() + n, behind.data(), behind.size());
    data = data.subspan(n);
  }
}

}  // namespace bastion::proto
