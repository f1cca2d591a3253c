#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/wire.h"
#include "proto/algorithms.h"
#include "proto/message_permits.h"

namespace bastion::proto {

/// PeerExtensions is what the peer said in EXT_INFO (RFC 8308, OpenSSH PROTOCOL 1.9 and the
/// host-bound public key extension), and in its KEXINIT.
struct PeerExtensions {
  bool ext_info = false;                     // an EXT_INFO has come
  std::vector<std::string> server_sig_algs;  // bounded by limits::kExtInfoNamesMax
  bool hostbound = false;                    // publickey-hostbound@openssh.com "0"
  bool ping = false;                         // ping@openssh.com "0"

  friend bool operator==(const PeerExtensions&, const PeerExtensions&) = default;
};

/// DirectionState is one direction of a transport: its keys, the next sequence number, and what
/// has passed under these keys.
struct DirectionState {
  crypto::PacketKeys keys;
  std::uint32_t seq = 0;
  std::uint64_t key_bytes = 0;
  std::uint64_t key_packets = 0;
};

/// SessionState is a transport between two key exchanges as plain data. It holds keys: it exists
/// only while a session moves from one process to another, and its memory is wiped.
struct SessionState {
  Role role = Role::kServer;
  Phase phase = Phase::kService;
  bool strict_kex = false;
  std::string client_ident;
  std::string server_ident;
  Bytes session_id;
  NegotiatedAlgorithms algorithms;
  DirectionState in;
  DirectionState out;
  MonoTime keys_since;  // CLOCK_MONOTONIC is one clock for all processes of a machine
  PeerExtensions peer;
  bool ext_info_allowed = false;  // the next message may be EXT_INFO
  bool success_expected = false;  // the next message must be USERAUTH_SUCCESS
  std::uint64_t num_exchanges = 0;
  SecretBytes unsent;  // sealed bytes that the peer has not been sent yet

  /// encode appends a versioned form; decode reads it back, checks every field, and allocates
  /// nothing that its limits do not bound. Errors: kMalformed, kUnsupported (another version).
  void encode(SecretWriter& out_writer) const;
  static Result<SessionState> decode(Reader& reader);
};

}  // namespace bastion::proto
