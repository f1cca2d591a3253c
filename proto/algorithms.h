#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/kex.h"
#include "crypto/keys.h"
#include "crypto/packet_cipher.h"

namespace bastion::proto {

/// AlgorithmLists is what one leg offers, in order of preference (RFC 4253 7.1). Only names that
/// crypto/ implements may be in it.
struct AlgorithmLists {
  std::vector<std::string> kex;
  std::vector<std::string> host_keys;  // a client's wishes; a server offers those of its keys
  std::vector<std::string> ciphers;
  std::vector<std::string> macs;
  std::vector<std::string> public_keys;  // for user authentication: accepted, or used to log in

  friend bool operator==(const AlgorithmLists&, const AlgorithmLists&) = default;
};

/// standard_algorithms is the default: nothing that ssh-audit warns about. Users' own ECDSA keys
/// are accepted, since they are the users' risk and not the transport's.
const AlgorithmLists& standard_algorithms();
/// compatible_algorithms adds NIST curves, group14-sha256, plain hmac-sha2 and ECDSA host keys, for
/// peers of about 2012 to 2018.
const AlgorithmLists& compatible_algorithms();

/// add_legacy appends `names` ("diffie-hellman-group14-sha1", "ssh-rsa", …) to the lists that they
/// belong to, for one target that a policy marks so; never used towards users. A name that crypto/
/// does not have is kUnsupported, with its index as detail. A name that is there already stays.
Status add_legacy(AlgorithmLists& lists, std::span<const std::string> names);

/// prefer_host_keys moves those host key algorithms for which a key is known to the front (their
/// order among themselves is kept), so that a target is not asked for a key that we cannot check.
void prefer_host_keys(AlgorithmLists& lists, std::span<const std::string> known);

/// NegotiatedAlgorithms is the outcome of one key exchange. Names and infos live for ever.
struct NegotiatedAlgorithms {
  const crypto::KexMethod* kex = nullptr;
  const crypto::SignatureAlgorithm* host_key = nullptr;
  const crypto::CipherInfo* cipher_to_server = nullptr;
  const crypto::CipherInfo* cipher_to_client = nullptr;
  const crypto::MacInfo* mac_to_server = nullptr;  // nullptr with an AEAD cipher
  const crypto::MacInfo* mac_to_client = nullptr;

  friend bool operator==(const NegotiatedAlgorithms&, const NegotiatedAlgorithms&) = default;
};

}  // namespace bastion::proto
