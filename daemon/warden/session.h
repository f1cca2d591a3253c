#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/load.h"
#include "crypto/hash.h"
#include "crypto/keys.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/unique_fd.h"
#include "daemon/warden/io.h"
#include "daemon/warden/permits.h"
#include "proto/algorithms.h"

namespace bastion::daemon {

/// HostSigner is one way in which we prove to be the bastion: a signature algorithm, the blob that
/// users are shown (plain key or host certificate) and the key that signs.
struct HostSigner {
  std::string algorithm;
  Bytes blob;
  crypto::PrivateKey key;
};

/// ActiveConfiguration is one configuration in force, with what follows from it. Immutable: a
/// reload makes another, and a session keeps the one that it was decided under.
struct ActiveConfiguration {
  config::Configuration configuration;
  proto::AlgorithmLists algorithms;  // the preset with the configuration's own lists put in
  std::vector<HostSigner> host_signers;
  ipc::Settings settings;
  std::string bastion_name;  // in hints to users
  std::string loaded_by;     // "start", "reload"
  WallTime loaded_at = 0;

  const config::ServiceConfig& service() const { return configuration.service; }
  const config::Policy& policy() const { return *configuration.policy; }
};

/// Session is one row of the warden's table: everything that it knows about one user's connection.
struct Session {
  SessionState state = SessionState::kFree;
  std::uint32_t generation = 0;
  std::uint32_t gate = 0;    // index of the gate it came from
  std::uint32_t worker = 0;  // kAdopted
  std::shared_ptr<const ActiveConfiguration> active;

  // From the first exchange.
  crypto::Digest session_id;
  std::string client_ident;
  Bytes host_key_blob;
  UniqueFd user_socket;  // until it went to the worker
  IpAddress peer;
  std::uint16_t peer_port = 0;

  // What the gate may still ask.
  std::uint32_t key_queries = 0;
  std::uint32_t failures = 0;
  std::uint32_t rekeys = 0;
  std::uint32_t tunnels = 0;
  std::uint32_t target_signs = 0;
  std::uint32_t events = 0;

  std::vector<std::uint32_t> dials;  // under way: rows of the warden's table

  // From the decision on.
  std::string long_id;                 // 26 letters and digits, unique for ever
  std::size_t short_len = 4;           // so many of them are unique among the live ones
  const config::User* user = nullptr;  // lives as long as `active`
  config::Restrictions restrictions;
  std::string proof;  // how they logged in, for the log
  ipc::SessionMode mode = ipc::SessionMode::kMenu;
  std::string refusal;
  std::optional<config::Grant> grant;  // kRouted
  WallTime since = 0;
  MonoTime began;
  bool started = false;         // session.start is told, so session.end must be
  bool recording_told = false;  // recording.open
  bool adopt_waits = false;     // its worker hears of it when that is on record

  // Towards the target.
  TargetState target_state = TargetState::kNone;
  UniqueFd target_socket;      // connected, until it went to the worker
  std::string target_text;     // kFailed: what the user is told
  std::string target_address;  // "10.0.1.12:22", the one that was dialled
  IpAddress our_address;       // ours on that connection
  bool target_verify_used = false;
  crypto::Digest target_session_id;
  std::vector<crypto::PrivateKey> target_keys;  // by credential, for TargetSign

  bool recorded = false;                             // it was given a slot in its worker's ring
  std::unique_ptr<ipc::RecordingReady> early_ready;  // came before the worker knew the session
  std::uint32_t record_slot = 0;
  bool worker_died = false;

  // What the worker last said.
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  std::string channels;
  WallTime last_active = 0;

  std::string short_id() const { return long_id.substr(0, short_len); }
};

/// SessionTable hands out rows by SessionId: slot and generation, so that a stale id finds nothing.
class SessionTable {
 public:
  /// add takes a free row; 0 where there are kSessionsMax.
  ipc::SessionId add();
  Session* find(ipc::SessionId id);
  void remove(ipc::SessionId id);
  std::size_t size() const { return size_; }

  /// for_each visits every live row; the visitor may remove the row that it is at.
  template <typename Visitor>
  void for_each(Visitor visit) {
    for (std::size_t slot = 0; slot < rows_.size(); ++slot) {
      if (rows_[slot] != nullptr && rows_[slot]->state != SessionState::kFree) {
        visit(id_of(slot), *rows_[slot]);
      }
    }
  }

  /// 1,000,000 rows: far beyond one machine's sockets.
  static constexpr std::size_t kSessionsMax = 1'000'000;

 private:
  ipc::SessionId id_of(std::size_t slot) const {
    return (ipc::SessionId{generations_[slot]} << 32) | (slot + 1);
  }
  std::vector<std::unique_ptr<Session>> rows_;
  std::vector<std::uint32_t> generations_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
};

}  // namespace bastion::daemon
