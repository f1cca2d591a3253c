#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/ip.h"
#include "daemon/ipc/message.h"

namespace bastion::daemon {

/// ConnectionTable counts the connections that have not authenticated, in all and per source (an
/// IPv4 address or an IPv6 /64). A new one is always let in. Where the table is full, the busiest
/// source pays with its oldest silent connection (one that has not finished a key exchange), or its
/// oldest where none is silent; among equally busy sources the one whose candidate is oldest. So a
/// flood from one source costs that source, and one from many costs those who do nothing.
/// Memory: at most `total` entries of about 200 bytes.
class ConnectionTable {
 public:
  struct Limits {
    std::uint32_t total = 1024;
    std::uint32_t per_source = 64;
  };
  struct Dropped {
    ipc::ConnectionId id = 0;
    std::uint32_t gate = 0;
    IpAddress source;
    bool by_source = false;  // per_source was reached, not total
  };
  struct Added {
    ipc::ConnectionId id = 0;
    std::vector<Dropped> dropped;  // those that had to go for it; already removed here
  };

  explicit ConnectionTable(Limits limits) : limits_(limits) {}

  /// set_limits takes effect with the connections that come after.
  void set_limits(Limits limits) { limits_ = limits; }

  /// add counts a connection of `peer` that goes to gate number `gate`. Ids are never used twice.
  Added add(const IpAddress& peer, std::uint32_t gate);
  void spoke(ipc::ConnectionId id);
  /// remove: it ended, authenticated, or was dropped. Unknown ids are ignored: a drop and an end
  /// may cross. True where it was here.
  bool remove(ipc::ConnectionId id);
  /// remove_gate forgets all connections of a gate that died. Returns how many.
  std::size_t remove_gate(std::uint32_t gate);

  std::size_t size() const { return entries_.size(); }
  std::size_t num_sources() const { return sources_.size(); }
  std::size_t num_from(const IpAddress& peer) const;
  std::size_t num_at(std::uint32_t gate) const;
  /// source_of is a connection's source; the unspecified address where it is not here.
  IpAddress source_of(ipc::ConnectionId id) const;
  /// belongs says whether `id` is with that gate: a gate may speak of its own connections only.
  bool belongs(ipc::ConnectionId id, std::uint32_t gate) const;

 private:
  using Ids = std::list<ipc::ConnectionId>;  // oldest first
  struct Entry {
    IpAddress source;
    std::uint32_t gate = 0;
    bool silent = true;
    Ids::iterator place;
  };
  struct Source {
    Ids silent;
    Ids spoken;
    std::size_t count() const { return silent.size() + spoken.size(); }
    /// candidate is who would go; ids grow with time, so the smaller one is the older one.
    ipc::ConnectionId candidate() const { return silent.empty() ? spoken.front() : silent.front(); }
  };
  struct Rank {
    std::size_t count = 0;
    bool silent = false;
    ipc::ConnectionId candidate = 0;
    IpAddress source;
    /// The first in order pays: the most connections, then having a silent one, then the oldest.
    bool operator<(const Rank& other) const;
  };
  Rank rank(const IpAddress& address, const Source& source) const;
  void change(const IpAddress& address, auto&& edit);
  Dropped drop_of(const IpAddress& address);

  Limits limits_;
  ipc::ConnectionId next_id_ = 1;
  std::unordered_map<ipc::ConnectionId, Entry> entries_;
  std::unordered_map<IpAddress, Source> sources_;
  std::set<Rank> ranks_;
  std::map<std::uint32_t, std::size_t> at_gate_;
};

}  // namespace bastion::daemon
