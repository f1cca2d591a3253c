#include "daemon/indexer/update.h"

#include <algorithm>

namespace bastion::index {

Expected<Updater::Counts> Updater::update() {
  Counts counts;
  std::erase_if(rests_, [now = clock_()](const auto& rest) { return rest.second <= now; });
  std::vector<std::string> days = files_.days();
  for (const auto& [old_day, when] : seen_) {
    if (!std::ranges::binary_search(days, old_day)) {
      days.push_back(old_day);  // a folder that is gone: its rows go
    }
  }
  for (const std::string& each : days) {
    const std::int64_t changed = files_.day_changed_ns(each);
    if (const auto at = seen_.find(each); at != seen_.end() && at->second == changed) {
      continue;
    }
    if (const auto done = day(each, counts); !done) {
      return std::unexpected(done.error());
    }
    seen_[each] = changed;
  }
  const auto open_rows = index_.open_ones();
  if (!open_rows) {
    return std::unexpected(open_rows.error());
  }
  std::map<std::string, std::map<std::string, File>> at;  // day -> session -> file
  for (const Row& row : *open_rows) {
    if (!at.contains(row.day)) {
      for (const File& file : files_.in_day(row.day)) {
        at[row.day].emplace(file.session, file);
      }
    }
    const auto found = at[row.day].find(row.session);
    if (found != at[row.day].end() &&
        (found->second.size != row.size || found->second.changed_ns != row.changed_ns)) {
      if (const auto done = take(found->second, counts); !done) {
        return std::unexpected(done.error());
      }
    }
  }
  return counts;
}

Expected<void> Updater::day(const std::string& day, Counts& counts) {
  const auto known = index_.in_day(day);
  if (!known) {
    return std::unexpected(known.error());
  }
  std::map<std::string, const Row*> gone;
  for (const Row& row : *known) {
    gone.emplace(row.session, &row);
  }
  for (const File& file : files_.in_day(day)) {
    const auto at = gone.find(file.session);
    const bool same = at != gone.end() && at->second->size == file.size &&
                      at->second->changed_ns == file.changed_ns;
    if (at != gone.end()) {
      gone.erase(at);
    }
    if (!same) {
      if (const auto done = take(file, counts); !done) {
        return done;
      }
    }
  }
  for (const auto& [session, row] : gone) {
    if (const auto done = index_.remove(session); !done) {
      return done;
    }
    ++counts.removed;
  }
  return {};
}

Expected<void> Updater::take(const File& file, Counts& counts) {
  if (rests_.contains(file.session)) {
    return {};  // its row says "open", so it is looked at again
  }
  const MonoTime began = clock_();
  const auto summary = summarise(files_, file, decompressor_, identities_);
  if (!summary) {
    ++counts.unreadable;
    return {};
  }
  ++counts.read;
  // One recording, one transaction: readers see it whole, and a kill loses no more than itself.
  if (const auto begun = index_.begin(); !begun) {
    return begun;
  }
  if (const auto put = index_.put(summary->row, summary->content); !put) {
    (void)index_.rollback();
    return put;
  }
  const MonoTime ended = clock_();
  if (const std::int64_t took = ended.ns - began.ns;
      took >= kQuickNs && summary->row.state == "open") {
    rests_[file.session] = after(ended, std::min(took * kRest, kRestNsMax));
  }
  return index_.commit();
}

}  // namespace bastion::index
