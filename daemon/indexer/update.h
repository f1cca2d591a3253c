#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/clock.h"
#include "daemon/indexer/files.h"
#include "daemon/indexer/index.h"
#include "daemon/indexer/summary.h"

namespace bastion::index {

/// Updater keeps an index like the files. It looks into a day's folder only when that has changed,
/// and at files that are still being recorded each time. Each reading is of the whole file: one
/// that is still being recorded and took long is let rest, kRest times as long as it took, so that
/// large ones that grow take a twentieth of a processor each.
class Updater {
 public:
  /// What takes less than this is read each time.
  static constexpr std::int64_t kQuickNs = 50 * kNsPerMs;
  static constexpr std::int64_t kRest = 20;
  static constexpr std::int64_t kRestNsMax = 300 * kNsPerSecond;

  /// All outlive the updater. `clock` is the system's, but for tests.
  using Clock = std::function<MonoTime()>;
  Updater(const Files& files, Index& index, std::span<const recording::Identity> identities,
          Clock clock = mono_now)
      : files_(files), index_(index), identities_(identities), clock_(std::move(clock)) {}

  struct Counts {
    std::uint64_t read = 0;
    std::uint64_t removed = 0;
    std::uint64_t unreadable = 0;
  };
  /// update brings the index up to date.
  Expected<Counts> update();

 private:
  Expected<void> day(const std::string& day, Counts& counts);
  Expected<void> take(const File& file, Counts& counts);

  const Files& files_;
  Index& index_;
  std::span<const recording::Identity> identities_;
  Clock clock_;
  recording::Decompressor decompressor_;
  std::map<std::string, std::int64_t> seen_;  // day -> its folder's time when it was last read
  std::map<std::string, MonoTime> rests_;     // session -> until when it is not read again
};

}  // namespace bastion::index
