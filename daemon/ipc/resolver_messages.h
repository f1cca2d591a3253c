#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/ipc/message.h"

/// The warden's channel with the resolver.
namespace bastion::daemon::ipc {

struct Resolve {
  static constexpr Type kType = Type::kResolve;
  std::string name;
  bool whole = false;  // a user chose a part of it: it is not completed by domains to search
  void fields(auto& f) {
    f(name);
    f(whole);
  }
};
struct Resolved {
  static constexpr Type kType = Type::kResolved;
  std::string name;              // as it was asked for
  std::string error;             // empty: found
  std::vector<Bytes> addresses;  // 4 or 16 octets each, in the order to try, at most 16
  void fields(auto& f) {
    f(name);
    f(error);
    f(addresses);
  }
};

}  // namespace bastion::daemon::ipc
