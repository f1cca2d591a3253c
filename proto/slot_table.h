#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "proto/channel.h"

namespace bastion::proto {

/// SlotTable keeps the channels of one connection by number. A place is used again under the next
/// generation, so a number is dead for good once erased (until 2^24 channels later in its place).
/// The table grows to the most channels that were open at once, never over limits::kChannelsMax.
/// Pointers from find() live until the next insert() or the erase() of their number.
template <typename T>
class SlotTable {
 public:
  static constexpr std::size_t kPlaceBits = 8;
  static constexpr std::uint32_t kGenerationMask = 0xffffff;
  static_assert(limits::kChannelsMax <= std::size_t{1} << kPlaceBits);

  /// insert takes the lowest free place; nothing where all of limits::kChannelsMax are taken.
  std::optional<ChannelNumber> insert() {
    std::size_t place = 0;
    while (place < slots_.size() && slots_[place].used) {
      ++place;
    }
    if (place == limits::kChannelsMax) {
      return std::nullopt;
    }
    if (place == slots_.size()) {
      slots_.emplace_back();
    }
    slots_[place].used = true;
    ++size_;
    return slots_[place].generation << kPlaceBits | static_cast<std::uint32_t>(place);
  }

  T* find(ChannelNumber number) { return const_cast<T*>(std::as_const(*this).find(number)); }
  const T* find(ChannelNumber number) const {
    const std::size_t place = number & ((1U << kPlaceBits) - 1);
    if (place >= slots_.size() || !slots_[place].used ||
        slots_[place].generation != number >> kPlaceBits) {
      return nullptr;
    }
    return &slots_[place].value;
  }

  /// is_stale is true for a number that was given out and erased.
  bool is_stale(ChannelNumber number) const {
    const std::size_t place = number & ((1U << kPlaceBits) - 1);
    if (place >= slots_.size()) {
      return false;
    }
    const std::uint32_t age = (slots_[place].generation - (number >> kPlaceBits)) & kGenerationMask;
    return age != 0 && age <= kGenerationMask / 2 && age <= slots_[place].num_erased;
  }

  void erase(ChannelNumber number) {
    Slot& slot = slots_[number & ((1U << kPlaceBits) - 1)];
    slot.value = T{};
    slot.used = false;
    slot.generation = (slot.generation + 1) & kGenerationMask;
    slot.num_erased = slot.num_erased == kGenerationMask ? kGenerationMask : slot.num_erased + 1;
    --size_;
  }

  std::size_t size() const { return size_; }

  /// for_each calls f(number, value) for every entry. f may erase the entry that it got.
  template <typename F>
  void for_each(F f) {
    for (std::size_t place = 0; place < slots_.size(); ++place) {
      if (slots_[place].used) {
        f(slots_[place].generation << kPlaceBits | static_cast<std::uint32_t>(place),
          slots_[place].value);
      }
    }
  }
  template <typename F>
  void for_each(F f) const {
    for (std::size_t place = 0; place < slots_.size(); ++place) {
      if (slots_[place].used) {
        f(slots_[place].generation << kPlaceBits | static_cast<std::uint32_t>(place),
          slots_[place].value);
      }
    }
  }

 private:
  struct Slot {
    T value{};
    std::uint32_t generation = 0;
    std::uint32_t num_erased = 0;
    bool used = false;
  };
  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace bastion::proto
