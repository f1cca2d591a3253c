#pragma once

#include <memory>
#include <string>

#include "crypto/keys.h"
#include "proto/transport.h"

namespace bastion::bench {

/// read_key reads a private key file without a passphrase; it ends the program where it cannot.
crypto::PrivateKey read_key(const std::string& path);

/// The options of the benchmarks' peers: curve25519-sha256, ssh-ed25519, one cipher, and with
/// AES-CTR hmac-sha2-256-etm. No limits of a rekey are met before 64 GiB.
std::shared_ptr<const proto::TransportOptions> server_options(const crypto::PrivateKey& host_key,
                                                              const std::string& cipher);
std::shared_ptr<const proto::TransportOptions> client_options(const std::string& cipher);

}  // namespace bastion::bench
