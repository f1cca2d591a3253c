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

// What no honest peer sends is refused by both roles, with kKeyExchange.
struct BadValue {
  std::string_view method;
  std::string_view what;
  Bytes field;
};

Bytes mpint_field(const Bytes& magnitude) { return Writer().mpint(magnitude).take(); }
Bytes string_of(const Bytes& value) { return Writer().string(value).take(); }

std::vector<BadValue> bad_dh_values(std::string_view method, std::size_t modulus_len) {
  Bytes too_long(modulus_len + 1, 0);
  too_long[0] = 1;
  return {
      {method, "zero", mpint_field({})},
      {method, "zero as one byte", from_hex("0000000100")},
      {method, "one", mpint_field({1})},
      {method, "negative", from_hex("0000000180")},
      {method, "minus one", from_hex("00000001ff")},
      {method, "two with a needless zero", from_hex("000000020002")},
      {method, "all ones", mpint_field(Bytes(modulus_len, 0xff))},
      {method, "longer than the modulus", mpint_field(too_long)},
      {method, "huge", mpint_field(Bytes(30'000, 0x7f))},
      {method, "trailing byte", from_hex("000000010200")},
      {method, "length past the end", from_hex("ffffffff02")},
      {method, "nothing", {}},
  };
}

std::vector<BadValue> bad_x25519_values(std::string_view method, const Bytes& before) {
  // The values of small order (cr.yp.to/ecdh.html), and wrong lengths.
  const auto with = [&](const Bytes& point) {
    Bytes value = before;
    value.insert(value.end(), point.begin(), point.end());
    return string_of(value);
  };
  std::vector<BadValue> bad;
  for (const std::string_view point :
       {"0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}) {
    bad.push_back({method, point, with(from_hex(point))});
  }
  bad.push_back({method, "31 bytes", with(Bytes(31, 9))});
  bad.push_back({method, "33 bytes", with(Bytes(33, 9))});
  bad.push_back({method, "empty", string_of({})});
  bad.push_back({method, "as an mpint with a leading zero", with(Bytes(33, 0))});
  return bad;
}

std::vector<BadValue> bad_points(std::string_view method, std::size_t field_len) {
  Bytes off_curve(1 + 2 * field_len, 1);
  off_curve[0] = 4;
  Bytes too_large(1 + 2 * field_len, 0xff);
  too_large[0] = 4;
  Bytes zeros(1 + 2 * field_len, 0);
  zeros[0] = 4;
  Bytes hybrid = zeros;
  hybrid[0] = 6;
  Bytes compressed(1 + field_len, 1);
  compressed[0] = 2;
  return {
      {method, "off the curve", string_of(off_curve)},
      {method, "coordinates over the prime", string_of(too_large)},
      {method, "(0, 0)", string_of(zeros)},
      {method, "hybrid form", string_of(hybrid)},
      {method, "compressed", string_of(compressed)},
      {method, "infinity", string_of({0})},
      {method, "infinity, as long as a point", string_of(Bytes(1 + 2 * field_len, 0))},
      {method, "empty", string_of({})},
  };
}

TEST(Kex, sec_040_RefusesWhatNoHonestPeerSends) {
  std::vector<BadValue> bad;
  const auto add = [&bad](std::vector<BadValue> more) {
    std::ranges::move(more, std::back_inserter(bad));
  };
  add(bad_dh_values("diffie-hellman-group14-sha256", 256));
  add(bad_dh_values("diffie-hellman-group16-sha512", 512));
  add(bad_x25519_values("curve25519-sha256", {}));
  add(bad_x25519_values("curve25519-sha256@libssh.org", {}));
  add(bad_points("ecdh-sha2-nistp256", 32));
  add(bad_points("ecdh-sha2-nistp384", 48));
  add(bad_points("ecdh-sha2-nistp521", 66));
  SeededRandom random;
  for (const BadValue& value : bad) {
    SCOPED_TRACE(std::string(value.method) + ": " + std::string(value.what));
    const KexMethod& method = *find_kex(value.method);
    const auto reply = kex_respond(method, value.field, random);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, ErrorCode::kKeyExchange);
    auto client = make_kex_client(method, random);
    ASSERT_TRUE(client);
    const auto secret = (*client)->finish(value.field);
    ASSERT_FALSE(secret);
    EXPECT_EQ(secret.error().code, ErrorCode::kKeyExchange);
  }
}

TEST(Kex, sec_040_RefusesHybridsWithABadPart) {
  SeededRandom random;
  for (const std::string_view name : {"mlkem768x25519-sha256", "sntrup761x25519-sha512"}) {
    SCOPED_TRACE(name);
    const KexMethod& method = *find_kex(name);
    auto client = make_kex_client(method, random).value();
    const Bytes init = client->public_field();
    const Bytes reply = kex_respond(method, init, random).value().public_field;
    const auto kem_part = [](const Bytes& field) {
      return Bytes(field.begin() + 4, field.end() - 32);
    };
    for (const BadValue& value : bad_x25519_values(name, kem_part(init))) {
      EXPECT_FALSE(kex_respond(method, value.field, random)) << value.what;
    }
    for (const BadValue& value : bad_x25519_values(name, kem_part(reply))) {
      EXPECT_FALSE(client->finish(value.field)) << value.what;
    }
    // Each side's field is not the other's: the lengths of key and ciphertext differ.
    EXPECT_FALSE(client->finish(init));
    EXPECT_FALSE(kex_respond(method, reply, random));
    EXPECT_TRUE(client->finish(reply));
  }
  // FIPS 203 7.2: a coefficient that is not reduced.
  const KexMethod& method = *find_kex("mlkem768x25519-sha256");
  Bytes init = make_kex_client(method, random).value()->public_field();
  init[4] = 0xff;
  init[5] = 0xff;
  const auto reply = kex_respond(method, init, random);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kKeyExchange);
}

TEST(Kex, KnowsItsNamesOnly) {
  for (const std::string_view name : kServerMethods) {
    ASSERT_NE(find_kex(name), nullptr) << name;
    EXPECT_EQ(find_kex(name)->name, name);
    EXPECT_FALSE(find_kex(name)->legacy);
  }
  for (const std::string_view name :
       {"", "none", "curve25519-sha25", "curve25519-sha256 ", "CURVE25519-SHA256",
        "diffie-hellman-group1-sha1", "diffie-hellman-group-exchange-sha256", "ext-info-c",
        "kex-strict-s-v00@openssh.com"}) {
    EXPECT_EQ(find_kex(name), nullptr) << name;
  }
}

TEST(Kex, DoesGroup14Sha1AsAClientOnly) {
  const KexMethod* method = find_kex("diffie-hellman-group14-sha1");
  ASSERT_NE(method, nullptr);
  EXPECT_TRUE(method->legacy);
  EXPECT_EQ(method->hash, HashAlgorithm::kSha1);
  SeededRandom random;
  auto client = make_kex_client(*method, random);
  ASSERT_TRUE(client);
  EXPECT_FALSE(kex_respond(*method, (*client)->public_field(), random));
  // The group is that of group14-sha256: its server's value fits.
  const KexMethod& modern = *find_kex("diffie-hellman-group14-sha256");
  const auto reply = kex_respond(modern, (*client)->public_field(), random);
  ASSERT_TRUE(reply);
  const auto secret = (*client)->finish(reply->public_field);
  ASSERT_TRUE(secret);
  EXPECT_EQ(*secret, reply->secret_field);
}

}  // namespace
}  // namespace bastion::crypto
