// curve25519-sha256 and its first name curve25519-sha256@libssh.org (RFC 8731).

#include <openssl/curve25519.h>

#include "crypto/kex_impl.h"

namespace bastion::crypto::impl {
namespace {

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
  X25519_public_from_private(public_.data(), private_.view().data());
}

Status X25519Key::agree(ByteView peer, MutBytes out) const {
  if (peer.size() != kX25519Len) {
    return bad_value("X25519 value of the wrong length", static_cast<std::int64_t>(peer.size()));
  }
  must(out.size() == kX25519Len);
  if (X25519(out.data(), private_.view().data(), peer.data()) != 1) {
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
