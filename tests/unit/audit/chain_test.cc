#include "daemon/audit/chain.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "tests/unit/audit/support.h"

namespace bastion::audit {
namespace {

TEST(Chain, ALineCarriesItsNumberAndTheHashOfTheLineBefore) {
  Head head;
  const std::string first = append_line(head, R"("time":"t","event":"service.start")");
  EXPECT_EQ(first, R"({"v":1,"seq":1,"time":"t","event":"service.start","prev":")" +
                       std::string(64, '0') + "\"}");
  EXPECT_EQ(head, (Head{1, hash_text(first)}));
  const std::string second = append_line(head, R"("time":"t","event":"service.stop")");
  const auto line = parse_line(second);
  ASSERT_TRUE(line);
  EXPECT_EQ(line->seq, 2u);
  EXPECT_EQ(line->prev, hash_text(first));
  EXPECT_EQ(line->event, "service.stop");
}

TEST(Chain, HashesAsSha256sumDoes) {
  EXPECT_EQ(hash_text("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Chain, SignsTheDomainTheNumberAndTheHash) {
  const Head head{0x0102030405060708, hash_text("abc")};
  const auto bytes = signed_head(head);
  ASSERT_TRUE(bytes);
  ASSERT_EQ(bytes->size(), 23u + 8 + 32);
  EXPECT_EQ(as_text(*bytes).substr(0, 23), std::string_view("bastiond audit head v1\0", 23));
  EXPECT_EQ(load_u64(bytes->data() + 23), head.seq);
  EXPECT_EQ((*bytes)[31], 0xba);
  EXPECT_EQ((*bytes)[62], 0xad);
}

TEST(Chain, ASignatureHoldsForItsHeadOnly) {
  const auto key = crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
  const Head head{17, hash_text("abc")};
  const auto blob = sign_head(*key, head);
  ASSERT_TRUE(blob);
  const std::string signature = crypto::base64_encode(*blob);
  EXPECT_TRUE(verify_head(key->public_key(), head, signature));
  EXPECT_FALSE(verify_head(key->public_key(), {18, head.hash}, signature));
  EXPECT_FALSE(verify_head(key->public_key(), {17, hash_text("abd")}, signature));
  EXPECT_FALSE(verify_head(key->public_key(), head, "AAAA"));
  EXPECT_FALSE(verify_head(key->public_key(), head, "not base64"));
  const auto other = crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
  EXPECT_FALSE(verify_head(other->public_key(), head, signature));
}

TEST(Chain, NothingThatIsNoHashIsSigned) {
  const auto key = crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
  EXPECT_FALSE(sign_head(*key, {1, ""}));
  EXPECT_FALSE(sign_head(*key, {1, std::string(64, 'g')}));
  EXPECT_FALSE(sign_head(*key, {1, std::string(64, 'A')}));
}

TEST(ParseLine, RefusesWhatIsNoEvent) {
  const std::string prev = R"(,"prev":")" + std::string(64, '0') + "\"}";
  const std::string good = R"({"v":1,"seq":1,"time":"t","event":"x")" + prev;
  EXPECT_TRUE(parse_line(good)) << "events that this version does not know are events";
  for (const std::string& bad :
       {std::string(), std::string("{}"), std::string("[]"), std::string("null"), good + " x",
        good.substr(0, good.size() - 1), R"({"v":2,"seq":1,"time":"t","event":"x")" + prev,
        R"({"v":1,"seq":0,"time":"t","event":"x")" + prev,
        R"({"v":1,"seq":-1,"time":"t","event":"x")" + prev,
        R"({"v":1,"seq":"1","time":"t","event":"x")" + prev,
        R"({"v":1,"seq":18446744073709551615,"time":"t","event":"x")" + prev,
        R"({"v":1,"seq":1,"time":"t","event":3)" + prev,
        R"({"v":1,"seq":1,"time":"t","event":"audit.head")" + prev,
        R"({"v":1,"seq":1,"time":"t","event":"audit.torn")" + prev,
        std::string(R"({"v":1,"seq":1,"time":"t","event":"x","prev":"00"})"),
        std::string(kLineBytesMax + 1, ' ')}) {
    EXPECT_FALSE(parse_line(bad)) << bad.substr(0, 100);
  }
}

}  // namespace
}  // namespace bastion::audit
