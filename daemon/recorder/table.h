#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"
#include "daemon/recorder/clock_doubt.h"
#include "daemon/recording/writer.h"
#include "daemon/unique_fd.h"

/// A recorder's open recordings, in memory that the supervisor keeps: a successor goes on from what
/// is there. Only recorders ever map it, one at a time.
namespace bastion::daemon::recorder {

/// Recordings that may be open at once: as many as the warden has sessions in a machine that is
/// full. The memory is used as far as entries were.
inline constexpr std::uint32_t kEntriesMax = 1U << 18;

/// EndStep is how far a recording's end has come: none yet; its block is in the file; the disk is
/// known to have it, and it stands; the signature's block is in the file, too. In the table
/// kWritten never is: a successor makes such an end anew.
enum class EndStep : std::uint8_t { kOpen, kWritten, kKept, kSigned };

/// Progress is what changes with each block. Two of them in each entry, so that a recorder that
/// dies while it writes one leaves the other.
struct Progress {
  recording::WriterState writer;
  recording::RingMark mark;     // of the ring: all before it is in the file
  std::uint64_t charged = 0;    // bytes of frames so far
  std::uint64_t allocated = 0;  // bytes of the file that the disk has promised
  EndStep end_step = EndStep::kOpen;
  recording::EndState end_state{};  // where there is an end: what it says, …
  recording::Head end_head;         // … and its place
};

struct Entry {
  std::uint64_t session_number = 0;
  std::int64_t clock_ahead_us = 0;  // of boot_now() when it was opened: its times go on from there
  std::uint32_t slot = 0;
  std::uint32_t ring_generation = 0;
  std::array<char, 26> session{};  // long id
  std::array<char, 10> day{};      // its folder: "2026-11-25"
  std::uint8_t used = 0;           // set last, cleared first
  std::uint8_t current = 0;        // which progress counts
  std::uint8_t records_input = 0;
  Progress progress[2];
};
static_assert(std::is_trivially_copyable_v<Entry>);

/// text_of and put_text: an entry's texts, which have a fixed length.
template <std::size_t N>
std::string text_of(const std::array<char, N>& text) {
  return {text.data(), text.size()};
}
template <std::size_t N>
void put_text(std::array<char, N>& out, std::string_view text) {
  std::copy_n(text.begin(), std::min(N, text.size()), out.begin());
}

/// make_table_memory is an empty table's memory.
Result<UniqueFd> make_table_memory();

class Table {
 public:
  Table() = default;
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table();

  /// map: `fd` is borrowed. kIo, kMalformed.
  Status map(int fd);

  Entry& operator[](std::uint32_t index) { return entries_[index]; }
  const Progress& progress(std::uint32_t index) const {
    return entries_[index].progress[entries_[index].current];
  }
  /// commit makes `next` the entry's progress, whole or not at all.
  void commit(std::uint32_t index, const Progress& next);
  /// add takes a free entry and fills it; kEntriesMax where there is none.
  std::uint32_t add(const Entry& entry);
  /// remove frees an entry and wipes its key.
  void remove(std::uint32_t index);
  /// used_max: entries from here on were never used.
  std::uint32_t used_max() const { return header_->used_max; }

  /// clock_doubt is what recorders know of the clock.
  ClockDoubt& clock_doubt() { return header_->clock_doubt; }

 private:
  struct Header {
    std::uint64_t magic;
    std::uint32_t version;
    std::uint32_t used_max;
    std::uint32_t entry_bytes;
    ClockDoubt clock_doubt;
  };
  friend Result<UniqueFd> make_table_memory();

  Header* header_ = nullptr;
  Entry* entries_ = nullptr;
  std::uint32_t search_ = 0;
};

}  // namespace bastion::daemon::recorder
