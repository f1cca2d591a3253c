#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/wire.h"
#include "tests/support/hex.h"
#include "tests/support/test_data.h"
#include "tests/unit/crypto/test_keys.h"

namespace bastion::crypto {
namespace {

using test::from_hex;

/// Case is one line of a file that tests/vectors/wycheproof/convert.py made.
struct Case {
  std::vector<Bytes> key;
  bool valid = false;
  std::string id;
  Bytes message;
  Bytes signature;
};

Bytes field(const std::string& word) { return word == "-" ? Bytes() : from_hex(word); }

std::vector<Case> cases_of(const std::string& name) {
  std::ifstream in(test::test_data("vectors/wycheproof/" + name + ".txt"));
  std::vector<Case> cases;
  std::vector<Bytes> key;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words_in(line);
    const std::vector<std::string> words(std::istream_iterator<std::string>(words_in), {});
    if (words.at(0) == "key") {
      key.clear();
      for (std::size_t i = 1; i < words.size(); ++i) {
        key.push_back(field(words[i]));
      }
      continue;
    }
    EXPECT_EQ(words.size(), 4U) << line;
    EXPECT_TRUE(words.at(0) == "valid" || words.at(0) == "invalid") << line;
    cases.push_back({.key = key,
                     .valid = words.at(0) == "valid",
                     .id = words.at(1),
                     .message = field(words.at(2)),
                     .signature = field(words.at(3))});
  }
  return cases;
}

/// expect_verdicts holds each case against what `make_key` and `make_signature` give for it.
void expect_verdicts(const std::string& name, std::size_t num_cases_min, const char* algorithm_name,
                     auto make_key, auto make_signature) {
  const SignatureAlgorithm& algorithm = *find_signature_algorithm(algorithm_name);
  const std::vector<Case> cases = cases_of(name);
  EXPECT_GE(cases.size(), num_cases_min);
  std::size_t num_valid = 0;
  for (const Case& each : cases) {
    const auto key = PublicKey::parse(make_key(each.key));
    const Bytes signature =
        Writer().text(algorithm.signature_name).string(make_signature(each.signature)).take();
    const bool verified = key && key->verify(algorithm, each.message, signature).has_value();
    EXPECT_EQ(verified, each.valid) << name << " tcId " << each.id;
    num_valid += each.valid ? 1 : 0;
  }
  EXPECT_GT(num_valid, 0U);
  EXPECT_LT(num_valid, cases.size());
}

Bytes as_it_is(const Bytes& signature) { return signature; }

/// pair_of turns P1363's r || s into RFC 5656's two mpints.
Bytes pair_of(const Bytes& signature) {
  const ByteView both(signature);
  return Writer().mpint(both.first(both.size() / 2)).mpint(both.subspan(both.size() / 2)).take();
}

Bytes ed25519_key(const std::vector<Bytes>& key) {
  return Writer().text("ssh-ed25519").string(key.at(0)).take();
}
Bytes rsa_key(const std::vector<Bytes>& key) {
  return Writer().text("ssh-rsa").mpint(key.at(0)).mpint(key.at(1)).take();
}
auto ecdsa_key(std::string curve) {
  return [curve](const std::vector<Bytes>& key) {
    return Writer().text("ecdsa-sha2-" + curve).text(curve).string(key.at(0)).take();
  };
}

TEST(Wycheproof, sec_046_Ed25519) {
  expect_verdicts("ed25519", 150, "ssh-ed25519", ed25519_key, as_it_is);
}
TEST(Wycheproof, EcdsaP256) {
  expect_verdicts("ecdsa_p256", 100, "ecdsa-sha2-nistp256", ecdsa_key("nistp256"), pair_of);
}
TEST(Wycheproof, EcdsaP384) {
  expect_verdicts("ecdsa_p384", 80, "ecdsa-sha2-nistp384", ecdsa_key("nistp384"), pair_of);
}
TEST(Wycheproof, EcdsaP521) {
  expect_verdicts("ecdsa_p521", 80, "ecdsa-sha2-nistp521", ecdsa_key("nistp521"), pair_of);
}
TEST(Wycheproof, RsaSha256) {
  expect_verdicts("rsa_sha256", 100, "rsa-sha2-256", rsa_key, as_it_is);
}
TEST(Wycheproof, RsaSha512) {
  expect_verdicts("rsa_sha512", 40, "rsa-sha2-512", rsa_key, as_it_is);
}

}  // namespace
}  // namespace bastion::crypto
