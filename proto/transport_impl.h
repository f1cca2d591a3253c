#pragma once

#include "proto/kexinit.h"
#include "proto/transport.h"

namespace bastion::proto {

/// Kex is one key exchange under way, from the first KEXINIT of either side to the second NEWKEYS.
/// Its secrets are wiped with it.
struct Transport::Kex {
  enum class Blocked : std::uint8_t { kNo, kSignature, kVerification };

  bool first = false;
  PeerKex peer = PeerKex::kNone;
  Blocked blocked = Blocked::kNo;
  bool skip_guess = false;  // the next packet is a wrong guess (RFC 4253 7)
  bool newkeys_sent = false;
  MonoTime deadline;
  Bytes our_kexinit;  // payloads as they were on the wire
  Bytes peer_kexinit;
  NegotiatedAlgorithms algorithms;
  std::unique_ptr<crypto::KexClient> client;
  Bytes host_key_blob;
  Bytes client_field;
  Bytes server_field;
  Bytes signature;
  SecretBytes secret_field;
  std::unique_ptr<crypto::PacketOpener> next_opener;  // for the peer's NEWKEYS
  std::unique_ptr<crypto::PacketSealer> next_sealer;  // for ours
};

}  // namespace bastion::proto
