#pragma once

#include <cstdint>
#include <string_view>

#include "proto/messages.h"
#include "proto/payload.h"

/// The messages of RFC 4254 that we make ourselves. Each goes to `sink`; `channel` is the peer's
/// number. They use the stack only, but for texts.
namespace bastion::proto {

void send_global_reply(PacketSink& sink, bool success);
void send_keepalive_request(PacketSink& sink);

void send_open_confirmation(PacketSink& sink, std::uint32_t channel, std::uint32_t own_number,
                            std::uint32_t window, std::uint32_t max_packet);
/// send_open_failure makes `text` safe to print first.
void send_open_failure(PacketSink& sink, std::uint32_t channel, std::uint32_t reason,
                       std::string_view text);
inline void send_open_failure(PacketSink& sink, std::uint32_t channel, OpenFailure reason,
                              std::string_view text) {
  send_open_failure(sink, channel, static_cast<std::uint32_t>(reason), text);
}

void send_window_adjust(PacketSink& sink, std::uint32_t channel, std::uint32_t n);
void send_channel_data(PacketSink& sink, std::uint32_t channel, std::string_view data);
void send_channel_stderr(PacketSink& sink, std::uint32_t channel, std::string_view data);
void send_channel_eof(PacketSink& sink, std::uint32_t channel);
void send_channel_close(PacketSink& sink, std::uint32_t channel);
void send_channel_reply(PacketSink& sink, std::uint32_t channel, bool success);
void send_exec(PacketSink& sink, std::uint32_t channel, std::string_view command, bool want_reply);
void send_exit_status(PacketSink& sink, std::uint32_t channel, std::uint32_t status);

/// send_data_in_pieces sends the data of a CHANNEL_DATA or CHANNEL_EXTENDED_DATA as one or several
/// messages of at most `max_packet` (not 0) data bytes. `data` has `header_len` bytes of the
/// message's header before it, which are written here (the extended-data type excepted: it is
/// there already), and a Payload's surroundings around both. All of it is used up; bytes behind the
/// data are as before.
void send_data_in_pieces(PacketSink& sink, std::uint32_t channel, MutBytes data,
                         std::size_t header_len, std::uint32_t max_packet);

}  // namespace bastion::proto
