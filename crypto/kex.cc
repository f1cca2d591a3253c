#include "crypto/kex.h"

#include "crypto/kex_impl.h"

namespace bastion::crypto {
namespace impl {

Result<ByteView> read_string_field(ByteView field, std::size_t len) {
  Reader reader(field);
  const ByteView value = reader.string();
  if (!reader.done()) {
    return bad_value("key exchange value is not one string");
  }
  if (value.size() != len) {
    return bad_value("key exchange value of the wrong length",
                     static_cast<std::int64_t>(value.size()));
  }
  return value;
}

SecretBytes secret_mpint(ByteView magnitude) { return SecretWriter().mpint(magnitude).take(); }
SecretBytes secret_string(ByteView value) { return SecretWriter().string(value).take(); }

}  // namespace impl

namespace {

struct Entry {
  KexMethod method;
  impl::MakeClient make_client;
  impl::Respond respond;
};

constexpr Entry kMethods[] = {
    {{"mlkem768x25519-sha256", HashAlgorithm::kSha256},
     impl::make_hybrid_client,
     impl::respond_hybrid},
    {{"sntrup761x25519-sha512", HashAlgorithm::kSha512},
     impl::make_hybrid_client,
     impl::respond_hybrid},
    {{"sntrup761x25519-sha512@openssh.com", HashAlgorithm::kSha512},
     impl::make_hybrid_client,
     impl::respond_hybrid},
    {{"curve25519-sha256", HashAlgorithm::kSha256}, impl::make_x25519_client, impl::respond_x25519},
    {{"curve25519-sha256@libssh.org", HashAlgorithm::kSha256},
     impl::make_x25519_client,
     impl::respond_x25519},
    {{"ecdh-sha2-nistp256", HashAlgorithm::kSha256}, impl::make_ecdh_client, impl::respond_ecdh},
    {{"ecdh-sha2-nistp384", HashAlgorithm::kSha384}, impl::make_ecdh_client, impl::respond_ecdh},
    {{"ecdh-sha2-nistp521", HashAlgorithm::kSha512}, impl::make_ecdh_client, impl::respond_ecdh},
    {{"diffie-hellman-group16-sha512", HashAlgorithm::kSha512},
     impl::make_dh_client,
     impl::respond_dh},
    {{"diffie-hellman-group14-sha256", HashAlgorithm::kSha256},
     impl::make_dh_client,
     impl::respond_dh},
    {{"diffie-hellman-group14-sha1", HashAlgorithm::kSha1, true},
     impl::make_dh_client,
     impl::respond_dh},
};

const Entry* find_entry(std::string_view name) {
  for (const Entry& entry : kMethods) {
    if (entry.method.name == name) {
      return &entry;
    }
  }
  return nullptr;
}

}  // namespace

const KexMethod* find_kex(std::string_view name) {
  const Entry* entry = find_entry(name);
  return entry != nullptr ? &entry->method : nullptr;
}

Result<std::unique_ptr<KexClient>> make_kex_client(const KexMethod& method, RandomSource& random) {
  const Entry* entry = find_entry(method.name);
  if (entry == nullptr) {
    return fail(ErrorCode::kUnsupported, "no such key exchange method");
  }
  return entry->make_client(method.name, random);
}

Result<KexReply> kex_respond(const KexMethod& method, ByteView client_field, RandomSource& random) {
  const Entry* entry = find_entry(method.name);
  if (entry == nullptr || entry->method.legacy) {
    return fail(ErrorCode::kUnsupported, "no such key exchange method for a server");
  }
  return entry->respond(method.name, client_field, random);
}

Digest exchange_hash(HashAlgorithm algorithm, const ExchangeParts& parts) {
  Hash h(algorithm);
  h.update_string(parts.client_ident);
  h.update_string(parts.server_ident);
  h.update_string(parts.client_kexinit);
  h.update_string(parts.server_kexinit);
  h.update_string(parts.host_key_blob);
  h.update(parts.client_field);
  h.update(parts.server_field);
  h.update(parts.secret_field);
  return h.finish();
}

SecretBytes derive_key(HashAlgorithm algorithm, ByteView secret_field, ByteView exchange_hash,
                       char letter, ByteView session_id, std::size_t len) {
  Hash common(algorithm);
  common.update(secret_field);
  common.update(exchange_hash);

  // K1 = HASH(K || H || letter || session_id), Kn = HASH(K || H || K1 || … || Kn-1).
  SecretBytes key;
  key.reserve(len + kHashBytesMax);
  while (key.size() < len) {
    Hash h = common;
    if (key.empty()) {
      h.update(as_bytes({&letter, 1}));
      h.update(session_id);
    } else {
      h.update(key);
    }
    Digest block = h.finish();
    key.insert(key.end(), block.data.begin(), block.data.begin() + static_cast<long>(block.len));
    wipe(block.data);
  }
  key.resize(len);
  return key;
}

}  // namespace bastion::crypto
