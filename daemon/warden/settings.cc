#include "daemon/warden/settings.h"

#include <unistd.h>

#include <array>

#include "daemon/ipc/login_messages.h"
#include "daemon/supervisor/configuration.h"

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

proto::AlgorithmLists algorithms_of(const config::Algorithms& configured) {
  proto::AlgorithmLists lists = configured.preset == config::AlgorithmPreset::kCompatible
                                    ? proto::compatible_algorithms()
                                    : proto::standard_algorithms();
  const auto replace = [](std::vector<std::string>& list, const std::vector<std::string>& own) {
    if (!own.empty()) {
      list = own;
    }
  };
  replace(lists.kex, configured.kex);
  replace(lists.ciphers, configured.ciphers);
  replace(lists.macs, configured.macs);
  replace(lists.host_keys, configured.host_keys);
  replace(lists.public_keys, configured.public_keys);
  return lists;
}

std::vector<HostSigner> make_host_signers(const config::Configuration& configuration,
                                          const std::vector<std::string>& algorithms) {
  std::vector<HostSigner> signers;
  for (const std::string& name : algorithms) {
    for (const config::HostKeyPair& pair : configuration.keys.host_keys) {
      add_signers(name, pair, signers);
    }
  }
  return signers;
}

ipc::Settings make_settings(const ActiveConfiguration& active) {
  const config::ServiceConfig& service = active.service();
  ipc::Settings settings;
  settings.kex = active.algorithms.kex;
  settings.ciphers = active.algorithms.ciphers;
  settings.macs = active.algorithms.macs;
  settings.host_key_algorithms = active.algorithms.host_keys;
  settings.public_key_algorithms = active.algorithms.public_keys;
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
  settings.log_level = to_log_level(service.log_level);
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
