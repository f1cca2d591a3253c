#include "daemon/recorder/table.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/secret.h"

namespace bastion::daemon::recorder {
namespace {

constexpr std::uint64_t kMagic = 0x316c626174636572;  // "rectabl1" in memory
constexpr std::uint32_t kVersion = 2;
constexpr std::size_t kHeaderBytes = 4096;
constexpr std::size_t kMemoryBytes = kHeaderBytes + kEntriesMax * sizeof(Entry);

/// A recorder may die between any two stores; what is stored must then be in the memory in order.
void in_order() { std::atomic_signal_fence(std::memory_order_seq_cst); }

}  // namespace

Result<UniqueFd> make_table_memory() {
  UniqueFd fd(memfd_create("bastiond-recorder-table", MFD_CLOEXEC));
  const Table::Header header{kMagic, kVersion, 0, sizeof(Entry), {}};
  if (!fd || ftruncate(fd.get(), static_cast<off_t>(kMemoryBytes)) != 0 ||
      pwrite(fd.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) {
    return fail(ErrorCode::kIo,
                errno == EFBIG ? "the table of recordings is larger than a file may be: raise "
                                 "LimitFSIZE= or ulimit -f"
                               : "no memory for the table of recordings",
                errno);
  }
  return fd;
}

Table::~Table() {
  if (header_ != nullptr) {
    munmap(header_, kMemoryBytes);
  }
}

Status Table::map(int fd) {
  void* memory = mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    return fail(ErrorCode::kIo, "cannot map the table of recordings", errno);
  }
  header_ = static_cast<Header*>(memory);
  entries_ = reinterpret_cast<Entry*>(static_cast<std::uint8_t*>(memory) + kHeaderBytes);
  if (header_->magic != kMagic || header_->version != kVersion ||
      header_->entry_bytes != sizeof(Entry) || header_->used_max > kEntriesMax) {
    return fail(ErrorCode::kMalformed, "not a table of recordings");
  }
  return {};
}

void Table::commit(std::uint32_t index, const Progress& next) {
  Entry& entry = entries_[index];
  const std::uint8_t other = entry.current ^ 1;
  entry.progress[other] = next;
  in_order();
  entry.current = other;
  in_order();
}

std::uint32_t Table::add(const Entry& entry) {
  std::uint32_t index = search_;
  while (index < header_->used_max && entries_[index].used != 0) {
    ++index;
  }
  if (index >= kEntriesMax) {
    return kEntriesMax;
  }
  search_ = index + 1;
  Entry unused = entry;
  unused.used = 0;
  entries_[index] = unused;
  header_->used_max = std::max(header_->used_max, index + 1);
  in_order();
  entries_[index].used = 1;
  in_order();
  return index;
}

void Table::remove(std::uint32_t index) {
  entries_[index].used = 0;
  in_order();
  wipe(MutBytes(reinterpret_cast<std::uint8_t*>(&entries_[index]), sizeof(Entry)));
  search_ = std::min(search_, index);
}

}  // namespace bastion::daemon::recorder
