#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "crypto/keys.h"
#include "tests/support/sk_key.h"

/// Keys that the tests of crypto/keys.h share: one of each type, made once per program.
namespace bastion::crypto {

inline constexpr KeyType kSoftwareTypes[] = {KeyType::kEd25519, KeyType::kRsa, KeyType::kEcdsaP256,
                                             KeyType::kEcdsaP384, KeyType::kEcdsaP521};
inline constexpr KeyType kAllTypes[] = {
    KeyType::kEd25519,   KeyType::kRsa,       KeyType::kEcdsaP256,  KeyType::kEcdsaP384,
    KeyType::kEcdsaP521, KeyType::kSkEd25519, KeyType::kSkEcdsaP256};
static_assert(std::size(kAllTypes) == kNumKeyTypes);

inline constexpr std::string_view kAllAlgorithmNames[] = {
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
};

/// made gives the private key of a software type.
inline const PrivateKey& made(KeyType type) {
  static const std::vector<PrivateKey> keys = [] {
    std::vector<PrivateKey> all;
    for (const KeyType each : kSoftwareTypes) {
      all.push_back(PrivateKey::generate(each, 2048).value());
    }
    return all;
  }();
  return keys.at(static_cast<std::size_t>(type));
}

/// made_sk gives the authenticator of an sk type.
inline test::SkKey& made_sk(KeyType type) {
  static test::SkKey ed25519(KeyType::kSkEd25519);
  static test::SkKey p256(KeyType::kSkEcdsaP256, "ssh:bastion");
  return type == KeyType::kSkEd25519 ? ed25519 : p256;
}

inline const PublicKey& made_public(KeyType type) {
  return is_sk(type) ? made_sk(type).public_key() : made(type).public_key();
}

/// signed_by signs with the key of that type; an authenticator is touched.
inline Bytes signed_by(KeyType type, const SignatureAlgorithm& algorithm, ByteView data) {
  return is_sk(type) ? made_sk(type).sign(data) : made(type).sign(algorithm, data).value();
}

/// key_line is a line of a .pub file for any blob, certificates included.
inline std::string key_line(ByteView blob, std::string_view type_name) {
  return std::string(type_name) + ' ' + base64_encode(blob) + " comment\n";
}

inline std::string name_of_type(const testing::TestParamInfo<KeyType>& info) {
  std::string name(key_type_name(info.param));
  std::ranges::replace_if(name, [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

/// code_of gives the error's code; a success fails the test.
template <typename T>
ErrorCode code_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value());
  return result.has_value() ? ErrorCode{0xff} : result.error().code;
}

}  // namespace bastion::crypto
