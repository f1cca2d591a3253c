#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/hpke.h"
#include "crypto/secret_array.h"
#include "daemon/recording/metadata.h"

namespace bastion::recording {

inline constexpr std::size_t kFileKeyLen = 32;

/// FileKey encrypts one file's blocks.
using FileKey = crypto::SecretArray<kFileKeyLen>;

/// Recipient is a public key that may read: "bastion-recipient-x25519 BASE64 comment", as
/// `bastionctl recordings keygen` prints it and `recording: recipients:` lists it.
struct Recipient {
  crypto::HpkePublicKey key;

  /// Errors: kMalformed, kUnsupported for another kind of key.
  static Result<Recipient> parse(std::string_view line);
  std::string line() const;  // without a comment
};

/// Identity is the private half, a text file: lines of # comments, one of
/// "bastion-identity-x25519 BASE64".
struct Identity {
  crypto::HpkePrivateKey key;

  static Identity generate();
  static Result<Identity> parse(std::string_view file);
  /// file is the text to keep, with the recipient as a comment.
  SecretBytes file() const;
  Recipient recipient() const;
};

/// seal_file_key seals the key to each recipient (HPKE base mode, info = "bastiond recording v1",
/// a zero octet and the session id). Errors: kLimit above kRecipientsMax, kMalformed for a
/// recipient that is no point of the curve.
Result<std::vector<SealedKey>> seal_file_key(ByteView file_key,
                                             std::span<const Recipient> recipients,
                                             std::string_view session_id);
/// open_file_key writes kFileKeyLen bytes to out_key with the first identity that one of the sealed
/// keys is for. Errors: kNoIdentity, kOtherIdentity, kDecrypt.
std::expected<void, ProblemKind> open_file_key(const Metadata& metadata,
                                               std::span<const Identity> identities,
                                               MutBytes out_key);

}  // namespace bastion::recording
