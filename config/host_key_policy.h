#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/known_hosts.h"
#include "crypto/keys.h"

namespace bastion::config {

/// RevokedKeys are keys that nothing accepts: as a user's key, as a certificate's subject, as a CA,
/// as a host's. Listed by key or by fingerprint.
class RevokedKeys {
 public:
  void add_fingerprint(std::string fingerprint) { fingerprints_.insert(std::move(fingerprint)); }
  bool contains(ByteView plain_key_blob) const;
  bool empty() const { return fingerprints_.empty(); }
  const std::set<std::string>& fingerprints() const { return fingerprints_; }

 private:
  std::set<std::string> fingerprints_;  // "SHA256:…"
};

enum class HostKeyStatus : std::uint8_t {
  kOk,
  kUnknown,  // nothing is on record for this host
  kChanged,  // other keys are on record
  kRevoked,
  kBadCertificate,  // signed by a CA that we trust for this host, but not valid for it now
  kUnreadable,      // the blob is neither a key nor a certificate
};

/// HostKeyVerdict: only kOk lets a connection go on. `text` is one line for the user, without a
/// period's worth of anything that the target chose but its fingerprint; `cure` is for the log:
/// what to add where, if an administrator finds the key to be right. Both are empty for kOk.
struct HostKeyVerdict {
  HostKeyStatus status = HostKeyStatus::kUnknown;
  std::string text;
  std::string cure;
  bool by_ca = false;  // ok, for the sake of a certificate
  bool ok() const { return status == HostKeyStatus::kOk; }
};

/// HostKeyPolicy is what one target's host key is held against. A key is accepted where a pin or
/// the known_hosts file has it, or where a host CA of either signed it; revocation beats all. Where
/// none of them knows the host, the answer is kUnknown: an empty file never means "any".
struct HostKeyPolicy {
  std::vector<crypto::PublicKey> pins;
  std::vector<crypto::PublicKey> cas;
  std::shared_ptr<const KnownHosts> known_hosts;  // may be null
  /// Its @revoked lines count, though another file was named for the target itself. May be null.
  std::shared_ptr<const KnownHosts> also_revoked_by;
  std::shared_ptr<const RevokedKeys> revoked;  // may be null

  bool empty() const { return pins.empty() && cas.empty() && known_hosts == nullptr; }

  /// verify holds what the target presented (a plain key or a host certificate) against all that.
  /// The caller has checked, or will check, the signature over the exchange by that key. `target`
  /// is used in the texts; `names` are all names of the host: the target's name and its address.
  /// A certificate must name one of them as a principal.
  HostKeyVerdict verify(ByteView blob, std::string_view target, std::span<const std::string> names,
                        std::uint16_t port, WallTime now) const;

  /// algorithms puts first what is on record, so that a target with several host keys presents one
  /// that we know: certificates where a CA is trusted for this host, then the types of known keys,
  /// then the rest, each in the order of `preference` (server_host_key_algorithms names).
  std::vector<std::string> algorithms(std::span<const std::string> preference,
                                      std::span<const std::string> names, std::uint16_t port) const;
};

}  // namespace bastion::config
