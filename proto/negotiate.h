#pragma once

#include "base/result.h"
#include "proto/algorithms.h"
#include "proto/kexinit.h"

namespace bastion::proto {

/// negotiate chooses as RFC 4253 7.1 says: for each list the client's first name that the server
/// has, too. One of the two KexInits is our own, so every name chosen is one of ours. Errors:
/// kKeyExchange with the list that had nothing in common.
[[nodiscard]] Result<NegotiatedAlgorithms> negotiate(const KexInit& client, const KexInit& server);

/// guessed_right: a first_kex_packet_follows packet is meant for the exchange that was negotiated,
/// because both sides' first kex and host key names are the same (RFC 4253 7).
bool guessed_right(const KexInit& client, const KexInit& server);

}  // namespace bastion::proto
