#include "daemon/recording/writer.h"

#include <gtest/gtest.h>

#include "tests/support/test_random.h"
#include "tests/unit/recording/recording_support.h"

namespace bastion::recording {
namespace {

TEST(BlockWriter, WhatGoesInComesOut) {
  const auto entries = test::a_shell();
  for (const std::size_t per_block : {1U, 2U, 100U}) {
    const test::Made made = test::make(entries, per_block);
    for (const std::size_t piece : {1U, 7U, 64U, 1'000'000U}) {
      const test::Read read = test::read(made.file, {}, piece);
      EXPECT_EQ(read.problem, std::nullopt);
      EXPECT_EQ(read.metadata, test::metadata());
      EXPECT_EQ(read.entries, entries);
      ASSERT_TRUE(read.end);
      EXPECT_EQ(read.end->state, EndState::kComplete);
      EXPECT_EQ(read.end->totals.entries, entries.size());
      EXPECT_EQ(read.end->totals.stdout_bytes, 31U);
      EXPECT_EQ(read.end->totals.stdin_bytes, 3U);
      EXPECT_EQ(read.end->totals.channels, 1U);
      EXPECT_TRUE(read.signature);
    }
  }
}

TEST(BlockWriter, RandomBytesOfAllSizesComeOutEncryptedOrNot) {
  bastion::test::TestRandom random(5);
  std::vector<test::Said> entries;
  std::uint64_t time = 1'700'000'000'000'000;
  for (int i = 0; i < 300; ++i) {
    Bytes bytes(random.below(i % 50 == 0 ? kEntryBytesMax + 1 : 3000));
    random.fill(bytes);
    if (i % 3 == 0) {
      std::fill(bytes.begin(), bytes.end(), std::uint8_t{'x'});  // compresses well
    }
    time += random.below(100'000);
    entries.push_back(
        {time, static_cast<std::uint32_t>(random.below(5)), EntryKind::kStdout, bytes});
  }
  const Identity identity = Identity::generate();
  const Recipient recipient = identity.recipient();
  EXPECT_EQ(test::read(test::make(entries, 1000).file).entries, entries);
  const test::Made secret = test::make(entries, 1000, std::span(&recipient, 1));
  EXPECT_EQ(test::read(secret.file, std::span(&identity, 1)).entries, entries);
}

TEST(BlockWriter, RefusesWhatDoesNotFitAndTakesItAfterAFlush) {
  Compressor compressor;
  BlockWriter writer(compressor);
  Bytes out;
  ASSERT_TRUE(writer.begin(test::metadata(), {}, out));
  const Bytes large(kEntryBytesMax, 'a');
  EXPECT_EQ(writer.add({1, 1, EntryKind::kStdout, Bytes(kEntryBytesMax + 1)}).error().code,
            ErrorCode::kLimit);
  int taken = 0;
  while (writer.fits(large.size())) {
    ASSERT_TRUE(writer.add({1, 1, EntryKind::kStdout, large}));
    ++taken;
  }
  EXPECT_EQ(taken, 3);
  EXPECT_TRUE(writer.full());
  EXPECT_EQ(writer.add({1, 1, EntryKind::kStdout, large}).error().code, ErrorCode::kLimit);
  const std::size_t before = out.size();
  const std::size_t pending = writer.pending_bytes();
  writer.flush({}, out);
  EXPECT_LE(out.size() - before, BlockWriter::block_bytes_max(pending));
  EXPECT_EQ(writer.pending_bytes(), 0U);
  EXPECT_TRUE(writer.add({1, 1, EntryKind::kStdout, large}));
}

TEST(BlockWriter, AnEmptyFlushWritesNothing) {
  Compressor compressor;
  BlockWriter writer(compressor);
  Bytes out;
  ASSERT_TRUE(writer.begin(test::metadata(), {}, out));
  const std::size_t before = out.size();
  writer.flush({}, out);
  EXPECT_EQ(out.size(), before);
}

TEST(BlockWriter, RefusesASessionThatIsNone) {
  Compressor compressor;
  BlockWriter writer(compressor);
  Bytes out;
  EXPECT_EQ(writer.begin(test::metadata("../x"), {}, out).error().code, ErrorCode::kMalformed);
  Metadata long_one = test::metadata();
  long_one.rule.assign(kJsonBytesMax, 'r');
  EXPECT_EQ(writer.begin(long_one, {}, out).error().code, ErrorCode::kLimit);
}

TEST(BlockWriter, TheEndTakesWhatWasSaidAtMost) {
  Compressor compressor;
  BlockWriter writer(compressor);
  Bytes out;
  ASSERT_TRUE(writer.begin(test::metadata(), {}, out));
  const std::size_t before = out.size();
  const std::string reason(5000, '\1');
  writer.end(EndState::kFailed, reason, 1, {}, out);
  writer.sign(test::sign(test::audit_key(), test::kSession, writer.head()), out);
  EXPECT_LE(out.size() - before, BlockWriter::kClosingBytesMax);
  EXPECT_EQ(test::read(out).end->reason.size(), BlockWriter::kReasonBytesMax);
}

TEST(BlockWriter, ASuccessorGoesOnAndUsesNoNonceTwice) {
  const Identity identity = Identity::generate();
  const Recipient recipient = identity.recipient();
  Compressor compressor;
  BlockWriter first(compressor);
  Bytes file;
  ASSERT_TRUE(first.begin(test::metadata(), std::span(&recipient, 1), file));
  ASSERT_TRUE(first.add({10, 1, EntryKind::kStdout, as_bytes("one")}));
  first.flush({3, 100}, file);
  const WriterState kept = first.state();
  // It dies after writing a block that its table does not know.
  ASSERT_TRUE(first.add({20, 1, EntryKind::kStdout, as_bytes("two")}));
  Bytes lost;
  first.flush({3, 200}, lost);

  WriterState state = kept;
  ++state.writer;
  BlockWriter second(compressor);
  second.resume(state);
  ASSERT_TRUE(second.add({20, 1, EntryKind::kStdout, as_bytes("two")}));
  Bytes again;
  second.flush({3, 200}, again);
  EXPECT_NE(lost, again);
  // Not even the encrypted text is the same, since the nonce is not.
  const std::size_t at = kHeaderLen + kHashLen;
  EXPECT_FALSE(equal(ByteView(lost).subspan(at, 8), ByteView(again).subspan(at, 8)));
  file.insert(file.end(), again.begin(), again.end());
  second.end(EndState::kInterrupted, "the recorder died", 30, {3, 200}, file);
  const test::Read read = test::read(file, std::span(&identity, 1));
  EXPECT_EQ(read.problem, std::nullopt);
  ASSERT_EQ(read.entries.size(), 2U);
  EXPECT_EQ(as_text(read.entries[1].bytes), "two");
  EXPECT_EQ(read.end->totals.stdout_bytes, 6U);
}

TEST(BlockWriter, AFileIsSealedFromItsBlocksAlone) {
  const test::Made made = test::make(test::a_shell(), 2, {}, test::kSession, false);
  Bytes file = made.file;
  const std::size_t whole = file.size();
  file.insert(file.end(), 50, 'x');
  BlockReader reader;
  reader.feed(ByteView(file).first(whole));
  while (true) {
    auto block = reader.next();
    ASSERT_TRUE(block);
    if (!*block) {
      break;
    }
  }
  EXPECT_EQ(reader.last_header().ring_generation, 3U);
  file.resize(static_cast<std::size_t>(reader.head().offset));
  WriterState state;
  state.head = reader.head();
  state.writer = reader.last_header().writer + 1;
  state.totals = reader.totals();
  state.streams_counted = 0;
  Compressor compressor;
  BlockWriter writer(compressor);
  writer.resume(state);
  writer.end(EndState::kInterrupted, "the machine died", reader.last_time_us(), {}, file);
  writer.sign(test::sign(test::audit_key(), test::kSession, writer.head()), file);
  EXPECT_EQ(test::verify(file).verdict, Verdict::kProven);
  const test::Read read = test::read(file);
  EXPECT_EQ(read.entries, test::a_shell());
  EXPECT_FALSE(read.end->streams_counted);
  EXPECT_EQ(read.end->totals.entries, test::a_shell().size());
}

}  // namespace
}  // namespace bastion::recording
