#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace bastion::screen {

/// RepeatFilter replaces REP (ECMA-48 8.3.103, CSI n b: the last character n times more) by the
/// characters themselves. libvterm (0.1.4, 0.3.3) never comes back from one behind a character of
/// no width, or where there was none yet: three octets of a session would end whoever renders it.
///
/// It takes anything for a sequence that libvterm could take for one, so that none reaches it.
class RepeatFilter {
 public:
  /// pass adds to `out` what stands for these octets; sequences may be split between two calls. At
  /// most `repeats_max` characters come of one sequence.
  void pass(ByteView bytes, std::size_t repeats_max, Bytes& out);

 private:
  enum class State : std::uint8_t { kText, kEscape, kSequence, kString };

  void step(std::uint8_t octet);

  State state_ = State::kText;
  std::size_t count_ = 0;  // the first number of the sequence
  bool counting_ = false;  // its digits may come
  bool is_plain_ = false;  // nothing but numbers: not the private kin of a sequence
  std::string character_;  // the last one, in UTF-8
};

}  // namespace bastion::screen
