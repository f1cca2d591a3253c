#include "daemon/ring/ring.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "daemon/unique_fd.h"

namespace bastion::daemon {
namespace {

constexpr Token kA{1, 10, 100};
constexpr Token kB{2, 20, 200};

std::unique_ptr<Ring> make_ring(RingProfile profile = RingProfile::kWorker,
                                RingOptions options = {.buffer_count = 4, .buffer_bytes = 4096}) {
  std::signal(SIGPIPE, SIG_IGN);
  auto ring = Ring::create(options);
  EXPECT_TRUE(ring.has_value()) << (ring ? "" : ring.error().text);
  EXPECT_TRUE((*ring)->restrict_and_enable(profile).has_value());
  return std::move(*ring);
}

struct Pair {
  UniqueFd a, b;
};
Pair make_pair() {
  int fds[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

MonoTime soon() { return after(mono_now(), 5 * kNsPerSecond); }
MonoTime at_once() { return {0}; }

/// next waits for exactly one completion.
Completion next(Ring& ring) {
  Completion completion;
  EXPECT_EQ(ring.wait(soon(), std::span(&completion, 1)), 1u);
  return completion;
}

TEST(Token, SurvivesPacking) {
  for (const Token token : {Token{}, kA, Token{0xfe, 0xffff'ffff, 0xff'ffff}}) {
    EXPECT_EQ(Token::unpack(token.pack()), token);
  }
}

TEST(Ring, DropsBuffersOnlyWhenNoneHasBytes) {
  auto ring = make_ring();
  const Pair pair = make_pair();
  ring->recv(pair.a.get(), kA);
  ASSERT_EQ(write(pair.b.get(), "hello", 5), 5);
  const Completion completion = next(*ring);
  ASSERT_TRUE(completion.has_buffer);
  ring->drop_buffers();
  EXPECT_EQ(std::memcmp(ring->buffer(completion.buffer).data(), "hello", 5), 0) << "it is lent";
  ring->recycle(completion.buffer);
  ring->drop_buffers();
  EXPECT_EQ(ring->buffer(completion.buffer)[0], 0);
  ring->recv(pair.a.get(), kA);
  ASSERT_EQ(write(pair.b.get(), "again", 5), 5);
  const Completion after_drop = next(*ring);
  EXPECT_EQ(std::memcmp(ring->buffer(after_drop.buffer).data(), "again", 5), 0);
}

TEST(Ring, ReceivesIntoASharedBuffer) {
  auto ring = make_ring();
  const Pair pair = make_pair();
  ring->recv(pair.a.get(), kA);
  Completion none;
  EXPECT_EQ(ring->wait(at_once(), std::span(&none, 1)), 0u);
  EXPECT_EQ(ring->buffers_free(), 4u) << "an idle socket holds no buffer";
  ASSERT_EQ(write(pair.b.get(), "hello", 5), 5);
  const Completion completion = next(*ring);
  EXPECT_EQ(completion.token, kA);
  ASSERT_EQ(completion.result, 5);
  ASSERT_TRUE(completion.has_buffer);
  EXPECT_EQ(as_text(ring->buffer(completion.buffer).first(5)), "hello");
  EXPECT_EQ(ring->buffers_free(), 3u);
  ring->recycle(completion.buffer);
  ring->recycle(completion.buffer);
  EXPECT_EQ(ring->buffers_free(), 4u) << "giving it back twice counts once";
}

TEST(Ring, TellsTheEndOfAStream) {
  auto ring = make_ring();
  Pair pair = make_pair();
  ring->recv(pair.a.get(), kA);
  pair.b.reset();
  EXPECT_EQ(next(*ring).result, 0);
}

TEST(Ring, SaysWhenNoBufferIsFreeAndGoesOnAfterARecycle) {
  auto ring = make_ring();
  std::vector<Pair> pairs;
  std::vector<std::uint16_t> held;
  for (std::uint32_t i = 0; i < 5; ++i) {
    pairs.push_back(make_pair());
    ASSERT_EQ(write(pairs.back().b.get(), "x", 1), 1);
    ring->recv(pairs.back().a.get(), {1, i, 0});
    const Completion completion = next(*ring);
    if (i < 4) {
      ASSERT_EQ(completion.result, 1);
      held.push_back(completion.buffer);
    } else {
      ASSERT_EQ(completion.result, -ENOBUFS);
    }
  }
  ring->recycle(held[2]);
  ring->recv(pairs[4].a.get(), kB);
  const Completion completion = next(*ring);
  EXPECT_EQ(completion.result, 1);
  EXPECT_EQ(completion.buffer, held[2]);
}

TEST(Ring, ReceivesIntoTheCallersMemory) {
  auto ring = make_ring();
  const Pair pair = make_pair();
  Bytes into(3);
  ring->recv_into(pair.a.get(), into, kA);
  ASSERT_EQ(write(pair.b.get(), "abcdef", 6), 6);
  const Completion completion = next(*ring);
  EXPECT_EQ(completion.result, 3);
  EXPECT_FALSE(completion.has_buffer);
  EXPECT_EQ(as_text(into), "abc");
}

TEST(Ring, WritesVectorsAndWaitsForRoom) {
  auto ring = make_ring();
  const Pair pair = make_pair();
  std::string one = "one ", two = "two";
  iovec iov[] = {{one.data(), one.size()}, {two.data(), two.size()}};
  ring->writev(pair.a.get(), iov, 2, kA);
  EXPECT_EQ(next(*ring).result, 7);
  char buffer[16];
  EXPECT_EQ(read(pair.b.get(), buffer, sizeof buffer), 7);

  // Fill the socket, then one write more: it completes only when the other end has read.
  std::vector<char> chunk(64 * 1024);
  while (send(pair.a.get(), chunk.data(), chunk.size(), MSG_DONTWAIT) > 0) {
  }
  ring->writev(pair.a.get(), iov, 2, kB);
  Completion none;
  EXPECT_EQ(ring->wait(after(mono_now(), 20 * kNsPerMs), std::span(&none, 1)), 0u);
  while (recv(pair.b.get(), chunk.data(), chunk.size(), MSG_DONTWAIT) > 0) {
  }
  const Completion completion = next(*ring);
  EXPECT_EQ(completion.token, kB);
  EXPECT_GT(completion.result, 0);
}

TEST(Ring, WritingToAClosedPeerIsAnErrorAndNoSignal) {
  auto ring = make_ring();
  Pair pair = make_pair();
  pair.b.reset();
  iovec iov{const_cast<char*>("x"), 1};
  ring->writev(pair.a.get(), &iov, 1, kA);
  EXPECT_EQ(next(*ring).result, -EPIPE);
}

TEST(Ring, CancelsByToken) {
  auto ring = make_ring();
  const Pair pair = make_pair();
  ring->recv(pair.a.get(), kA);
  ring->poll_in(pair.a.get(), kB);
  ring->cancel(kA);
  Completion completion = next(*ring);
  EXPECT_EQ(completion.token, kA);
  EXPECT_EQ(completion.result, -ECANCELED);
  EXPECT_FALSE(completion.has_buffer);
  ring->cancel(kA);  // nothing left: no completion of any kind
  EXPECT_EQ(ring->wait(at_once(), std::span(&completion, 1)), 0u);
  ASSERT_EQ(write(pair.b.get(), "x", 1), 1);
  completion = next(*ring);
  EXPECT_EQ(completion.token, kB);
  EXPECT_NE(completion.result & POLLIN, 0);
}

TEST(Ring, PollsOnceOrEveryTime) {
  auto ring = make_ring();
  const Pair pair = make_pair();
  ring->poll_out(pair.a.get(), kB);
  EXPECT_NE(next(*ring).result & POLLOUT, 0);
  ring->poll_in_multishot(pair.a.get(), kA);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(write(pair.b.get(), "x", 1), 1);
    const Completion completion = next(*ring);
    EXPECT_EQ(completion.token, kA);
    EXPECT_TRUE(completion.more);
    char c;
    ASSERT_EQ(read(pair.a.get(), &c, 1), 1);
  }
}

TEST(Ring, SubmitSendsWithoutWaiting) {
  auto ring = make_ring();
  const Pair pair = make_pair();
  const iovec word{const_cast<char*>("now"), 3};
  ring->writev(pair.a.get(), &word, 1, kA);
  char got[3];
  EXPECT_EQ(recv(pair.b.get(), got, sizeof got, MSG_DONTWAIT), -1);
  ring->submit();
  EXPECT_EQ(recv(pair.b.get(), got, sizeof got, MSG_DONTWAIT), 3);
  EXPECT_TRUE(ring->has_more());
  EXPECT_EQ(next(*ring).token, kA);
  EXPECT_FALSE(ring->has_more());
}

TEST(Ring, KnowsThatSomethingCameWithoutBeingEntered) {
  auto ring = make_ring();
  const Pair pair = make_pair();
  ring->recv(pair.a.get(), kA);
  ring->submit();
  EXPECT_FALSE(ring->has_more());
  ASSERT_EQ(write(pair.b.get(), "x", 1), 1);
  EXPECT_TRUE(ring->has_more());
  EXPECT_EQ(next(*ring).result, 1);
  EXPECT_FALSE(ring->has_more());
}

TEST(Ring, WaitReturnsAtItsDeadline) {
  auto ring = make_ring();
  Completion completion;
  const MonoTime begin = mono_now();
  EXPECT_EQ(ring->wait(after(begin, 20 * kNsPerMs), std::span(&completion, 1)), 0u);
  EXPECT_GE(mono_now(), after(begin, 20 * kNsPerMs));
}

TEST(Ring, LosesNothingWhenItsQueuesAreSmallerThanTheWork) {
  auto ring = make_ring(RingProfile::kWorker,
                        {.entries = 8, .cq_entries = 16, .buffer_count = 4, .buffer_bytes = 64});
  constexpr std::uint32_t kMany = 300;
  std::vector<Pair> pairs;
  std::vector<Bytes> memory(kMany, Bytes(4));
  for (std::uint32_t i = 0; i < kMany; ++i) {
    pairs.push_back(make_pair());
    ASSERT_EQ(write(pairs.back().b.get(), "x", 1), 1);
    ring->recv_into(pairs.back().a.get(), memory[i], {1, i, 0});
  }
  std::vector<int> seen(kMany);
  std::uint32_t count = 0;
  Completion completions[7];
  while (count < kMany) {
    const std::size_t n = ring->wait(soon(), completions);
    ASSERT_GT(n, 0u) << "after " << count;
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_EQ(completions[i].result, 1);
      EXPECT_EQ(seen[completions[i].token.index]++, 0);
      ++count;
    }
  }
}

UniqueFd listener(sockaddr_in& address) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(listen(fd.get(), 8), 0);
  EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  return fd;
}

TEST(Ring, SupervisorAcceptsAndWardenConnects) {
  auto supervisor = make_ring(RingProfile::kSupervisor, {});
  auto warden = make_ring(RingProfile::kWarden, {});
  sockaddr_in address;
  const UniqueFd listening = listener(address);
  const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  supervisor->accept(listening.get(), kA);
  warden->connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address, kB);
  std::memset(&address, 0xff, sizeof address);  // it was copied
  const Completion connected = next(*warden);
  EXPECT_EQ(connected.result, 0);
  const Completion accepted = next(*supervisor);
  ASSERT_GE(accepted.result, 0);
  const UniqueFd server(accepted.result);
  ASSERT_EQ(write(server.get(), "x", 1), 1);
  char c = 0;
  EXPECT_EQ(read(client.get(), &c, 1), 1);
}

