#include "daemon/memory.h"

#include <array>
#include <numeric>

#include "daemon/stream/stream.h"
#include "daemon/warden/session.h"
#include "daemon/worker/session.h"
#include "proto/transport.h"

namespace bastion::daemon {
namespace {

/// heap is what malloc takes for one object: glibc puts 8 bytes before it and rounds up to 16.
constexpr std::size_t heap(std::size_t bytes) { return (bytes + 8 + 15) / 16 * 16; }

/// The largest cipher object of one direction (AES-CTR with HMAC: its schedule and two hash
/// states); AES-GCM's has 0.1 KiB.
constexpr std::size_t kCipherBytes = 928;
/// The bridge, and its table with one channel in it.
constexpr std::size_t kBridgeBytes = 1536;
/// Names, the compiled grant, the target's host key, identification strings, server-sig-algs.
constexpr std::size_t kWorkerTextBytes = 2048;
/// Ids, names, the proof of the login, the grant's copy of its target, keys for the target.
constexpr std::size_t kWardenTextBytes = 2048;
/// Rows, hash nodes and timers in tables of either process, as far as they may be empty.
constexpr std::size_t kTableBytes = 384;

constexpr std::array kItems{
    MemoryItem{"worker's session", heap(sizeof(WorkerSession))},
    MemoryItem{"sockets' buffers", 2 * heap(sizeof(Stream))},
    MemoryItem{"transports", 2 * heap(sizeof(proto::Transport))},
    MemoryItem{"ciphers", 4 * heap(kCipherBytes)},
    MemoryItem{"bridge with a channel", kBridgeBytes},
    MemoryItem{"worker's texts", kWorkerTextBytes},
    MemoryItem{"warden's row", heap(sizeof(Session))},
    MemoryItem{"warden's texts", kWardenTextBytes},
    MemoryItem{"tables", kTableBytes},
};

constexpr std::size_t kSum =
    std::accumulate(kItems.begin(), kItems.end(), std::size_t{0},
                    [](std::size_t sum, const MemoryItem& item) { return sum + item.bytes; });
static_assert(kSum <= kIdleSessionBytesMax, "an idle session takes more than was promised");

}  // namespace

std::span<const MemoryItem> idle_session_memory() { return kItems; }

std::size_t idle_session_bytes() { return kSum; }

std::string idle_session_text() {
  std::string text = std::to_string(kSum) + " =";
  for (const MemoryItem& item : kItems) {
    text += text.ends_with('=') ? " " : " + ";
    text += std::to_string(item.bytes) + " " + std::string(item.what);
  }
  return text;
}

}  // namespace bastion::daemon
