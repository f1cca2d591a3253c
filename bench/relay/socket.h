#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include "base/bytes.h"
#include "bench/peers/link.h"

namespace bastion::bench {

/// receive_some reads into `into` what is there, waiting for the first byte. 0: the peer has ended.
std::size_t receive_some(int socket, MutBytes into);
/// send_all sends everything, waiting as long as it takes. False: the peer has gone.
bool send_all(int socket, ByteView bytes);
/// send_pieces is send_all for several pieces, which are used up.
bool send_pieces(int socket, std::span<iovec> pieces);
/// wait_for_input says which of two sockets has input, one bit each.
unsigned wait_for_input(int first, int second);

}  // namespace bastion::bench
