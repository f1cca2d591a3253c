#pragma once

#include <string>

#include "crypto/keys.h"

namespace bastion::bench {

/// The least relays that there can be: blocking sockets, one connection, one large buffer for each
/// direction, nothing looked at that need not be. What bastiond takes beyond these is its own cost.
struct RelaySetup {
  const crypto::PrivateKey* host_key = nullptr;  // towards users
  const crypto::PrivateKey* key = nullptr;       // towards the target
  std::string login;
  std::string cipher;
  std::string target;  // HOST:PORT
};

/// relay_bare moves bytes: no SSH.
void relay_bare(int user, const RelaySetup& setup);
/// relay_routed ends SSH on both sides: each packet is opened in place, sealed as it is into the
/// other side's buffer, and written with its neighbours.
void relay_routed(int user, const RelaySetup& setup);
/// relay_tunnel serves one direct-tcpip channel, which leads to the target whatever it asks for:
/// one pass over each byte. Data is written from where it was opened; and received between the gaps
/// for headers and tags, so that it is sealed where it lies.
void relay_tunnel(int user, const RelaySetup& setup);

}  // namespace bastion::bench
