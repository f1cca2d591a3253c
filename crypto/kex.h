#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "crypto/hash.h"

namespace bastion::crypto {

/// KexMethod is one key exchange method name. All of ours are one message each way:
/// SSH_MSG_KEX_ECDH_INIT/REPLY (30/31; RFC 5656 4, RFC 8731), SSH_MSG_KEXDH_INIT/REPLY (RFC 4253
/// 8), SSH_MSG_KEX_HYBRID_INIT/REPLY (draft-ietf-sshm-mlkem-hybrid-kex, OpenSSH's sntrup761).
struct KexMethod {
  std::string_view name;
  HashAlgorithm hash;
  /// legacy methods exist for targets that a policy marks so: kex_respond refuses them.
  bool legacy = false;
};
/// find_kex returns nullptr for a name that we do not have.
const KexMethod* find_kex(std::string_view name);

/// Ephemeral public values travel and are hashed as one RFC 4251 field: `string` for ECDH and
/// hybrids, `mpint` for DH. These types hold the *encoded* field, length prefix included, so that
/// what is hashed is what was on the wire. The shared secret likewise is kept as it enters the
/// exchange hash and the key derivation: an encoded mpint, or for hybrids an encoded string.
struct KexReply {
  Bytes public_field;
  SecretBytes secret_field;
};

/// KexClient is the side that speaks first; one object serves one exchange.
class KexClient {
 public:
  virtual ~KexClient() = default;
  /// public_field is what goes into the INIT message.
  virtual const Bytes& public_field() const = 0;
  /// finish takes the field of the REPLY, checked for exact length and validity (RFC 4253 8 range,
  /// points on the curve, X25519 result not zero, ML-KEM lengths). Errors: kKeyExchange.
  virtual Result<SecretBytes> finish(ByteView server_field) = 0;
};

Result<std::unique_ptr<KexClient>> make_kex_client(const KexMethod& method, RandomSource& random);
/// kex_respond is the server's side at once: checks the INIT's field, makes the ephemeral and the
/// shared secret. Errors: kKeyExchange. `random` gives every private value that the primitives take
/// from outside; the KEMs' libraries draw their own for encapsulation, and sntrup761's for its
/// keys.
Result<KexReply> kex_respond(const KexMethod& method, ByteView client_field, RandomSource& random);

/// ExchangeParts is what the exchange hash is made of (RFC 4253 8, RFC 5656 4). Identification
/// strings without CR LF; KEXINIT payloads from the message number on, as they were on the wire;
/// fields encoded as said above. Views only: nothing is owned.
struct ExchangeParts {
  ByteView client_ident;
  ByteView server_ident;
  ByteView client_kexinit;
  ByteView server_kexinit;
  ByteView host_key_blob;
  ByteView client_field;
  ByteView server_field;
  ByteView secret_field;
};
Digest exchange_hash(HashAlgorithm algorithm, const ExchangeParts& parts);

/// derive_key is RFC 4253 7.2: `letter` 'A'..'F', `len` bytes.
SecretBytes derive_key(HashAlgorithm algorithm, ByteView secret_field, ByteView exchange_hash,
                       char letter, ByteView session_id, std::size_t len);

}  // namespace bastion::crypto
