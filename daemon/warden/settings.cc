#include "daemon/warden/settings.h"

#include <unistd.h>

#include <array>

namespace bastion::daemon {
namespace {

/// add_signers appends what `pair` offers for one algorithm name.
void add_signers(const std::string& name, const config::HostKeyPair& pair,
                 std::vector<HostSigner>& out) {
  const crypto::SignatureAlgorithm* algorithm = crypto::find_signature_algorithm(name);
  if (algorithm == nullptr || algorithm->legacy ||
      algorithm->key_type != pair.key.public_key().type()) {
    return;
  }
  if (!algorithm->certificate) {
    out.push_back({name, pair.key.public_key().blob(), pair.key});
    return;
  }
  for (const Bytes& certificate : pair.certificates) {
    out.push_back({name, certificate, pair.key});
  }
}

}  // namespace

std::vector<HostSigner> make_host_signers(const config::Configuration& configuration) {
  std::vector<HostSigner> signers;
  for (const std::string& name : configuration.service.algorithms.host_keys) {
    for (const config::HostKeyPair& pair : configuration.keys.host_keys) {
      add_signers(name, pair, signers);
    }
  }
  return signers;
}

ipc::Settings make_settings(const ActiveConfiguration& active) {
  const config::ServiceConfig& service = active.service();
  ipc::Settings settings;
  settings.kex = service.algorithms.kex;
  settings.ciphers = service.algorithms.ciphers;
  settings.macs = service.algorithms.macs;
  settings.host_key_algorithms = service.algorithms.host_keys;
  settings.public_key_algorithms = service.algorithms.public_keys;
  for (const HostSigner& signer : active.host_signers) {
    settings.host_keys.push_back({signer.algorithm, signer.blob});
  }
  const config::ServiceLimits& limits = service.limits;
  settings.first_factor_ms = static_cast<std::uint32_t>(limits.first_factor_ms);
  settings.login_grace_ms = static_cast<std::uint32_t>(limits.login_grace_ms);
  settings.auth_failures = limits.auth_failures;
  settings.key_offers = limits.key_offers;
  settings.handshake_ms = static_cast<std::uint32_t>(limits.handshake_ms);
  settings.keepalive_ms = static_cast<std::uint32_t>(limits.keepalive_ms);
  settings.keepalive_missed = limits.keepalive_missed;
  settings.rekey_bytes = service.rekey.bytes;
  settings.rekey_packets = limits::kRekeyPackets;
  settings.rekey_seconds = static_cast<std::uint32_t>(service.rekey.seconds);
  settings.bastion_name = active.bastion_name;
  return settings;
}

std::string bastion_name_of(const config::ServiceConfig& service) {
  if (!service.name.empty()) {
    return service.name;
  }
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') {
    return "bastion";
  }
  return name.data();
}

}  // namespace bastion::daemon
