#include "config/host_key_policy.h"

#include <algorithm>

namespace bastion::config {
namespace {

/// short_type: "ed25519" for "ssh-ed25519", as people say it.
std::string short_type(std::string_view type) {
  if (type.starts_with("ssh-")) {
    return std::string(type.substr(4));
  }
  if (type.starts_with("ecdsa-")) {
    return "ecdsa";
  }
  return std::string(type);
}

std::string named_key(ByteView blob) {
  return short_type(key_blob_type(blob)) + " " + key_fingerprint(blob);
}

std::string after_host(std::string_view target, std::string_view what) {
  return "the host key of " + std::string(target) + " " + std::string(what) +
         " Not connecting; tell your administrators.";
}

/// Records is what pins and known_hosts say of a host: keys, CAs, and what is revoked.
class Records {
 public:
  Records(const HostKeyPolicy& policy, std::span<const std::string> names, std::uint16_t port) {
    for (const crypto::PublicKey& pin : policy.pins) {
      keys_.push_back(pin.blob());
    }
    for (const crypto::PublicKey& ca : policy.cas) {
      cas_.push_back(ca.blob());
    }
    using Marker = KnownHosts::Marker;
    for (const std::string& name : names) {
      if (policy.known_hosts != nullptr) {
        add(keys_, policy.known_hosts->matches(name, port, Marker::kNone));
        add(cas_, policy.known_hosts->matches(name, port, Marker::kCertAuthority));
        add(revoked_, policy.known_hosts->matches(name, port, Marker::kRevoked));
      }
      if (policy.also_revoked_by != nullptr) {
        add(revoked_, policy.also_revoked_by->matches(name, port, Marker::kRevoked));
      }
    }
    listed_ = policy.revoked.get();
  }

  bool is_known(ByteView key) const { return has(keys_, key); }
  bool is_ca(ByteView key) const { return has(cas_, key); }
  bool is_revoked(ByteView key) const {
    return has(revoked_, key) || (listed_ != nullptr && listed_->contains(key));
  }
  const std::vector<ByteView>& keys() const { return keys_; }
  const std::vector<ByteView>& cas() const { return cas_; }

 private:
  static void add(std::vector<ByteView>& to, const std::vector<const KnownHosts::Entry*>& entries) {
    for (const KnownHosts::Entry* entry : entries) {
      to.push_back(entry->key_blob);
    }
  }
  static bool has(const std::vector<ByteView>& keys, ByteView key) {
    return std::any_of(keys.begin(), keys.end(), [&](ByteView known) { return equal(known, key); });
  }

