#include "daemon/supervisor/identity.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "daemon/process.h"

namespace bastion::daemon {
namespace {

/// "nobody" on every Linux: it owns no file.
constexpr uid_t kNobody = 65534;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

File open_text(const char* path) { return {std::fopen(path, "re"), &std::fclose}; }

std::optional<Identity> user_id(const std::string& name) {
  const File file = open_text("/etc/passwd");
  if (!file) {
    return std::nullopt;
  }
  while (const passwd* entry = fgetpwent(file.get())) {
    if (name == entry->pw_name) {
      return Identity{entry->pw_uid, entry->pw_gid};
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<gid_t> group_id(const std::string& name) {
  const File file = open_text("/etc/group");
  if (!file) {
    return std::nullopt;
  }
  while (const group* entry = fgetgrent(file.get())) {
    if (name == entry->gr_name) {
      return entry->gr_gid;
    }
  }
  return std::nullopt;
}

std::expected<Identities, std::string> find_identities(bool one_uid) {
  Identities identities;
  if (geteuid() != 0) {
    identities.note = "all processes run as uid " + std::to_string(geteuid());
    return identities;
  }
  identities.change = true;
  if (one_uid) {
    identities.note =
        "all processes but the supervisor run as uid " + std::to_string(kNobody) + " (--one-uid)";
  }
  for (const ipc::Role role : {ipc::Role::kGate, ipc::Role::kWorker, ipc::Role::kWarden,
                               ipc::Role::kResolver, ipc::Role::kRecorder}) {
    if (one_uid) {
      identities.roles[role] = {kNobody, static_cast<gid_t>(kNobody)};
      continue;
    }
    const std::string name = "bastiond-" + std::string(role_name(role));
    const std::optional<Identity> found = user_id(name);
    if (!found || found->uid == 0) {
      return std::unexpected("there is no user " + name +
                             ": make our users with `systemd-sysusers bastiond.conf` (that is "
                             "deploy/systemd/bastiond.sysusers), or run all processes under one "
                             "unprivileged uid with --one-uid");
    }
    identities.roles[role] = *found;
  }
  identities.same_uid = one_uid;
  if (!one_uid) {
    identities.note = "each kind of process has a uid of its own";
  }
  return identities;
}

}  // namespace bastion::daemon
