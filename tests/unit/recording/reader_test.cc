#include "daemon/recording/reader.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "daemon/recording/little_endian.h"
#include "tests/unit/recording/recording_support.h"

namespace bastion::recording {
namespace {

TEST(RecordingReader, AFileCutAtAnyByteGivesItsWholeBlocks) {
  const auto entries = test::a_shell();
  const test::Made made = test::make(entries, 1);
  for (std::size_t cut = 0; cut < made.file.size(); ++cut) {
    const test::Read read = test::read(ByteView(made.file).first(cut));
    const std::size_t whole =
        static_cast<std::size_t>(std::ranges::upper_bound(made.ends, cut) - made.ends.begin());
    ASSERT_EQ(read.entries.size(), std::min(whole == 0 ? 0 : whole - 1, entries.size())) << cut;
    const bool at_end = whole > 0 && made.ends[whole - 1] == cut;
    const bool ended = whole > entries.size() + 1;
    if (at_end && ended) {
      EXPECT_EQ(read.problem, std::nullopt);
    } else {
      ASSERT_TRUE(read.problem) << cut;
      EXPECT_EQ(read.problem->kind, at_end ? ProblemKind::kUnsealed : ProblemKind::kCut) << cut;
      EXPECT_EQ(read.problem->seq, whole);
      EXPECT_EQ(read.problem->offset, whole == 0 ? 0 : made.ends[whole - 1]);
    }
  }
}

TEST(RecordingReader, WithoutIdentityTheRestIsRead) {
  const Identity identity = Identity::generate();
  const Identity other = Identity::generate();
  const Recipient recipient = identity.recipient();
  const test::Made made = test::make(test::a_shell(), 2, std::span(&recipient, 1));
  const test::Read without = test::read(made.file);
  EXPECT_EQ(without.hidden, ProblemKind::kNoIdentity);
  EXPECT_TRUE(without.entries.empty());
  EXPECT_TRUE(without.metadata && without.end && without.signature);
  EXPECT_EQ(without.problem, std::nullopt);
  EXPECT_EQ(test::read(made.file, std::span(&other, 1)).hidden, ProblemKind::kOtherIdentity);
  const test::Read with = test::read(made.file, std::span(&identity, 1));
  EXPECT_EQ(with.hidden, std::nullopt);
  EXPECT_EQ(with.entries, test::a_shell());
}

TEST(RecordingReader, EncryptedFilesShowNothing) {
  const Recipient recipient = Identity::generate().recipient();
  const test::Made made = test::make(test::a_shell(), 1, std::span(&recipient, 1));
  EXPECT_EQ(as_text(made.file).find("secret.txt"), std::string_view::npos);
  EXPECT_NE(as_text(test::make(test::a_shell(), 1).file).find("secret.txt"),
            std::string_view::npos);
}

TEST(RecordingReader, SaysWhatIsNoRecording) {
  for (const std::string_view text : {"X", "hello, this is a text file\n", "BREx"}) {
    const test::Read read = test::read(as_bytes(text));
    ASSERT_TRUE(read.problem);
    EXPECT_EQ(read.problem->kind, ProblemKind::kNotARecording) << text;
  }
}

/// rehash makes the block at [begin, end) right again after a change: what an attacker can do who
/// has no key.
void rehash(Bytes& file, std::size_t begin, std::size_t end) {
  const crypto::Digest hash = crypto::hash(crypto::HashAlgorithm::kSha256,
                                           ByteView(file).subspan(begin, end - begin - kHashLen));
  std::ranges::copy(hash.view(), file.begin() + static_cast<std::ptrdiff_t>(end - kHashLen));
}

struct Change {
  std::size_t at;  // in the second block's header
  std::uint8_t value;
  ProblemKind kind;
};
class HeaderChange : public testing::TestWithParam<Change> {};

TEST_P(HeaderChange, IsSaid) {
  test::Made made = test::make(test::a_shell(), 3);
  const Change& change = GetParam();
  made.file[made.ends[0] + change.at] = change.value;
  rehash(made.file, made.ends[0], made.ends[1]);
  const test::Read read = test::read(made.file);
  ASSERT_TRUE(read.problem);
  EXPECT_EQ(problem_name(read.problem->kind), problem_name(change.kind));
  EXPECT_EQ(read.problem->seq, 1U);
  EXPECT_EQ(read.problem->offset, made.ends[0]);
}

INSTANTIATE_TEST_SUITE_P(
    All, HeaderChange,
    testing::Values(Change{0, 'X', ProblemKind::kHeader}, Change{4, 2, ProblemKind::kVersion},
                    Change{4, 0, ProblemKind::kHeader}, Change{5, 0, ProblemKind::kHeader},
                    Change{5, 5, ProblemKind::kHeader}, Change{5, 4, ProblemKind::kHeader},
                    Change{6, 4, ProblemKind::kHeader}, Change{7, 1, ProblemKind::kHeader},
                    Change{10, 255, ProblemKind::kTooLong}, Change{14, 255, ProblemKind::kTooLong},
                    Change{16, 2, ProblemKind::kSequence}, Change{64, 0, ProblemKind::kChain},
                    Change{24, 1, ProblemKind::kEntry}, Change{32, 1, ProblemKind::kEntry},
                    Change{56, 2, ProblemKind::kEntry}, Change{56, 4, ProblemKind::kEntry},
                    Change{56, 0, ProblemKind::kHeader}, Change{60, 1, ProblemKind::kHeader}));

TEST(RecordingReader, BlocksOutOfOrderAreSaid) {
  const test::Made made = test::make(test::a_shell(), 100);  // header, data, end, signature
  ASSERT_EQ(made.ends.size(), 4U);
  const auto block = [&](std::size_t i) {
    const std::size_t begin = i == 0 ? 0 : made.ends[i - 1];
    return Bytes(made.file.begin() + static_cast<std::ptrdiff_t>(begin),
                 made.file.begin() + static_cast<std::ptrdiff_t>(made.ends[i]));
  };
  const auto kind = [&](std::vector<std::size_t> blocks) {
    Bytes file;
    for (const std::size_t i : blocks) {
      const Bytes bytes = block(i);
      file.insert(file.end(), bytes.begin(), bytes.end());
    }
    return test::read(file).problem->kind;
  };
  EXPECT_EQ(kind({1}), ProblemKind::kOrder);
  EXPECT_EQ(kind({0, 0}), ProblemKind::kOrder);
  EXPECT_EQ(kind({0, 2}), ProblemKind::kSequence);
  EXPECT_EQ(kind({0, 3}), ProblemKind::kOrder);
  EXPECT_EQ(kind({0, 1, 2, 1}), ProblemKind::kOrder);
  EXPECT_EQ(kind({0, 1, 2, 3, 3}), ProblemKind::kTrailing);
}

TEST(RecordingReader, AnExpandingFrameIsNotExpanded) {
  // A frame that says that it is larger than its block says.
  Compressor compressor;
  Bytes frame;
  ASSERT_TRUE(compressor.compress(Bytes(kBlockRawMax, 0), frame));
  Decompressor decompressor;
  Bytes small(100);
  EXPECT_FALSE(decompressor.decompress(frame, small));
  Bytes whole(kBlockRawMax);
  EXPECT_TRUE(decompressor.decompress(frame, whole));
  frame.push_back(0);
  EXPECT_FALSE(decompressor.decompress(frame, whole));  // something trails
}

TEST(Problem, IsOneSentence) {
  EXPECT_EQ(describe({ProblemKind::kHash, 4812, 12}),
            "block 12 at byte 4812: its content is not what its hash says");
}

}  // namespace
}  // namespace bastion::recording
