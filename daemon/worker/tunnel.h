#pragma once

#include <sys/uio.h>

#include <memory>
#include <vector>

#include "daemon/stream/stream.h"
#include "proto/channel.h"
#include "proto/send_queue.h"

namespace bastion::daemon {

/// Tunnel is one TCP connection of ProxyJump (direct-tcpip): opaque bytes between a channel of the
/// user's and a socket that the warden connected.
struct Tunnel {
  Tunnel(proto::ChannelNumber number, ChunkPool& pool) : channel(number), out(pool) {}

  proto::ChannelNumber channel;
  std::uint32_t slot = 0;  // in the worker's table
  std::unique_ptr<Stream> stream;
  proto::SendQueue out;      // towards the target: what the socket did not take at once
  std::vector<iovec> batch;  // opened data of the current turn, where it lies
  bool user_ended = false;   // no more from the user: shut down for writing once `out` is empty
  bool write_shut = false;
  bool end_told = false;      // the user was told EOF
  bool channel_gone = false;  // nothing more may be said to the user
  MonoTime leave_at;          // channel_gone: by then the target has taken the rest, or it is lost

  std::size_t batch_bytes() const {
    std::size_t sum = 0;
    for (const iovec& piece : batch) {
      sum += piece.iov_len;
    }
    return sum;
  }
};

}  // namespace bastion::daemon
