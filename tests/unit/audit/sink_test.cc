#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "daemon/audit/socket_sink.h"
#include "tests/support/program.h"

namespace bastion::audit {
namespace {

daemon::UniqueFd unix_receiver(const std::string& path) {
  daemon::UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return fd;
}

/// ip_receiver binds a socket to a free port of 127.0.0.1.
daemon::UniqueFd ip_receiver(int type, std::uint16_t& port) {
  daemon::UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  socklen_t length = sizeof address;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length);
  port = ntohs(address.sin_port);
  return fd;
}

std::string receive(int fd) {
  std::string buffer(1 << 20, '\0');
  const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
  buffer.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return buffer;
}

SinkAddress local(std::uint16_t port, SinkAddress::Kind kind) {
  return {kind, "", *Endpoint::parse("127.0.0.1:" + std::to_string(port))};
}

constexpr MonoTime at(std::int64_t seconds) { return {seconds * kNsPerSecond}; }

TEST(SocketSink, SendsDatagramsToASocketOfTheFileSystem) {
  const bastion::test::TempDir dir;
  const auto receiver = unix_receiver(dir.file("log"));
  SocketSink sink({SinkAddress::Kind::kUnix, dir.file("log"), {}}, OnFailure::kStop);
  sink.add("one");
  sink.add("two");
  sink.pump(at(1));
  EXPECT_EQ(receive(receiver.get()), "one");
  EXPECT_EQ(receive(receiver.get()), "two");
  EXPECT_FALSE(sink.failing());
}

TEST(SocketSink, TriesAgainWhereNobodyIsThere) {
  const bastion::test::TempDir dir;
  SocketSink sink({SinkAddress::Kind::kUnix, dir.file("log"), {}}, OnFailure::kStop);
  sink.add("one");
  sink.pump(at(1));
  EXPECT_TRUE(sink.failing());
  EXPECT_EQ(sink.why(), "No such file or directory");
  EXPECT_EQ(sink.due(), at(2));
  const auto receiver = unix_receiver(dir.file("log"));
  sink.pump(at(1));
  EXPECT_EQ(receive(receiver.get()), "") << "not before its time";
  sink.pump(at(2));
  EXPECT_EQ(receive(receiver.get()), "one");
  EXPECT_FALSE(sink.failing());
}

TEST(SocketSink, JournaldGetsALongEntryAsASealedMemory) {
  const bastion::test::TempDir dir;
  const auto receiver = unix_receiver(dir.file("journal"));
  SocketSink sink({SinkAddress::Kind::kJournald, dir.file("journal"), {}}, OnFailure::kStop);
  const std::string entry(1 << 20, 'x');  // beyond any default of a socket's buffer
  sink.add(entry);
  sink.pump(at(1));
  char byte = 0;
  iovec piece{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ASSERT_EQ(recvmsg(receiver.get(), &header, MSG_CMSG_CLOEXEC), 0);
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  ASSERT_NE(part, nullptr);
  int raw = -1;
  std::memcpy(&raw, CMSG_DATA(part), sizeof raw);
  const daemon::UniqueFd memory(raw);
  std::string read_back(entry.size() + 1, '\0');
  EXPECT_EQ(pread(raw, read_back.data(), read_back.size(), 0), static_cast<ssize_t>(entry.size()));
  EXPECT_TRUE(read_back.starts_with(entry));
  EXPECT_EQ(fcntl(raw, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
}

TEST(SocketSink, ADatagramThatNoSocketTakesIsDroppedAndCounted) {
  std::uint16_t port = 0;
  const auto receiver = ip_receiver(SOCK_DGRAM, port);
  SocketSink sink(local(port, SinkAddress::Kind::kUdp), OnFailure::kDrop);
  sink.add(std::string(70'000, 'x'));
  sink.add("short");
  sink.pump(at(1));
  EXPECT_EQ(receive(receiver.get()), "short");
  EXPECT_EQ(sink.take_dropped(), 1u);
  EXPECT_EQ(sink.take_dropped_reason(), "Message too long");
  EXPECT_EQ(sink.take_dropped(), 0u);
}

TEST(SocketSink, OverTcpNothingIsLostWhileTheReceiverIsSlow) {
  std::uint16_t port = 0;
  const auto listener = ip_receiver(SOCK_STREAM, port);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  SocketSink sink(local(port, SinkAddress::Kind::kTcp), OnFailure::kStop);
  std::string sent;
  for (int i = 0; sent.size() < SocketSink::kQueueBytesMax; ++i) {
    const std::string frame = syslog_frame(std::to_string(i) + std::string(5000, 'x'));
    sink.add(frame);
    sent += frame;
  }
  sink.pump(at(1));
  EXPECT_TRUE(sink.wants_writable());
  const daemon::UniqueFd reader(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  std::string got;
  while (got.size() < sent.size()) {
    sink.pump(at(1));
    got += receive(reader.get());
  }
  EXPECT_EQ(got, sent);
  EXPECT_FALSE(sink.failing());
}

TEST(SocketSink, AFrameOfALostConnectionBeginsAnewOnTheNext) {
  std::uint16_t port = 0;
  const auto listener = ip_receiver(SOCK_STREAM, port);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  SocketSink sink(local(port, SinkAddress::Kind::kTcp), OnFailure::kStop);
  const std::string big = syslog_frame(std::string(7 << 20, 'x'));
  sink.add(big);
  sink.pump(at(1));
  {
    const daemon::UniqueFd reader(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_FALSE(receive(reader.get()).empty());
  }
  for (int i = 0; i < 100 && sink.fd() >= 0; ++i) {
    sink.pump(at(1));
  }
  ASSERT_LT(sink.fd(), 0) << "it found that the connection is gone";
  EXPECT_TRUE(sink.failing());
  sink.pump(at(2));
  const daemon::UniqueFd reader(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  std::string got;
  while (got.size() < big.size()) {
    sink.pump(at(2));
    got += receive(reader.get());
  }
  EXPECT_EQ(got, big);
}

TEST(SocketSink, NothingIsSentToAReceiverThatHasClosedTheConnection) {
  std::uint16_t port = 0;
  const auto listener = ip_receiver(SOCK_STREAM | SOCK_NONBLOCK, port);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  SocketSink sink(local(port, SinkAddress::Kind::kTcp), OnFailure::kStop);
  const auto accepted = [&] {
    return daemon::UniqueFd(
        accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  };
  sink.add("one");
  sink.pump(at(1));
  {
    const daemon::UniqueFd reader = accepted();
    sink.pump(at(1));
    EXPECT_EQ(receive(reader.get()), "one");
  }
  // It restarts between two events.
  sink.add("two");
  sink.pump(at(1));
  EXPECT_FALSE(sink.failing()) << "it is there again";
  const daemon::UniqueFd reader = accepted();
  sink.pump(at(1));
  EXPECT_EQ(receive(reader.get()), "two");
  EXPECT_FALSE(sink.failing());
}

TEST(SocketSink, OverUdpWhatNobodyHeardIsCountedAndTheRestWaits) {
  std::uint16_t port = 0;
  // It is connected to itself: it hears nobody else, and keeps the port.
  const auto deaf = ip_receiver(SOCK_DGRAM, port);
  sockaddr_in own{};
  socklen_t length = sizeof own;
  ASSERT_EQ(getsockname(deaf.get(), reinterpret_cast<sockaddr*>(&own), &length), 0);
  ASSERT_EQ(connect(deaf.get(), reinterpret_cast<sockaddr*>(&own), length), 0);
  SocketSink sink(local(port, SinkAddress::Kind::kUdp), OnFailure::kStop);
  sink.add("lost");
  sink.pump(at(1));
  EXPECT_FALSE(sink.failing()) << "nobody can know";
  sink.add("one");
  sink.add("two");
  sink.pump(at(2));
  EXPECT_TRUE(sink.failing());
  for (int second = 3; second < 20; ++second) {
    sink.pump(at(second));
    EXPECT_TRUE(sink.failing()) << "one datagram that goes out proves nothing: " << second;
  }
  const auto receiver = ip_receiver(SOCK_DGRAM | SOCK_NONBLOCK, port);
  for (int second = 20; second < 23; ++second) {
    sink.pump(at(second));
  }
  EXPECT_EQ(receive(receiver.get()), "one");
  EXPECT_EQ(receive(receiver.get()), "two");
  EXPECT_EQ(receive(receiver.get()), "") << "each came once";
  EXPECT_FALSE(sink.failing());
  EXPECT_EQ(sink.take_dropped(), 1u);
  EXPECT_EQ(sink.take_dropped_reason(), "Connection refused");
}

TEST(SocketSink, ItsQueueIsBounded) {
  const bastion::test::TempDir dir;
  for (const OnFailure on_failure : {OnFailure::kStop, OnFailure::kDrop}) {
    SocketSink sink({SinkAddress::Kind::kUnix, dir.file("nobody"), {}}, on_failure);
    const std::size_t room = SocketSink::kQueueBytesMax / 1024;
    for (std::size_t i = 0; i < 3 * room; ++i) {
      sink.add(std::string(1024, 'x'));
    }
    sink.pump(at(1));
    EXPECT_TRUE(sink.failing());
    EXPECT_EQ(sink.take_dropped(), 0u) << "told when it works again";
    const auto receiver = unix_receiver(dir.file("nobody"));
    std::uint64_t got = 0;
    for (int i = 0; i < 100'000 && sink.failing(); ++i) {
      sink.pump(at(2));
      got += receive(receiver.get()).empty() ? 0 : 1;
    }
    sink.pump(at(2));
    while (!receive(receiver.get()).empty()) {
      ++got;
      sink.pump(at(2));
    }
    EXPECT_EQ(got, on_failure == OnFailure::kStop ? 2 * room : room);
    EXPECT_EQ(sink.take_dropped(), on_failure == OnFailure::kStop ? room : 2 * room);
    std::filesystem::remove(dir.file("nobody"));
  }
}

}  // namespace
}  // namespace bastion::audit
