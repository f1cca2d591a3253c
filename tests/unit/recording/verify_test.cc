#include "daemon/recording/verify.h"

#include <gtest/gtest.h>

#include "tests/unit/recording/recording_support.h"

namespace bastion::recording {
namespace {

TEST(Verifier, ProvesWhatIsWholeAndSigned) {
  const test::Made made = test::make(test::a_shell(), 2);
  const VerifyResult result = test::verify(made.file);
  EXPECT_EQ(result.verdict, Verdict::kProven);
  EXPECT_EQ(result.problem, std::nullopt);
  EXPECT_EQ(result.metadata, test::metadata());
  EXPECT_EQ(result.num_blocks, made.ends.size());
  EXPECT_EQ(result.head.offset, made.file.size());
  EXPECT_EQ(result.totals.entries, test::a_shell().size());
}

TEST(Verifier, NeedsNoIdentity) {
  const Recipient recipient = Identity::generate().recipient();
  const test::Made made = test::make(test::a_shell(), 2, std::span(&recipient, 1));
  EXPECT_EQ(test::verify(made.file).verdict, Verdict::kProven);
}

TEST(Verifier, WithoutAKeyItProvesNothing) {
  const test::Made made = test::make(test::a_shell(), 2);
  EXPECT_EQ(test::verify(made.file, test::kSession, false).verdict, Verdict::kUnproven);
}

TEST(Verifier, TheNameOfTheFileCounts) {
  const test::Made made = test::make(test::a_shell(), 2);
  const VerifyResult result = test::verify(made.file, "7q2mabcdefghijklmnopqrstu1");
  EXPECT_EQ(result.verdict, Verdict::kBad);
  EXPECT_EQ(result.problem->kind, ProblemKind::kOtherSession);
}

TEST(Verifier, AFileWithoutEndIsUnsealed) {
  const test::Made made = test::make(test::a_shell(), 2);
  const std::size_t blocks = made.ends.size();
  const auto upto = [&](std::size_t n) {
    return test::verify(ByteView(made.file).first(made.ends[n - 1]));
  };
  EXPECT_EQ(upto(blocks - 1).verdict, Verdict::kUnsealed);  // no signature
  EXPECT_EQ(upto(blocks - 1).problem->kind, ProblemKind::kUnsigned);
  EXPECT_EQ(upto(blocks - 2).verdict, Verdict::kUnsealed);  // no end
  EXPECT_EQ(upto(blocks - 2).problem->kind, ProblemKind::kUnsealed);
  EXPECT_EQ(test::verify({}).verdict, Verdict::kBad);
}

TEST(Verifier, HoldsAFileAgainstBlocksThatSomebodyElseKnows) {
  const test::Made made = test::make(test::a_shell(), 2);
  const auto blocks = made.ends.size();
  const auto verify = [&](const Head& expected, std::size_t upto) {
    Verifier verifier(test::kSession, {});
    verifier.expect(expected);
    verifier.feed(ByteView(made.file).first(made.ends[upto - 1]));
    return verifier.finish();
  };
  for (std::size_t at = 0; at < blocks; ++at) {
    Head head = test::verify(ByteView(made.file).first(made.ends[at])).head;
    ASSERT_EQ(head.seq, at);
    EXPECT_FALSE(verify(head, blocks).problem) << at;
    // Up to before that block it is behind; with it, it is not.
    if (at > 0) {
      EXPECT_EQ(verify(head, at).problem->kind, ProblemKind::kBehindLog) << at;
      EXPECT_EQ(verify(head, at).verdict, Verdict::kBad) << at;
    }
    EXPECT_NE(verify(head, at + 1).verdict, Verdict::kBad) << at;
    head.hash[31] ^= 1;
    const VerifyResult other = verify(head, blocks);
    EXPECT_EQ(other.verdict, Verdict::kBad);
    EXPECT_EQ(other.problem->kind, ProblemKind::kOtherBlock);
    EXPECT_EQ(other.problem->seq, at);
  }
}

/// signed_by makes a file that another key signs, or that has another's signature.
Bytes signed_by(const crypto::PrivateKey& key, const std::string& signed_session,
                std::string_view claimed_key) {
  Compressor compressor;
  BlockWriter writer(compressor);
  Bytes file;
  EXPECT_TRUE(writer.begin(test::metadata(), {}, file));
  writer.end(EndState::kComplete, "", 1, {}, file);
  Signature signature = test::sign(key, signed_session, writer.head());
  signature.key = claimed_key;
  writer.sign(signature, file);
  return file;
}

TEST(Verifier, BelievesOnlyTheKeysGiven) {
  const auto other = *crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
  const std::string audit_line = test::audit_key().public_key().line();
  EXPECT_EQ(test::verify(signed_by(test::audit_key(), test::kSession, audit_line)).verdict,
            Verdict::kProven);
  EXPECT_EQ(test::verify(signed_by(other, test::kSession, other.public_key().line())).problem->kind,
            ProblemKind::kSignedByOther);
  EXPECT_EQ(test::verify(signed_by(other, test::kSession, audit_line)).problem->kind,
            ProblemKind::kSignature);
  // A signature of the right key, but made for another session.
  EXPECT_EQ(test::verify(signed_by(test::audit_key(), "7q2mabcdefghijklmnopqrstu1", audit_line))
                .problem->kind,
            ProblemKind::kSignature);
}

TEST(HeadToSign, IsOfThisPurposeOnly) {
  const Bytes bytes = head_to_sign("s", 1, Hash32{});
  EXPECT_EQ(as_text(ByteView(bytes).subspan(4, 26)), "bastiond recording head v1");
  EXPECT_EQ(bytes.size(), 4 + 26 + 4 + 1 + 8 + 4 + 32U);
}

}  // namespace
}  // namespace bastion::recording
