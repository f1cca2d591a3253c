#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "daemon/ipc/recorder_messages.h"
#include "daemon/record_ring/record_ring.h"
#include "daemon/recorder/table.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/warden/settings.h"

/// What the supervisor does for the recorder: it keeps the memory that must outlive a worker and a
/// recorder, and hands it to their successors.
namespace bastion::daemon {
namespace {

std::string errno_text(const std::string& what) { return what + ": " + std::strerror(errno); }

/// is_empty_folder: nothing but what a new file system has is in it.
bool is_empty_folder(int folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(
      fdopendir(openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), &closedir);
  while (const dirent* entry = open == nullptr ? nullptr : readdir(open.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && name != "lost+found") {
      return false;
    }
  }
  return open != nullptr;
}

}  // namespace

Child* Supervisor::recorder() {
  const auto found = std::ranges::find(children_, ipc::Role::kRecorder, &Child::role);
  return found == children_.end() ? nullptr : &*found;
}

/// prepare_recording makes what a recorder needs and may not make itself: its folders, where they
/// are not there, and the memory of its table.
bool Supervisor::prepare_recording() {
  if (service_.recording.enabled && mkdir(service_.state_dir.c_str(), 0711) != 0 &&
      errno != EEXIST) {
    const bool read_only = errno == EROFS;
    log_.error(errno_text("cannot make state_dir, " + service_.state_dir) +
               (read_only
                    ? "; the unit lets us write there with ReadWritePaths= (docs/operations.md)"
                    : ""));
    return false;
  }
  if (!prepare_audit()) {  // its folder may be one in state_dir
    return false;
  }
  if (!service_.recording.enabled) {
    return true;
  }
  recordings_folder_ = service_.state_dir + "/recordings";
  if (mkdir(recordings_folder_.c_str(), 0700) != 0 && errno != EEXIST) {
    log_.error(errno_text("cannot make the folder for recordings, " + recordings_folder_));
    return false;
  }
  recordings_fd_ = give_to_recorder(recordings_folder_, "the folder for recordings");
  if (!recordings_fd_) {
    return false;
  }
  auto table = recorder::make_table_memory();
  if (!table) {
    log_.error(describe(table.error()));
    return false;
  }
  recorder_table_ = std::move(*table);
  return true;
}

/// prepare_audit makes the folder of the audit log, where it is not there.
bool Supervisor::prepare_audit() {
  const std::string& file = service_.audit.file;
  if (file.empty()) {
    return true;
  }
  const std::string folder = file.substr(0, std::max<std::size_t>(file.rfind('/'), 1));
  if (mkdir(folder.c_str(), 0750) != 0 && errno != EEXIST) {
    log_.error(errno_text("cannot make the folder of the audit log, " + folder));
    return false;
  }
  audit_fd_ = give_to_recorder(folder, "the folder of the audit log");
  return static_cast<bool>(audit_fd_);
}

/// give_to_recorder makes the recorder the owner of a folder, where it is root's and nothing is in
/// it: else it may be /var/log, or a link that leads anywhere. The descriptor that it gives is for
/// the recorder, which need not be able to reach the folder by its path; none: it was said why.
UniqueFd Supervisor::give_to_recorder(const std::string& path, const std::string& what) {
  // O_PATH: under systemd root may not read what is the recorder's.
  UniqueFd folder(open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat found{};
  if (!folder || fstat(folder.get(), &found) != 0) {
    log_.error(errno_text(what + ", " + path + ", cannot be opened"));
    return {};
  }
  if (!identities_.change) {
    return folder;
  }
  const Identity& owner = identities_.roles.at(ipc::Role::kRecorder);
  if (found.st_uid == owner.uid) {
    return folder;
  }
  const std::string whose = what + ", " + path + ", belongs to uid " +
                            std::to_string(found.st_uid) + " instead of " +
                            std::to_string(owner.uid) + ", the recorder's";
  if (found.st_uid != 0 || !is_empty_folder(folder.get())) {
    log_.error(whose +
               ", and other things may be in it: name a folder of its own; one that is so already: "
               "chown bastiond-recorder");
    return {};
  }
  if (fchownat(folder.get(), "", owner.uid, owner.gid, AT_EMPTY_PATH) != 0) {
    log_.error(whose + "; make it right with: systemd-tmpfiles --create bastiond.conf, or chown");
    return {};
  }
  return folder;
}

/// add_ring makes the ring of a worker that is about to start.
Status Supervisor::add_ring(Child& worker, ChildSpec& spec) {
  RecordRing ring;
  auto memory = record::make_memory();
  if (!memory) {
    return std::unexpected(memory.error());
  }
  ring.memory = std::move(*memory);
  ring.bell.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ring.bell) {
    return fail(ErrorCode::kIo, "cannot make a recording ring's bell", errno);
  }
  ring.generation = next_ring_generation_++;
  ring.worker = worker.index;
  spec.record_ring = ring.memory.get();
  spec.record_bell = ring.bell.get();
  record_rings_.push_back(std::move(ring));
  return {};
}

void Supervisor::tell_ring(const RecordRing& ring) {
  if (Child* to = recorder(); to != nullptr) {
    const std::array<int, 2> fds = {ring.memory.get(), ring.bell.get()};
    send_to(*to, {}, ipc::AddRing{ring.worker, ring.generation}, fds);
  }
}

/// retire_ring: the worker is dead; what it had accepted is still to be written down.
void Supervisor::retire_ring(const Child& worker) {
  for (RecordRing& ring : record_rings_) {
    if (ring.worker == worker.index && !ring.retired) {
      ring.retired = true;
      if (Child* to = recorder(); to != nullptr) {
        send_to(*to, {}, ipc::RetireRing{ring.generation});
      }
    }
  }
}

/// brief_recorder tells a new recorder all that the one before it knew.
void Supervisor::brief_recorder() {
  send_recorder_settings();
  const int table = recorder_table_.get();
  if (table >= 0) {
    send_to(*recorder(), {}, ipc::RecorderTable{}, std::span(&table, 1));
  }
  for (const RecordRing& ring : record_rings_) {
    tell_ring(ring);
    if (ring.retired) {
      send_to(*recorder(), {}, ipc::RetireRing{ring.generation});
    }
  }
  send_to(*recorder(), {}, ipc::RingsComplete{});
}

void Supervisor::send_recorder_settings() {
  Child* to = recorder();
  if (to == nullptr) {
    return;
  }
  ipc::RecorderSettings settings;
  settings.recording = service_.recording.enabled;
  settings.folder = recordings_folder_;
  settings.recipients = service_.recording.recipients;
  settings.retention_seconds =
      static_cast<std::uint64_t>(service_.recording.retention_age_ms / 1000);
  settings.retention_bytes = service_.recording.retention_bytes;
  settings.reserve_bytes = service_.recording.reserve_bytes;
  settings.log_level = to_log_level(service_.log_level);
  const config::AuditConfig& audit = service_.audit;
  if (!audit.file.empty()) {
    const std::size_t slash = audit.file.rfind('/');
    settings.audit.folder = audit.file.substr(0, std::max<std::size_t>(slash, 1));
    settings.audit.file = audit.file.substr(slash + 1);
    settings.audit.drops = audit.drops;
    settings.audit.rotate_bytes = audit.rotate_bytes;
    settings.audit.rotate_seconds = static_cast<std::uint64_t>(audit.rotate_age_ms / 1000);
    settings.audit.host = bastion_name_of(service_);
    for (const config::AuditSinkConfig& sink : audit.sinks) {
      settings.audit.sinks.push_back({static_cast<audit::SinkKind>(sink.kind), sink.path,
                                      sink.endpoint ? sink.endpoint->text() : "", sink.drops});
    }
  }
  std::vector<int> folders;
  for (const UniqueFd* folder : {&recordings_fd_, &audit_fd_}) {
    if (*folder) {
      folders.push_back(folder->get());
    }
  }
  send_to(*to, {}, settings, folders);
}

bool Supervisor::on_recorder_message(const ipc::Received& received) {
  if (received.header.type == ipc::Type::kRingDone) {
    const auto done = ipc::decode<ipc::RingDone>(received.body);
    if (done) {
      std::erase_if(record_rings_, [&](const RecordRing& ring) {
        return ring.retired && ring.generation == done->generation;
      });
    }
    return done.has_value();
  }
  if (received.header.type == ipc::Type::kRingBroken) {
    const auto broken = ipc::decode<ipc::RingBroken>(received.body);
    if (!broken) {
      return false;
    }
    for (const RecordRing& ring : record_rings_) {
      if (ring.generation != broken->generation || ring.retired) {
        continue;
      }
      for (Child& child : children_) {
        if (child.role == ipc::Role::kWorker && child.index == ring.worker) {
          end_child(child, "the recorder found: " + broken->why);
        }
      }
    }
    return true;
  }
  return false;
}

}  // namespace bastion::daemon
