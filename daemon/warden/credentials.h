#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "base/random.h"
#include "config/policy.h"
#include "crypto/keys.h"
#include "daemon/ipc/session_messages.h"

namespace bastion::daemon {

/// A session certificate is good from this long before now (clocks differ) to this long after: it
/// is used once, within the handshake that it is made for.
inline constexpr std::int64_t kCertificateSecondsBefore = 300;
inline constexpr std::int64_t kCertificateSecondsAfter = 300;

/// CredentialRequest is everything that our login to a target is made of; owned, so that it can be
/// worked off on another thread.
struct CredentialRequest {
  explicit CredentialRequest(crypto::PrivateKey signing_key) : key(std::move(signing_key)) {}

  crypto::Digest target_session_id;
  std::string login;
  /// The key of the target's key_file, or, for kCertificate, the user CA that signs a certificate
  /// for a key made for this session.
  crypto::PrivateKey key;
  bool certificate = false;
  std::string key_id;  // of the certificate
  proto::Permissions permissions;
  std::vector<IpAddress> source_addresses;
  WallTime now = 0;
};

/// Credentials: what the worker is given, and the keys behind it, one for each, for TargetSign.
struct Credentials {
  std::vector<ipc::TargetCredential> list;
  std::vector<crypto::PrivateKey> keys;
};

/// make_credentials signs the one userauth request that this exchange, login and key can have.
/// A session certificate carries: principal = the login, only the granted extensions, minutes of
/// validity, source-address = ours, and the force-command of the grant. RSA keys of a key_file are
/// left unsigned: the worker learns from the target which hash it takes.
Result<Credentials> make_credentials(const CredentialRequest& request, RandomSource& random);

/// sign_userauth signs userauth_signed_data for one key or certificate blob.
Result<Bytes> sign_userauth(const CredentialRequest& request, const crypto::PrivateKey& key,
                            const std::string& algorithm, ByteView blob);

}  // namespace bastion::daemon
