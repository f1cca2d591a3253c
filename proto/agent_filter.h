#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace bastion::proto {

/// AgentFilter reads what a target sends to the user's forwarded agent (OpenSSH PROTOCOL.agent: a
/// u32 length and a body that starts with its type) as it passes, and says whether it may: listing
/// keys (11), signing (13) and the one extension (27) that says who asks, session-bind@openssh.com.
/// Adding and removing keys, locking, loading smart card libraries (CVE-2023-38408), and whatever
/// other extensions an agent may have are the user's own business.
class AgentFilter {
 public:
  static constexpr std::uint32_t kFrameBytesMax = 256 * 1024;

  /// pass looks at the next bytes of the stream; false where they hold a frame that is not allowed,
  /// too long, or empty: close the channel, nothing of them may go on. `bytes` is not changed.
  [[nodiscard]] bool pass(ByteView bytes);

 private:
  std::uint32_t body_left_ = 0;           // of the frame under way, its type excluded
  std::array<std::uint8_t, 5> header_{};  // length and type of the frame that begins
  std::uint8_t header_len_ = 0;
  std::uint8_t name_left_ = 0;  // of an extension's name, which is still to be seen
};

}  // namespace bastion::proto
