#include "daemon/recording/keys.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/recording/recording_support.h"

namespace bastion::recording {
namespace {

TEST(Recipient, ComesBackFromItsLine) {
  const Identity identity = Identity::generate();
  const auto recipient = Recipient::parse(identity.recipient().line() + " security team\n");
  ASSERT_TRUE(recipient);
  EXPECT_EQ(recipient->key, identity.recipient().key);
}

TEST(Recipient, RefusesWhatIsNone) {
  EXPECT_EQ(Recipient::parse("ssh-ed25519 AAAA").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(Recipient::parse("bastion-recipient-x25519").error().code, ErrorCode::kMalformed);
  EXPECT_EQ(Recipient::parse("bastion-recipient-x25519 AAAA").error().code, ErrorCode::kMalformed);
  // The point zero: whatever is sealed to it anybody can open.
  EXPECT_EQ(Recipient::parse("bastion-recipient-x25519 "
                             "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
                .error()
                .code,
            ErrorCode::kMalformed);
}

TEST(Identity, ComesBackFromItsFile) {
  const Identity identity = Identity::generate();
  const SecretBytes file = identity.file();
  const auto again = Identity::parse(as_text(file));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->recipient().key, identity.recipient().key);
  EXPECT_NE(as_text(file).find(identity.recipient().line()), std::string_view::npos);
}

TEST(Identity, RefusesWhatIsNone) {
  EXPECT_FALSE(Identity::parse(""));
  EXPECT_FALSE(Identity::parse("# only a comment\n"));
  EXPECT_FALSE(Identity::parse(Identity::generate().recipient().line()));
  const SecretBytes file = Identity::generate().file();
  const std::string twice = std::string(as_text(file)) + std::string(as_text(file));
  EXPECT_FALSE(Identity::parse(twice));
}

TEST(FileKey, OpensForEachRecipientAndForNobodyElse) {
  const std::vector<Identity> identities{Identity::generate(), Identity::generate()};
  const std::vector<Recipient> recipients{identities[0].recipient(), identities[1].recipient()};
  Metadata metadata = test::metadata();
  const Bytes key(kFileKeyLen, 7);
  metadata.keys = *seal_file_key(key, recipients, metadata.session);
  for (const Identity& identity : identities) {
    Bytes opened(kFileKeyLen);
    ASSERT_TRUE(open_file_key(metadata, std::span(&identity, 1), opened));
    EXPECT_EQ(opened, key);
  }
  Bytes opened(kFileKeyLen);
  const Identity other = Identity::generate();
  EXPECT_EQ(open_file_key(metadata, std::span(&other, 1), opened).error(),
            ProblemKind::kOtherIdentity);
  EXPECT_EQ(open_file_key(metadata, {}, opened).error(), ProblemKind::kNoIdentity);
}

TEST(FileKey, IsBoundToItsSession) {
  const Identity identity = Identity::generate();
  const Recipient recipient = identity.recipient();
  Metadata metadata = test::metadata();
  metadata.keys = *seal_file_key(Bytes(kFileKeyLen), std::span(&recipient, 1), metadata.session);
  metadata.session.back() = '9';
  Bytes opened(kFileKeyLen);
  EXPECT_EQ(open_file_key(metadata, std::span(&identity, 1), opened).error(),
            ProblemKind::kDecrypt);
}

TEST(FileKey, HasAtMostSixteenRecipients) {
  const Recipient recipient = Identity::generate().recipient();
  const std::vector<Recipient> many(kRecipientsMax + 1, recipient);
  EXPECT_EQ(seal_file_key(Bytes(kFileKeyLen), many, test::kSession).error().code,
            ErrorCode::kLimit);
}

}  // namespace
}  // namespace bastion::recording
