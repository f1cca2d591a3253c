#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "crypto/hash.h"

namespace bastion::crypto {

enum class KeyType : std::uint8_t {
  kEd25519,
  kRsa,
  kEcdsaP256,
  kEcdsaP384,
  kEcdsaP521,
  kSkEd25519,    // sk-ssh-ed25519@openssh.com (PROTOCOL.u2f)
  kSkEcdsaP256,  // sk-ecdsa-sha2-nistp256@openssh.com
};

/// key_type_name: "ssh-ed25519", "ssh-rsa", … as in a public key blob.
std::string_view key_type_name(KeyType type);

/// SignatureAlgorithm is a public key algorithm name as it stands in USERAUTH_REQUEST, in
/// server_host_key_algorithms and in server-sig-algs: which key it needs, whether it stands for a
/// certificate, and the name inside the signature blob ("rsa-sha2-512" for
/// "rsa-sha2-512-cert-v01@openssh.com"). Only a key of exactly `key_type` ever matches.
struct SignatureAlgorithm {
  std::string_view name;
  KeyType key_type;
  bool certificate;
  std::string_view signature_name;
  bool legacy;  // ssh-rsa with SHA-1: verified only for targets that a policy marks so
};
const SignatureAlgorithm* find_signature_algorithm(std::string_view name);

/// What a FIDO authenticator said in a signature (PROTOCOL.u2f): user presence and verification.
struct SkFlags {
  bool user_present = false;
  bool user_verified = false;
  std::uint32_t counter = 0;
};

/// PublicKey is a parsed, checked plain key (never a certificate). Copyable, cheap to move.
class PublicKey {
 public:
  /// parse takes a public key blob (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4, PROTOCOL.u2f), whole:
  /// trailing bytes, points off the curve, RSA sizes outside limits, even or huge exponents are
  /// kMalformed; certificates and unknown types kUnsupported. `blob` is copied.
  static Result<PublicKey> parse(ByteView blob);
  /// parse_line takes "ssh-ed25519 AAAA… comment" (authorized_keys format without options).
  static Result<PublicKey> parse_line(std::string_view line);

  KeyType type() const { return type_; }
  const Bytes& blob() const { return blob_; }
  std::string_view type_name() const { return key_type_name(type_); }
  /// "SHA256:…" as ssh-keygen -l prints.
  std::string fingerprint() const;
  /// "ssh-ed25519 AAAA…", without a comment.
  std::string line() const;
  std::uint32_t bits() const;

  /// verify checks a signature blob over `data` under exactly the algorithm given (its key_type
  /// must be this key's, the name inside the blob must be its signature_name, no byte may trail).
  /// For sk keys `out_flags` receives what the authenticator stated and whether presence is enough
  /// is the caller's decision. Errors: kAuth (wrong), kMalformed, kUnsupported. Only a true success
  /// returns without error.
  [[nodiscard]] Status verify(const SignatureAlgorithm& algorithm, ByteView data,
                              ByteView signature_blob, SkFlags* out_flags = nullptr) const;

  friend bool operator==(const PublicKey& a, const PublicKey& b) { return a.blob_ == b.blob_; }

 private:
  struct Material;
  KeyType type_ = KeyType::kEd25519;
  Bytes blob_;
  std::shared_ptr<const Material> material_;
};

/// PrivateKey signs. Its memory is wiped when the last copy goes. sk keys cannot be private keys here.
class PrivateKey {
 public:
  static Result<PrivateKey> generate(KeyType type, std::uint32_t rsa_bits = 3072);
  /// parse_openssh takes a "-----BEGIN OPENSSH PRIVATE KEY-----" file, unencrypted (PROTOCOL.key);
  /// PEM and PKCS#8 keys too. An encrypted one is kUnsupported with a text that says the cure.
  static Result<PrivateKey> parse_openssh(ByteView file);
  /// to_openssh writes such a file, comment included.
  SecretBytes to_openssh(std::string_view comment) const;

  const PublicKey& public_key() const { return public_key_; }
  /// sign gives a signature blob (RFC 4253 6.6). Errors: kUnsupported where the algorithm does not
  /// fit the key; kInternal.
  Result<Bytes> sign(const SignatureAlgorithm& algorithm, ByteView data) const;

 private:
  struct Material;
  PublicKey public_key_;
  std::shared_ptr<const Material> material_;
};

enum class CertificateType : std::uint8_t { kUser = 1, kHost = 2 };

struct CertificateOption {
  std::string name;
  Bytes data;  // the option's own content, still encoded as PROTOCOL.certkeys says for its name
};

/// Certificate is PROTOCOL.certkeys parsed in full. Parsing checks form only (sorted, unique
/// options; known type; CA key is a plain key, never a certificate; nothing trails); signature,
/// validity and meaning are the caller's to check, by verify_signature and the functions below.
struct Certificate {
  Bytes blob;
  Bytes signed_part;  // the bytes of blob that the CA signed
  PublicKey key;      // the subject key
  std::uint64_t serial = 0;
  CertificateType type = CertificateType::kUser;
  std::string key_id;
  std::vector<std::string> principals;
  std::uint64_t valid_after = 0;   // seconds since the epoch
  std::uint64_t valid_before = 0;  // UINT64_MAX: forever
  std::vector<CertificateOption> critical_options;
  std::vector<CertificateOption> extensions;
  PublicKey ca_key;
  Bytes signature;

  static Result<Certificate> parse(ByteView blob);
  /// verify_signature: the CA's signature over the body, by any current algorithm (no SHA-1).
  [[nodiscard]] Status verify_signature() const;
  bool valid_at(WallTime now) const;
};

/// is_certificate_blob looks at the type name only.
bool is_certificate_blob(ByteView blob);

struct CertificateRequest {
  PublicKey key;
  std::uint64_t serial = 0;
  CertificateType type = CertificateType::kUser;
  std::string key_id;
  std::vector<std::string> principals;
  std::uint64_t valid_after = 0;
  std::uint64_t valid_before = 0;
  std::vector<CertificateOption> critical_options;  // sorted by sign_certificate
  std::vector<CertificateOption> extensions;
};
/// sign_certificate makes the certificate's blob. RSA CAs sign with rsa-sha2-512.
Result<Bytes> sign_certificate(const CertificateRequest& request, const PrivateKey& ca,
                               RandomSource& random);

}  // namespace bastion::crypto
