#include "daemon/screen/repeat_filter.h"

#include <algorithm>
#include <string_view>

namespace bastion::screen {
namespace {

constexpr std::uint8_t kBell = 0x07;
constexpr std::uint8_t kCancel = 0x18;
constexpr std::uint8_t kSubstitute = 0x1a;
constexpr std::uint8_t kEsc = 0x1b;
constexpr std::uint8_t kDelete = 0x7f;
constexpr std::size_t kCountMax = 100'000;
constexpr std::size_t kCharacterBytesMax = 4;
/// What begins a string: OSC, DCS, SOS, PM, APC.
constexpr std::string_view kStringStarts = "]PX^_";

}  // namespace

void RepeatFilter::pass(ByteView bytes, std::size_t repeats_max, Bytes& out) {
  for (const std::uint8_t octet : bytes) {
    if (state_ != State::kSequence || octet != 'b') {
      step(octet);
      out.push_back(octet);
      continue;
    }
    state_ = State::kText;
    out.push_back(kCancel);  // of the sequence that has begun
    const std::size_t repeats = is_plain_ ? std::max<std::size_t>(1, count_) : 0;
    for (std::size_t i = 0; i < std::min(repeats, repeats_max); ++i) {
      out.insert(out.end(), character_.begin(), character_.end());
    }
  }
}

void RepeatFilter::step(std::uint8_t octet) {
  if (octet == kEsc) {
    state_ = State::kEscape;
    return;
  }
  if (octet == kCancel || octet == kSubstitute || (octet == kBell && state_ == State::kString)) {
    state_ = State::kText;
    return;
  }
  if (octet < 0x20 || octet == kDelete) {
    return;  // carried out, or ignored, in the middle of whatever there is
  }
  const bool is_parameter = octet >= 0x30 && octet < 0x40;
  const bool is_intermediate = octet >= 0x20 && octet < 0x30;
  switch (state_) {
    case State::kText:
      if ((octet & 0xc0) != 0x80) {
        character_.clear();
      }
      if (character_.size() < kCharacterBytesMax) {
        character_ += static_cast<char>(octet);
      }
      return;
    case State::kEscape:
      if (octet == '[') {
        state_ = State::kSequence;
        count_ = 0;
        counting_ = is_plain_ = true;
      } else if (is_intermediate || octet >= 0x80) {
        return;  // libvterm takes a '[' behind these for that of a sequence all the same
      } else {
        const bool is_string = kStringStarts.find(static_cast<char>(octet)) != kStringStarts.npos;
        state_ = is_string ? State::kString : State::kText;
      }
      return;
    case State::kSequence:
      if (octet >= '0' && octet <= '9') {
        count_ = counting_ ? std::min(count_ * 10 + (octet - std::size_t{'0'}), kCountMax) : count_;
      } else if (octet == ';') {
        counting_ = false;
      } else if (is_parameter || is_intermediate) {
        is_plain_ = false;
      } else {
        state_ = State::kText;
      }
      return;
    case State::kString: return;
  }
}

}  // namespace bastion::screen
