#include "daemon/supervisor/connections.h"

#include <tuple>

namespace bastion::daemon {

bool ConnectionTable::Rank::operator<(const Rank& other) const {
  return std::tuple(other.count, other.silent, candidate, source) <
         std::tuple(count, silent, other.candidate, other.source);
}

ConnectionTable::Rank ConnectionTable::rank(const IpAddress& address, const Source& source) const {
  return {source.count(), !source.silent.empty(), source.candidate(), address};
}

/// change edits a source's lists and keeps its rank true; a source without connections is
/// forgotten.
void ConnectionTable::change(const IpAddress& address, auto&& edit) {
  Source& source = sources_[address];
  if (source.count() != 0) {
    ranks_.erase(rank(address, source));
  }
  edit(source);
  if (source.count() == 0) {
    sources_.erase(address);
  } else {
    ranks_.insert(rank(address, source));
  }
}

ConnectionTable::Dropped ConnectionTable::drop_of(const IpAddress& address) {
  const ipc::ConnectionId id = sources_.at(address).candidate();
  const Dropped dropped{id, entries_.at(id).gate, address, false};
  remove(id);
  return dropped;
}

ConnectionTable::Added ConnectionTable::add(const IpAddress& peer, std::uint32_t gate) {
  const IpAddress address = peer.source_key();
  Added added;
  while (num_from(peer) != 0 && num_from(peer) >= limits_.per_source) {
    added.dropped.push_back(drop_of(address));
    added.dropped.back().by_source = true;
  }
  while (!entries_.empty() && entries_.size() >= limits_.total) {
    added.dropped.push_back(drop_of(ranks_.begin()->source));
  }
  added.id = next_id_++;
  change(address, [&](Source& source) {
    const auto place = source.silent.insert(source.silent.end(), added.id);
    entries_.emplace(added.id, Entry{address, gate, true, place});
  });
  ++at_gate_[gate];
  return added;
}

void ConnectionTable::spoke(ipc::ConnectionId id) {
  const auto at = entries_.find(id);
  if (at == entries_.end() || !at->second.silent) {
    return;
  }
  Entry& entry = at->second;
  change(entry.source, [&](Source& source) {
    source.silent.erase(entry.place);
    entry.place = source.spoken.insert(source.spoken.end(), id);
    entry.silent = false;
  });
}

bool ConnectionTable::remove(ipc::ConnectionId id) {
  const auto at = entries_.find(id);
  if (at == entries_.end()) {
    return false;
  }
  const Entry entry = at->second;
  entries_.erase(at);
  change(entry.source, [&](Source& source) {
    (entry.silent ? source.silent : source.spoken).erase(entry.place);
  });
  if (--at_gate_[entry.gate] == 0) {
    at_gate_.erase(entry.gate);
  }
  return true;
}

std::size_t ConnectionTable::remove_gate(std::uint32_t gate) {
  std::vector<ipc::ConnectionId> ids;
  for (const auto& [id, entry] : entries_) {
    if (entry.gate == gate) {
      ids.push_back(id);
    }
  }
  for (const ipc::ConnectionId id : ids) {
    remove(id);
  }
  return ids.size();
}

std::size_t ConnectionTable::num_from(const IpAddress& peer) const {
  const auto at = sources_.find(peer.source_key());
  return at == sources_.end() ? 0 : at->second.count();
}

std::size_t ConnectionTable::num_at(std::uint32_t gate) const {
  const auto at = at_gate_.find(gate);
  return at == at_gate_.end() ? 0 : at->second;
}

IpAddress ConnectionTable::source_of(ipc::ConnectionId id) const {
  const auto at = entries_.find(id);
  return at == entries_.end() ? IpAddress() : at->second.source;
}

bool ConnectionTable::belongs(ipc::ConnectionId id, std::uint32_t gate) const {
  const auto at = entries_.find(id);
  return at != entries_.end() && at->second.gate == gate;
}

}  // namespace bastion::daemon
