#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <bit>

#include "base/limits.h"
#include "base/wire.h"
#include "crypto/key_material.h"

namespace bastion::crypto {

static_assert(kRsaBytesMax == limits::kRsaBitsMax / 8);

void RsaFree::operator()(rsa_st* rsa) const { RSA_free(rsa); }
void EcKeyFree::operator()(ec_key_st* key) const { EC_KEY_free(key); }

namespace {

/// The FIDO application ("ssh:" and what the user added): a relying party's name, so a host's.
constexpr std::size_t kSkApplicationLenMax = 255;
/// RSA exponents: BoringSSL computes with at most 33 bits, which has room for all in use (3, 17,
/// 35, 65537) and bounds the time of a verification (CVE-2026-39829).
constexpr std::size_t kRsaExponentBitsMax = 33;

std::size_t num_bits(ByteView magnitude) {
  std::size_t bits = 8 * magnitude.size();
  if (!magnitude.empty()) {
    bits -= static_cast<std::size_t>(std::countl_zero(magnitude[0]));
  }
  return bits;
}

/// The y coordinates (little-endian, without the sign of x) of the eight points of small order.
/// Under such a key one signature fits many messages, so no honest key is one.
constexpr std::array<std::array<std::uint8_t, kEd25519PublicLen>, 5> kSmallOrder = {{
    {0x00},
    {0x01},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
}};

/// is_canonical_y: below 2^255 - 19 (RFC 8032 5.1.3).
bool is_canonical_y(const std::array<std::uint8_t, kEd25519PublicLen>& y) {
  const bool all_ones =
      std::all_of(y.begin() + 1, y.end() - 1, [](std::uint8_t b) { return b == 0xff; });
  return !(y[31] == 0x7f && all_ones && y[0] >= 0xed);
}

Status load_ed25519(ByteView point, PublicMaterial& out) {
  if (point.size() != kEd25519PublicLen) {
    return fail(ErrorCode::kMalformed, "an Ed25519 key is not 32 bytes long",
                static_cast<std::int64_t>(point.size()));
  }
  std::ranges::copy(point, out.ed25519.begin());
  auto y = out.ed25519;
  y[31] &= 0x7f;
  if (!is_canonical_y(y) || std::ranges::find(kSmallOrder, y) != kSmallOrder.end()) {
    return fail(ErrorCode::kMalformed, "an Ed25519 key is a point of small order or not canonical");
  }
  out.bits = 256;
  return {};
}

Status load_rsa(ByteView e, ByteView n, PublicMaterial& out) {
  const std::size_t bits = num_bits(n);
  if (bits < limits::kRsaBitsMin || bits > limits::kRsaBitsMax) {
    return fail(ErrorCode::kMalformed, "an RSA key has too few or too many bits",
                static_cast<std::int64_t>(bits));
  }
  if ((n.back() & 1) == 0) {
    return fail(ErrorCode::kMalformed, "an RSA modulus is even");
  }
  const std::size_t exponent_bits = num_bits(e);
  if (exponent_bits < 2 || exponent_bits > kRsaExponentBitsMax || (e.back() & 1) == 0) {
    return fail(ErrorCode::kMalformed, "an RSA exponent is even, below 3 or above 33 bits",
                static_cast<std::int64_t>(exponent_bits));
  }
  bssl::UniquePtr<BIGNUM> modulus(BN_bin2bn(n.data(), n.size(), nullptr));
  bssl::UniquePtr<BIGNUM> exponent(BN_bin2bn(e.data(), e.size(), nullptr));
  RsaPtr rsa(RSA_new());
  if (modulus == nullptr || exponent == nullptr || rsa == nullptr ||
      RSA_set0_key(rsa.get(), modulus.get(), exponent.get(), nullptr) != 1) {
    return fail(ErrorCode::kInternal, "an RSA key cannot be set up");
  }
  static_cast<void>(modulus.release());  // the key owns both now
  static_cast<void>(exponent.release());
  out.rsa = std::move(rsa);
  out.bits = static_cast<std::uint32_t>(bits);
  return {};
}

Status load_ecdsa(KeyType type, std::string_view curve, ByteView point, PublicMaterial& out) {
  if (curve != curve_name(type)) {
    return fail(ErrorCode::kMalformed, "an ECDSA key names another curve than its type");
  }
  EcKeyPtr key(EC_KEY_new_by_curve_name(curve_nid(type)));
  if (key == nullptr) {
    return fail(ErrorCode::kInternal, "an elliptic curve cannot be set up");
  }
  const EC_GROUP* const group = EC_KEY_get0_group(key.get());
  out.bits = EC_GROUP_get_degree(group);
  // RFC 5656 3.1 allows compressed points where both agree on it; nobody does, and one key must
  // have one blob.
  const std::size_t field_len = (out.bits + 7) / 8;
  if (point.size() != 1 + 2 * field_len || point[0] != POINT_CONVERSION_UNCOMPRESSED) {
    return fail(ErrorCode::kMalformed, "an ECDSA key is not an uncompressed point of its curve",
                static_cast<std::int64_t>(point.size()));
  }
  // The curves have prime order: on the curve and not infinity (which has no such encoding) is all
  // that a valid point needs.
  if (EC_KEY_oct2key(key.get(), point.data(), point.size(), nullptr) != 1) {
    return fail(ErrorCode::kMalformed, "an ECDSA key is not a point on its curve");
  }
  out.ec = std::move(key);
  return {};
}

Status load_application(std::string_view application, PublicMaterial& out) {
  if (application.empty() || application.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::kMalformed, "the application of a FIDO key is empty or holds a NUL");
  }
  out.application = hash(HashAlgorithm::kSha256, as_bytes(application));
  return {};
}

/// load reads the fields behind the type's name.
Status load(KeyType type, Reader& reader, PublicMaterial& out) {
  switch (type) {
    case KeyType::kEd25519: return load_ed25519(reader.string(), out);
    case KeyType::kRsa: {
      const ByteView e = reader.mpint();
      const ByteView n = reader.mpint();
      return load_rsa(e, n, out);
    }
    case KeyType::kEcdsaP256:
    case KeyType::kEcdsaP384:
    case KeyType::kEcdsaP521: {
      const std::string_view curve = reader.text();
      return load_ecdsa(type, curve, reader.string(), out);
    }
    case KeyType::kSkEd25519: {
      BASTION_TRY(load_ed25519(reader.string(), out));
      return load_application(reader.text(kSkApplicationLenMax), out);
    }
    case KeyType::kSkEcdsaP256: {
      const std::string_view curve = reader.text();
      BASTION_TRY(load_ecdsa(type, curve, reader.string(), out));
      return load_application(reader.text(kSkApplicationLenMax), out);
    }
  }
  return fail(ErrorCode::kInternal, "a key type is unknown");
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// next_word takes a word off the front of `line`, blanks around it included.
std::string_view next_word(std::string_view& line) {
  const auto* const begin = std::ranges::find_if_not(line, is_blank);
  const auto* const end = std::find_if(begin, line.end(), is_blank);
  const std::string_view word(begin, end);
  line = std::string_view(std::find_if_not(end, line.end(), is_blank), line.end());
  return word;
}

}  // namespace

Result<PublicKey> PublicKey::parse(ByteView blob) {
  if (blob.size() > limits::kKeyBlobBytesMax) {
    return fail(ErrorCode::kLimit, "a public key is too long",
                static_cast<std::int64_t>(blob.size()));
  }
  Reader reader(blob);
  const std::string_view name = reader.text();
  if (!reader.ok()) {
    return fail(ErrorCode::kMalformed, "a public key is cut short");
  }
  const auto type = find_key_type(name);
  if (!type) {
    return find_certificate_type(name)
               ? fail(ErrorCode::kUnsupported, "a certificate stands where a plain key must")
               : fail(ErrorCode::kUnsupported, "a public key is of a type that we do not speak");
  }
  auto material = std::make_shared<PublicMaterial>();
  const Status loaded = load(*type, reader, *material);
  if (!reader.ok()) {
    return fail(ErrorCode::kMalformed, "a public key is cut short or a number in it not minimal");
  }
  BASTION_TRY(loaded);
  if (!reader.done()) {
    return fail(ErrorCode::kMalformed, "bytes trail a public key",
                static_cast<std::int64_t>(reader.rest().size()));
  }
  PublicKey key;
  key.type_ = *type;
  key.blob_ = to_bytes(blob);
  key.material_ = std::move(material);
  return key;
}

Result<PublicKey> PublicKey::parse_line(std::string_view line) {
  if (line.ends_with('\n')) {
    line.remove_suffix(1);
  }
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  if (line.find_first_of(std::string_view("\n\r\0", 3)) != std::string_view::npos) {
    return fail(ErrorCode::kMalformed, "a public key is not on one line");
  }
  const std::string_view name = next_word(line);
  const std::string_view base64 = next_word(line);
  if (!find_key_type(name)) {
    return find_certificate_type(name)
               ? fail(ErrorCode::kUnsupported, "a certificate stands where a plain key must")
               : fail(ErrorCode::kUnsupported,
                      "a public key line does not begin with a key type that we speak");
  }
  auto blob = base64_decode(base64);
  if (!blob || blob->empty()) {
    return fail(ErrorCode::kMalformed, "the base64 of a public key line is wrong");
  }
  auto key = parse(*blob);
  if (key && key->type_name() != name) {
    return fail(ErrorCode::kMalformed, "a public key line names another type than its key has");
  }
  return key;
}

std::string PublicKey::fingerprint() const {
  std::string text = base64_encode(hash(HashAlgorithm::kSha256, blob_).view());
  while (text.ends_with('=')) {
    text.pop_back();
  }
  return "SHA256:" + text;
}

std::string PublicKey::line() const {
  return std::string(type_name()) + ' ' + base64_encode(blob_);
}

std::uint32_t PublicKey::bits() const { return material_ == nullptr ? 0 : material_->bits; }

}  // namespace bastion::crypto
