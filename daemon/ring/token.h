#pragma once

#include <cstdint>

namespace bastion::daemon {

/// Token says what a completion or a timer belongs to: a kind of thing, the index in the table of
/// those, and the generation of that table's slot, so that a late completion for a reused slot is
/// recognised. Never a pointer. Kinds are chosen by each process; 0xff is the ring's own.
struct Token {
  std::uint8_t kind = 0;
  std::uint32_t index = 0;
  std::uint32_t generation = 0;  // 24 bits: the upper 8 are not kept

  static constexpr std::uint32_t kGenerationMask = 0xff'ffff;

  constexpr std::uint64_t pack() const {
    return std::uint64_t{kind} << 56 | std::uint64_t{generation & kGenerationMask} << 32 | index;
  }
  static constexpr Token unpack(std::uint64_t v) {
    return {static_cast<std::uint8_t>(v >> 56), static_cast<std::uint32_t>(v),
            static_cast<std::uint32_t>(v >> 32) & kGenerationMask};
  }
  friend constexpr bool operator==(const Token&, const Token&) = default;
};

}  // namespace bastion::daemon
