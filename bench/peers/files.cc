#include "bench/peers/files.h"

#include <fstream>
#include <iterator>

#include "bench/peers/link.h"

namespace bastion::bench {
namespace {

proto::TransportOptions common_options(const std::string& cipher) {
  proto::TransportOptions options;
  options.algorithms.kex = {"curve25519-sha256"};
  options.algorithms.host_keys = {"ssh-ed25519"};
  options.algorithms.ciphers = {cipher};
  options.algorithms.macs = {"hmac-sha2-256-etm@openssh.com"};
  options.rekey.bytes = std::uint64_t{1} << 36;
  return options;
}

}  // namespace

crypto::PrivateKey read_key(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto key = crypto::PrivateKey::parse_openssh(as_bytes(text));
  if (!key) {
    die(path + ": " + std::string(key.error().text));
  }
  return std::move(*key);
}

std::shared_ptr<const proto::TransportOptions> server_options(const crypto::PrivateKey& host_key,
                                                              const std::string& cipher) {
  proto::TransportOptions options = common_options(cipher);
  options.role = proto::Role::kServer;
  options.host_keys = {{"ssh-ed25519", host_key.public_key().blob()}};
  return std::make_shared<const proto::TransportOptions>(std::move(options));
}

std::shared_ptr<const proto::TransportOptions> client_options(const std::string& cipher) {
  proto::TransportOptions options = common_options(cipher);
  options.role = proto::Role::kClient;
  return std::make_shared<const proto::TransportOptions>(std::move(options));
}

}  // namespace bastion::bench
