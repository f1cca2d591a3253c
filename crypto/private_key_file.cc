#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "crypto/key_material.h"

namespace bastion::crypto {
namespace {

std::unexpected<Error> malformed(std::string_view text) {
  return fail(ErrorCode::kMalformed, text);
}

/// Armor is what stands between "-----BEGIN label-----" and "-----END label-----", decoded.
struct Armor {
  std::string_view label;  // in the file's bytes
  SecretBytes content;
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && is_space(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

/// decode_secret is base64_decode that leaves no copy of the content behind.
Result<SecretBytes> decode_secret(std::string_view text) {
  SecretBytes joined;
  joined.reserve(text.size());
  std::ranges::copy_if(text, std::back_inserter(joined), [](char c) { return !is_space(c); });
  auto content = base64_decode(as_text(joined));
  if (!content || content->empty()) {
    return malformed("the base64 of a private key file is wrong");
  }
  SecretBytes secret = to_secret(*content);
  wipe(*content);
  return secret;
}

Result<Armor> remove_armor(std::string_view file) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  constexpr std::string_view kEnd = "-----END ";
  constexpr std::string_view kDashes = "-----";
  const auto not_a_key = [] {
    return malformed("this is not a private key file (OpenSSH's or PEM)");
  };
  std::string_view rest = trim(file);
  if (!rest.starts_with(kBegin)) {
    return not_a_key();
  }
  rest.remove_prefix(kBegin.size());
  const std::size_t label_len = rest.find(kDashes);
  if (label_len == std::string_view::npos || label_len > 64) {
    return not_a_key();
  }
  Armor armor{.label = rest.substr(0, label_len), .content = {}};
  rest.remove_prefix(label_len + kDashes.size());
  const std::size_t body_len = rest.find(kEnd);
  if (body_len == std::string_view::npos) {
    return malformed("a private key file is cut short");
  }
  const std::string_view body = rest.substr(0, body_len);
  rest.remove_prefix(body_len + kEnd.size());
  if (!rest.starts_with(armor.label) || rest.substr(label_len) != kDashes) {
    return malformed("a private key file does not end after its one key");
  }
  if (armor.label == "ENCRYPTED PRIVATE KEY" || body.find("Proc-Type:") != std::string_view::npos) {
    return encrypted_private_key();
  }
  auto content = decode_secret(body);
  if (!content) {
    return std::unexpected(content.error());
  }
  armor.content = *std::move(content);
  return armor;
}

// PEM: RFC 7468, RFC 5958, RFC 8017 A.1.2, RFC 5915. BoringSSL's own PEM functions would read more
// (headers, ciphers, a passphrase from the terminal) than anybody needs here.

Result<PrivateKey> from_rsa(RsaPtr rsa) {
  PrivateMaterial material;
  material.type = KeyType::kRsa;
  material.rsa = std::move(rsa);
  if (material.rsa == nullptr || RSA_check_key(material.rsa.get()) != 1) {
    return malformed("an RSA private key in PEM is damaged");
  }
  return make_private_key(std::move(material));
}

Result<PrivateKey> from_ec(EcKeyPtr ec) {
  if (ec == nullptr || EC_KEY_check_key(ec.get()) != 1) {
    return malformed("an elliptic curve private key in PEM is damaged");
  }
  PrivateMaterial material;
  const int nid = EC_GROUP_get_curve_name(EC_KEY_get0_group(ec.get()));
  for (const KeyType type : {KeyType::kEcdsaP256, KeyType::kEcdsaP384, KeyType::kEcdsaP521}) {
    if (curve_nid(type) == nid) {
      material.type = type;
      material.ec = std::move(ec);
      return make_private_key(std::move(material));
    }
  }
  return fail(ErrorCode::kUnsupported, "a private key is on a curve that SSH does not use");
}

Result<PrivateKey> from_ed25519(const EVP_PKEY* key) {
  std::array<std::uint8_t, 32> seed;
  std::size_t len = seed.size();
  PrivateMaterial material;
  if (EVP_PKEY_get_raw_private_key(key, seed.data(), &len) != 1 || len != seed.size()) {
    return malformed("an Ed25519 private key in PEM is damaged");
  }
  std::array<std::uint8_t, kEd25519PublicLen> point;
  ED25519_keypair_from_seed(point.data(), material.ed25519.data(), seed.data());
  wipe(seed);
  return make_private_key(std::move(material));
}

Result<PrivateKey> parse_pem_content(std::string_view label, ByteView content) {
  CBS cbs;
  CBS_init(&cbs, content.data(), content.size());
  RsaPtr rsa;
  EcKeyPtr ec;
  bssl::UniquePtr<EVP_PKEY> any;
  if (label == "RSA PRIVATE KEY") {
    rsa.reset(RSA_parse_private_key(&cbs));
  } else if (label == "EC PRIVATE KEY") {
    ec.reset(EC_KEY_parse_private_key(&cbs, nullptr));
  } else if (label == "PRIVATE KEY") {
    any.reset(EVP_parse_private_key(&cbs));
  } else {
    return fail(ErrorCode::kUnsupported, "a PEM file holds something else than a private key");
  }
  if (rsa == nullptr && ec == nullptr && any == nullptr) {
    return malformed("a private key in PEM is damaged or of a type that we do not speak");
  }
  if (CBS_len(&cbs) != 0) {
    return malformed("bytes trail the private key in a PEM file");
  }
  switch (any == nullptr ? EVP_PKEY_NONE : EVP_PKEY_id(any.get())) {
    case EVP_PKEY_NONE: break;
    case EVP_PKEY_RSA: rsa.reset(EVP_PKEY_get1_RSA(any.get())); break;
    case EVP_PKEY_EC: ec.reset(EVP_PKEY_get1_EC_KEY(any.get())); break;
    case EVP_PKEY_ED25519: return from_ed25519(any.get());
    default:
      return fail(ErrorCode::kUnsupported, "a private key is of a type that SSH does not use");
  }
  return rsa != nullptr ? from_rsa(std::move(rsa)) : from_ec(std::move(ec));
}

}  // namespace

Result<PrivateKey> PrivateKey::parse_openssh(ByteView file) {
  if (file.size() > limits::kKeyFileBytesMax) {
    return fail(ErrorCode::kLimit, "a private key file is too long",
                static_cast<std::int64_t>(file.size()));
  }
  auto armor = remove_armor(as_text(file));
  if (!armor) {
    return std::unexpected(armor.error());
  }
  return armor->label == kOpensshKeyLabel ? parse_openssh_content(armor->content)
                                          : parse_pem_content(armor->label, armor->content);
}

}  // namespace bastion::crypto
