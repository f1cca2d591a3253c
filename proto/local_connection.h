#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proto/channel.h"
#include "proto/payload.h"

namespace bastion::proto {

/// kTcpHeadroom and kTcpTailroom are the writable bytes around data given to send_tcp_data: the
/// message number, channel number and length of CHANNEL_DATA, and a payload's own surroundings.
inline constexpr std::size_t kTcpHeadroom = limits::kPayloadHeadroom + 9;
inline constexpr std::size_t kTcpTailroom = limits::kPayloadTailroom;

/// LocalOptions says what a connection that the bastion itself serves is for.
struct LocalOptions {
  enum class Mode : std::uint8_t {
    kMenu,    // `ssh bastion`: the list of what the user may reach
    kRefuse,  // a routed session that cannot be: every session channel says why, exit status 255
  };
  Mode mode = Mode::kRefuse;
  /// refusal is the line for the user in kRefuse, without "bastion: " and without a line end. In
  /// kMenu it is unused.
  std::string refusal = {};
  /// bastion_name is how the user reaches us, for the help lines ("bastion.corp"); may be empty.
  std::string bastion_name = {};
  /// direct_tcpip makes direct-tcpip opens reach LocalEvents::open_tcp (ProxyJump); without it they
  /// are refused, in kRefuse with `refusal`.
  bool direct_tcpip = true;
  std::uint32_t channels_max = 64;
  std::uint32_t session_channels_max = 10;
};

/// TcpOpen is a direct-tcpip open that waits for tcp_connected or tcp_refused. The views live for
/// the call and are the user's own bytes: visible ASCII without blanks, 1 to 255 of them.
struct TcpOpen {
  ChannelNumber channel;
  std::string_view host;
  std::uint16_t port;
  std::string_view originator_host;
  std::uint32_t originator_port;
};

/// TcpData is what on_message got for a TCP channel: write `data` to its socket, from where it
/// lies, before the memory of the message is used again. It is never longer than what tcp_written
/// has granted. Empty: nothing to write.
struct TcpData {
  ChannelNumber channel = 0;
  MutBytes data;
};

/// LocalEvents is what a LocalConnection tells and asks its owner. A callback may answer at once by
/// calling the connection's methods, on_message excepted. All views live for the call.
class LocalEvents {
 public:
  virtual ~LocalEvents() = default;
  /// need_listing asks for the targets that the user may reach: answer with provide_text, now or
  /// later. `columns` is the terminal's width, 0 without a terminal.
  virtual void need_listing(ChannelNumber channel, std::uint32_t columns) = 0;
  /// open_tcp asks for a connection: answer with tcp_connected or tcp_refused, now or later, unless
  /// tcp_closed comes before.
  virtual void open_tcp(const TcpOpen& open) = 0;
  /// tcp_eof: the user sends no more on this channel. Shut the socket down for writing once all
  /// data is written; the other direction goes on.
  virtual void tcp_eof(ChannelNumber channel) = 0;
  /// tcp_closed: the channel is gone (closed by the user, or the answer to our own close); its
  /// number is dead. Write what there is and close the socket. Comes once for every open_tcp that
  /// was not refused.
  virtual void tcp_closed(const ChannelInfo& channel) = 0;
  /// session_request tells of a shell, exec or subsystem request, for the audit log.
  virtual void session_request(const ChannelInfo& /*channel*/) {}
  /// channel_refused tells of an open that we refused by ourselves; `detail` is its destination.
  virtual void channel_refused(ChannelType /*type*/, std::string_view /*detail*/,
                               std::string_view /*text*/, ChannelLimit /*limit*/) {}
};

/// LocalConnection is the connection layer (RFC 4254) where the bastion itself answers: no target
/// is behind it. It serves the listing or a refusal on session channels, and the TCP channels of
/// ProxyJump. It does no I/O; data of TCP channels is neither copied nor kept.
class LocalConnection {
 public:
  /// The sink and events are borrowed and outlive the connection.
  LocalConnection(LocalOptions options, PacketSink& client, LocalEvents& events);
  ~LocalConnection();
  LocalConnection(const LocalConnection&) = delete;
  LocalConnection& operator=(const LocalConnection&) = delete;

  /// on_message handles one message of 80 or more. Errors: as of Bridge::on_message.
  Result<TcpData> on_message(Payload payload);

  /// provide_text answers need_listing: `text` (lines that end with LF; sent with CR LF to a
  /// terminal) goes to the channel's stdout as its window allows, then exit status, EOF and CLOSE.
  /// Copied. Ignored where the channel is gone.
  void provide_text(ChannelNumber channel, std::string_view text, std::uint32_t exit_status = 0);

  /// tcp_connected confirms the channel: data may flow both ways from now on.
  void tcp_connected(ChannelNumber channel);
  /// tcp_refused refuses it; `text` is what the user's client shows, without "bastion: ".
  enum class TcpRefusal : std::uint8_t { kProhibited, kConnectFailed, kLimit };
  void tcp_refused(ChannelNumber channel, TcpRefusal why, std::string_view text);

  /// tcp_room is how many bytes the user's window takes now on this channel; 0 for one that is
  /// gone or whose end was sent. Read no more than that from the socket.
  std::size_t tcp_room(ChannelNumber channel) const;
  /// send_tcp_data sends the first min(data.size(), tcp_room) bytes, in as many packets as needed,
  /// and returns how many these were. Around `data` lie kTcpHeadroom and kTcpTailroom writable
  /// bytes; these and the sent bytes are used up, what was not sent is unchanged.
  std::size_t send_tcp_data(ChannelNumber channel, MutBytes data);
  /// ready_channels gives (and forgets) the channels whose window opened again after it was
  /// exhausted. Allocates nothing where there are none.
  std::vector<ChannelNumber> ready_channels();
  /// tcp_written says that the socket took `n` bytes of this channel's data: the user is granted as
  /// many more.
  void tcp_written(ChannelNumber channel, std::size_t n);
  /// tcp_eof says that the socket will give no more: EOF to the user.
  void tcp_eof(ChannelNumber channel);
  /// tcp_closed says that the socket is closed or broken: CLOSE to the user (after EOF, if that was
  /// not sent). LocalEvents::tcp_closed comes when the user's own CLOSE arrives.
  void tcp_closed(ChannelNumber channel);

  /// shut_down ends every channel: session channels get "bastion: `text`" and exit status 255, TCP
  /// channels are closed. Later opens are refused with `text`. Disconnect once num_channels() is 0,
  /// or after a deadline.
  void shut_down(std::string_view text);

  /// send_keepalive: as Bridge::send_keepalive.
  bool send_keepalive();

  std::vector<ChannelInfo> channels() const;
  std::size_t num_channels() const;
  /// bytes_up counts what came from the user on TCP channels, bytes_down what went to him.
  std::uint64_t bytes_up() const;
  std::uint64_t bytes_down() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bastion::proto
