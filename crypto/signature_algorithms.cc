#include <openssl/nid.h>

#include <algorithm>
#include <array>

#include "crypto/key_material.h"

namespace bastion::crypto {
namespace {

struct TypeNames {
  KeyType type;
  std::string_view plain;
  std::string_view certificate;
};

constexpr std::array<TypeNames, kNumKeyTypes> kTypes = {{
    {KeyType::kEd25519, "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"},
    {KeyType::kRsa, "ssh-rsa", "ssh-rsa-cert-v01@openssh.com"},
    {KeyType::kEcdsaP256, "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256-cert-v01@openssh.com"},
    {KeyType::kEcdsaP384, "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384-cert-v01@openssh.com"},
    {KeyType::kEcdsaP521, "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521-cert-v01@openssh.com"},
    {KeyType::kSkEd25519, "sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com"},
    {KeyType::kSkEcdsaP256, "sk-ecdsa-sha2-nistp256@openssh.com",
     "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com"},
}};

constexpr const TypeNames& names_of(KeyType type) { return kTypes[static_cast<std::size_t>(type)]; }
static_assert([] {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].type != static_cast<KeyType>(i)) {
      return false;
    }
  }
  return true;
}());

// Each plain algorithm stands at an even place and its certificate's directly after it; what has no
// certificate comes last.
constexpr std::size_t kNumPairs = 8;
constexpr std::array<SignatureAlgorithm, 2 * kNumPairs + 1> kAlgorithms = {{
    {"ssh-ed25519", KeyType::kEd25519, false, "ssh-ed25519", false},
    {"ssh-ed25519-cert-v01@openssh.com", KeyType::kEd25519, true, "ssh-ed25519", false},
    {"rsa-sha2-512", KeyType::kRsa, false, "rsa-sha2-512", false},
    {"rsa-sha2-512-cert-v01@openssh.com", KeyType::kRsa, true, "rsa-sha2-512", false},
    {"rsa-sha2-256", KeyType::kRsa, false, "rsa-sha2-256", false},
    {"rsa-sha2-256-cert-v01@openssh.com", KeyType::kRsa, true, "rsa-sha2-256", false},
    {"ecdsa-sha2-nistp256", KeyType::kEcdsaP256, false, "ecdsa-sha2-nistp256", false},
    {"ecdsa-sha2-nistp256-cert-v01@openssh.com", KeyType::kEcdsaP256, true, "ecdsa-sha2-nistp256",
     false},
    {"ecdsa-sha2-nistp384", KeyType::kEcdsaP384, false, "ecdsa-sha2-nistp384", false},
    {"ecdsa-sha2-nistp384-cert-v01@openssh.com", KeyType::kEcdsaP384, true, "ecdsa-sha2-nistp384",
     false},
    {"ecdsa-sha2-nistp521", KeyType::kEcdsaP521, false, "ecdsa-sha2-nistp521", false},
    {"ecdsa-sha2-nistp521-cert-v01@openssh.com", KeyType::kEcdsaP521, true, "ecdsa-sha2-nistp521",
     false},
    {"sk-ssh-ed25519@openssh.com", KeyType::kSkEd25519, false, "sk-ssh-ed25519@openssh.com", false},
    {"sk-ssh-ed25519-cert-v01@openssh.com", KeyType::kSkEd25519, true, "sk-ssh-ed25519@openssh.com",
     false},
    {"sk-ecdsa-sha2-nistp256@openssh.com", KeyType::kSkEcdsaP256, false,
     "sk-ecdsa-sha2-nistp256@openssh.com", false},
    {"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", KeyType::kSkEcdsaP256, true,
     "sk-ecdsa-sha2-nistp256@openssh.com", false},
    {"ssh-rsa", KeyType::kRsa, false, "ssh-rsa", true},
}};

constexpr std::array<const SignatureAlgorithm*, 1> kPickEd25519 = {&kAlgorithms[0]};
constexpr std::array<const SignatureAlgorithm*, 2> kPickRsa = {&kAlgorithms[2], &kAlgorithms[4]};
constexpr std::array<const SignatureAlgorithm*, 1> kPickP256 = {&kAlgorithms[6]};
constexpr std::array<const SignatureAlgorithm*, 1> kPickP384 = {&kAlgorithms[8]};
constexpr std::array<const SignatureAlgorithm*, 1> kPickP521 = {&kAlgorithms[10]};
constexpr std::array<const SignatureAlgorithm*, 1> kPickSkEd25519 = {&kAlgorithms[12]};
constexpr std::array<const SignatureAlgorithm*, 1> kPickSkP256 = {&kAlgorithms[14]};

}  // namespace

