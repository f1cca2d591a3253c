#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "proto/channel.h"
#include "proto/file_commands.h"

namespace bastion::daemon {

/// BulkOpening looks at how a conversation begins that a command says is rsync's or git's. Only
/// where both sides begin as these protocols do is their content left out of a recording: a
/// program of the target's that only has the name is recorded as any other.
class BulkOpening {
 public:
  /// So much of each direction is kept all the same: what they agree on, and first names.
  static constexpr std::uint64_t kKeptBytes = 4096;

  explicit BulkOpening(proto::FileCommand::Kind kind) : kind_(kind) {}

  /// see takes what passes next; false: this is another protocol.
  bool see(proto::Leg from, ByteView data);
  bool both_seen() const { return sides_[0].seen == kBytes && sides_[1].seen == kBytes; }

 private:
  static constexpr std::size_t kBytes = 4;
  struct Side {
    std::array<std::uint8_t, kBytes> bytes{};
    std::size_t seen = 0;
  };
  bool fits(const Side& side) const;

  proto::FileCommand::Kind kind_;
  std::array<Side, 2> sides_;
};

}  // namespace bastion::daemon
