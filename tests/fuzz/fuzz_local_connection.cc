// A client that says anything to a connection that the bastion serves itself, and an owner that
// does anything with its tunnels. The first byte chooses the mode; then each step is a byte that
// says what happens: a message (a 2-byte length and the message), or a call with a channel number
// and a length.
#include "proto/local_connection.h"

#include "tests/fuzz/connection_peer.h"

namespace {

using namespace bastion;
using namespace bastion::proto;
using namespace bastion::proto::fuzz;

class Owner : public LocalEvents {
 public:
  void need_listing(ChannelNumber channel, std::uint32_t columns) override {
    if (columns % 2 == 0) {
      connection->provide_text(channel, "web1\ndb1\n");
    }
  }
  void open_tcp(const TcpOpen& open) override {
    check(!open.host.empty() && open.host.size() <= 255 && open.port != 0);
    ++tcp;
  }
  void tcp_eof(ChannelNumber /*channel*/) override {}
  void tcp_closed(const ChannelInfo& channel) override {
    check(tcp > 0 && connection->tcp_room(channel.number) == 0);
    --tcp;
  }
  LocalConnection* connection = nullptr;
  std::size_t tcp = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader input({data, size});
  const std::uint8_t mode = input.u8();
  StrictSink client;
  Owner owner;
  LocalConnection connection(
      {.mode = (mode & 1) == 0 ? LocalOptions::Mode::kMenu : LocalOptions::Mode::kRefuse,
       .refusal = "no",
       .direct_tcpip = (mode & 2) == 0},
      client, owner);
  owner.connection = &connection;
  while (input.ok() && !input.rest().empty()) {
    const std::uint8_t what = input.u8();
    const std::uint32_t high = input.u8();
    const std::size_t len = high << 8 | input.u8();
    if ((what & 0x80) != 0) {
      const ChannelNumber channel = (what & 7U) | (what & 8U) << 5;
      switch ((what >> 4) & 7) {
        case 0: connection.tcp_connected(channel); break;
        case 1: {
          const std::size_t before = connection.num_channels();
          connection.tcp_refused(channel, LocalConnection::TcpRefusal::kConnectFailed, "no");
          owner.tcp -= before - connection.num_channels();
          break;
        }
        case 2: {
          InPlace bytes(Bytes(len, 'x'), kTcpHeadroom);
          const std::size_t room = connection.tcp_room(channel);
          const std::size_t n = connection.send_tcp_data(channel, bytes.bytes());
          check(n == std::min(room, len));
          check(std::ranges::all_of(bytes.bytes().subspan(n),
                                    [](std::uint8_t byte) { return byte == 'x'; }));
          break;
        }
        case 3: connection.tcp_written(channel, len); break;
        case 4: connection.tcp_eof(channel); break;
        case 5: connection.tcp_closed(channel); break;
        case 6:
          (void)connection.ready_channels();
          (void)connection.send_keepalive();
          break;
        default: connection.shut_down("the end"); break;
      }
      continue;
    }
    const ByteView message = input.bytes(len);
    if (!input.ok() || len == 0) {
      break;
    }
    InPlace memory(message, limits::kPayloadHeadroom);
    const auto got = connection.on_message(memory.payload());
    check(connection.num_channels() <= 64 && owner.tcp <= connection.num_channels());
    if (!got) {
      if (got.error().code == ErrorCode::kUnsupported) {
        continue;
      }
      break;
    }
    check(got->data.empty() || got->data.size() < len);
  }
  return 0;
}
