#pragma once

#include "base/bytes.h"
#include "base/limits.h"

namespace bastion::proto {

/// Payload is one SSH message (its number first) that lies in writable memory with room around it:
/// at least limits::kPayloadHeadroom bytes before `data` and limits::kPayloadTailroom behind
/// `data + len`, which the holder may overwrite. It is how an opened packet reaches the layer above
/// and how it goes on, without a copy, into another transport's send queue. It owns nothing: it
/// lives until its producer is called again.
struct Payload {
  std::uint8_t* data = nullptr;
  std::size_t len = 0;

  ByteView view() const { return {data, len}; }
  MutBytes bytes() const { return {data, len}; }
  std::uint8_t message() const { return data[0]; }
};

/// PacketSink takes messages for one leg, in order. A transport is one; tests have their own. It
/// always accepts (during a key exchange it keeps messages until the new keys are in use):
/// what bounds it are the windows that were granted and the sender's respect for queued_bytes().
class PacketSink {
 public:
  virtual ~PacketSink() = default;
  /// send copies a message that we made ourselves.
  virtual void send(ByteView payload) = 0;
  /// send_in_place seals a relayed message straight from where it lies; its surroundings (headroom,
  /// tailroom) and its bytes are used up.
  virtual void send_in_place(Payload payload) = 0;
  /// queued_bytes is what has been accepted and has not left yet, waiting messages included.
  virtual std::size_t queued_bytes() const = 0;
};

}  // namespace bastion::proto
