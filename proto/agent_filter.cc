#include "proto/agent_filter.h"

#include <algorithm>
#include <string_view>

namespace bastion::proto {
namespace {

constexpr std::uint8_t kRequestIdentities = 11;
constexpr std::uint8_t kSignRequest = 13;
constexpr std::uint8_t kExtension = 27;

/// The extension that passes, as it stands at the front of its body: a string.
constexpr std::string_view kSessionBind("\0\0\0\x18session-bind@openssh.com", 28);

constexpr bool is_allowed(std::uint8_t type) {
  return type == kRequestIdentities || type == kSignRequest || type == kExtension;
}

}  // namespace

bool AgentFilter::pass(ByteView bytes) {
  while (!bytes.empty()) {
    if (name_left_ > 0) {
      const char wanted = kSessionBind[kSessionBind.size() - name_left_];
      if (bytes.front() != static_cast<std::uint8_t>(wanted)) {
        return false;
      }
      --name_left_;
      --body_left_;
      bytes = bytes.subspan(1);
      continue;
    }
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
    if (header_[4] == kExtension) {
      if (body_left_ < kSessionBind.size()) {
        return false;
      }
      name_left_ = static_cast<std::uint8_t>(kSessionBind.size());
    }
  }
  return true;
}

}  // namespace bastion::proto
