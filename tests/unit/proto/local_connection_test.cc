#include "proto/local_connection.h"

#include <sys/mman.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proto/connection_limits.h"
#include "proto/local_state.h"
#include "tests/support/random.h"
#include "tests/unit/proto/connection_support.h"

namespace bastion::proto {
namespace {

using namespace connection_test;  // NOLINT: the messages and peers of these tests

constexpr std::uint32_t kUser = 7;
constexpr std::uint32_t kWindow = 2 * 1024 * 1024;
constexpr std::uint32_t kPacket = 32 * 1024;

class Owner : public LocalEvents {
 public:
  void need_listing(ChannelNumber channel, std::uint32_t columns) override {
    lines.push_back("listing " + std::to_string(channel) + " " + std::to_string(columns));
    if (!listing.empty()) {
      connection->provide_text(channel, listing);
    }
  }
  void open_tcp(const TcpOpen& open) override {
    lines.push_back("open " + std::string(open.host) + ":" + std::to_string(open.port) + " from " +
                    std::string(open.originator_host) + ":" + std::to_string(open.originator_port));
    last = open.channel;
  }
  void tcp_eof(ChannelNumber channel) override {
    lines.push_back("eof " + std::to_string(channel));
  }
  void tcp_closed(const ChannelInfo& channel) override {
    lines.push_back("closed " + std::to_string(channel.number) + " up " +
                    std::to_string(channel.bytes_up) + " down " +
                    std::to_string(channel.bytes_down));
  }
  void session_request(const ChannelInfo& channel) override {
    lines.push_back("request " + std::string(short_name(channel)) + " " +
                    std::string(channel.detail));
  }
  void channel_refused(ChannelType type, std::string_view detail, std::string_view text,
                       ChannelLimit /*limit*/) override {
    lines.push_back("refused " + std::string(type_name(type)) + " " + std::string(detail) + ": " +
                    std::string(text));
  }

  std::vector<std::string> lines;
  std::string listing;
  ChannelNumber last = 0;
  LocalConnection* connection = nullptr;
};

class LocalConnectionTest : public ::testing::Test {
 protected:
  LocalConnectionTest() { restart(LocalOptions::Mode::kMenu); }

  void restart(LocalOptions::Mode mode, bool direct_tcpip = true) {
    restart(LocalOptions{.mode = mode,
                         .refusal = "no target \"wbe1\" that you may reach.   (7q2p)",
                         .bastion_name = "bastion.corp",
                         .direct_tcpip = direct_tcpip});
  }
  void restart(LocalOptions options) {
    client.messages.clear();
    owner = {};
    connection = std::make_unique<LocalConnection>(std::move(options), client, owner);
    owner.connection = connection.get();
  }

  void sends(const Bytes& message) {
    Packet packet(message);
    const auto data = connection->on_message(packet.payload());
    ASSERT_TRUE(data) << data.error().text;
    EXPECT_TRUE(data->data.empty());
  }
  void expect_error(const Bytes& message, ErrorCode code = ErrorCode::kProtocol) {
    Packet packet(message);
    const auto data = connection->on_message(packet.payload());
    ASSERT_FALSE(data) << "message " << int{message[0]} << " was taken";
    EXPECT_EQ(data.error().code, code);
  }
  ChannelNumber open_session(std::uint32_t window = kWindow, std::uint32_t max_packet = kPacket) {
    sends(open_message("session", kUser, window, max_packet));
    const Bytes reply = client.next();
    EXPECT_EQ(reply[0], kMsgChannelOpenConfirmation);
    EXPECT_EQ(u32_at(reply, 1), kUser);
    return u32_at(reply, 5);
  }
  ChannelNumber open_tcp(std::uint32_t window = kWindow, std::uint32_t max_packet = kPacket) {
    sends(open_tcpip("direct-tcpip", kUser, "web1", 22, window, max_packet));
    EXPECT_TRUE(client.empty());
    connection->tcp_connected(owner.last);
    EXPECT_EQ(client.next(),
              confirm(kUser, owner.last, limits::kWindowBytesMax, limits::kMaxPacketBytes));
    return owner.last;
  }
  OpenReply refused(const Bytes& message) {
    sends(message);
    const OpenReply reply = read_open_failure(client.next());
    EXPECT_TRUE(client.empty());
    return reply;
  }
  /// expect_end: exit status, EOF and CLOSE.
  void expect_end(std::uint32_t status) {
    EXPECT_EQ(client.next(), exit_status(kUser, status));
    EXPECT_EQ(client.next(), eof(kUser));
    EXPECT_EQ(client.next(), close(kUser));
    EXPECT_TRUE(client.empty());
  }
  /// give hands the connection data as from a socket, in memory of exactly the promised room.
  std::size_t give(ChannelNumber channel, std::string_view bytes) {
    Bytes memory(kTcpHeadroom + bytes.size() + kTcpTailroom, 0xee);
    std::copy(bytes.begin(), bytes.end(), memory.begin() + kTcpHeadroom);
    const MutBytes view = MutBytes(memory).subspan(kTcpHeadroom, bytes.size());
    const std::size_t n = connection->send_tcp_data(channel, view);
    EXPECT_EQ(as_text(view.subspan(n)), bytes.substr(n)) << "what was not sent is as it was";
    return n;
  }

