#include "crypto/kex.h"

#include <gtest/gtest.h>

#include "base/wire.h"
#include "tests/support/hex.h"
#include "tests/support/random.h"

namespace bastion::crypto {
namespace {

using test::from_hex;
using test::SeededRandom;
using test::to_hex;

constexpr std::string_view kServerMethods[] = {
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
};

class KexOfEachMethod : public testing::TestWithParam<std::string_view> {
 protected:
  const KexMethod& method() const { return *find_kex(GetParam()); }
  SeededRandom random_{7};
};

INSTANTIATE_TEST_SUITE_P(Kex, KexOfEachMethod, testing::ValuesIn(kServerMethods),
                         [](const auto& p) {
                           std::string name(p.param);
                           std::ranges::replace_if(
                               name, [](char c) { return std::isalnum(c) == 0; }, '_');
                           return name;
                         });

TEST_P(KexOfEachMethod, GivesBothSidesTheSameSecret) {
  for (int i = 0; i < 4; ++i) {
    auto client = make_kex_client(method(), random_);
    ASSERT_TRUE(client);
    auto reply = kex_respond(method(), (*client)->public_field(), random_);
    ASSERT_TRUE(reply) << reply.error().text;
    auto secret = (*client)->finish(reply->public_field);
    ASSERT_TRUE(secret) << secret.error().text;
    EXPECT_EQ(*secret, reply->secret_field);
    EXPECT_GE(secret->size(), 4U + 30U);
  }
}

TEST_P(KexOfEachMethod, GivesAnotherSecretEachTime) {
  auto client = make_kex_client(method(), random_);
  ASSERT_TRUE(client);
  auto first = kex_respond(method(), (*client)->public_field(), random_);
  auto second = kex_respond(method(), (*client)->public_field(), random_);
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->secret_field, second->secret_field);
  EXPECT_NE(first->public_field, second->public_field);
}

TEST_P(KexOfEachMethod, RefusesFieldsCutOrLengthenedAnywhere) {
  auto client = make_kex_client(method(), random_);
  ASSERT_TRUE(client);
  const Bytes good = (*client)->public_field();
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    const auto reply = kex_respond(method(), ByteView(good).first(cut), random_);
    ASSERT_FALSE(reply) << "cut at " << cut;
    ASSERT_EQ(reply.error().code, ErrorCode::kKeyExchange);
    if (cut > 40) {
      cut += 97;  // the cost of a key for each byte of a hybrid's field shows nothing more
    }
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(kex_respond(method(), longer, random_));
  auto reply = kex_respond(method(), good, random_);
  ASSERT_TRUE(reply);
  longer = reply->public_field;
  longer.push_back(0);
  EXPECT_FALSE((*client)->finish(longer));
  EXPECT_FALSE((*client)->finish(ByteView(reply->public_field).first(longer.size() - 2)));
  EXPECT_FALSE((*client)->finish({}));
}

}  // namespace
}  // namespace bastion::crypto
