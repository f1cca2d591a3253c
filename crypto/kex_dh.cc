// diffie-hellman-group14-sha256, -group16-sha512 (RFC 8268) and, for legacy targets only,
// -group14-sha1 (RFC 4253 8.1), in the MODP groups of RFC 3526.

#include <openssl/bn.h>
#include <openssl/dh.h>

#include "crypto/kex_impl.h"

namespace bastion::crypto::impl {
namespace {

constexpr unsigned long kGenerator = 2;
constexpr std::size_t kModulusLenMax = 512;
constexpr std::size_t kExponentLenMax = 64;

// A private exponent needs twice the bits of the group's strength (NIST SP 800-56A 5.6.1.1.1):
// 2 x 112 for the 2048-bit group, 2 x 152 for the 4096-bit one. Both are rounded up with a margin,
// since a method's hash promises more than the group.
struct Group {
  std::string_view name;
  BIGNUM* (*prime)(BIGNUM*);
  std::size_t modulus_len;
  std::size_t exponent_len;
};
constexpr Group kGroups[] = {
    {"diffie-hellman-group14-sha256", BN_get_rfc3526_prime_2048, 256, 32},
    {"diffie-hellman-group16-sha512", BN_get_rfc3526_prime_4096, 512, 64},
    {"diffie-hellman-group14-sha1", BN_get_rfc3526_prime_2048, 256, 32},
};

class DhKey {
 public:
  // Errors: kInternal.
  static Result<DhKey> generate(std::string_view name, RandomSource& random);

  const Bytes& public_field() const { return public_field_; }
  // agree takes the peer's value as an encoded mpint and gives the shared secret as one.
  Result<SecretBytes> agree(ByteView peer_field) const;

 private:
  explicit DhKey(const Group& group)
      : group_(&group), prime_(group.prime(nullptr)), context_(BN_CTX_new()), private_(BN_new()) {}
  bool init(RandomSource& random);
  // power computes base^private mod p in a time that depends on no secret.
  bool power(BIGNUM* out, const BIGNUM* base) const {
    return BN_mod_exp_mont_consttime(out, base, private_.get(), prime_.get(), context_.get(),
                                     montgomery_.get()) == 1;
  }

  const Group* group_;
  bssl::UniquePtr<BIGNUM> prime_;
  bssl::UniquePtr<BN_CTX> context_;
  bssl::UniquePtr<BN_MONT_CTX> montgomery_;
  bssl::UniquePtr<BIGNUM> private_;  // BoringSSL wipes what it frees
  Bytes public_field_;
};

bool DhKey::init(RandomSource& random) {
  if (prime_ == nullptr || context_ == nullptr || private_ == nullptr) {
    return false;
  }
  montgomery_.reset(BN_MONT_CTX_new_for_modulus(prime_.get(), context_.get()));
  SecretArray<kExponentLenMax> exponent;
  const MutBytes bytes = exponent.bytes().first(group_->exponent_len);
  random.fill(bytes);
  // The top bit fixes the exponent's length, and keeps it from being 0 or 1.
  bytes[0] |= 0x80;
  const bssl::UniquePtr<BIGNUM> generator(BN_new());
  const bssl::UniquePtr<BIGNUM> value(BN_new());
  std::array<std::uint8_t, kModulusLenMax> encoded{};
  const MutBytes out = MutBytes(encoded).first(group_->modulus_len);
  if (montgomery_ == nullptr || generator == nullptr || value == nullptr ||
      BN_bin2bn(bytes.data(), bytes.size(), private_.get()) == nullptr ||
      BN_set_word(generator.get(), kGenerator) != 1 || !power(value.get(), generator.get()) ||
      BN_bn2bin_padded(out.data(), out.size(), value.get()) != 1) {
    return false;
  }
  public_field_ = Writer().mpint(out).take();
  return true;
}

Result<DhKey> DhKey::generate(std::string_view name, RandomSource& random) {
  const auto* group = std::ranges::find(kGroups, name, &Group::name);
  must(group != std::end(kGroups));
  DhKey key(*group);
  if (!key.init(random)) {
    return fail(ErrorCode::kInternal, "no ephemeral Diffie-Hellman key");
  }
  return key;
}

Result<SecretBytes> DhKey::agree(ByteView peer_field) const {
  Reader reader(peer_field);
  const ByteView magnitude = reader.mpint();
  if (!reader.done()) {
    return bad_value("Diffie-Hellman value is not one positive mpint");
  }
  if (magnitude.size() > group_->modulus_len) {
    return bad_value("Diffie-Hellman value longer than the modulus",
                     static_cast<std::int64_t>(magnitude.size()));
  }
  const bssl::UniquePtr<BIGNUM> peer(BN_bin2bn(magnitude.data(), magnitude.size(), nullptr));
  const bssl::UniquePtr<BIGNUM> limit(BN_dup(prime_.get()));
  const bssl::UniquePtr<BIGNUM> shared(BN_new());
  if (peer == nullptr || limit == nullptr || shared == nullptr ||
      BN_sub_word(limit.get(), 1) != 1) {
    return fail(ErrorCode::kInternal, "no memory for a Diffie-Hellman agreement");
  }
  // 1 < e < p - 1: RFC 4253 8 demands [1, p - 1]; its ends generate groups of one and two elements.
  if (BN_cmp(peer.get(), BN_value_one()) <= 0 || BN_cmp(peer.get(), limit.get()) >= 0) {
    return bad_value("Diffie-Hellman value out of range");
  }
  SecretArray<kModulusLenMax> bytes;
  const MutBytes out = bytes.bytes().first(group_->modulus_len);
  if (!power(shared.get(), peer.get()) ||
      BN_bn2bin_padded(out.data(), out.size(), shared.get()) != 1) {
    return fail(ErrorCode::kInternal, "Diffie-Hellman agreement failed");
  }
  return secret_mpint(out);
}

class DhClient final : public KexClient {
 public:
  explicit DhClient(DhKey key) : key_(std::move(key)) {}
  const Bytes& public_field() const override { return key_.public_field(); }
  Result<SecretBytes> finish(ByteView server_field) override { return key_.agree(server_field); }

 private:
  DhKey key_;
};

}  // namespace

Result<std::unique_ptr<KexClient>> make_dh_client(std::string_view name, RandomSource& random) {
  auto key = DhKey::generate(name, random);
  if (!key) {
    return std::unexpected(key.error());
  }
  return std::make_unique<DhClient>(std::move(*key));
}

Result<KexReply> respond_dh(std::string_view name, ByteView client_field, RandomSource& random) {
  auto key = DhKey::generate(name, random);
  if (!key) {
    return std::unexpected(key.error());
  }
  auto secret = key->agree(client_field);
  if (!secret) {
    return std::unexpected(secret.error());
  }
  return KexReply{key->public_field(), std::move(*secret)};
}

}  // namespace bastion::crypto::impl
