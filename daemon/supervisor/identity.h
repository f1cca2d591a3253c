#pragma once

#include <sys/types.h>

#include <expected>
#include <map>
#include <optional>
#include <string>

#include "daemon/ipc/message.h"

namespace bastion::daemon {

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
};

/// Identities says under which uid each kind of process runs. Where `change` is false all keep ours
/// (an ordinary user's bastion, such as the demo's).
struct Identities {
  bool change = false;
  bool same_uid = true;
  std::map<ipc::Role, Identity> roles;
  std::string note;  // for the log and `bastionctl status`
};

/// find_identities: as root, the users bastiond-gate, -worker, -warden, -resolver and -recorder,
/// which must exist; or with `one_uid` uid 65534 for all children. Otherwise our own. The error
/// says the cure. Files are read directly: name service modules must not be loaded into this
/// process.
std::expected<Identities, std::string> find_identities(bool one_uid);

/// group_id finds a group of /etc/group.
std::optional<gid_t> group_id(const std::string& name);

}  // namespace bastion::daemon