  // Views into the policy.
  std::vector<ByteView> keys_;
  std::vector<ByteView> cas_;
  std::vector<ByteView> revoked_;
  const RevokedKeys* listed_ = nullptr;
};

/// certificate_problem is what is wrong with a host certificate whose CA we trust; empty: nothing.
std::string_view certificate_problem(const crypto::Certificate& certificate,
                                     std::span<const std::string> names, WallTime now) {
  if (certificate.type != crypto::CertificateType::kHost) {
    return "is a user certificate.";
  }
  if (!certificate.valid_at(now)) {
    return "has a certificate that is not valid now.";
  }
  if (!certificate.critical_options.empty()) {
    return "has a certificate with a critical option, which no host certificate may have.";
  }
  const auto is_name = [&](const std::string& principal) {
    return std::find(names.begin(), names.end(), principal) != names.end();
  };
  if (std::none_of(certificate.principals.begin(), certificate.principals.end(), is_name)) {
    return "has a certificate for other names.";
  }
  if (!certificate.verify_signature()) {
    return "has a certificate with a wrong signature.";
  }
  return {};
}

HostKeyVerdict verify_plain(ByteView key, const Records& records, std::string_view target,
                            std::uint16_t port) {
  if (records.is_revoked(key)) {
    return {
        HostKeyStatus::kRevoked, after_host(target, "is revoked (" + named_key(key) + ")."), {}};
  }
  if (records.is_known(key)) {
    return {.status = HostKeyStatus::kOk, .text = {}, .cure = {}};
  }
  const std::string cure = "if it is right: host_keys: [\"" + std::string(key_blob_type(key)) +
                           " " + crypto::base64_encode(key) +
                           "\"] for this target in the policy, " +
                           "or in its known_hosts: " + known_hosts_line(target, port, key);
  if (records.keys().empty()) {
    return {HostKeyStatus::kUnknown,
            after_host(target, "is not on record (" + named_key(key) + ")."), cure};
  }
  // The recorded key of the same type says most; else all of them are named.
  std::string recorded;
  for (const bool same_type : {true, false}) {
    for (const ByteView known : records.keys()) {
      if (same_type == (key_blob_type(known) == key_blob_type(key)) &&
          recorded.find(key_fingerprint(known)) == std::string::npos) {
        recorded += (recorded.empty() ? "" : " or ") +
                    (same_type ? key_fingerprint(known) : named_key(known));
      }
    }
    if (!recorded.empty()) {
      break;
    }
  }
  return {HostKeyStatus::kChanged,
          after_host(target, "is not the one on record (" + named_key(key) + " instead of " +
                                 recorded + ")."),
          cure};
}

}  // namespace

bool RevokedKeys::contains(ByteView plain_key_blob) const {
  return !fingerprints_.empty() && fingerprints_.contains(key_fingerprint(plain_key_blob));
}

HostKeyVerdict HostKeyPolicy::verify(ByteView blob, std::string_view target,
                                     std::span<const std::string> names, std::uint16_t port,
                                     WallTime now) const {
  const Records records(*this, names, port);
  if (!crypto::is_certificate_blob(blob)) {
    if (!crypto::PublicKey::parse(blob)) {
      return {HostKeyStatus::kUnreadable, after_host(target, "cannot be read."), {}};
    }
    return verify_plain(blob, records, target, port);
  }
  const auto certificate = crypto::Certificate::parse(blob);
  if (!certificate) {
    return {HostKeyStatus::kUnreadable,
            after_host(target, "is a certificate that cannot be read."),
            {}};
  }
  const Bytes& key = certificate->key.blob();
  const Bytes& ca = certificate->ca_key.blob();
  if (records.is_revoked(key) || records.is_revoked(ca)) {
    return {HostKeyStatus::kRevoked,
            after_host(target, "or the CA of its certificate is revoked (" + named_key(key) +
                                   ", CA " + named_key(ca) + ")."),
            {}};
  }
  if (!records.is_ca(ca)) {
    // A CA that we do not know says nothing; its subject key may be known all the same.
    return verify_plain(key, records, target, port);
  }
  if (const auto problem = certificate_problem(*certificate, names, now); !problem.empty()) {
    return {HostKeyStatus::kBadCertificate, after_host(target, problem), {}};
  }
  return {.status = HostKeyStatus::kOk, .text = {}, .cure = {}, .by_ca = true};
}

std::vector<std::string> HostKeyPolicy::algorithms(std::span<const std::string> preference,
                                                   std::span<const std::string> names,
                                                   std::uint16_t port) const {
  const Records records(*this, names, port);
  const auto rank = [&](const std::string& name) {
    const auto* algorithm = crypto::find_signature_algorithm(name);
    if (algorithm == nullptr) {
      return 2;
    }
    if (algorithm->certificate) {
      return records.cas().empty() ? 2 : 0;
    }
    const std::string_view type = crypto::key_type_name(algorithm->key_type);
    return std::any_of(records.keys().begin(), records.keys().end(),
                       [&](ByteView key) { return key_blob_type(key) == type; })
               ? 1
               : 2;
  };
  std::vector<std::string> sorted(preference.begin(), preference.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
  return sorted;
}

}  // namespace bastion::config
