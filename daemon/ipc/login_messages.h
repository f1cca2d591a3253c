#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/secret.h"
#include "daemon/ipc/message.h"
#include "daemon/log.h"

/// The warden's channels with gates and workers: settings, cookies, exchange hashes, and a user's
/// login at a gate until the session is handed over.
namespace bastion::daemon::ipc {

// --- warden → gate, worker ---------------------------------------------------------------------

struct HostKey {
  std::string algorithm;  // as it stands in server_host_key_algorithms
  Bytes blob;             // plain key or host certificate
  void fields(auto& f) {
    f(algorithm);
    f(blob);
  }
};
/// Settings: everything that gates and workers need of the configuration; sent when they are added
/// and after each reload. Sessions that are under way keep what they began with.
struct Settings {
  static constexpr Type kType = Type::kSettings;
  std::vector<std::string> kex, ciphers, macs, host_key_algorithms, public_key_algorithms;
  std::vector<HostKey> host_keys;  // in order of preference; host_key_algorithms is theirs
  std::uint32_t first_factor_ms = 0, login_grace_ms = 0;
  std::uint32_t auth_failures = 0, key_offers = 0;
  std::uint32_t handshake_ms = 0, keepalive_ms = 0, keepalive_missed = 0;
  std::uint64_t rekey_bytes = 0, rekey_packets = 0;
  std::uint32_t rekey_seconds = 0;
  std::string bastion_name;  // as users call us, in hints
  LogLevel log_level = LogLevel::kInfo;
  void fields(auto& f) {
    f(kex);
    f(ciphers);
    f(macs);
    f(host_key_algorithms);
    f(public_key_algorithms);
    f(host_keys);
    f(first_factor_ms);
    f(login_grace_ms);
    f(auth_failures);
    f(key_offers);
    f(handshake_ms);
    f(keepalive_ms);
    f(keepalive_missed);
    f(rekey_bytes);
    f(rekey_packets);
    f(rekey_seconds);
    f(bastion_name);
    f(log_level);
  }
};
struct TakeCookies {
  static constexpr Type kType = Type::kTakeCookies;
  std::uint32_t count = 0;
  void fields(auto& f) { f(count); }
};
struct Cookies {
  static constexpr Type kType = Type::kCookies;
  std::vector<Cookie> cookies;
  void fields(auto& f) { f(cookies); }
};
/// Refused answers any request. `text` is for the user (one line, no control bytes, no prefix),
/// or empty where the user is told nothing; `fatal` asks for a disconnect with it.
struct Refused {
  static constexpr Type kType = Type::kRefused;
  bool fatal = false;
  std::string text;
  bool unreachable = false;  // allowed, but the target could not be connected
  void fields(auto& f) {
    f(fatal);
    f(text);
    f(unreachable);
  }
};

// --- exchanges: gate, worker → warden -----------------------------------------------------------

/// Exchange: the parts of an exchange hash (crypto::ExchangeParts), owned.
struct Exchange {
  std::string kex_method;
  std::string host_key_algorithm;
  Bytes client_ident, server_ident, client_kexinit, server_kexinit, host_key_blob;
  Bytes client_field, server_field;
  SecretBytes secret_field;
  void fields(auto& f) {
    f(kex_method);
    f(host_key_algorithm);
    f(client_ident);
    f(server_ident);
    f(client_kexinit);
    f(server_kexinit);
    f(host_key_blob);
    f(client_field);
    f(server_field);
    f(secret_field);
  }
};
/// SignFirstExchange (gate; once per socket): the warden makes the session from it.
struct SignFirstExchange {  // + socket
  static constexpr Type kType = Type::kSignFirstExchange;
  Exchange exchange;
  void fields(auto& f) { f(exchange); }
};
/// SignRekey (worker): a later exchange of the user's leg. It needs no cookie of the pool: no
/// session is ever made from it, so there is nothing to be fresh for.
struct SignRekey {
  static constexpr Type kType = Type::kSignRekey;
  Exchange exchange;
  void fields(auto& f) { f(exchange); }
};
struct ExchangeSigned {  // header.session names the session from here on
  static constexpr Type kType = Type::kExchangeSigned;
  Bytes hash;
  Bytes signature;
  void fields(auto& f) {
    f(hash);
    f(signature);
  }
};

// --- gate → warden ------------------------------------------------------------------------------

struct KeyQuery {
  static constexpr Type kType = Type::kKeyQuery;
  std::string user_name;
  std::string algorithm;
  Bytes key_blob;
  void fields(auto& f) {
    f(user_name);
    f(algorithm);
    f(key_blob);
  }
};
struct KeyAnswer {
  static constexpr Type kType = Type::kKeyAnswer;
  bool acceptable = false;
  void fields(auto& f) { f(acceptable); }
};
struct KeyVerify {
  static constexpr Type kType = Type::kKeyVerify;
  std::string user_name;
  std::string algorithm;
  Bytes key_blob;
  Bytes signature;
  bool hostbound = false;    // publickey-hostbound-v00@openssh.com
  Bytes hostbound_host_key;  // the host key blob that the user signed over
  void fields(auto& f) {
    f(user_name);
    f(algorithm);
    f(key_blob);
    f(signature);
    f(hostbound);
    f(hostbound_host_key);
  }
};
/// Verdict: authenticated or not. Where it is success the warden has decided and begun to dial.
struct Verdict {
  static constexpr Type kType = Type::kVerdict;
  bool success = false;
  void fields(auto& f) { f(success); }
};
/// HandOver (one-way, once, after a successful Verdict): the session leaves the gate. The warden
/// passes `state` and `input` on unread.
struct HandOver {
  static constexpr Type kType = Type::kHandOver;
  SecretBytes state;  // proto::SessionState, encoded
  SecretBytes input;  // received, not yet opened
  void fields(auto& f) {
    f(state);
    f(input);
  }
};
/// ConnectionGone (one-way): the gate has closed a connection whose exchange was signed.
struct ConnectionGone {
  static constexpr Type kType = Type::kConnectionGone;
  std::string reason;  // for the log
  void fields(auto& f) { f(reason); }
};

}  // namespace bastion::daemon::ipc
