#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proto/channel_open.h"
#include "proto/channel_permits.h"
#include "proto/connection_limits.h"
#include "proto/local_connection.h"
#include "proto/requests.h"
#include "proto/slot_table.h"

/// What proto/local_*.cc share; nothing else includes it.
namespace bastion::proto {

/// What a session channel of ours may send us: nobody reads it, so it need not be much.
inline constexpr std::uint32_t kLocalSessionWindow = 64 * 1024;

struct LocalChannel {
  enum class Step : std::uint8_t {
    kAwaited,  // a TCP connection is being made
    kOpen,
    kClosed,  // we have sent CLOSE; the user's is awaited
  };

  ChannelType type = ChannelType::kUnknown;
  Step step = Step::kOpen;
  std::uint32_t peer_number = 0;
  std::uint32_t max_packet = 0;
  std::uint32_t credit = 0;    // what the user lets us send
  std::uint32_t granted = 0;   // what the user may send
  std::uint32_t consumed = 0;  // what was taken of it and not granted anew yet
  std::uint32_t window = 0;    // of a TCP channel: granted, consumed and what the owner holds
  bool eof_in = false;
  bool eof_out = false;
  bool blocked = false;  // the window was exhausted; the owner is told when it opens
  bool ready = false;    // … and it has

  // Of session channels.
  bool pty = false;
  bool started = false;
  bool ending = false;  // `out`, the exit status and the end are on their way
  bool out_is_stderr = false;
  std::uint32_t columns = 0;
  std::uint32_t exit_status = 0;
  ChannelUse use = ChannelUse::kNone;
  std::string out;
  std::size_t out_sent = 0;

  std::string detail;
  std::string origin;
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
};

struct LocalConnection::State {
  State(LocalOptions options_in, PacketSink& client, LocalEvents& events_in)
      : options(std::move(options_in)), sink(client), events(events_in) {}

  LocalOptions options;
  PacketSink& sink;
  LocalEvents& events;
  SlotTable<LocalChannel> channels;
  std::size_t num_sessions = 0;
  std::size_t num_awaited = 0;    // TCP connections being made
  std::size_t num_ready = 0;      // channels with `ready`
  std::size_t num_expected = 0;   // replies to our keepalives
  std::uint32_t tcp_windows = 0;  // of the TCP channels, together
  bool no_more_sessions = false;
  bool shut_down = false;
  std::string shut_down_text;
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;

  // local_connection.cc
  Result<TcpData> on_channel_message(Payload payload);
  Status on_global_request(Payload payload);
  PeerChannel peer_channel(ChannelNumber number) const;
  Status on_open(Payload payload);
  /// why_not gives the reason for which this open is refused here, if there is one.
  struct OpenRefusal {
    OpenFailure reason;
    std::string text;
    ChannelLimit limit = ChannelLimit::kNone;
  };
  std::optional<OpenRefusal> why_not(const ChannelOpen& open) const;
  void open_channel(const ChannelOpen& open);
  Result<TcpData> on_data(ChannelNumber number, LocalChannel& channel, Payload payload);
  Status on_window_adjust(ChannelNumber number, LocalChannel& channel, Payload payload);
  void on_close(ChannelNumber number, LocalChannel& channel);
  void consume(LocalChannel& channel, std::uint32_t n);
  void close(LocalChannel& channel);
  void erase(ChannelNumber number, LocalChannel& channel);
  ChannelInfo info(ChannelNumber number, const LocalChannel& channel) const;

  // local_session.cc
  Status on_channel_request(ChannelNumber number, LocalChannel& channel, Payload payload);
  void start(ChannelNumber number, LocalChannel& channel, const ChannelRequest& request);
  void end_session(LocalChannel& channel, std::string out, bool is_stderr,
                   std::uint32_t exit_status);
  void pump(LocalChannel& channel);
  std::string usage() const;
};

}  // namespace bastion::proto
