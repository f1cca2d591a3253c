#include "tests/support/sk_key.h"

#include "base/wire.h"

namespace bastion::test {

using crypto::KeyType;

namespace {

crypto::PublicKey wrap(const crypto::PrivateKey& inner, KeyType type,
                       std::string_view application) {
  Reader fields(inner.public_key().blob());
  fields.string();  // the plain type's name
  Writer blob;
  blob.text(crypto::key_type_name(type)).bytes(fields.rest()).text(application);
  return crypto::PublicKey::parse(blob.view()).value();
}

}  // namespace

SkKey::SkKey(KeyType type, std::string_view application)
    : inner_(crypto::PrivateKey::generate(type == KeyType::kSkEd25519 ? KeyType::kEd25519
                                                                      : KeyType::kEcdsaP256)
                 .value()),
      application_(application),
      public_key_(wrap(inner_, type, application)) {}

const crypto::SignatureAlgorithm& SkKey::algorithm() const {
  return *crypto::pick_signature_algorithms(public_key_.type()).front();
}

Bytes SkKey::sign(ByteView data, std::uint8_t flags) {
  ++counter_;
  return sign_stating(data, flags, counter_, flags, counter_);
}

Bytes SkKey::sign_stating(ByteView data, std::uint8_t signed_flags, std::uint32_t signed_counter,
                          std::uint8_t stated_flags, std::uint32_t stated_counter) const {
  using crypto::HashAlgorithm;
  Writer assertion;
  assertion.bytes(crypto::hash(HashAlgorithm::kSha256, as_bytes(application_)).view());
  assertion.u8(signed_flags).u32(signed_counter);
  assertion.bytes(crypto::hash(HashAlgorithm::kSha256, data).view());
  const auto& plain = *crypto::pick_signature_algorithms(inner_.public_key().type()).front();
  const Bytes inner_signature = inner_.sign(plain, assertion.view()).value();

  Reader reader(inner_signature);
  reader.string();  // the plain algorithm's name
  Writer signature;
  signature.text(algorithm().signature_name).string(reader.string());
  signature.u8(stated_flags).u32(stated_counter);
  return signature.take();
}

}  // namespace bastion::test
