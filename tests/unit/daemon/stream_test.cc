#include "daemon/stream/stream.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <random>

#include "base/pool.h"

namespace bastion::daemon {
namespace {

constexpr std::uint32_t kSlabs = 4;
constexpr std::uint32_t kSlabBytes = 128 * 1024;
constexpr Token kRead{.kind = 1};
constexpr Token kWrite{.kind = 2};

/// StreamTest is a stream on one end of a socket pair; the test holds the other.
class StreamTest : public testing::Test {
 protected:
  void SetUp() override {
    auto ring = Ring::create({.buffer_count = kSlabs, .buffer_bytes = kSlabBytes});
    ASSERT_TRUE(ring) << ring.error().text;
    ring_ = std::move(*ring);
    ASSERT_TRUE(ring_->restrict_and_enable(RingProfile::kWorker));
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    far_.reset(ends[0]);
    stream_ = std::make_unique<Stream>(*ring_, UniqueFd(ends[1]), kRead, kWrite);
  }

  /// next waits for one completion, ten seconds at most.
  Completion next() {
    std::array<Completion, 1> out;
    const MonoTime deadline = after(mono_now(), 10 * kNsPerSecond);
    while (ring_->wait(deadline, out) == 0) {
      if (mono_now() >= deadline) {
        ADD_FAILURE() << "nothing completes";
        return {};
      }
    }
    return out[0];
  }

