#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "crypto/hash.h"

namespace bastion::crypto {

/// What a key holds of BoringSSL; crypto/key_material.h defines them for crypto/*.cc.
struct PublicMaterial;
struct PrivateMaterial;

enum class KeyType : std::uint8_t {
  kEd25519,
  kRsa,
  kEcdsaP256,
  kEcdsaP384,
  kEcdsaP521,
  kSkEd25519,    // sk-ssh-ed25519@openssh.com (PROTOCOL.u2f)
  kSkEcdsaP256,  // sk-ecdsa-sha2-nistp256@openssh.com
};
inline constexpr std::size_t kNumKeyTypes = 7;

/// key_type_name: "ssh-ed25519", "ssh-rsa", … as in a public key blob.
std::string_view key_type_name(KeyType type);
/// certificate_type_name: "ssh-ed25519-cert-v01@openssh.com", … as in a certificate blob. For RSA
/// that is "ssh-rsa-cert-v01@openssh.com", which is no signature algorithm (it would be SHA-1).
std::string_view certificate_type_name(KeyType type);
/// find_key_type and find_certificate_type are the inverses; nullopt for any other name.
std::optional<KeyType> find_key_type(std::string_view name);
std::optional<KeyType> find_certificate_type(std::string_view name);
/// is_sk is true for the keys that live in a FIDO authenticator.
constexpr bool is_sk(KeyType type) {
  return type == KeyType::kSkEd25519 || type == KeyType::kSkEcdsaP256;
}

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
/// find_signature_algorithm gives the entry of that exact name, or nullptr. Entries are constants:
/// the pointer is good for ever.
const SignatureAlgorithm* find_signature_algorithm(std::string_view name);

/// pick_signature_algorithms lists what we use with a plain key of that type, best first (RSA:
/// rsa-sha2-512, then rsa-sha2-256); never a legacy one.
std::span<const SignatureAlgorithm* const> pick_signature_algorithms(KeyType type);
/// certificate_algorithm_for gives the certificate's counterpart of a plain algorithm
/// ("rsa-sha2-512" → "rsa-sha2-512-cert-v01@openssh.com"); nullptr where there is none (ssh-rsa).
const SignatureAlgorithm* certificate_algorithm_for(const SignatureAlgorithm& plain);
/// plain_algorithm_for is its inverse, and the identity on plain algorithms.
const SignatureAlgorithm& plain_algorithm_for(const SignatureAlgorithm& algorithm);

/// What a FIDO authenticator said in a signature (PROTOCOL.u2f): user presence and verification.
struct SkFlags {
  bool user_present = false;
  bool user_verified = false;
  std::uint32_t counter = 0;
};

/// PublicKey is a parsed, checked plain key (never a certificate). Copyable, cheap to move. One
/// made by the default constructor is empty: no signature ever verifies under it.
class PublicKey {
 public:
  /// parse takes a public key blob (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4, PROTOCOL.u2f), whole:
  /// trailing bytes, points off the curve, Ed25519 points of small order or not in canonical form,
  /// RSA sizes outside limits, even or huge exponents are kMalformed; certificates and unknown
  /// types kUnsupported; blobs longer than limits::kKeyBlobBytesMax kLimit. `blob` is copied.
  static Result<PublicKey> parse(ByteView blob);
  /// parse_line takes "ssh-ed25519 AAAA… comment" (authorized_keys format without options), one
  /// line, with or without its line end. The name before the base64 must be the one inside.
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
  /// A certificate's algorithm verifies as its plain counterpart: that the key came in a
  /// certificate is the caller's to know. For sk keys `out_flags` receives what the authenticator
  /// stated, and whether it is enough is the caller's decision; without `out_flags` user presence
  /// is required. Errors: kUnsupported (the algorithm is not this key's), kMalformed, kAuth
  /// (wrong). Only a true success returns without error; otherwise *out_flags is all false.
  [[nodiscard]] Status verify(const SignatureAlgorithm& algorithm, ByteView data,
                              ByteView signature_blob, SkFlags* out_flags = nullptr) const;

  friend bool operator==(const PublicKey& a, const PublicKey& b) { return a.blob_ == b.blob_; }

 private:
  KeyType type_ = KeyType::kEd25519;
  Bytes blob_;
  std::shared_ptr<const PublicMaterial> material_;
};

/// PrivateKey signs. Its memory is wiped when the last copy goes. sk keys cannot be private keys
/// here.
class PrivateKey {
 public:
  /// generate: RSA of rsa_bits (within limits, a multiple of 8); sk types are kUnsupported.
  static Result<PrivateKey> generate(KeyType type, std::uint32_t rsa_bits = 3072);
  /// parse_openssh takes a "-----BEGIN OPENSSH PRIVATE KEY-----" file, unencrypted (PROTOCOL.key);
  /// PEM and PKCS#8 keys too. One key exactly, whose parts agree with one another; nothing but
  /// white space around it. An encrypted one is kUnsupported with a text that says the cure;
  /// anything else that is wrong kMalformed. Never asks anybody for a passphrase.
  static Result<PrivateKey> parse_openssh(ByteView file);
  /// to_openssh writes such a file, comment included, as ssh-keygen would.
  SecretBytes to_openssh(std::string_view comment) const;

  const PublicKey& public_key() const { return public_key_; }
  /// sign gives a signature blob (RFC 4253 6.6), which need not be the same each time. Errors:
  /// kUnsupported where the algorithm does not fit the key; kInternal.
  Result<Bytes> sign(const SignatureAlgorithm& algorithm, ByteView data) const;

 private:
  friend Result<PrivateKey> make_private_key(PrivateMaterial material);
  PrivateKey(PublicKey public_key, std::shared_ptr<const PrivateMaterial> material)
      : public_key_(std::move(public_key)), material_(std::move(material)) {}

  PublicKey public_key_;
  std::shared_ptr<const PrivateMaterial> material_;
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

  /// parse: kUnsupported for types that are no certificates' or that we do not speak (and for a CA
  /// key that is a certificate), kLimit beyond limits::kKeyBlobBytesMax, kMalformed for the rest.
  static Result<Certificate> parse(ByteView blob);
  /// verify_signature: the CA's signature over the body, by any current algorithm (no SHA-1). A CA
  /// key in a FIDO authenticator must have been touched for it.
  [[nodiscard]] Status verify_signature() const;
  /// valid_at: valid_after <= now < valid_before.
  bool valid_at(WallTime now) const;
};

/// is_certificate_blob looks at the type name only.
bool is_certificate_blob(ByteView blob);

/// find_option gives the option of that exact name, or nullptr.
const CertificateOption* find_option(const std::vector<CertificateOption>& options,
                                     std::string_view name);
/// parse_critical_option_string opens the data of an option whose content is one string
/// (force-command, source-address): kMalformed where anything trails it or it holds a NUL.
Result<std::string> parse_critical_option_string(ByteView data);
/// make_option_string is its inverse: the `data` of an option with one string as content.
Bytes make_option_string(std::string_view content);

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
/// sign_certificate makes the certificate's blob. RSA CAs sign with rsa-sha2-512. Errors:
/// kMalformed where two options have one name, kLimit, and those of PrivateKey::sign.
Result<Bytes> sign_certificate(const CertificateRequest& request, const PrivateKey& ca,
                               RandomSource& random);

}  // namespace bastion::crypto
