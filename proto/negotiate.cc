#include "proto/negotiate.h"

#include "proto/name_list.h"

namespace bastion::proto {
namespace {

/// A name that both list but crypto/ does not know is one of the markers among the kex names, which
/// the peer has no business to list in our role's spelling (RFC 8308 2.2).
template <typename Info>
Result<const Info*> choose(std::string_view client, std::string_view server,
                           const Info* (*find)(std::string_view), std::string_view nothing) {
  const std::string_view name = first_common(client, server);
  if (name.empty()) {
    return fail(ErrorCode::kKeyExchange, nothing);
  }
  const Info* info = find(name);
  if (info == nullptr) {
    return fail(ErrorCode::kKeyExchange, "a marker was negotiated as an algorithm");
  }
  return info;
}

Result<const crypto::MacInfo*> choose_mac(const crypto::CipherInfo& cipher, std::string_view client,
                                          std::string_view server) {
  if (cipher.aead) {
    return nullptr;
  }
  return choose(client, server, crypto::find_mac, "no common MAC");
}

}  // namespace

Result<NegotiatedAlgorithms> negotiate(const KexInit& client, const KexInit& server) {
  const auto kex = choose(client.kex, server.kex, crypto::find_kex, "no common key exchange");
  BASTION_TRY(kex);
  const auto host_key = choose(client.host_keys, server.host_keys, crypto::find_signature_algorithm,
                               "no common host key algorithm");
  BASTION_TRY(host_key);
  const auto cipher_to_server = choose(client.ciphers_to_server, server.ciphers_to_server,
                                       crypto::find_cipher, "no common cipher");
  BASTION_TRY(cipher_to_server);
  const auto cipher_to_client = choose(client.ciphers_to_client, server.ciphers_to_client,
                                       crypto::find_cipher, "no common cipher");
  BASTION_TRY(cipher_to_client);
  const auto mac_to_server =
      choose_mac(**cipher_to_server, client.macs_to_server, server.macs_to_server);
  BASTION_TRY(mac_to_server);
  const auto mac_to_client =
      choose_mac(**cipher_to_client, client.macs_to_client, server.macs_to_client);
  BASTION_TRY(mac_to_client);
  if (first_common(client.compression_to_server, server.compression_to_server).empty() ||
      first_common(client.compression_to_client, server.compression_to_client).empty()) {
    return fail(ErrorCode::kKeyExchange, "no common compression method");
  }
  return NegotiatedAlgorithms{
      .kex = *kex,
      .host_key = *host_key,
      .cipher_to_server = *cipher_to_server,
      .cipher_to_client = *cipher_to_client,
      .mac_to_server = *mac_to_server,
      .mac_to_client = *mac_to_client,
  };
}

bool guessed_right(const KexInit& client, const KexInit& server) {
  return first_name(client.kex) == first_name(server.kex) &&
         first_name(client.host_keys) == first_name(server.host_keys);
}

}  // namespace bastion::proto
