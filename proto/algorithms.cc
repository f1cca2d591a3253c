#include "proto/algorithms.h"

#include <algorithm>

namespace bastion::proto {
namespace {

AlgorithmLists make_standard() {
  return {
      .kex = {"mlkem768x25519-sha256", "sntrup761x25519-sha512",
              "sntrup761x25519-sha512@openssh.com", "curve25519-sha256",
              "curve25519-sha256@libssh.org", "diffie-hellman-group16-sha512"},
      .host_keys = {"ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com",
                    "rsa-sha2-256-cert-v01@openssh.com", "ssh-ed25519", "rsa-sha2-512",
                    "rsa-sha2-256"},
      .ciphers = {"aes128-gcm@openssh.com", "aes256-gcm@openssh.com",
                  "chacha20-poly1305@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr"},
      .macs = {"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"},
      .public_keys = {"ssh-ed25519", "sk-ssh-ed25519@openssh.com", "ecdsa-sha2-nistp256",
                      "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
                      "sk-ecdsa-sha2-nistp256@openssh.com", "rsa-sha2-512", "rsa-sha2-256",
                      "ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com",
                      "ecdsa-sha2-nistp256-cert-v01@openssh.com",
                      "ecdsa-sha2-nistp384-cert-v01@openssh.com",
                      "ecdsa-sha2-nistp521-cert-v01@openssh.com",
                      "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
                      "rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"},
  };
}

AlgorithmLists make_compatible() {
  AlgorithmLists lists = make_standard();
  lists.kex.insert(lists.kex.end(), {"ecdh-sha2-nistp256", "ecdh-sha2-nistp384",
                                     "ecdh-sha2-nistp521", "diffie-hellman-group14-sha256"});
  lists.host_keys.insert(
      lists.host_keys.end(),
      {"ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp384-cert-v01@openssh.com",
       "ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
       "ecdsa-sha2-nistp521"});
  lists.macs.insert(lists.macs.end(), {"hmac-sha2-256", "hmac-sha2-512"});
  return lists;
}

void append_once(std::vector<std::string>& list, const std::string& name) {
  if (std::find(list.begin(), list.end(), name) == list.end()) {
    list.push_back(name);
  }
}

}  // namespace

const AlgorithmLists& standard_algorithms() {
  static const AlgorithmLists lists = make_standard();
  return lists;
}

const AlgorithmLists& compatible_algorithms() {
  static const AlgorithmLists lists = make_compatible();
  return lists;
}

Status add_legacy(AlgorithmLists& lists, std::span<const std::string> names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    if (crypto::find_kex(name) != nullptr) {
      append_once(lists.kex, name);
    } else if (crypto::find_cipher(name) != nullptr) {
      append_once(lists.ciphers, name);
    } else if (crypto::find_mac(name) != nullptr) {
      append_once(lists.macs, name);
    } else if (crypto::find_signature_algorithm(name) != nullptr) {
      append_once(lists.host_keys, name);
      append_once(lists.public_keys, name);
    } else {
      return fail(ErrorCode::kUnsupported, "unknown algorithm name", static_cast<std::int64_t>(i));
    }
  }
  return {};
}

void prefer_host_keys(AlgorithmLists& lists, std::span<const std::string> known) {
  std::stable_partition(lists.host_keys.begin(), lists.host_keys.end(),
                        [&](const std::string& name) {
                          return std::find(known.begin(), known.end(), name) != known.end();
                        });
}

}  // namespace bastion::proto
