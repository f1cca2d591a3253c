#include "crypto/keys.h"

#include <gtest/gtest.h>

#include "tests/support/program.h"

namespace bastion::crypto {
namespace {

using test::run_program;
using test::TempDir;

constexpr KeyType kSoftwareTypes[] = {KeyType::kEd25519, KeyType::kRsa, KeyType::kEcdsaP256,
                                      KeyType::kEcdsaP384, KeyType::kEcdsaP521};

/// made gives one generated key of each type; RSA keys take long to make.
const PrivateKey& made(KeyType type) {
  static const std::vector<PrivateKey> keys = [] {
    std::vector<PrivateKey> all;
    for (const KeyType each : kSoftwareTypes) {
      all.push_back(PrivateKey::generate(each, 2048).value());
    }
    return all;
  }();
  return keys[static_cast<std::size_t>(type)];
}

class KeyOfEachType : public testing::TestWithParam<KeyType> {
 protected:
  const PrivateKey& key() const { return made(GetParam()); }
};
std::string name_of_type(const testing::TestParamInfo<KeyType>& info) {
  std::string name(key_type_name(info.param));
  std::ranges::replace_if(name, [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Keys, KeyOfEachType, testing::ValuesIn(kSoftwareTypes), name_of_type);

TEST_P(KeyOfEachType, VerifiesWhatItSigned) {
  const Bytes data = to_bytes("what is signed");
  for (const SignatureAlgorithm* algorithm : pick_signature_algorithms(GetParam())) {
    const auto signature = key().sign(*algorithm, data);
    ASSERT_TRUE(signature);
    EXPECT_TRUE(key().public_key().verify(*algorithm, data, *signature));
    EXPECT_FALSE(key().public_key().verify(*algorithm, as_bytes("what is signeD"), *signature));
  }
}

TEST_P(KeyOfEachType, SurvivesItsFile) {
  const SecretBytes file = key().to_openssh("somebody@somewhere");
  const auto again = PrivateKey::parse_openssh(file);
  ASSERT_TRUE(again) << again.error().text;
  EXPECT_EQ(again->public_key(), key().public_key());
}

TEST_P(KeyOfEachType, IsReadBySshKeygen) {
  const TempDir dir;
  const std::string path = dir.write("key", key().to_openssh("somebody@somewhere"));
  const auto result = run_program({"ssh-keygen", "-y", "-f", path});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.output, key().public_key().line() + " somebody@somewhere\n");
  EXPECT_NE(
      run_program({"ssh-keygen", "-l", "-f", path}).output.find(key().public_key().fingerprint()),
      std::string::npos);
}

}  // namespace
}  // namespace bastion::crypto
