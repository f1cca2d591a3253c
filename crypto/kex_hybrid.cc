// mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex) and sntrup761x25519-sha512, also under
// its first name with @openssh.com (draft-ietf-sshm-ntruprime-ssh). The client's field is its KEM
// public key and its X25519 value, the server's the ciphertext and its X25519 value; the shared
// secret is string(HASH(KEM secret || X25519 secret)) with the method's own hash.

#include "crypto/kem.h"
#include "crypto/kex_impl.h"

namespace bastion::crypto::impl {
namespace {

const Kem& kem_of(std::string_view name) {
  return name.starts_with("mlkem768") ? ml_kem_768() : sntrup761();
}

HashAlgorithm hash_of(std::string_view name) {
  const KexMethod* method = find_kex(name);
  must(method != nullptr);
  return method->hash;
}

// Both secrets side by side, as they are hashed.
class HybridSecret {
 public:
  MutBytes kem() { return both_.bytes().first(Kem::kSecretLen); }
  MutBytes x25519() { return both_.bytes().last(kX25519Len); }
  SecretBytes field(HashAlgorithm algorithm) const {
    Digest digest = hash(algorithm, both_.view());
    SecretBytes encoded = secret_string(digest.view());
    wipe(digest.data);
    return encoded;
  }

 private:
  SecretArray<Kem::kSecretLen + kX25519Len> both_;
};

class HybridClient final : public KexClient {
 public:
  HybridClient(std::string_view name, RandomSource& random)
      : kem_(kem_of(name)), hash_(hash_of(name)), x25519_(random) {}

  bool init(RandomSource& random) {
    Bytes value(kem_.public_len());
    if (!kem_.keypair(random, value, kem_private_)) {
      return false;
    }
    const ByteView x25519_public = x25519_.public_value();
    value.insert(value.end(), x25519_public.begin(), x25519_public.end());
    public_field_ = string_field(value);
    return true;
  }

  const Bytes& public_field() const override { return public_field_; }

  Result<SecretBytes> finish(ByteView server_field) override {
    const auto value = read_string_field(server_field, kem_.ciphertext_len() + kX25519Len);
    BASTION_TRY(value);
    HybridSecret secret;
    BASTION_TRY(x25519_.agree(value->last(kX25519Len), secret.x25519()));
    if (!kem_.decapsulate(kem_private_, value->first(kem_.ciphertext_len()), secret.kem())) {
      return bad_value("KEM ciphertext cannot be decapsulated");
    }
    return secret.field(hash_);
  }

 private:
  const Kem& kem_;
  HashAlgorithm hash_;
  X25519Key x25519_;
  SecretBytes kem_private_;
  Bytes public_field_;
};

}  // namespace

Result<std::unique_ptr<KexClient>> make_hybrid_client(std::string_view name, RandomSource& random) {
  auto client = std::make_unique<HybridClient>(name, random);
  if (!client->init(random)) {
    return fail(ErrorCode::kInternal, "no ephemeral KEM key");
  }
  return client;
}

Result<KexReply> respond_hybrid(std::string_view name, ByteView client_field,
                                RandomSource& random) {
  const Kem& kem = kem_of(name);
  const auto value = read_string_field(client_field, kem.public_len() + kX25519Len);
  BASTION_TRY(value);
  // The cheap check first: what fails it costs no encapsulation.
  const X25519Key x25519(random);
  HybridSecret secret;
  BASTION_TRY(x25519.agree(value->last(kX25519Len), secret.x25519()));
  Bytes answer(kem.ciphertext_len());
  if (!kem.encapsulate(value->first(kem.public_len()), answer, secret.kem())) {
    return bad_value("KEM public key is not one");
  }
  const ByteView x25519_public = x25519.public_value();
  answer.insert(answer.end(), x25519_public.begin(), x25519_public.end());
  return KexReply{string_field(answer), secret.field(hash_of(name))};
}

}  // namespace bastion::crypto::impl
