// Conversations that were held with other people's programs, held again: with the same randomness
// and the same bytes from the peer our side must say the same to the byte.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/test_data.h"
#include "tests/transcripts/conversation.h"

namespace bastion::test {
namespace {

std::vector<std::string> transcripts() {
  std::vector<std::string> names;
  const auto folder = test_data("transcripts/key").parent_path();
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".txt") {
      names.push_back(entry.path().stem());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// hold feeds the peer's bytes in pieces of `piece_bytes` and gives what our side said.
Bytes hold(const Transcript& transcript, std::size_t piece_bytes, std::string& trouble) {
  Conversation conversation(transcript.setup, conversation_key(test_data("transcripts/key")));
  Bytes said;
  const auto take = [&] {
    std::array<ByteView, 1> part;
    while (conversation.transport().output().gather(part) != 0) {
      said.insert(said.end(), part[0].begin(), part[0].end());
      conversation.transport().output().consume(part[0].size());
    }
  };
  take();
  for (const Transcript::Piece& piece : transcript.pieces) {
    if (piece.ours) {
      continue;
    }
    for (std::size_t pos = 0; pos < piece.bytes.size(); pos += piece_bytes) {
      const std::size_t len = std::min(piece_bytes, piece.bytes.size() - pos);
      conversation.receive(ByteView(piece.bytes).subspan(pos, len));
      take();
    }
  }
  trouble = conversation.trouble();
  return said;
}

class TransportTranscript : public testing::TestWithParam<std::string> {};

TEST_P(TransportTranscript, IsHeldAgainToTheByte) {
  const Transcript transcript =
      read_transcript(test_data("transcripts/" + GetParam() + ".txt").string());
  ASSERT_GT(transcript.pieces.size(), 4u);
  Bytes expected;
  for (const Transcript::Piece& piece : transcript.pieces) {
    if (piece.ours) {
      expected.insert(expected.end(), piece.bytes.begin(), piece.bytes.end());
    }
  }
  std::string trouble;
  EXPECT_TRUE(hold(transcript, SIZE_MAX, trouble) == expected);
  EXPECT_EQ(trouble, "");
  // When our side asks for a rekey depends on how its input was cut.
  if (transcript.setup.rekey_packets == limits::kRekeyPackets) {
    EXPECT_TRUE(hold(transcript, 1, trouble) == expected);
    EXPECT_EQ(trouble, "");
  }
}
INSTANTIATE_TEST_SUITE_P(Recorded, TransportTranscript, testing::ValuesIn(transcripts()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bastion::test