  LegSink client;
  Owner owner;
  std::unique_ptr<LocalConnection> connection;
};

TEST_F(LocalConnectionTest, ListsWhatTheUserMayReach) {
  for (const Bytes& message : {shell(0), exec(0, "ls"), exec(0, "  ls ")}) {
    restart(LocalOptions::Mode::kMenu);
    owner.listing = "web1  deploy\ndb1   kim\n";
    open_session();
    sends(message);
    EXPECT_EQ(client.next(), success(kUser));
    EXPECT_EQ(client.next(), data(kUser, "web1  deploy\ndb1   kim\n"));
    expect_end(0);
    sends(close(0));
    EXPECT_TRUE(client.empty());
    EXPECT_EQ(connection->num_channels(), 0U);
  }
}

TEST_F(LocalConnectionTest, ListsWithCarriageReturnsAndItsWidthOnATerminal) {
  const ChannelNumber number = open_session();
  sends(pty(number));
  EXPECT_EQ(client.next(), success(kUser));
  sends(shell(number));
  EXPECT_EQ(client.next(), success(kUser));
  EXPECT_EQ(owner.lines.back(), "listing 0 80");
  EXPECT_TRUE(client.empty()) << "it waits for its owner";
  connection->provide_text(number,
                           "web1\nd\x1b"
                           "b1\nno end");
  EXPECT_EQ(client.next(), data(kUser, "web1\r\nd?b1\r\nno end"));
  expect_end(0);
}

TEST_F(LocalConnectionTest, SendsALongListingAsTheWindowAllows) {
  std::string listing;
  for (int i = 0; i < 500; ++i) {
    listing += "target-" + std::to_string(i) + "\n";
  }
  owner.listing = listing;
  const ChannelNumber number = open_session(1000, 300);
  sends(shell(number));
  client.next();
  std::string got;
  bool ended = false;
  std::uint32_t room = 1000;
  while (!ended) {
    while (!client.empty()) {
      const Bytes message = client.next();
      if (message[0] != kMsgChannelData) {
        ended = true;
        continue;
      }
      const auto piece = as_text(ByteView(message).subspan(9));
      EXPECT_LE(piece.size(), 300U);
      ASSERT_LE(piece.size(), room);
      room -= static_cast<std::uint32_t>(piece.size());
      got += piece;
    }
    if (!ended) {
      ASSERT_EQ(room, 0U);
      sends(adjust(number, 777));
      room = 777;
    }
  }
  EXPECT_EQ(got, listing);
}

TEST_F(LocalConnectionTest, HelpsWithOtherCommands) {
  for (const Bytes& message : {exec(0, "uptime"), exec(0, ""), subsystem(0, "sftp")}) {
    restart(LocalOptions::Mode::kMenu);
    open_session();
    sends(message);
    EXPECT_EQ(client.next(), success(kUser));
    EXPECT_EQ(read_stderr(client.next()),
              "bastion: `ssh bastion.corp ls` lists what you may reach; "
              "`ssh login@target@bastion.corp` takes you there.\n");
    expect_end(2);
  }
}

TEST_F(LocalConnectionTest, RefusesEverySessionWithItsReason) {
  for (const bool terminal : {false, true}) {
    for (const Bytes& message : {shell(0), exec(0, "id"), subsystem(0, "sftp"), shell(0, false)}) {
      restart(LocalOptions::Mode::kRefuse);
      open_session();
      if (terminal) {
        sends(pty(0));
        EXPECT_EQ(client.next(), success(kUser));
      }
      sends(message);
      if (message != shell(0, false)) {
        EXPECT_EQ(client.next(), success(kUser));
      }
      EXPECT_EQ(read_stderr(client.next()),
                std::string("bastion: no target \"wbe1\" that you may reach.   (7q2p)") +
                    (terminal ? "\r\n" : "\n"));
      expect_end(255);
      // What crossed the close is dropped.
      sends(data(0, "input"));
      sends(shell(0));
      sends(eof(0));
      sends(adjust(0, 1));
      EXPECT_TRUE(client.empty());
      sends(close(0));
      EXPECT_TRUE(client.empty());
      EXPECT_EQ(connection->num_channels(), 0U);
    }
  }
}

TEST_F(LocalConnectionTest, AddsNoLineOfTheClientsToTheReason) {
  restart(LocalOptions::Mode::kRefuse);
  const ChannelNumber number = open_session();
  for (const Bytes& message : {x11_req(number), env(number, "LANG", "C", true),
                               Bytes(request(number, "auth-agent-req@openssh.com", true))}) {
    sends(message);
    EXPECT_EQ(client.next(), success(kUser));
  }
  sends(request(number, "unknown", true));
  EXPECT_EQ(client.next(), failure(kUser));
  sends(request(number, "keepalive@openssh.com", true));
  EXPECT_EQ(client.next(), failure(kUser));
  sends(signal(number, "INT"));
  sends(exit_status(number, 1));
  EXPECT_TRUE(client.empty());
}

TEST_F(LocalConnectionTest, StartsASessionOnlyOnce) {
  const ChannelNumber number = open_session();
  sends(shell(number));
  EXPECT_EQ(client.next(), success(kUser));
  sends(exec(number, "ls"));
  EXPECT_EQ(client.next(), failure(kUser));
  EXPECT_EQ(owner.lines.size(), 2U);
}

TEST_F(LocalConnectionTest, TakesInputThatNobodyReads) {
  const ChannelNumber number = open_session();
  std::uint32_t granted = kLocalSessionWindow;
  for (int i = 0; i < 1000; ++i) {
    sends(data(number, std::string(1000, 'x')));
    granted -= 1000;
    while (!client.empty()) {
      granted += u32_at(client.next(), 5);
    }
    ASSERT_GE(granted, 1000U);
    ASSERT_LE(granted, kLocalSessionWindow);
  }
  expect_error(data(number, std::string(granted + 1, 'x')));
}

TEST_F(LocalConnectionTest, RefusesOtherChannelsWithAReason) {
  OpenReply reply = refused(Make(kMsgChannelOpen)
                                .text("direct-streamlocal@openssh.com")
                                .u32(kUser)
                                .u32(kWindow)
                                .u32(kPacket)
                                .text("/x")
                                .text("")
                                .u32(0));
  EXPECT_EQ(reply.recipient, kUser);
  EXPECT_EQ(reply.reason, 1U);
  for (const Bytes& message :
       {open_message("tun@openssh.com", kUser, 1, kPacket), open_message("auth-agent", kUser, 1, 1),
        open_tcpip("forwarded-tcpip", kUser, "x", 1)}) {
    EXPECT_EQ(refused(message).reason, 3U);
  }
  restart(LocalOptions::Mode::kRefuse, false);
  reply = refused(open_tcpip("direct-tcpip", kUser, "web1", 22));
  EXPECT_EQ(reply.reason, 1U);
  EXPECT_EQ(reply.text, "no target \"wbe1\" that you may reach.   (7q2p)");
  EXPECT_EQ(owner.lines.size(), 1U);
}

TEST_F(LocalConnectionTest, sec_088_PassesOnlyHostsAndPortsThatCouldBeSome) {
  for (const auto& [host, port] : {std::pair{"", 22U},
                                   {"a b", 22U},
                                   {"a\n", 22U},
                                   {"web1", 0U},
                                   {"web1", 65536U},
                                   {"\xc3\xa4", 22U}}) {
    EXPECT_EQ(refused(open_tcpip("direct-tcpip", kUser, host, port)).reason, 2U);
  }
  EXPECT_EQ(refused(open_tcpip("direct-tcpip", kUser, std::string(256, 'a'), 22)).reason, 2U);
  EXPECT_TRUE(owner.lines.front().starts_with("refused direct-tcpip"));
}

TEST_F(LocalConnectionTest, OpensATunnelWhenItsOwnerHasConnected) {
  const ChannelNumber number = open_tcp();
  EXPECT_EQ(owner.lines.at(0), "open web1:22 from 10.0.0.9:50000");
  connection->tcp_connected(number);
  connection->tcp_refused(number, LocalConnection::TcpRefusal::kConnectFailed, "too late");
  EXPECT_TRUE(client.empty()) << "that is decided";
  const ChannelInfo info = connection->channels().at(0);
  EXPECT_EQ(info.detail, "web1:22");
  EXPECT_TRUE(info.open);
}

TEST_F(LocalConnectionTest, RefusesATunnelAsItsOwnerSays) {
  using enum LocalConnection::TcpRefusal;
  for (const auto& [why, reason] :
       {std::pair{kProhibited, 1U}, {kConnectFailed, 2U}, {kLimit, 4U}}) {
    sends(open_tcpip("direct-tcpip", kUser, "web1", 22));
    connection->tcp_refused(owner.last, why, "web1 is recorded; use: ssh x\x1b");
    const OpenReply reply = read_open_failure(client.next());
    EXPECT_EQ(reply.reason, reason);
    EXPECT_EQ(reply.text, "web1 is recorded; use: ssh x?");
    EXPECT_EQ(connection->num_channels(), 0U);
    connection->tcp_connected(owner.last);
    EXPECT_TRUE(client.empty());
  }
}

TEST_F(LocalConnectionTest, YieldsDataWhereItLies) {
  const ChannelNumber number = open_tcp();
  Packet packet(data(number, "SSH-2.0-OpenSSH"));
  const Payload payload = packet.payload();
  const auto got = connection->on_message(payload);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->channel, number);
  EXPECT_EQ(as_text(got->data), "SSH-2.0-OpenSSH");
  EXPECT_EQ(got->data.data(), payload.data + 9);
  EXPECT_EQ(connection->bytes_up(), 15U);
}

TEST_F(LocalConnectionTest, GrantsAsTheSocketDrainsAndNoMore) {
  const ChannelNumber number = open_tcp();
  std::uint64_t granted = limits::kWindowBytesMax;
  std::uint64_t sent = 0;
  const std::string piece(32768, 'x');
  for (int i = 0; i < 64; ++i) {
    Packet packet(data(number, piece));
    ASSERT_TRUE(connection->on_message(packet.payload()));
    sent += piece.size();
  }
  EXPECT_TRUE(client.empty()) << "nothing was written";
  expect_error(data(number, "x"));
  connection->tcp_written(number, 1);
  EXPECT_EQ(client.next(), adjust(kUser, 1)) << "the user has nothing left: any byte helps";
  connection->tcp_written(number, 1000);
  EXPECT_EQ(client.next(), adjust(kUser, 1000));
  granted += 1001;
  connection->tcp_written(number, 1'000'000'000);
  while (!client.empty()) {
    granted += u32_at(client.next(), 5);
  }
  EXPECT_EQ(granted - sent, limits::kWindowBytesMax) << "an owner's mistake does not widen it";
}

TEST_F(LocalConnectionTest, WindowsOfManyChannelsAreSmaller) {
  std::vector<ChannelNumber> open;
  const auto open_one = [&] {
    sends(open_tcpip("direct-tcpip", kUser, "web1", 22, kWindow, kPacket));
    connection->tcp_connected(owner.last);
    open.push_back(owner.last);
    return u32_at(client.next(), 9);
  };
  restart(
      LocalOptions{.mode = LocalOptions::Mode::kMenu, .direct_tcpip = true, .channels_max = 64});
  std::uint64_t sum = 0;
  for (int i = 0; i < 64; ++i) {
    const std::uint32_t window = open_one();
    EXPECT_EQ(window, i < 4 ? limits::kWindowBytesMax : 256U * 1024);
    sum += window;
  }
  EXPECT_EQ(sum, 23U << 20);
  // What is closed makes room.
  for (const ChannelNumber number : std::exchange(open, {})) {
    sends(close(number));
    EXPECT_EQ(client.next(), close(kUser));
  }
  EXPECT_EQ(open_one(), limits::kWindowBytesMax);
}

TEST_F(LocalConnectionTest, SendsDataInPacketsThatTheUserTakes) {
  for (const std::uint32_t max_packet : {256U, 1000U, 40'000U}) {
    restart(LocalOptions::Mode::kMenu);
    const ChannelNumber number = open_tcp(100'000, max_packet);
    const std::string bytes(as_text(bastion::test::SeededRandom(3).bytes(120'000)));
    EXPECT_EQ(connection->tcp_room(number), 100'000U);
    const std::size_t n = give(number, bytes);
    EXPECT_EQ(n, 100'000U);
    std::string got;
    while (!client.empty()) {
      const Bytes message = client.next();
      Reader reader(message);
      EXPECT_EQ(reader.u8(), kMsgChannelData);
      EXPECT_EQ(reader.u32(), kUser);
      const std::string_view piece = reader.text();
      EXPECT_TRUE(reader.done());
      EXPECT_LE(piece.size(), std::min(max_packet, limits::kMaxPacketBytes));
      got += piece;
    }
    EXPECT_EQ(got, bytes.substr(0, n));
    EXPECT_EQ(connection->tcp_room(number), 0U);
    EXPECT_EQ(give(number, "x"), 0U);
    EXPECT_EQ(connection->bytes_down(), 100'000U);
  }
}

TEST_F(LocalConnectionTest, SaysWhichChannelsCanSendAgain) {
  const ChannelNumber first = open_tcp(10);
  const ChannelNumber second = open_tcp(10);
  EXPECT_EQ(give(first, "0123456789"), 10U);
  EXPECT_EQ(give(second, "012345"), 6U);
  EXPECT_TRUE(connection->ready_channels().empty());
  sends(adjust(first, 5));
  sends(adjust(second, 5));
  EXPECT_EQ(connection->ready_channels(), std::vector{first}) << "the other was never stopped";
  EXPECT_TRUE(connection->ready_channels().empty());
  EXPECT_EQ(connection->tcp_room(first), 5U);
  EXPECT_EQ(give(first, "0123456789"), 5U);
  sends(adjust(first, 0));
  EXPECT_TRUE(connection->ready_channels().empty());
  sends(adjust(first, 1));
  sends(close(first));
  EXPECT_TRUE(connection->ready_channels().empty()) << "it is gone";
}

TEST_F(LocalConnectionTest, sec_061_TakesAHugeWindowButNotMore) {
  const ChannelNumber number = open_tcp(0x7fffffff);
  EXPECT_EQ(connection->tcp_room(number), 0x7fffffffU);
  sends(adjust(number, 0x80000000));
  EXPECT_EQ(connection->tcp_room(number), UINT32_MAX);
  expect_error(adjust(number, 1));
}

TEST_F(LocalConnectionTest, sec_062_NoLengthOfDataLosesItsUpperBits) {
  // Only what is sent of it is touched, so the rest costs no memory.
  constexpr std::size_t kSize = (std::size_t{1} << 33) + 4096;
  void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* start = static_cast<std::uint8_t*>(memory) + kTcpHeadroom;
  constexpr std::size_t kFourGib = std::size_t{1} << 32;
  for (const std::size_t size : {kFourGib - 1, kFourGib, kFourGib + 1, 2 * kFourGib}) {
    restart(LocalOptions::Mode::kMenu);
    const ChannelNumber number = open_tcp(1000, kPeerMaxPacketMin);
    EXPECT_EQ(connection->send_tcp_data(number, {start, size}), 1000U) << size;
    EXPECT_EQ(connection->tcp_room(number), 0U);
    EXPECT_EQ(client.messages.size(), (1000 + kPeerMaxPacketMin - 1) / kPeerMaxPacketMin);
    client.messages.clear();
    EXPECT_EQ(connection->send_tcp_data(number, {start, size}), 0U) << size;
    EXPECT_TRUE(client.empty());
    // A socket that is said to have taken more than there was gives no more credit than that.
    connection->tcp_written(number, size);
    EXPECT_TRUE(client.empty());
  }
  munmap(memory, kSize);
}

TEST_F(LocalConnectionTest, HalfClosesBothWays) {
  const ChannelNumber number = open_tcp();
  sends(eof(number));
  EXPECT_EQ(owner.lines.back(), "eof 0");
  expect_error(data(number, "after the end"));
  EXPECT_EQ(give(number, "still"), 5U);
  client.next();
  connection->tcp_eof(number);
  EXPECT_EQ(client.next(), eof(kUser));
  connection->tcp_eof(number);
  EXPECT_EQ(connection->tcp_room(number), 0U);
  EXPECT_EQ(give(number, "after the end"), 0U);
  connection->tcp_closed(number);
  EXPECT_EQ(client.next(), close(kUser));
  EXPECT_TRUE(client.empty());
  EXPECT_EQ(owner.lines.back(), "eof 0") << "the user's close is awaited";
  sends(close(number));
  EXPECT_TRUE(client.empty());
  EXPECT_EQ(owner.lines.back(), "closed 0 up 0 down 5");
}

TEST_F(LocalConnectionTest, ClosesWhenTheUserDoes) {
  const ChannelNumber number = open_tcp();
  sends(close(number));
  EXPECT_EQ(client.next(), close(kUser));
  EXPECT_EQ(owner.lines.back(), "closed 0 up 0 down 0");
  // The number is dead for the owner as well.
  connection->tcp_eof(number);
  connection->tcp_closed(number);
  connection->tcp_written(number, 5);
  connection->tcp_connected(number);
  EXPECT_EQ(connection->tcp_room(number), 0U);
  EXPECT_EQ(give(number, "x"), 0U);
  EXPECT_TRUE(client.empty());
  EXPECT_NE(open_tcp(), number);
}

TEST_F(LocalConnectionTest, DropsWhatCrossesItsClose) {
  const ChannelNumber number = open_tcp();
  connection->tcp_closed(number);
  EXPECT_EQ(client.next(), eof(kUser));
  EXPECT_EQ(client.next(), close(kUser));
  sends(data(number, "late"));
  sends(request(number, "x", true));
  sends(eof(number));
  EXPECT_TRUE(client.empty());
  EXPECT_EQ(owner.lines.size(), 1U);
}

TEST_F(LocalConnectionTest, KeepsSeveralTunnelsApart) {
  std::vector<ChannelNumber> numbers;
  for (std::uint32_t i = 0; i < 20; ++i) {
    sends(open_tcpip("direct-tcpip", 100 + i, "web" + std::to_string(i), 22));
    numbers.push_back(owner.last);
  }
  for (std::uint32_t i = 20; i-- > 0;) {
    connection->tcp_connected(numbers[i]);
    EXPECT_EQ(u32_at(client.next(), 1), 100 + i);
  }
  for (std::uint32_t i = 0; i < 20; ++i) {
    EXPECT_EQ(give(numbers[i], std::to_string(i)), std::to_string(i).size());
    EXPECT_EQ(client.next(), data(100 + i, std::to_string(i)));
  }
}

TEST_F(LocalConnectionTest, HoldsItsLimits) {
  restart(LocalOptions{
      .mode = LocalOptions::Mode::kMenu, .channels_max = 12, .session_channels_max = 10});
  for (int i = 0; i < 10; ++i) {
    open_session();
  }
  EXPECT_EQ(refused(open_message("session", kUser, kWindow, kPacket)).reason, 4U);
  open_tcp();
  open_tcp();
  EXPECT_EQ(refused(open_tcpip("direct-tcpip", kUser, "web1", 22)).reason, 4U);
  sends(close(0));
  client.next();
  open_session();
  EXPECT_EQ(refused(open_message("session", kUser, kWindow, kPacket)).reason, 4U);
  for (const std::uint32_t max_packet : {0U, 1U, 31U, kPeerMaxPacketMin - 1}) {
    restart(LocalOptions::Mode::kMenu);
    EXPECT_EQ(refused(open_message("session", kUser, kWindow, max_packet)).reason, 4U);
  }
}

TEST_F(LocalConnectionTest, BoundsTheConnectionsInTheMaking) {
  for (std::size_t i = 0; i < kOpensInFlightMax; ++i) {
    sends(open_tcpip("direct-tcpip", kUser, "web1", 22));
  }
  EXPECT_EQ(refused(open_tcpip("direct-tcpip", kUser, "web1", 22)).reason, 4U);
  connection->tcp_refused(owner.last, LocalConnection::TcpRefusal::kConnectFailed, "no");
  client.next();
  sends(open_tcpip("direct-tcpip", kUser, "web1", 22));
  EXPECT_TRUE(client.empty());
}

TEST_F(LocalConnectionTest, sec_063_FreesWhatItRefused) {
  for (int i = 0; i < 100'000; ++i) {
    sends(open_tcpip("direct-tcpip", kUser, "web1", 22));
    connection->tcp_refused(owner.last, LocalConnection::TcpRefusal::kProhibited, "no");
    client.messages.clear();
    owner.lines.clear();
  }
  EXPECT_EQ(connection->num_channels(), 0U);
}

TEST_F(LocalConnectionTest, AnswersGlobalRequests) {
  sends(global("no-more-sessions@openssh.com", true));
  EXPECT_EQ(client.next(), kGlobalSuccess);
  EXPECT_EQ(refused(open_message("session", kUser, kWindow, kPacket)).reason, 1U);
  for (const char* name : {"keepalive@openssh.com", "hostkeys-prove-00@openssh.com", "x"}) {
    sends(global(name, true));
    EXPECT_EQ(client.next(), kGlobalFailure);
    sends(global(name, false));
    EXPECT_TRUE(client.empty());
  }
  sends(tcpip_forward("localhost", 80));
  EXPECT_EQ(client.next(), kGlobalFailure);
  expect_error(Make(kMsgGlobalRequest).text("x"));
}

TEST_F(LocalConnectionTest, sec_064_DropsAnswersAndAwaitsThoseToItsKeepalives) {
  sends(kGlobalSuccess);
  EXPECT_TRUE(connection->send_keepalive());
  EXPECT_EQ(client.next(), Bytes(global("keepalive@openssh.com", true)));
  sends(kGlobalFailure);
  for (std::size_t i = 0; i < limits::kPendingRepliesMax; ++i) {
    EXPECT_TRUE(connection->send_keepalive());
  }
  EXPECT_FALSE(connection->send_keepalive());
  client.messages.clear();
  const ChannelNumber number = open_tcp();
  sends(success(number));
  sends(failure(number));
}

TEST_F(LocalConnectionTest, sec_065_RefusesWhatAStateDoesNotAllow) {
  const auto messages = [](ChannelNumber number) {
    return std::vector<Bytes>{confirm(number, 1, 1, kPacket),
                              open_failure(number, 1, "x"),
                              adjust(number, 1),
                              data(number, "x"),
                              extended(number, 1, "x"),
                              eof(number),
                              close(number),
                              signal(number, "INT"),
                              success(number),
                              failure(number)};
  };
  for (const ChannelNumber number : {0U, 1U, 256U, UINT32_MAX}) {
    for (const Bytes& message : messages(number)) {
      expect_error(message);
    }
  }
  sends(open_tcpip("direct-tcpip", kUser, "web1", 22));
  for (const Bytes& message : messages(owner.last)) {
    expect_error(message);
  }
  connection->tcp_connected(owner.last);
  expect_error(confirm(owner.last, 1, 1, kPacket));
  expect_error(open_failure(owner.last, 1, "x"));
  sends(close(owner.last));
  for (const Bytes& message : messages(owner.last)) {
    const bool harmless = message[0] == kMsgChannelWindowAdjust ||
                          message[0] == kMsgChannelSuccess || message[0] == kMsgChannelFailure;
    if (harmless) {
      sends(message);
    } else {
      expect_error(message);
    }
  }
  expect_error(Bytes{kMsgChannelEof, 0, 0});
  expect_error(Bytes{101, 0, 0, 0, 0}, ErrorCode::kUnsupported);
}

TEST_F(LocalConnectionTest, ShutsDownWithAReason) {
  const ChannelNumber session = open_session();
  const ChannelNumber tunnel = open_tcp();
  sends(open_tcpip("direct-tcpip", 9, "web2", 22));
  connection->shut_down("maintenance");
  EXPECT_EQ(read_stderr(client.next()), "bastion: maintenance\n");
  EXPECT_EQ(client.next(), exit_status(kUser, 255));
  EXPECT_EQ(client.next(), eof(kUser));
  EXPECT_EQ(client.next(), close(kUser));
  EXPECT_EQ(client.next(), eof(kUser));
  EXPECT_EQ(client.next(), close(kUser));
  EXPECT_EQ(read_open_failure(client.next()).text, "maintenance");
  EXPECT_TRUE(client.empty());
  EXPECT_EQ(owner.lines.back(), "closed 2 up 0 down 0");
  EXPECT_EQ(refused(open_message("session", kUser, kWindow, kPacket)).text, "maintenance");
  sends(close(session));
  sends(close(tunnel));
  EXPECT_EQ(connection->num_channels(), 0U);
}

}  // namespace
}  // namespace bastion::proto
