#include "daemon/warden/warden.h"

#include <unistd.h>

#include <algorithm>

#include "base/version.h"
#include "daemon/log.h"
#include "daemon/warden/settings.h"

namespace bastion::daemon {
namespace {

/// shortened keeps whole lines of what would not fit into a message to the supervisor.
std::string shortened(std::string text) {
  constexpr std::size_t kTextBytesMax = 64 * 1024;
  if (text.size() > kTextBytesMax) {
    text.resize(text.rfind('\n', kTextBytesMax) + 1);
    text += "... and more";
  }
  return text;
}

}  // namespace

Warden::Warden(WardenIo& io, RandomSource& random)
    : io_(io), random_(random), started_at_(io.now()) {}

ipc::ConfigurationResult Warden::configure(const config::FileBundle& files, const std::string& path,
                                           const std::string& loaded_by) {
  auto loaded = config::load_configuration(files, path);
  const auto refused = [&](std::string text) -> ipc::ConfigurationResult {
    reload_refused(loaded_by, std::string_view(text).substr(0, text.find('\n')));
    return {.ok = false, .text = std::move(text)};
  };
  if (!loaded) {
    return refused(shortened(loaded.problems.text()));
  }
  auto active = std::make_shared<ActiveConfiguration>();
  active->configuration = std::move(*loaded.value);
  active->loaded_by = loaded_by;
  active->loaded_at = io_.wall_now();
  active->algorithms = algorithms_of(active->service().algorithms);
  active->host_signers = make_host_signers(active->configuration, active->algorithms.host_keys);
  if (active->host_signers.empty()) {
    return refused("none of the host_keys fits the host key algorithms that `algorithms` allows");
  }
  active->bastion_name = bastion_name_of(active->service());
  active->settings = make_settings(*active);
  if (ipc::encode(ipc::Header{}, active->settings).size() > ipc::kMessageBytesMax) {
    return refused("the host keys and host_certificates are too many or too long");
  }

  const bool first = active_ == nullptr;
  active_ = std::move(active);
  std::erase_if(walks_, [&](const auto& entry) {
    return active_->policy().find_user(entry.first) == nullptr;
  });
  if (first) {
    audit_.set_enabled(!active_->service().audit.file.empty());
    audit::Event started(audit::Name::kServiceStart);
    started.text(audit::Key::kVersion, kVersion)
        .text(audit::Key::kRevision, kRevision)
        .number(audit::Key::kPid, static_cast<std::uint32_t>(getppid()));
    audit_.add(std::move(started));
  }
  for (const auto& [id, peer] : peers_) {
    if (id.role == ipc::Role::kGate || id.role == ipc::Role::kWorker) {
      send(id, 0, active_->settings);
    }
  }
  for (const auto& [caller, message] : std::exchange(heads_waiting_, {})) {
    on_sign_head(caller, message);
  }
  for (const ipc::RecordingSealed& message : std::exchange(sealed_waiting_, {})) {
    on_recording_sealed(message);
  }
  std::string text = config::summary(active_->policy());
  if (!loaded.problems.warnings.empty()) {
    text += "\n" + loaded.problems.text();
  }
  text = shortened(std::move(text));
  audit::Event event(audit::Name::kConfigLoad);
  event.text(audit::Key::kOutcome, "loaded")
      .text(audit::Key::kBy, loaded_by)
      .text(audit::Key::kPolicy, active_->policy().id())
      .text(audit::Key::kSummary, config::summary(active_->policy()));
  audit_.add(std::move(event));
  io_.log(LogLevel::kInfo, "configuration in force",
          {{"policy", active_->policy().id()},
           {"by", loaded_by},
           {"summary", config::summary(active_->policy())}});
  return {.ok = true, .text = std::move(text)};
}

void Warden::add_peer(PeerId peer, std::uint32_t pid) {
  peers_[peer] = Peer{.pid = pid,
                      .cookies = {},
                      .num_sessions = 0,
                      .num_dials = 0,
                      .stats = {},
                      .record_slots = {}};
  if (active_ != nullptr && (peer.role == ipc::Role::kGate || peer.role == ipc::Role::kWorker)) {
    send(peer, 0, active_->settings);
  }
  if (peer == kRecorder) {
    audit_.recorder_came();
    brief_recorder();
  }
}

void Warden::peer_gone(PeerId peer) {
  const auto gone = peers_.find(peer);
  if (gone == peers_.end()) {
    return;
  }
  audit_process_end(peer, gone->second);
  peers_.erase(gone);
  sessions_.for_each([&](ipc::SessionId id, Session& session) {
    if (owns(peer, session)) {
      session.worker_died = peer.role == ipc::Role::kWorker;
      end_row(id, session, peer.role == ipc::Role::kGate ? "its gate died" : "its worker died");
    }
  });
}

bool Warden::owns(PeerId peer, const Session& session) const {
  if (session.state == SessionState::kAdopted) {
    return peer == PeerId{ipc::Role::kWorker, session.worker};
  }
  return session.state != SessionState::kFree && peer == PeerId{ipc::Role::kGate, session.gate};
}

void Warden::violated(PeerId peer, std::string_view why) {
  if (const auto found = peers_.find(peer); found != peers_.end()) {
    found->second.fault = why;
  }
  io_.end_peer(peer, why);
}

void Warden::on_message(PeerId from, const ipc::Header& header, ByteView body, UniqueFd fd) {
  if (!peers_.contains(from)) {
    return;  // it was ended; what it had queued no longer counts
  }
  const Caller caller{from, header, header.session};
  Session* session = nullptr;
  if (header.session != 0) {
    session = sessions_.find(header.session);
    if (session == nullptr) {
      // The session ended while this was under way: an honest worker may still write of it.
      if (header.type == ipc::Type::kAuditNote) {
        send(from, 0, ipc::AuditAccepted{1});
      }
      refuse(caller, "", true);
      return;
    }
    if (!owns(from, *session)) {
      violated(from, "it named a session that is not its own");
      return;
    }
  }
  const SessionState state = session != nullptr ? session->state : SessionState::kFree;
  if (find_permit(header.type, from.role, session != nullptr, state) == nullptr) {
    violated(from, "it sent a message that is not allowed now");
    return;
  }
  dispatch(caller, session, body, std::move(fd));
}

template <typename Message, typename Handler>
void Warden::handle(const Caller& caller, ByteView body, Handler handler) {
  auto message = ipc::decode<Message>(body);
  if (!message) {
    violated(caller.peer, "it sent a malformed message");
    return;
  }
  handler(std::move(*message));
}

void Warden::dispatch(const Caller& caller, Session* session, ByteView body, UniqueFd fd) {
  using ipc::Type;
  switch (caller.header.type) {
    case Type::kTakeCookies:
      return handle<ipc::TakeCookies>(caller, body, [&](ipc::TakeCookies message) {
        reply(caller, ipc::Cookies{peers_[caller.peer].cookies.issue(message.count, random_)});
      });
    case Type::kSignFirstExchange:
      return handle<ipc::SignFirstExchange>(caller, body, [&](ipc::SignFirstExchange message) {
        on_sign_first_exchange(caller, std::move(message), std::move(fd));
      });
    case Type::kKeyQuery:
      return handle<ipc::KeyQuery>(
          caller, body, [&](const ipc::KeyQuery& m) { on_key_query(caller, *session, m); });
    case Type::kKeyVerify:
      return handle<ipc::KeyVerify>(
          caller, body, [&](const ipc::KeyVerify& m) { on_key_verify(caller, *session, m); });
    case Type::kHandOver:
      return handle<ipc::HandOver>(
          caller, body, [&](ipc::HandOver m) { on_hand_over(caller, *session, std::move(m)); });
    case Type::kConnectionGone:
      return handle<ipc::ConnectionGone>(caller, body, [&](const ipc::ConnectionGone& m) {
        end_row(caller.session_id, *session, m.reason);
      });
    case Type::kSignRekey:
      return handle<ipc::SignRekey>(
          caller, body, [&](ipc::SignRekey m) { on_sign_rekey(caller, *session, std::move(m)); });
    case Type::kTargetVerify:
      return handle<ipc::TargetVerify>(
          caller, body, [&](const ipc::TargetVerify& m) { on_target_verify(caller, *session, m); });
    case Type::kTargetSign:
      return handle<ipc::TargetSign>(
          caller, body, [&](const ipc::TargetSign& m) { on_target_sign(caller, *session, m); });
    case Type::kOpenTunnel:
      return handle<ipc::OpenTunnel>(
          caller, body, [&](const ipc::OpenTunnel& m) { on_open_tunnel(caller, *session, m); });
    case Type::kAskListing:
      return handle<ipc::AskListing>(
          caller, body, [&](const ipc::AskListing&) { on_ask_listing(caller, *session); });
    case Type::kSessionEvent:
      return handle<ipc::SessionEvent>(
          caller, body, [&](const ipc::SessionEvent& m) { on_session_event(*session, m); });
    case Type::kAuditNote:
      return handle<ipc::AuditNote>(
          caller, body, [&](ipc::AuditNote m) { on_audit_note(caller, *session, std::move(m)); });
    case Type::kAuditState:
      return handle<ipc::AuditState>(caller, body,
                                     [&](ipc::AuditState m) { on_audit_state(std::move(m)); });
    case Type::kSessionStats:
      return handle<ipc::SessionStats>(
          caller, body, [&](ipc::SessionStats m) { on_session_stats(*session, std::move(m)); });
    case Type::kWorkerStats:
      return handle<ipc::WorkerStats>(
          caller, body, [&](const ipc::WorkerStats& m) { peers_[caller.peer].stats = m; });
    case Type::kSessionEnded:
      return handle<ipc::SessionEnded>(
          caller, body, [&](const ipc::SessionEnded& m) { on_session_ended(caller, *session, m); });
    case Type::kRecordingOpened:
      return handle<ipc::RecordingOpened>(
          caller, body, [&](const ipc::RecordingOpened& m) { on_recording_opened(m); });
    case Type::kRecordingFailed:
      return handle<ipc::RecordingFailed>(
          caller, body, [&](const ipc::RecordingFailed& m) { on_recording_failed(m); });
    case Type::kRecordingSealed:
      return handle<ipc::RecordingSealed>(
          caller, body, [&](const ipc::RecordingSealed& m) { on_recording_sealed(m); });
    case Type::kSignHead:
      return handle<ipc::SignHead>(caller, body,
                                   [&](const ipc::SignHead& m) { on_sign_head(caller, m); });
    case Type::kRecordingHeld:
      return handle<ipc::RecordingHeld>(
          caller, body, [&](const ipc::RecordingHeld& m) { on_recording_held(caller, m); });
    case Type::kRecorderState:
      return handle<ipc::RecorderState>(
          caller, body, [&](ipc::RecorderState m) { on_recorder_state(std::move(m)); });
    case Type::kResolved:
      return handle<ipc::Resolved>(caller, body,
                                   [&](const ipc::Resolved& m) { on_resolved(caller, m); });
    default: violated(caller.peer, "it sent a message of another role");
  }
}

void Warden::refuse(const Caller& caller, std::string text, bool fatal) {
  if (caller.header.request != 0) {
    reply(caller, ipc::Refused{.fatal = fatal, .text = std::move(text), .unreachable = false});
  }
}

void Warden::end_row(ipc::SessionId id, Session& session, std::string_view reason) {
  cancel_dials(session);
  audit_end(session, reason);
  if (session.recorded) {
    close_recording(session, reason);
  }
  if (session.user != nullptr) {
    const auto count = sessions_of_user_.find(session.user->name);
    if (count != sessions_of_user_.end() && --count->second == 0) {
      sessions_of_user_.erase(count);
    }
    live_ids_.erase(session.long_id);
    io_.log(LogLevel::kInfo, "session ended",
            {{"session", session.long_id},
             {"user", session.user->name},
             {"reason", reason},
             {"bytes_up", session.bytes_up},
             {"bytes_down", session.bytes_down},
             {"seconds", io_.wall_now() - session.since}});
  }
  const PeerId owner = session.state == SessionState::kAdopted
                           ? PeerId{ipc::Role::kWorker, session.worker}
                           : PeerId{ipc::Role::kGate, session.gate};
  if (const auto peer = peers_.find(owner); peer != peers_.end()) {
    --peer->second.num_sessions;
  }
  sessions_.remove(id);
}

void Warden::on_session_event(Session& session, const ipc::SessionEvent& message) {
  // A worker that is taken over could fill the disk: past this many lines the rest is not told.
  constexpr std::uint32_t kEventsMax = 100'000;
  if (++session.events > kEventsMax) {
    return;
  }
  io_.log(message.warning ? LogLevel::kWarning : LogLevel::kInfo, "session event",
          {{"session", session.long_id}, {"event", message.text}});
}

void Warden::on_session_stats(Session& session, ipc::SessionStats message) {
  session.bytes_up = message.bytes_up;
  session.bytes_down = message.bytes_down;
  constexpr std::size_t kChannelsTextMax = 256;  // for displays; a worker's word, so bounded here
  session.channels = std::move(message.channels);
  if (session.channels.size() > kChannelsTextMax) {
    session.channels.resize(kChannelsTextMax);
  }
  session.last_active = io_.wall_now();
}

void Warden::on_session_ended(const Caller& caller, Session& session,
                              const ipc::SessionEnded& message) {
  session.bytes_up = message.bytes_up;
  session.bytes_down = message.bytes_down;
  end_row(caller.session_id, session, message.reason);
}

std::uint32_t Warden::least_loaded_worker() const {
  std::uint32_t least = UINT32_MAX;
  std::size_t least_sessions = SIZE_MAX;
  for (const auto& [id, peer] : peers_) {
    if (id.role == ipc::Role::kWorker && peer.num_sessions < least_sessions && has_room(id)) {
      least = id.index;
      least_sessions = peer.num_sessions;
    }
  }
  return least;
}

// descriptor_share is how many descriptors one gate or worker may make us hold. Together they never
// fill our table: with a full one the kernel drops what comes with the next message, whoever sends
// it.
std::size_t Warden::descriptor_share() const {
  // Ring, log, channels, the memory of a configuration, what comes with the message being read.
  const std::size_t own = 64 + peers_.size();
  const auto sharing = static_cast<std::size_t>(std::ranges::count_if(
      peers_, [](const auto& entry) { return entry.first.role != ipc::Role::kResolver; }));
  const std::size_t all = io_.descriptors_max();
  return all <= own ? 0 : (all - own) / std::max<std::size_t>(sharing, 1);
}

// has_room: a worker's dials, and sockets that it has not taken yet, leave some of its share.
bool Warden::has_room(PeerId worker) const {
  const auto peer = peers_.find(worker);
  return peer != peers_.end() &&
         peer->second.num_dials + io_.queued_descriptors(worker) < descriptor_share();
}

void Warden::shut_down(std::uint32_t limit_ms, const std::string& text) {
  shutting_down_ = true;
  shut_down_at_ = io_.now();
  audit::Event event(audit::Name::kServiceStop);
  audit_.add(std::move(event.text(audit::Key::kReason, text)));
  for (const auto& [id, peer] : peers_) {
    if (id.role == ipc::Role::kWorker) {
      send(id, 0, ipc::Shutdown{.limit_ms = limit_ms, .text = text});
    }
  }
  // Those that no worker has yet end here: their sockets are closed with their rows.
  sessions_.for_each([&](ipc::SessionId id, Session& session) {
    if (session.state != SessionState::kAdopted) {
      end_row(id, session, "shutting down");
    }
  });
}

}  // namespace bastion::daemon