std::string_view key_type_name(KeyType type) { return names_of(type).plain; }

std::string_view certificate_type_name(KeyType type) { return names_of(type).certificate; }

std::optional<KeyType> find_key_type(std::string_view name) {
  for (const TypeNames& names : kTypes) {
    if (names.plain == name) {
      return names.type;
    }
  }
  return std::nullopt;
}

std::optional<KeyType> find_certificate_type(std::string_view name) {
  for (const TypeNames& names : kTypes) {
    if (names.certificate == name) {
      return names.type;
    }
  }
  return std::nullopt;
}

const SignatureAlgorithm* find_signature_algorithm(std::string_view name) {
  const auto* const found = std::ranges::find(kAlgorithms, name, &SignatureAlgorithm::name);
  return found == kAlgorithms.end() ? nullptr : found;
}

std::span<const SignatureAlgorithm* const> pick_signature_algorithms(KeyType type) {
  switch (type) {
    case KeyType::kEd25519: return kPickEd25519;
    case KeyType::kRsa: return kPickRsa;
    case KeyType::kEcdsaP256: return kPickP256;
    case KeyType::kEcdsaP384: return kPickP384;
    case KeyType::kEcdsaP521: return kPickP521;
    case KeyType::kSkEd25519: return kPickSkEd25519;
    case KeyType::kSkEcdsaP256: return kPickSkP256;
  }
  return {};
}

const SignatureAlgorithm* certificate_algorithm_for(const SignatureAlgorithm& plain) {
  for (std::size_t i = 0; i < 2 * kNumPairs; i += 2) {
    if (kAlgorithms[i].name == plain.name) {
      return &kAlgorithms[i + 1];
    }
  }
  return nullptr;
}

const SignatureAlgorithm& plain_algorithm_for(const SignatureAlgorithm& algorithm) {
  for (std::size_t i = 0; i < 2 * kNumPairs; i += 2) {
    if (kAlgorithms[i + 1].name == algorithm.name) {
      return kAlgorithms[i];
    }
  }
  return algorithm;
}

std::string_view curve_name(KeyType type) {
  switch (type) {
    case KeyType::kEcdsaP384: return "nistp384";
    case KeyType::kEcdsaP521: return "nistp521";
    default: return "nistp256";
  }
}

int curve_nid(KeyType type) {
  switch (type) {
    case KeyType::kEcdsaP384: return NID_secp384r1;
    case KeyType::kEcdsaP521: return NID_secp521r1;
    default: return NID_X9_62_prime256v1;
  }
}

HashAlgorithm ecdsa_hash(KeyType type) {
  switch (type) {
    case KeyType::kEcdsaP384: return HashAlgorithm::kSha384;
    case KeyType::kEcdsaP521: return HashAlgorithm::kSha512;
    default: return HashAlgorithm::kSha256;
  }
}

std::size_t num_key_fields(KeyType type) {
  switch (type) {
    case KeyType::kEd25519: return 1;  // the point
    case KeyType::kRsa: return 2;      // e, n
    case KeyType::kEcdsaP256:
    case KeyType::kEcdsaP384:
    case KeyType::kEcdsaP521: return 2;    // the curve's name, the point
    case KeyType::kSkEd25519: return 2;    // the point, the application
    case KeyType::kSkEcdsaP256: return 3;  // the curve's name, the point, the application
  }
  return 0;
}

RsaHash rsa_hash(const SignatureAlgorithm& algorithm) {
  if (algorithm.signature_name == "rsa-sha2-512") {
    return {HashAlgorithm::kSha512, NID_sha512};
  }
  if (algorithm.signature_name == "rsa-sha2-256") {
    return {HashAlgorithm::kSha256, NID_sha256};
  }
  return {HashAlgorithm::kSha1, NID_sha1};
}

}  // namespace bastion::crypto
