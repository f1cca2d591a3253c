#include "proto/send_queue.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/test_random.h"

namespace bastion::proto {
namespace {

void append(SendQueue& queue, ByteView bytes) {
  std::memcpy(queue.reserve(bytes.size()).data(), bytes.data(), bytes.size());
  queue.commit(bytes.size());
}

Bytes contents(const SendQueue& queue) {
  Bytes all;
  std::array<ByteView, 64> parts;
  const std::size_t n = queue.gather(parts);
  for (std::size_t i = 0; i < n; ++i) {
    all.insert(all.end(), parts[i].begin(), parts[i].end());
  }
  return all;
}

TEST(ChunkPool, LendsWhatCameBackLast) {
  ChunkPool pool(100, 2);
  std::uint8_t* a = pool.take();
  std::uint8_t* b = pool.take();
  std::uint8_t* c = pool.take();
  EXPECT_EQ(pool.num_lent(), 3u);
  pool.give_back(a);
  pool.give_back(b);
  pool.give_back(c);
  EXPECT_EQ(pool.num_lent(), 0u);
  EXPECT_EQ(pool.num_kept(), 2u);
  EXPECT_EQ(pool.take(), b);
  EXPECT_EQ(pool.take(), a);
  pool.give_back(a);
  pool.give_back(b);
}

TEST(SendQueue, HoldsNothingWhenEmpty) {
  ChunkPool pool(64);
  SendQueue queue(pool);
  EXPECT_EQ(pool.num_lent(), 0u);
  append(queue, Bytes(10, 1));
  EXPECT_EQ(pool.num_lent(), 1u);
  queue.consume(9);
  EXPECT_EQ(pool.num_lent(), 1u);
  queue.consume(1);
  EXPECT_EQ(pool.num_lent(), 0u);
  EXPECT_TRUE(queue.empty());
  std::array<ByteView, 2> parts;
  EXPECT_EQ(queue.gather(parts), 0u);
}

TEST(SendQueue, BytesStayWhereTheyAreWhileMoreCome) {
  ChunkPool pool(64);
  SendQueue queue(pool);
  append(queue, Bytes(10, 1));
  std::array<ByteView, 1> in_flight;
  ASSERT_EQ(queue.gather(in_flight), 1u);
  const std::uint8_t* address = in_flight[0].data();
  for (int i = 0; i < 100; ++i) {
    append(queue, Bytes(33, 2));
  }
  EXPECT_EQ(contents(queue).front(), 1);
  std::array<ByteView, 1> again;
  queue.gather(again);
  EXPECT_EQ(again[0].data(), address);
  EXPECT_TRUE(equal(in_flight[0], Bytes(10, 1)));
  queue.consume(10);
  EXPECT_EQ(contents(queue).front(), 2);
}

TEST(SendQueue, ReservesLessThanItCommits) {
  ChunkPool pool(64);
  SendQueue queue(pool);
  const MutBytes room = queue.reserve(40);
  std::memset(room.data(), 7, 40);
  queue.commit(12);
  EXPECT_EQ(queue.bytes(), 12u);
  EXPECT_EQ(queue.num_chunks(), 1u);
  EXPECT_EQ(queue.reserve(52).size(), 52u);
  EXPECT_EQ(queue.num_chunks(), 1u);
  queue.commit(0);
  queue.reserve(53);
  EXPECT_EQ(queue.num_chunks(), 2u);
  queue.commit(0);
  EXPECT_EQ(contents(queue), Bytes(12, 7));
}

TEST(SendQueue, TakesPiecesLargerThanAChunk) {
  ChunkPool pool(64);
  SendQueue queue(pool);
  append(queue, Bytes(1000, 3));
  append(queue, Bytes(5, 4));
  EXPECT_EQ(queue.front().size(), 1000u);
  EXPECT_EQ(pool.num_lent(), 1u);
  queue.consume(1000);
  EXPECT_EQ(queue.front().size(), 5u);
  queue.consume(5);
  EXPECT_TRUE(queue.front().empty());
}

TEST(SendQueue, GivesBackWhatItHoldsWhenItEnds) {
  ChunkPool pool(64);
  {
    SendQueue queue(pool);
    append(queue, Bytes(50, 1));
    append(queue, Bytes(50, 1));
    append(queue, Bytes(500, 1));
    queue.consume(60);
  }
  EXPECT_EQ(pool.num_lent(), 0u);
}

TEST(SendQueue, KeepsOrderInAnyMixture) {
  test::TestRandom random(9);
  ChunkPool pool(256, 3);
  SendQueue queue(pool);
  Bytes expected;
  std::uint8_t next = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (random.below(2) == 0 && queue.num_chunks() < 60) {
      Bytes piece(1 + random.below(200));
      for (std::uint8_t& byte : piece) {
        byte = next++;
      }
      append(queue, piece);
      expected.insert(expected.end(), piece.begin(), piece.end());
    } else {
      const std::size_t n = random.below(queue.bytes() + 1);
      queue.consume(n);
      expected.erase(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(n));
    }
    ASSERT_EQ(queue.bytes(), expected.size());
    if (i % 64 == 0) {
      ASSERT_EQ(contents(queue), expected);
    }
  }
  EXPECT_LE(pool.num_kept(), 3u);
}

}  // namespace
}  // namespace bastion::proto
