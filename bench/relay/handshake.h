#pragma once

#include "bench/relay/socket.h"
#include "crypto/keys.h"
#include "crypto/packet_cipher.h"
#include "proto/session_state.h"
#include "proto/transport.h"

namespace bastion::bench {

/// Leg is one authenticated SSH connection with nothing but its ciphers left of it.
struct Leg {
  std::unique_ptr<crypto::PacketOpener> opener;
  std::unique_ptr<crypto::PacketSealer> sealer;
  std::uint32_t open_seq = 0;
  std::uint32_t seal_seq = 0;
  Bytes unread;  // what came behind the last message of the login
};

/// log_in_user plays the server on a connected socket until the user is logged in, by any key.
Leg log_in_user(int socket, const crypto::PrivateKey& host_key, const std::string& cipher);
/// log_in_at plays the client towards a target. Both end the program where it fails.
Leg log_in_at(int socket, const crypto::PrivateKey& key, const std::string& user,
              const std::string& cipher);

/// packet_len gives the length of the wire packet at the front of `in`, 0 while that is unknown.
std::size_t packet_len(const Leg& leg, ByteView in);
/// open_packet opens one in place and gives its clear packet, whose payload begins at byte 5.
MutBytes open_packet(Leg& leg, MutBytes packet);
ByteView payload_of(ByteView clear);

/// Frame is the sizes of a packet with a payload of that length: clear, and on the wire.
struct Frame {
  std::size_t clear_len;
  std::size_t wire_len;
};
Frame frame_of(const Leg& leg, std::size_t payload_len);
/// seal_frame completes and seals, in place, the packet whose payload lies at `packet` + 5.
/// The padding's bytes are what lies there.
void seal_frame(Leg& leg, std::uint8_t* packet, std::size_t payload_len);

}  // namespace bastion::bench
