#include "daemon/record_ring/record_ring.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace bastion::daemon::record {
namespace {

constexpr std::size_t kMappedBytes = kMemoryBytes + kDataBytes;

}  // namespace

Result<UniqueFd> make_memory() {
  UniqueFd fd(memfd_create("bastiond-recording", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ftruncate(fd.get(), static_cast<off_t>(kMemoryBytes)) != 0) {
    return fail(ErrorCode::kIo,
                errno == EFBIG ? "a recording ring is larger than a file may be: raise LimitFSIZE= "
                                 "or ulimit -f"
                               : "no memory for a recording ring",
                errno);
  }
  Counters counters{};
  counters.magic = kMagic;
  counters.version = kVersion;
  counters.slots = kSlots;
  counters.capacity = kDataBytes;
  counters.alive_ns = mono_now().ns;
  if (pwrite(fd.get(), static_cast<const void*>(&counters), sizeof counters, 0) !=
      static_cast<ssize_t>(sizeof counters)) {
    return fail(ErrorCode::kIo, "no memory for a recording ring", errno);
  }
  // Whoever could shorten it could end the recorder by a page that is not there.
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return fail(ErrorCode::kIo, "cannot seal a recording ring", errno);
  }
  return fd;
}

Mapping::Mapping(Mapping&& other) noexcept : base_(std::exchange(other.base_, nullptr)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(base_, other.base_);
  return *this;
}

Mapping::~Mapping() {
  if (base_ != nullptr) {
    munmap(base_, kMappedBytes);
  }
}

Result<Mapping> Mapping::map(int fd) {
  // The size is sealed by the supervisor; a file that can be shortened is not ours.
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 ||
      lseek(fd, 0, SEEK_END) != static_cast<off_t>(kMemoryBytes)) {
    return fail(ErrorCode::kMalformed, "not the memory of a recording ring");
  }
  void* place = mmap(nullptr, kMappedBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) {
    return fail(ErrorCode::kIo, "cannot map a recording ring", errno);
  }
  Mapping mapping;
  mapping.base_ = static_cast<std::uint8_t*>(place);
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  constexpr int kFlags = MAP_SHARED | MAP_FIXED;
  if (mmap(mapping.base_, kMemoryBytes, kProtection, kFlags, fd, 0) == MAP_FAILED ||
      mmap(mapping.base_ + kMemoryBytes, kDataBytes, kProtection, kFlags, fd,
           static_cast<off_t>(kDataOffset)) == MAP_FAILED) {
    return fail(ErrorCode::kIo, "cannot map a recording ring", errno);
  }
  const Counters& counters = mapping.counters();
  if (counters.magic != kMagic || counters.version != kVersion || counters.slots != kSlots ||
      counters.capacity != kDataBytes) {
    return fail(ErrorCode::kMalformed, "not the memory of a recording ring");
  }
  return mapping;
}

Producer::Producer(Mapping mapping)
    : mapping_(std::move(mapping)),
      head_(mapping_.counters().head.load(std::memory_order_relaxed)) {}

std::size_t Producer::room() const {
  const std::uint64_t used = head_ - mapping_.counters().tail.load(std::memory_order_acquire);
  return used <= kDataBytes ? kDataBytes - static_cast<std::size_t>(used) : 0;
}

bool Producer::put(FrameHeader header, std::span<const ByteView> pieces) {
  std::size_t len = 0;
  for (const ByteView piece : pieces) {
    len += piece.size();
  }
  const std::size_t total = frame_bytes(len);
  if (len > kPayloadBytesMax || total > room()) {
    return false;
  }
  header.total_len = static_cast<std::uint32_t>(total);
  header.padding = static_cast<std::uint8_t>(total - sizeof header - len);
  std::uint8_t* to = mapping_.at(head_);
  std::memcpy(to, &header, sizeof header);
  to += sizeof header;
  for (const ByteView piece : pieces) {
    if (!piece.empty()) {
      std::memcpy(to, piece.data(), piece.size());
      to += piece.size();
    }
  }
  head_ += total;
  mapping_.counters().head.store(head_, std::memory_order_release);
  return true;
}

Consumer::Consumer(Mapping mapping)
    : mapping_(std::move(mapping)),
      tail_(mapping_.counters().tail.load(std::memory_order_relaxed)) {}

Result<std::uint64_t> Consumer::head() const {
  const std::uint64_t head = mapping_.counters().head.load(std::memory_order_acquire);
  if (head - tail_ > kDataBytes || head % 8 != 0 || tail_ % 8 != 0) {
    return fail(ErrorCode::kMalformed, "a recording ring's position cannot be");
  }
  return head;
}

Result<Frame> Consumer::frame(std::uint64_t position, std::uint64_t head) const {
  Frame frame;
  const std::uint64_t left = head - position;
  if (left < sizeof(FrameHeader)) {
    return fail(ErrorCode::kMalformed, "a frame in a recording ring is cut short");
  }
  std::memcpy(&frame.header, mapping_.at(position), sizeof frame.header);
  const FrameHeader& header = frame.header;
  const std::size_t overhead = sizeof header + header.padding;
  if (header.padding > 7 || header.total_len < overhead || header.total_len % 8 != 0 ||
      header.total_len > left || header.total_len - overhead > kPayloadBytesMax ||
      header.slot >= kSlots) {
    return fail(ErrorCode::kMalformed, "a frame in a recording ring is malformed");
  }
  frame.payload = {mapping_.at(position) + sizeof header, header.total_len - overhead};
  frame.end = position + header.total_len;
  return frame;
}

}  // namespace bastion::daemon::record
