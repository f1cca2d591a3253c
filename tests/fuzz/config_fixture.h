#pragma once

#include <string>
#include <string_view>

#include "base/wire.h"
#include "config/load.h"
#include "crypto/hash.h"

namespace bastion::config {

/// fuzz_key is an Ed25519 public key that is the same in every run. Nobody has its private key.
inline std::string fuzz_key(std::uint8_t number) {
  Writer out;
  out.text("ssh-ed25519").string(Bytes(32, number));
  return "ssh-ed25519 " + crypto::base64_encode(out.view());
}

/// fuzz_files are the files that a configuration may name, in /etc/bastiond.
inline FileBundle fuzz_files() {
  static const FileBundle files = [] {
    FileBundle bundle;
    for (const std::string name : {"host_key", "user_ca", "key"}) {
      bundle.add("/etc/bastiond/" + name,
                 crypto::PrivateKey::generate(crypto::KeyType::kEd25519)->to_openssh("fuzz"));
    }
    const std::string hosts = "web1 " + fuzz_key(1) + "\n@revoked * " + fuzz_key(2) + "\n";
    const std::string policy =
        "users: {alice: {keys: [\"" + fuzz_key(3) +
        "\"]}}\ntargets: {web1: {address: 10.0.0.1, credential: {key_file: key}, known_hosts: "
        "known_hosts}}\nrules: []\n";
    bundle.add("/etc/bastiond/known_hosts", to_secret(as_bytes(hosts)));
    bundle.add("/etc/bastiond/policy.yaml", to_secret(as_bytes(policy)));
    return bundle;
  }();
  return files;
}

/// must stops the run where a property does not hold.
inline void must(bool holds) {
  if (!holds) {
    __builtin_trap();
  }
}

}  // namespace bastion::config
