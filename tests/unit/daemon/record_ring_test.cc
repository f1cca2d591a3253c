#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "daemon/record_ring/record_ring.h"

namespace bastion::daemon::record {
namespace {

struct Pair {
  UniqueFd memory = *make_memory();
  Producer producer{*Mapping::map(memory.get())};
  Consumer consumer{*Mapping::map(memory.get())};
  Mapping raw = *Mapping::map(memory.get());

  bool put(std::string_view text, std::uint32_t slot = 1) {
    const ByteView piece = as_bytes(text);
    return producer.put({.kind = 7, .slot = slot, .channel = 5, .time_us = 9, .session = 3},
                        std::span(&piece, 1));
  }
  Result<Frame> next() { return consumer.frame(consumer.tail(), *consumer.head()); }
};

TEST(RecordRing, GivesFramesInTheirOrderWithWhatTheySay) {
  Pair pair;
  EXPECT_TRUE(pair.put("one"));
  EXPECT_TRUE(pair.put("", 2));
  const auto first = pair.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(as_text(first->payload), "one");
  EXPECT_EQ(first->header.channel, 5u);
  EXPECT_EQ(first->header.time_us, 9);
  EXPECT_EQ(first->header.session, 3u);
  pair.consumer.pass(first->end);
  const auto second = pair.next();
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->payload.empty());
  EXPECT_EQ(second->header.slot, 2u);
  EXPECT_EQ(second->end, *pair.consumer.head());
}

TEST(RecordRing, TakesNoMoreThanItHoldsAndGoesOnWhenItIsEmptied) {
  Pair pair;
  const std::string payload(60'000, 'x');
  std::size_t count = 0;
  while (pair.put(payload)) {
    ++count;
  }
  EXPECT_EQ(count, kDataBytes / frame_bytes(payload.size()));
  EXPECT_TRUE(pair.producer.used_up());
  pair.consumer.pass(pair.next()->end);
  EXPECT_TRUE(pair.put(payload)) << "across the end of the memory, in one piece";
  EXPECT_FALSE(pair.put(payload));
  std::size_t seen = 0;
  while (pair.consumer.tail() < *pair.consumer.head()) {
    const auto frame = pair.next();
    ASSERT_TRUE(frame);
    ASSERT_EQ(as_text(frame->payload), payload);
    pair.consumer.pass(frame->end);
    ++seen;
  }
  EXPECT_EQ(seen, count);
  EXPECT_EQ(pair.producer.room(), kDataBytes);
}

TEST(RecordRing, RefusesAPayloadThatIsTooLong) {
  Pair pair;
  EXPECT_TRUE(pair.put(std::string(kPayloadBytesMax, 'x')));
  EXPECT_FALSE(pair.put(std::string(kPayloadBytesMax + 1, 'x')));
}

TEST(RecordRing, ASuccessorGoesOnWhereTheProducerWas) {
  Pair pair;
  ASSERT_TRUE(pair.put("one"));
  Producer again(*Mapping::map(pair.memory.get()));
  const ByteView piece = as_bytes("two");
  ASSERT_TRUE(again.put({.kind = 7}, std::span(&piece, 1)));
  pair.consumer.pass(pair.next()->end);
  EXPECT_EQ(as_text(pair.next()->payload), "two");
}

TEST(RecordRing, CreditIsWhatTheRecorderGrantedLast) {
  Pair pair;
  EXPECT_EQ(pair.producer.granted(77), 0u);
  pair.consumer.grant(77, 4096);
  EXPECT_EQ(pair.producer.granted(77), 4096u);
}

TEST(RecordRing, BelievesNoPositionThatCannotBe) {
  for (const std::uint64_t head : {std::uint64_t{4}, kDataBytes + 8, ~std::uint64_t{7}}) {
    Pair pair;
    pair.raw.counters().head = head;
    EXPECT_FALSE(pair.consumer.head()) << head;
  }
}

TEST(RecordRing, ItsOwnPlaceIsNotTheWorkersToSay) {
  // A worker that wrote it between two looks had the recorder walk round the ring for ever.
  Pair pair;
  ASSERT_TRUE(pair.put("one"));
  for (const std::uint64_t tail : {std::uint64_t{8}, std::uint64_t{0} - (std::uint64_t{1} << 40)}) {
    pair.raw.counters().tail = tail;
    EXPECT_EQ(pair.consumer.tail(), 0u);
    ASSERT_TRUE(pair.next());
    EXPECT_EQ(as_text(pair.next()->payload), "one");
  }
  pair.consumer.pass(pair.next()->end);
  EXPECT_EQ(pair.raw.counters().tail, *pair.consumer.head());
  // A successor reads it, and holds it against the head as anything else.
  for (const std::uint64_t tail : {std::uint64_t{4}, *pair.consumer.head() + 8}) {
    pair.raw.counters().tail = tail;
    EXPECT_FALSE(Consumer(*Mapping::map(pair.memory.get())).head()) << tail;
  }
}

TEST(RecordRing, BelievesNoLengthThatIsNotThere) {
  struct Lie {
    std::uint32_t total_len;
    std::uint8_t padding;
    std::uint32_t slot;
  };
  for (const Lie lie : {Lie{0, 0, 0}, Lie{24, 0, 0}, Lie{44, 0, 0}, Lie{1 << 20, 0, 0},
                        Lie{40, 8, 0}, Lie{32, 1, 0}, Lie{0xffff'fff8, 0, 0}, Lie{40, 0, kSlots}}) {
    Pair pair;
    ASSERT_TRUE(pair.put("eight by"));
    FrameHeader header;
    header.kind = 7;
    header.total_len = lie.total_len;
    header.padding = lie.padding;
    header.slot = lie.slot;
    std::memcpy(pair.raw.at(0), &header, sizeof header);
    EXPECT_FALSE(pair.next()) << lie.total_len << " " << int{lie.padding};
  }
}

TEST(RecordRing, ItsMemoryCannotBeMadeShorter) {
  Pair pair;
  EXPECT_NE(ftruncate(pair.memory.get(), 4096), 0);
}

TEST(RecordRing, MapsNothingElse) {
  const UniqueFd other(memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(other.get(), static_cast<off_t>(kMemoryBytes)), 0);
  EXPECT_FALSE(Mapping::map(other.get())) << "it can be made shorter";
}

}  // namespace
}  // namespace bastion::daemon::record
