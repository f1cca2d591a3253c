#include <gtest/gtest.h>

#include "base/wire.h"
#include "crypto/kem.h"
#include "crypto/kex.h"
#include "crypto/kex_impl.h"
#include "tests/support/random.h"
#include "tests/support/vectors.h"

namespace bastion::crypto {
namespace {

using test::from_hex;
using test::read_vectors;
using test::ScriptedRandom;
using test::to_hex;

Bytes x25519(const Bytes& private_value, ByteView peer) {
  ScriptedRandom random(private_value);
  const impl::X25519Key key(random);
  Bytes shared(32);
  return key.agree(peer, shared) ? shared : Bytes{};
}

// RFC 7748 5.2.
TEST(X25519, GivesTheAnswersOfRfc7748) {
  EXPECT_EQ(
      to_hex(x25519(from_hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                    from_hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"))),
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  EXPECT_EQ(
      to_hex(x25519(from_hex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
                    from_hex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"))),
      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST(X25519, GivesTheAnswersOfRfc7748AfterAThousandRounds) {
  Bytes k(32, 0);
  k[0] = 9;
  Bytes u = k;
  for (int i = 0; i < 1000; ++i) {
    Bytes result = x25519(k, u);
    u = std::exchange(k, std::move(result));
    if (i == 0) {
      ASSERT_EQ(to_hex(k), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
  }
  EXPECT_EQ(to_hex(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

TEST(X25519, GivesWycheproofsAnswersAndRefusesZero) {
  for (const auto& vector : read_vectors("x25519.txt")) {
    SCOPED_TRACE("test " + vector.text("tcId"));
    const Bytes shared = x25519(vector.hex("private"), vector.hex("public"));
    const bool zero = vector.text("zero") == "yes";
    EXPECT_EQ(to_hex(shared), zero ? "" : vector.text("shared"));
    EXPECT_TRUE(!zero || vector.hex("shared") == Bytes(32, 0));
    EXPECT_EQ(vector.unread(), "");
  }
}

TEST(Curve25519Sha256, EntersTheSecretAsAnMpint) {
  // The second case of RFC 7748 5.2 has a result whose first byte is over 0x7f, so that a zero goes
  // before it (RFC 8731 3.1).
  const KexMethod& method = *find_kex("curve25519-sha256");
  ScriptedRandom random(
      from_hex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"));
  auto client = make_kex_client(method, random).value();
  const Bytes peer = from_hex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493");
  const auto secret = client->finish(Writer().string(peer).view());
  ASSERT_TRUE(secret);
  EXPECT_EQ(to_hex(*secret),
            "00000021"
            "0095cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST(Ecdh, GivesWycheproofsAnswersAndRefusesBadPoints) {
  for (const auto& vector : read_vectors("ecdh.txt")) {
    SCOPED_TRACE(vector.text("method") + ", test " + vector.text("tcId"));
    const KexMethod& method = *find_kex(vector.text("method"));
    ScriptedRandom random(vector.hex("private"));
    auto client = make_kex_client(method, random);
    ASSERT_TRUE(client);
    EXPECT_TRUE(random.used_up());
    const auto secret = (*client)->finish(Writer().string(vector.hex("public")).view());
    if (vector.text("result") == "valid") {
      ASSERT_TRUE(secret) << secret.error().text;
      EXPECT_EQ(to_hex(*secret), to_hex(Writer().mpint(vector.hex("shared")).view()));
    } else {
      ASSERT_FALSE(secret);
      EXPECT_EQ(secret.error().code, ErrorCode::kKeyExchange);
      EXPECT_EQ(vector.text("shared"), "");
    }
    EXPECT_EQ(vector.unread(), "");
  }
}

TEST(Ecdh, DrawsAgainWhereAScalarIsNotBelowTheOrder) {
  const KexMethod& method = *find_kex("ecdh-sha2-nistp256");
  const Bytes order = from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
  Bytes script = order;  // too large by one
  script.resize(64, 0);  // zero
  Bytes good = order;
  good.back() = 0x50;  // the largest that is one
  script.insert(script.end(), good.begin(), good.end());
  ScriptedRandom random(script);
  const auto client = make_kex_client(method, random);
  ASSERT_TRUE(client);
  EXPECT_TRUE(random.used_up());
  // -G has the x coordinate of G (FIPS 186-4 D.1.2.3).
  EXPECT_EQ(to_hex(ByteView((*client)->public_field()).subspan(5, 32)),
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296");
}

TEST(DiffieHellman, GivesTheAnswersOfAnotherImplementation) {
  for (const auto& vector : read_vectors("dh.txt")) {
    SCOPED_TRACE(vector.text("method"));
    const KexMethod& method = *find_kex(vector.text("method"));
    ScriptedRandom random(vector.hex("private"));
    auto client = make_kex_client(method, random);
    ASSERT_TRUE(client);
    EXPECT_TRUE(random.used_up());
    EXPECT_EQ((*client)->public_field(), Writer().mpint(vector.hex("public")).take());
    const auto secret = (*client)->finish(Writer().mpint(vector.hex("peer")).view());
    ASSERT_TRUE(secret);
    EXPECT_EQ(to_hex(*secret), to_hex(Writer().mpint(vector.hex("shared")).view()));
    vector.text("prime");
    EXPECT_EQ(vector.unread(), "");
  }
}

// The primes of the vectors come from RFC 3526's formula: if ours were others, p - 1 and p would be
// values like any other.
TEST(DiffieHellman, HasThePrimesOfRfc3526) {
  for (const auto& vector : read_vectors("dh.txt")) {
    const KexMethod& method = *find_kex(vector.text("method"));
    test::SeededRandom random;
    const auto respond = [&](const Bytes& value) {
      return kex_respond(method, Writer().mpint(value).view(), random).has_value();
    };
    Bytes value = vector.hex("prime");
    EXPECT_FALSE(respond(value));
    value.back() = static_cast<std::uint8_t>(value.back() - 1);
    EXPECT_FALSE(respond(value));
    value.back() = static_cast<std::uint8_t>(value.back() - 1);
    EXPECT_TRUE(respond(value));
  }
}

// The field of the client, its secret and the order of both come from the vectors of the parts.
TEST(MlKem768X25519, JoinsBothSecretsAsTheDraftSays) {
  const auto vector = read_vectors("ml_kem_768.txt").at(0);
  const Bytes x_private =
      from_hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
  const Bytes x_peer = from_hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
  const std::string x_shared = "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552";
  Bytes script = x_private;
  const Bytes seed = vector.hex("seed");
  script.insert(script.end(), seed.begin(), seed.end());
  ScriptedRandom random(script);
  auto client = make_kex_client(*find_kex("mlkem768x25519-sha256"), random).value();
  EXPECT_TRUE(random.used_up());

  const ByteView field = client->public_field();
  ASSERT_EQ(field.size(), 4U + 1184 + 32);
  EXPECT_EQ(load_u32(field.data()), 1184U + 32);
  EXPECT_EQ(to_hex(hash(HashAlgorithm::kSha256, field.subspan(4, 1184)).view()),
            vector.text("ek_sha256"));

  Bytes answer = vector.hex("c");
  answer.insert(answer.end(), x_peer.begin(), x_peer.end());
  const auto secret = client->finish(Writer().string(answer).view());
  ASSERT_TRUE(secret);
  const Bytes both = from_hex(vector.text("K") + x_shared);
  const Digest joined = hash(HashAlgorithm::kSha256, both);
  EXPECT_EQ(to_hex(*secret), to_hex(Writer().string(joined.view()).view()));
}

TEST(Sntrup761X25519, HashesBothSecretsWithSha512) {
  test::SeededRandom random;
  for (const std::string_view name :
       {"sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"}) {
    auto client = make_kex_client(*find_kex(name), random).value();
    ASSERT_EQ(client->public_field().size(), 4U + 1158 + 32);
    // A server made of the parts.
    const ByteView value = ByteView(client->public_field()).subspan(4);
    Bytes answer(1039);
    SecretArray<64> both;
    ASSERT_TRUE(sntrup761().encapsulate(value.first(1158), answer, both.bytes().first(32)));
    const impl::X25519Key key(random);
    ASSERT_TRUE(key.agree(value.last(32), both.bytes().last(32)));
    answer.insert(answer.end(), key.public_value().begin(), key.public_value().end());
    const auto secret = client->finish(Writer().string(answer).view());
    ASSERT_TRUE(secret);
    const Digest joined = hash(HashAlgorithm::kSha512, both.view());
    EXPECT_EQ(to_hex(*secret), to_hex(Writer().string(joined.view()).view()));
  }
}

HashAlgorithm algorithm_named(const std::string& name) {
  return name == "sha1"     ? HashAlgorithm::kSha1
         : name == "sha256" ? HashAlgorithm::kSha256
         : name == "sha384" ? HashAlgorithm::kSha384
                            : HashAlgorithm::kSha512;
}

TEST(ExchangeHash, AndTheKeysDerivedFromItAreThoseOfAnotherImplementation) {
  for (const auto& vector : read_vectors("exchange.txt")) {
    SCOPED_TRACE(vector.text("hash"));
    const HashAlgorithm algorithm = algorithm_named(vector.text("hash"));
    const Bytes client_ident = vector.hex("client_ident");
    const Bytes server_ident = vector.hex("server_ident");
    const Bytes client_kexinit = vector.hex("client_kexinit");
    const Bytes server_kexinit = vector.hex("server_kexinit");
    const Bytes host_key_blob = vector.hex("host_key_blob");
    const Bytes client_field = vector.hex("client_field");
    const Bytes server_field = vector.hex("server_field");
    const Bytes secret_field = vector.hex("secret_field");
    const Digest h =
        exchange_hash(algorithm, {client_ident, server_ident, client_kexinit, server_kexinit,
                                  host_key_blob, client_field, server_field, secret_field});
    EXPECT_EQ(to_hex(h.view()), vector.text("exchange_hash"));
    const Bytes session_id = vector.hex("session_id");
    for (char letter = 'A'; letter <= 'F'; ++letter) {
      const std::string whole = vector.text(std::string("key_") + letter);
      for (const std::size_t len : {0UL, 1UL, 12UL, 16UL, 32UL, 64UL, 65UL, 128UL, 150UL}) {
        const SecretBytes key =
            derive_key(algorithm, secret_field, h.view(), letter, session_id, len);
        EXPECT_EQ(to_hex(key), whole.substr(0, 2 * len));
      }
    }
    EXPECT_EQ(vector.unread(), "");
  }
}

}  // namespace
}  // namespace bastion::crypto
