#include "daemon/worker/bulk_opening.h"

#include <algorithm>

namespace bastion::daemon {
namespace {

/// rsync's versions (its MIN_PROTOCOL_VERSION and MAX_PROTOCOL_VERSION): four octets, the least
/// significant first.
constexpr std::uint8_t kRsyncVersionMin = 20;
constexpr std::uint8_t kRsyncVersionMax = 40;

/// git's pkt-line begins with its length in four hexadecimal digits (gitprotocol-common).
bool is_hex(std::uint8_t octet) {
  return (octet >= '0' && octet <= '9') || (octet >= 'a' && octet <= 'f') ||
         (octet >= 'A' && octet <= 'F');
}

}  // namespace

bool BulkOpening::fits(const Side& side) const {
  if (kind_ == proto::FileCommand::Kind::kGit) {
    return std::ranges::all_of(side.bytes.begin(),
                               side.bytes.begin() + static_cast<std::ptrdiff_t>(side.seen), is_hex);
  }
  for (std::size_t i = 0; i < side.seen; ++i) {
    const std::uint8_t octet = side.bytes[i];
    if (i == 0 ? octet < kRsyncVersionMin || octet > kRsyncVersionMax : octet != 0) {
      return false;
    }
  }
  return true;
}

bool BulkOpening::see(proto::Leg from, ByteView data) {
  Side& side = sides_[from == proto::Leg::kUpstream ? 1 : 0];
  for (const std::uint8_t octet : data.first(std::min(data.size(), kBytes - side.seen))) {
    side.bytes[side.seen++] = octet;
  }
  return fits(side);
}

}  // namespace bastion::daemon
