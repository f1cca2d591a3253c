#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace bastion::proto {

/// AgentFilter reads what a target sends to the user's forwarded agent (OpenSSH PROTOCOL.agent: a
/// u32 length and a body that starts with its type) as it passes, and says whether it may: listing
/// keys (11), signing (13) and extensions (27, of which session-bind says who asks). Adding and
/// removing keys, locking, and loading smart card libraries (CVE-2023-38408) are the user's own
/// business.
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
};

}  // namespace bastion::proto
