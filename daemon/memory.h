#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace bastion::daemon {

/// MemoryItem is one part of what an idle session costs.
struct MemoryItem {
  std::string_view what;
  std::size_t bytes;
};

/// kIdleSessionBytesMax is the promise: what one idle routed session takes of all our processes
/// together, the allocator's share included and the kernel's own memory not.
inline constexpr std::size_t kIdleSessionBytesMax = 16 * 1024;

/// idle_session_memory itemises a routed session with one open shell: sizes of the objects, each
/// with its heap header, and upper bounds for texts and keys. Nothing else stays: receive buffers
/// and send chunks are shared and go back when they are empty, key exchanges free what they used,
/// expanded keys lie in a cache of fixed size.
std::span<const MemoryItem> idle_session_memory();
std::size_t idle_session_bytes();
/// idle_session_text is the sum and its items as one line for the log, in bytes.
std::string idle_session_text();

}  // namespace bastion::daemon