TEST(RingRestrictions, EachProfileHasItsOwnOperationsOnly) {
  sockaddr_in address;
  const UniqueFd listening = listener(address);
  const Pair pair = make_pair();
  Bytes memory(4);
  iovec iov{memory.data(), memory.size()};
  for (const RingProfile profile :
       {RingProfile::kGate, RingProfile::kWorker, RingProfile::kWarden, RingProfile::kSupervisor}) {
    auto ring = make_ring(profile, {.buffer_count = 2, .buffer_bytes = 64});
    const bool moves_data = profile == RingProfile::kGate || profile == RingProfile::kWorker;
    const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

    ring->writev(pair.a.get(), &iov, 1, kA);
    EXPECT_EQ(next(*ring).result, moves_data ? 4 : -EACCES);
    ASSERT_EQ(write(pair.a.get(), "abcd", 4), 4);
    ring->recv(pair.b.get(), kA);
    EXPECT_EQ(next(*ring).result == -EACCES, !moves_data);
    ASSERT_EQ(write(pair.a.get(), "abcd", 4), 4);
    ring->recv_into(pair.b.get(), memory, kA);
    EXPECT_EQ(next(*ring).result == -EACCES, !moves_data);

    ring->connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address, kA);
    EXPECT_EQ(next(*ring).result, profile == RingProfile::kWarden ? 0 : -EACCES);
    const UniqueFd visitor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(visitor.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ring->accept(listening.get(), kA);
    const UniqueFd accepted(next(*ring).result);
    EXPECT_EQ(static_cast<bool>(accepted), profile == RingProfile::kSupervisor);
  }
}

}  // namespace
}  // namespace bastion::daemon
