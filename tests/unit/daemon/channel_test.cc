#include "daemon/ipc/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "daemon/ipc/messages.h"

namespace bastion::daemon::ipc {
namespace {

struct Ends {
  Channel a;
  Channel b;
};

Ends make_ends() {
  auto pair = socket_pair();
  EXPECT_TRUE(pair.has_value());
  return {Channel(std::move((*pair)[0])), Channel(std::move((*pair)[1]))};
}

bool same_file(int a, int b) {
  struct stat x{}, y{};
  return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

TEST(Channel, CarriesAMessage) {
  Ends ends = make_ends();
  ASSERT_TRUE(ends.a.send(Header{.request = 4}, Resolve{"web1"}).has_value());
  auto received = ends.b.receive();
  ASSERT_TRUE(received.has_value());
  ASSERT_EQ(received->state, Received::State::kMessage);
  EXPECT_EQ(received->header.type, Type::kResolve);
  EXPECT_EQ(received->header.request, 4u);
  EXPECT_EQ(decode<Resolve>(received->body)->name, "web1");
  EXPECT_FALSE(received->fds[0]);
  EXPECT_EQ(ends.b.receive()->state, Received::State::kNothing);
}

TEST(Channel, CarriesDescriptorsCloseOnExec) {
  Ends ends = make_ends();
  auto other = socket_pair();
  const int fds[] = {(*other)[0].get(), (*other)[1].get()};
  ASSERT_TRUE(ends.a.send({}, Connection{7}, fds).has_value());
  auto received = ends.b.receive();
  ASSERT_TRUE(received.has_value());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(received->fds[static_cast<std::size_t>(i)]);
    const int fd = received->fds[static_cast<std::size_t>(i)].get();
    EXPECT_TRUE(same_file(fd, fds[i]));
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST(Channel, TellsTheEnd) {
  Ends ends = make_ends();
  ends.a = make_ends().a;
  EXPECT_EQ(ends.b.receive()->state, Received::State::kClosed);
  EXPECT_EQ(ends.b.send({}, Drained{}).error().code, ErrorCode::kIo);
}

TEST(Channel, CarriesTheLargestMessageAndNoLarger) {
  Ends ends = make_ends();
  SecretBytes largest = encode({}, HandOver{});
  largest.resize(kMessageBytesMax);
  ASSERT_TRUE(ends.a.send_packet(largest).has_value());
  EXPECT_FALSE(ends.a.wants_writable());
  auto received = ends.b.receive();
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->body.size(), kMessageBytesMax - kHeaderBytes);
  largest.push_back(0);
  EXPECT_EQ(ends.a.send_packet(largest).error().code, ErrorCode::kLimit);
}

TEST(Channel, QueuesWhatDoesNotFitAndKeepsTheOrder) {
  Ends ends = make_ends();
  auto other = socket_pair();
  HandOver filler;
  filler.input.resize(100 * 1024);
  std::uint32_t sent = 0;
  while (!ends.a.wants_writable()) {
    ASSERT_TRUE(ends.a.send(Header{.request = sent++}, filler).has_value());
    ASSERT_LT(sent, 100u);
  }
  // One with a descriptor that its sender closes at once.
  const int inode_of = (*other)[1].get();
  const int fd = (*other)[0].get();
  struct stat before{};
  fstat(fd, &before);
  ASSERT_TRUE(ends.a.send(Header{.request = sent++}, Connection{1}, std::span(&fd, 1)).has_value());
  (*other)[0].reset();
  EXPECT_NE(inode_of, fd);

  std::uint32_t seen = 0;
  while (seen < sent) {
    auto received = ends.b.receive();
    ASSERT_TRUE(received.has_value());
    if (received->state == Received::State::kNothing) {
      ASSERT_TRUE(ends.a.wants_writable());
      ASSERT_TRUE(ends.a.on_writable().has_value());
      continue;
    }
    EXPECT_EQ(received->header.request, seen);
    ++seen;
    if (seen == sent) {
      struct stat after{};
      ASSERT_EQ(fstat(received->fds[0].get(), &after), 0);
      EXPECT_EQ(before.st_ino, after.st_ino);
    }
  }
  EXPECT_EQ(ends.a.queued_bytes(), 0u);
}

TEST(Channel, SaysWhenThePeerDoesNotRead) {
  Ends ends = make_ends();
  HandOver filler;
  filler.input.resize(150 * 1024);
  Status status;
  for (int i = 0; i < 200 && status; ++i) {
    status = ends.a.send({}, filler);
  }
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kLimit);
  EXPECT_LE(ends.a.queued_bytes(), kChannelQueueBytesMax);
}

/// send_raw sends what no Channel would.
void send_raw(int to, ByteView packet, std::span<const int> fds) {
  iovec iov{const_cast<std::uint8_t*>(packet.data()), packet.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  ASSERT_EQ(sendmsg(to, &message, MSG_NOSIGNAL), static_cast<ssize_t>(packet.size()));
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (int fd = 0; fd < 256; ++fd) {
    count += fcntl(fd, F_GETFD) >= 0 ? 1u : 0u;
  }
  return count;
}

TEST(Channel, RefusesSurplusDescriptorsAndClosesThem) {
  for (const std::size_t surplus : {3u, 8u}) {
    Ends ends = make_ends();
    const std::vector<int> fds(surplus, STDIN_FILENO);
    send_raw(ends.a.fd(), encode({}, Drained{}), fds);
    const std::size_t before = open_descriptors();
    EXPECT_EQ(ends.b.receive().error().code, ErrorCode::kMalformed) << surplus;
    EXPECT_EQ(open_descriptors(), before);
  }
}

TEST(Channel, ClosesDescriptorsThatNobodyTook) {
  Ends ends = make_ends();
  const int fd = STDIN_FILENO;
  ASSERT_TRUE(ends.a.send({}, Drained{}, std::span(&fd, 1)).has_value());
  const std::size_t before = open_descriptors();
  {
    auto received = ends.b.receive();
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Channel, RefusesWhatIsNoMessage) {
  Ends ends = make_ends();
  send_raw(ends.a.fd(), as_bytes("GET / HTTP/1.1"), {});
  EXPECT_EQ(ends.b.receive().error().code, ErrorCode::kMalformed);
  const Bytes huge(kMessageBytesMax + 1, 1);
  send_raw(ends.a.fd(), huge, {});
  EXPECT_EQ(ends.b.receive().error().code, ErrorCode::kMalformed);
}

}  // namespace
}  // namespace bastion::daemon::ipc
