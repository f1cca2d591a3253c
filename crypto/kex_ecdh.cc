// ecdh-sha2-nistp256, -nistp384 and -nistp521 (RFC 5656 4).

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/nid.h>

#include "crypto/kex_impl.h"

namespace bastion::crypto::impl {
namespace {

constexpr std::size_t kFieldLenMax = 66;
constexpr std::size_t kPointLenMax = 1 + 2 * kFieldLenMax;
constexpr std::uint8_t kUncompressed = 0x04;  // SEC 1 2.3.3

struct Curve {
  std::string_view name;
  int nid;
  std::size_t field_len;
  std::uint8_t top_byte_mask;  // the bits of a scalar's first byte that the group order has
};
constexpr Curve kCurves[] = {
    {"ecdh-sha2-nistp256", NID_X9_62_prime256v1, 32, 0xff},
    {"ecdh-sha2-nistp384", NID_secp384r1, 48, 0xff},
    {"ecdh-sha2-nistp521", NID_secp521r1, 66, 0x01},
};

// EcdhKey is one ephemeral key pair on one of the curves.
class EcdhKey {
 public:
  // Errors: kInternal.
  static Result<EcdhKey> generate(std::string_view name, RandomSource& random);

  ByteView public_point() const { return {public_.data(), point_len()}; }
  // agree computes the shared x coordinate as an encoded mpint.
  Result<SecretBytes> agree(ByteView peer_point) const;

 private:
  explicit EcdhKey(const Curve& curve)
      : curve_(&curve), group_(EC_GROUP_new_by_curve_name(curve.nid)), private_(BN_new()) {}
  std::size_t point_len() const { return 1 + 2 * curve_->field_len; }
  bool draw_scalar(RandomSource& random);
  bool compute_public();

  const Curve* curve_;
  bssl::UniquePtr<EC_GROUP> group_;
  bssl::UniquePtr<BIGNUM> private_;  // BoringSSL wipes what it frees
  std::array<std::uint8_t, kPointLenMax> public_{};
};

// draw_scalar draws until the scalar lies in [1, order - 1] (FIPS 186-5 A.2.2). The order of each
// curve is so near its power of two that a second draw is rare; a broken source ends the loop.
bool EcdhKey::draw_scalar(RandomSource& random) {
  const BIGNUM* order = EC_GROUP_get0_order(group_.get());
  SecretArray<kFieldLenMax> scalar;
  const MutBytes bytes = scalar.bytes().first(curve_->field_len);
  for (int tries = 0; tries < 64; ++tries) {
    random.fill(bytes);
    bytes[0] &= curve_->top_byte_mask;
    if (BN_bin2bn(bytes.data(), bytes.size(), private_.get()) == nullptr) {
      return false;
    }
    if (!BN_is_zero(private_.get()) && BN_cmp(private_.get(), order) < 0) {
      return true;
    }
  }
  return false;
}

bool EcdhKey::compute_public() {
  const bssl::UniquePtr<EC_POINT> point(EC_POINT_new(group_.get()));
  return point != nullptr &&
         EC_POINT_mul(group_.get(), point.get(), private_.get(), nullptr, nullptr, nullptr) == 1 &&
         EC_POINT_point2oct(group_.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED,
                            public_.data(), point_len(), nullptr) == point_len();
}

Result<EcdhKey> EcdhKey::generate(std::string_view name, RandomSource& random) {
  const auto* curve = std::ranges::find(kCurves, name, &Curve::name);
  must(curve != std::end(kCurves));
  EcdhKey key(*curve);
  if (key.group_ == nullptr || key.private_ == nullptr || !key.draw_scalar(random) ||
      !key.compute_public()) {
    return fail(ErrorCode::kInternal, "no ephemeral ECDH key");
  }
  return key;
}

Result<SecretBytes> EcdhKey::agree(ByteView peer_point) const {
  // Compressed points and the one byte of infinity are refused here; what is off the curve by
  // EC_POINT_oct2point. The cofactor is 1, so every other point has the group's order.
  if (peer_point.size() != point_len() || peer_point[0] != kUncompressed) {
    return bad_value("ECDH value is not an uncompressed point",
                     static_cast<std::int64_t>(peer_point.size()));
  }
  const bssl::UniquePtr<EC_POINT> peer(EC_POINT_new(group_.get()));
  const bssl::UniquePtr<EC_POINT> shared(EC_POINT_new(group_.get()));
  const bssl::UniquePtr<BIGNUM> x(BN_new());
  if (peer == nullptr || shared == nullptr || x == nullptr) {
    return fail(ErrorCode::kInternal, "no memory for an ECDH agreement");
  }
  if (EC_POINT_oct2point(group_.get(), peer.get(), peer_point.data(), peer_point.size(), nullptr) !=
          1 ||
      EC_POINT_is_at_infinity(group_.get(), peer.get()) != 0) {
    return bad_value("ECDH value is not a point of the curve");
  }
  SecretArray<kFieldLenMax> coordinate;
  const MutBytes bytes = coordinate.bytes().first(curve_->field_len);
  if (EC_POINT_mul(group_.get(), shared.get(), nullptr, peer.get(), private_.get(), nullptr) != 1 ||
      EC_POINT_get_affine_coordinates_GFp(group_.get(), shared.get(), x.get(), nullptr, nullptr) !=
          1 ||
      BN_bn2bin_padded(bytes.data(), bytes.size(), x.get()) != 1) {
    return bad_value("ECDH agreement failed");
  }
  return secret_mpint(bytes);
}

class EcdhClient final : public KexClient {
 public:
  explicit EcdhClient(EcdhKey key)
      : key_(std::move(key)), public_field_(string_field(key_.public_point())) {}

  const Bytes& public_field() const override { return public_field_; }

  Result<SecretBytes> finish(ByteView server_field) override {
    const auto point = read_string_field(server_field, key_.public_point().size());
    BASTION_TRY(point);
    return key_.agree(*point);
  }

 private:
  EcdhKey key_;
  Bytes public_field_;
};

}  // namespace

Result<std::unique_ptr<KexClient>> make_ecdh_client(std::string_view name, RandomSource& random) {
  auto key = EcdhKey::generate(name, random);
  if (!key) {
    return std::unexpected(key.error());
  }
  return std::make_unique<EcdhClient>(std::move(*key));
}

Result<KexReply> respond_ecdh(std::string_view name, ByteView client_field, RandomSource& random) {
  auto key = EcdhKey::generate(name, random);
  if (!key) {
    return std::unexpected(key.error());
  }
  const auto point = read_string_field(client_field, key->public_point().size());
  BASTION_TRY(point);
  auto secret = key->agree(*point);
  if (!secret) {
    return std::unexpected(secret.error());
  }
  return KexReply{string_field(key->public_point()), std::move(*secret)};
}

}  // namespace bastion::crypto::impl
