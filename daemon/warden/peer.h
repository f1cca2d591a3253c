#pragma once

#include <compare>
#include <cstdint>

#include "daemon/ipc/message.h"

namespace bastion::daemon {

/// PeerId names one process at the other end of a channel of the warden's.
struct PeerId {
  ipc::Role role{};
  std::uint32_t index = 0;
  friend auto operator<=>(const PeerId&, const PeerId&) = default;
};

}  // namespace bastion::daemon
