#include "daemon/stream/slab_queue.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace bastion::daemon {
namespace {

constexpr std::uint32_t kSlabs = 4;
constexpr std::uint8_t kRead = 1;

/// SlabQueueTest is a loop with more streams than slabs, which receives a byte from each.
class SlabQueueTest : public testing::Test {
 protected:
  struct Peer {
    UniqueFd far;
    std::unique_ptr<Stream> stream;
    std::size_t received = 0;
  };

  void SetUp() override {
    auto ring = Ring::create({.buffer_count = kSlabs, .buffer_bytes = 4096});
    ASSERT_TRUE(ring) << ring.error().text;
    ring_ = std::move(*ring);
    ASSERT_TRUE(ring_->restrict_and_enable(RingProfile::kWorker));
    queue_.emplace(*ring_);
  }

  void add(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      std::array<int, 2> ends{};
      ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
      const auto index = static_cast<std::uint32_t>(peers_.size());
      peers_.push_back({UniqueFd(ends[0]),
                        std::make_unique<Stream>(*ring_, UniqueFd(ends[1]),
                                                 Token{.kind = kRead, .index = index}, Token{}),
                        0});
    }
  }
  void say(std::size_t index) { ASSERT_EQ(send(peers_[index].far.get(), "x", 1, 0), 1); }

  /// turn does what a turn of the loop does. Its slabs are kept until it ends, as those of packets
  /// are that wait for their turn. False: nothing came within a second.
  bool turn() {
    std::array<Completion, 64> out;
    const bool waits = !queue_->due();
    const MonoTime deadline = waits ? after(mono_now(), kNsPerSecond) : MonoTime{};
    const std::size_t n = ring_->wait(deadline, out);
    std::vector<std::uint32_t> came;
    for (const Completion& completion : std::span(out).first(n)) {
      Peer& peer = peers_[completion.token.index];
      switch (peer.stream->on_receive(completion)) {
        case Stream::Received::kBytes: came.push_back(completion.token.index); break;
        case Stream::Received::kStarved:
          ++num_starved_;
          queue_->starved(completion.token, false);
          break;
        default: ADD_FAILURE() << completion.result; break;
      }
    }
    for (const std::uint32_t index : came) {
      Peer& peer = peers_[index];
      peer.received += peer.stream->in().bytes();
      peer.stream->in().consume(peer.stream->in().bytes());
      (void)peer.stream->in().incomplete(4);
      queue_->arm(*peer.stream, false);
    }
    queue_->serve([this](Token who) {
      Stream& stream = *peers_[who.index].stream;
      stream.end_wait();
      stream.arm_receive();
      return stream.receiving();
    });
    return n > 0 || !waits;
  }

  bool all_received(std::size_t bytes) const {
    return std::ranges::all_of(peers_, [&](const Peer& peer) { return peer.received == bytes; });
  }

  std::unique_ptr<Ring> ring_;
  std::optional<SlabQueue> queue_;
  std::vector<Peer> peers_;
  std::size_t num_starved_ = 0;
};

TEST_F(SlabQueueTest, EverybodyGetsATurn) {
  add(64);
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    say(i);
    queue_->arm(*peers_[i].stream, false);
  }
  int turns = 0;
  while (!all_received(1) && ++turns < 100) {
    ASSERT_TRUE(turn());
  }
  EXPECT_TRUE(all_received(1));
  // All of the 60 were turned away once; asking them all again each time would be 900.
  EXPECT_LE(num_starved_, 2 * peers_.size());
}

TEST_F(SlabQueueTest, WhoHasNothingToReceiveHoldsUpNobody) {
  add(64);
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    queue_->starved(peers_[i].stream->read_token(), false);
    peers_[i].stream->begin_wait();
  }
  say(63);  // the last of all, and nothing else will ever complete
  int turns = 0;
  while (peers_[63].received == 0 && ++turns < 100) {
    ASSERT_TRUE(turn());
  }
  EXPECT_EQ(peers_[63].received, 1U);
  EXPECT_FALSE(queue_->due());
}

TEST_F(SlabQueueTest, WhoMovesLittleGoesAhead) {
  add(kSlabs + 2);
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    say(i);
  }
  const std::uint32_t last = kSlabs + 1;
  peers_[kSlabs].stream->begin_wait();
  queue_->starved(peers_[kSlabs].stream->read_token(), false);
  peers_[last].stream->begin_wait();
  queue_->starved(peers_[last].stream->read_token(), true);
  std::vector<std::uint32_t> order;
  queue_->serve([&](Token who) {
    order.push_back(who.index);
    return true;
  });
  EXPECT_EQ(order, (std::vector<std::uint32_t>{last, kSlabs}));
}

TEST_F(SlabQueueTest, ArmingQueuesBehindThoseWhoWaitUnlessAhead) {
  add(3);
  peers_[0].stream->begin_wait();
  queue_->starved(peers_[0].stream->read_token(), false);
  queue_->arm(*peers_[1].stream, false);
  EXPECT_FALSE(peers_[1].stream->receiving());
  queue_->arm(*peers_[1].stream, false);  // waits already
  queue_->arm(*peers_[2].stream, true);
  EXPECT_TRUE(peers_[2].stream->receiving());
  std::vector<std::uint32_t> order;
  queue_->serve([&](Token who) {
    order.push_back(who.index);
    return false;  // those that are gone, or take nothing now, use no slab up
  });
  EXPECT_EQ(order, (std::vector<std::uint32_t>{0, 1}));
}

}  // namespace
}  // namespace bastion::daemon
