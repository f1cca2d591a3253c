// curve25519-sha256 and its first name curve25519-sha256@libssh.org (RFC 8731).

#if BASTION_HAVE_LIB25519
#include <lib25519.h>
#else
#include <openssl/curve25519.h>
#endif

#include "crypto/kex_impl.h"

namespace bastion::crypto::impl {
namespace {

// lib25519 takes half the time of Debian's BoringSSL here: 5 us for a public value instead of 20,
// 18 us for an agreement instead of 32. Both clamp the private value as RFC 7748 5 says.
#if BASTION_HAVE_LIB25519
static_assert(lib25519_dh_BYTES == kX25519Len);

void public_from_private(MutBytes out, ByteView private_value) {
  lib25519_nG_montgomery25519(out.data(), private_value.data());
}

bool scalar_multiply(MutBytes out, ByteView private_value, ByteView point) {
  constexpr std::array<std::uint8_t, kX25519Len> kZero{};
  lib25519_dh(out.data(), point.data(), private_value.data());
  return !equal_secret(out, kZero);
}
#else
void public_from_private(MutBytes out, ByteView private_value) {
  X25519_public_from_private(out.data(), private_value.data());
}

bool scalar_multiply(MutBytes out, ByteView private_value, ByteView point) {
  return X25519(out.data(), private_value.data(), point.data()) == 1;
}
#endif

class X25519Client final : public KexClient {
 public:
  explicit X25519Client(RandomSource& random)
      : key_(random), public_field_(string_field(key_.public_value())) {}

  const Bytes& public_field() const override { return public_field_; }

  Result<SecretBytes> finish(ByteView server_field) override {
    const auto server_public = read_string_field(server_field, kX25519Len);
    BASTION_TRY(server_public);
    SecretArray<kX25519Len> shared;
    BASTION_TRY(key_.agree(*server_public, shared.bytes()));
    return secret_mpint(shared.view());
  }

 private:
  X25519Key key_;
  Bytes public_field_;
};

}  // namespace

X25519Key::X25519Key(RandomSource& random) {
  random.fill(private_.bytes());
  public_from_private(public_, private_.view());
}

Status X25519Key::agree(ByteView peer, MutBytes out) const {
  if (peer.size() != kX25519Len) {
    return bad_value("X25519 value of the wrong length", static_cast<std::int64_t>(peer.size()));
  }
  must(out.size() == kX25519Len);
  if (!scalar_multiply(out, private_.view(), peer)) {
    return bad_value("X25519 value of small order");
  }
  return {};
}

Result<std::unique_ptr<KexClient>> make_x25519_client(std::string_view /*name*/,
                                                      RandomSource& random) {
  return std::make_unique<X25519Client>(random);
}

Result<KexReply> respond_x25519(std::string_view /*name*/, ByteView client_field,
                                RandomSource& random) {
  const auto client_public = read_string_field(client_field, kX25519Len);
  BASTION_TRY(client_public);
  const X25519Key key(random);
  SecretArray<kX25519Len> shared;
  BASTION_TRY(key.agree(*client_public, shared.bytes()));
  return KexReply{string_field(key.public_value()), secret_mpint(shared.view())};
}

}  // namespace bastion::crypto::impl
