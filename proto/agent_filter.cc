#include "proto/agent_filter.h"

#include <algorithm>

namespace bastion::proto {
namespace {

constexpr bool is_allowed(std::uint8_t type) {
  constexpr std::uint8_t kRequestIdentities = 11;
  constexpr std::uint8_t kSignRequest = 13;
  constexpr std::uint8_t kExtension = 27;
  return type == kRequestIdentities || type == kSignRequest || type == kExtension;
}

}  // namespace

bool AgentFilter::pass(ByteView bytes) {
  while (!bytes.empty()) {
    if (body_left_ > 0) {
      const std::size_t n = std::min<std::size_t>(body_left_, bytes.size());
      body_left_ -= static_cast<std::uint32_t>(n);
      bytes = bytes.subspan(n);
      continue;
    }
    header_[header_len_++] = bytes.front();
    bytes = bytes.subspan(1);
    if (header_len_ < header_.size()) {
      continue;
    }
    const std::uint32_t len = load_u32(header_.data());
    if (len == 0 || len > kFrameBytesMax || !is_allowed(header_[4])) {
      return false;
    }
    body_left_ = len - 1;
    header_len_ = 0;
  }
  return true;
}

}  // namespace bastion::proto
