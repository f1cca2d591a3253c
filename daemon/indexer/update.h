#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "daemon/indexer/files.h"
#include "daemon/indexer/index.h"
#include "daemon/indexer/summary.h"

namespace bastion::index {

/// Updater keeps an index like the files. It looks into a day's folder only when that has changed,
/// and at files that are still being recorded each time.
class Updater {
 public:
  /// All outlive the updater.
  Updater(const Files& files, Index& index, std::span<const recording::Identity> identities)
      : files_(files), index_(index), identities_(identities) {}

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
  recording::Decompressor decompressor_;
  std::map<std::string, std::int64_t> seen_;  // day -> its folder's time when it was last read
};

}  // namespace bastion::index