  void say(ByteView bytes) {
    ASSERT_EQ(send(far_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  Stream::Received receive() {
    stream_->arm_receive();
    return stream_->on_receive(next());
  }

  std::unique_ptr<Ring> ring_;
  UniqueFd far_;
  std::unique_ptr<Stream> stream_;
};

Bytes numbered(std::size_t n) {
  Bytes bytes(n);
  for (std::size_t i = 0; i < n; ++i) {
    bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  }
  return bytes;
}

TEST_F(StreamTest, AnIdleStreamHoldsNoSlab) {
  stream_->arm_receive();
  EXPECT_EQ(ring_->buffers_free(), kSlabs);
  say(numbered(100));
  ASSERT_EQ(stream_->on_receive(next()), Stream::Received::kBytes);
  EXPECT_EQ(ring_->buffers_free(), kSlabs - 1);
  stream_->in().consume(100);
  EXPECT_FALSE(stream_->in().incomplete(4));
  EXPECT_EQ(ring_->buffers_free(), kSlabs);
}

TEST_F(StreamTest, AHalfPacketStaysInItsSlabAndTheRestArrivesBehindIt) {
  const Bytes packet = numbered(1000);
  say(ByteView(packet).first(400));
  ASSERT_EQ(receive(), Stream::Received::kBytes);
  EXPECT_FALSE(stream_->in().incomplete(1000));
  say(ByteView(packet).subspan(400));
  ASSERT_EQ(receive(), Stream::Received::kBytes);
  EXPECT_TRUE(equal(stream_->in().front(), packet));
  EXPECT_EQ(stream_->in().take_copied(), 0U);
}

TEST_F(StreamTest, WhereSlabsAreFewAHalfPacketMovesOutAndTheSlabGoesBack) {
  // Three other sockets hold slabs: fewer than half are free.
  std::vector<std::unique_ptr<Stream>> others;
  std::vector<UniqueFd> far_ends;
  for (std::uint32_t i = 0; i < 3; ++i) {
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    far_ends.emplace_back(ends[0]);
    others.push_back(std::make_unique<Stream>(
        *ring_, UniqueFd(ends[1]), Token{.kind = 3, .index = i}, Token{.kind = 4, .index = i}));
    ASSERT_EQ(send(ends[0], "half", 4, MSG_NOSIGNAL), 4);
    others.back()->arm_receive();
    ASSERT_EQ(others.back()->on_receive(next()), Stream::Received::kBytes);
  }
  const Bytes packet = numbered(1000);
  say(ByteView(packet).first(400));
  ASSERT_EQ(receive(), Stream::Received::kBytes);
  EXPECT_EQ(ring_->buffers_free(), 0U);
  EXPECT_FALSE(stream_->in().incomplete(1000));
  EXPECT_EQ(ring_->buffers_free(), 1U);
  EXPECT_EQ(stream_->in().take_copied(), 400U);
  say(ByteView(packet).subspan(400));
  ASSERT_EQ(receive(), Stream::Received::kBytes);
  EXPECT_TRUE(stream_->in().incomplete(1000)) << "the missing bytes are here, behind the own piece";
  EXPECT_TRUE(equal(stream_->in().front(), packet));
}

TEST_F(StreamTest, ASlabStaysWhileTheKernelMayWriteIntoIt) {
  const Bytes first = numbered(300);
  say(first);
  ASSERT_EQ(receive(), Stream::Received::kBytes);
  EXPECT_FALSE(stream_->in().incomplete(1000));
  stream_->arm_receive();  // behind the 300, in the same slab
  stream_->in().park();    // somebody cannot take them now
  EXPECT_EQ(ring_->buffers_free(), kSlabs - 1) << "given back under the kernel's hands";
  const Bytes rest = numbered(700);
  say(rest);
  ASSERT_EQ(stream_->on_receive(next()), Stream::Received::kBytes);
  Bytes all = first;
  all.insert(all.end(), rest.begin(), rest.end());
  EXPECT_TRUE(stream_->in().incomplete(1000));
  EXPECT_TRUE(equal(stream_->in().front(), all));
  stream_->in().consume(1000);
  EXPECT_FALSE(stream_->in().incomplete(1));
  EXPECT_EQ(ring_->buffers_free(), kSlabs);
}

TEST_F(StreamTest, BytesArriveInOrderHoweverTheyAreCutAndParked) {
  std::mt19937 random(4711);
  const Bytes sent = numbered(3'000'000);
  Bytes taken;
  std::size_t said = 0;
  while (taken.size() < sent.size()) {
    if (said < sent.size() && !stream_->receiving()) {
      const std::size_t n = std::min<std::size_t>(sent.size() - said, 1 + random() % 60'000);
      say(ByteView(sent).subspan(said, n));
      said += n;
    }
    ASSERT_EQ(receive(), Stream::Received::kBytes);
    InputBuffer& in = stream_->in();
    // "Packets" of random lengths; now and then nothing can be taken for a while.
    while (true) {
      if (random() % 7 == 0) {
        in.park();
        break;
      }
      const std::size_t want =
          std::min<std::size_t>(1 + random() % 40'000, sent.size() - taken.size());
      if (want == 0) {
        break;
      }
      const MutBytes front = in.front();
      if (front.size() < want) {
        if (!in.incomplete(want)) {
          break;
        }
        continue;
      }
      taken.insert(taken.end(), front.begin(), front.begin() + static_cast<std::ptrdiff_t>(want));
      std::fill_n(front.begin(), want, std::uint8_t{0});  // opened in place: used up
      in.consume(want);
    }
    if (said == sent.size() && in.bytes() + taken.size() == sent.size()) {
      while (!in.empty()) {
        const MutBytes front = in.front();
        taken.insert(taken.end(), front.begin(), front.end());
        in.consume(front.size());
      }
    }
  }
  EXPECT_TRUE(equal(taken, sent));
  EXPECT_FALSE(stream_->in().incomplete(1));
  EXPECT_EQ(ring_->buffers_free(), kSlabs);
}

TEST_F(StreamTest, ABusySocketsPacketsAreNeverCopied) {
  // Every packet ends somewhere else in its slab; the peer has always more to say.
  constexpr std::size_t kPacket = 32'804;
  const Bytes sent = numbered(100 * kPacket);
  std::size_t said = 0;
  std::size_t taken = 0;
  InputBuffer& in = stream_->in();
  while (taken < sent.size()) {
    if (const std::size_t n = std::min<std::size_t>(sent.size() - said, 150'000)) {
      const ssize_t sent_now = send(far_.get(), sent.data() + said, n, MSG_NOSIGNAL | MSG_DONTWAIT);
      said += sent_now > 0 ? static_cast<std::size_t>(sent_now) : 0;
    }
    ASSERT_EQ(receive(), Stream::Received::kBytes);
    do {
      while (in.front().size() >= kPacket) {
        ASSERT_TRUE(equal(in.front().first(kPacket), ByteView(sent).subspan(taken, kPacket)));
        in.consume(kPacket);
        taken += kPacket;
      }
    } while (in.incomplete(kPacket));
  }
  EXPECT_EQ(in.take_copied(), 0U);
}

TEST_F(StreamTest, MarginsAroundTheFrontAreWritable) {
  say(numbered(64));
  ASSERT_EQ(receive(), Stream::Received::kBytes);
  for (const bool own : {false, true}) {
    if (own) {
      stream_->in().park();
    }
    const MutBytes front = stream_->in().front();
    std::fill_n(front.data() - Ring::kBufferMargin, Ring::kBufferMargin, std::uint8_t{0xaa});
    std::fill_n(front.data() + front.size(), Ring::kBufferMargin, std::uint8_t{0xbb});
    EXPECT_TRUE(equal(front, numbered(64)));
  }
}

TEST_F(StreamTest, TheEndOfThePeerIsToldOnce) {
  far_.reset();
  EXPECT_EQ(receive(), Stream::Received::kEnd);
  EXPECT_TRUE(stream_->at_end());
  stream_->arm_receive();
  EXPECT_FALSE(stream_->receiving());
}

TEST_F(StreamTest, AReceiveTakesNoMoreThanItMay) {
  say(numbered(1000));
  stream_->arm_receive(10);
  ASSERT_EQ(stream_->on_receive(next()), Stream::Received::kBytes);
  EXPECT_EQ(stream_->in().bytes(), 10U);
}

TEST_F(StreamTest, AWriteLeavesTheQueueAsItWasTaken) {
  ChunkPool pool(4096);
  proto::SendQueue queue(pool);
  const Bytes bytes = numbered(50'000);
  for (std::size_t at = 0; at < bytes.size(); at += 1000) {
    const MutBytes room = queue.reserve(1000);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), 1000, room.begin());
    queue.commit(1000);
  }
  Bytes arrived;
  while (arrived.size() < bytes.size()) {
    stream_->arm_write(queue);
    if (stream_->writing()) {
      ASSERT_TRUE(stream_->on_write(next(), queue));
    }
    std::array<std::uint8_t, 65536> buffer;
    const ssize_t n = recv(far_.get(), buffer.data(), buffer.size(), 0);
    ASSERT_GT(n, 0);
    arrived.insert(arrived.end(), buffer.begin(), buffer.begin() + n);
  }
  EXPECT_EQ(arrived, bytes);
  EXPECT_TRUE(queue.empty());
}

TEST_F(StreamTest, AWriteTakesAMebibyteAtMost) {
  // A file takes all that it is given, as a socket with large buffers would.
  Stream to_file(*ring_, UniqueFd(memfd_create("written", MFD_CLOEXEC)), kRead, kWrite);
  ChunkPool pool;
  proto::SendQueue queue(pool);
  constexpr std::size_t kPiece = 100'000;
  for (int i = 0; i < 30; ++i) {
    std::ranges::fill(queue.reserve(kPiece), std::uint8_t{7});
    queue.commit(kPiece);
  }
  for (std::size_t left = queue.bytes(); left > 0; left = queue.bytes()) {
    to_file.arm_write(queue);
    const Completion completion = next();
    ASSERT_EQ(completion.result, static_cast<std::int32_t>(std::min<std::size_t>(left, 1 << 20)));
    ASSERT_TRUE(to_file.on_write(completion, queue));
  }
}

TEST_F(StreamTest, CloseCancelsWhatIsInFlight) {
  stream_->arm_receive();
  stream_->close();
  EXPECT_FALSE(stream_->idle());
  EXPECT_EQ(stream_->on_receive(next()), Stream::Received::kNothing);
  EXPECT_TRUE(stream_->idle());
}

}  // namespace
}  // namespace bastion::daemon
