#include "daemon/warden/audit.h"

#include <algorithm>
#include <map>

#include "config/user_name.h"
#include "daemon/ipc/codec.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/recorder_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/process.h"
#include "daemon/ring/ring.h"
#include "daemon/warden/warden.h"

namespace bastion::daemon {
namespace {

constexpr PeerId kRecorder{ipc::Role::kRecorder, 0};

}  // namespace

void AuditTrail::add(ipc::AuditEvent message, std::optional<PeerId> from) {
  if (!enabled_) {
    return;
  }
  last_time_us_ = std::max(io_.wall_now_us(), last_time_us_ + 1);
  message.event.time_us = last_time_us_;
  message.number = ++last_number_;
  std::size_t bytes = sizeof(Waiting);
  for (const audit::Value& value : message.event.values) {
    bytes += sizeof value + value.text.size();
  }
  waiting_.push_back({std::move(message), io_.now(), bytes, from});
  waiting_bytes_ += bytes;
  send(waiting_.back());
}

void AuditTrail::send(const Waiting& waiting) {
  if (recorder_is_there_) {
    io_.send(kRecorder, ipc::encode({}, waiting.message), UniqueFd());
  }
}

void AuditTrail::forget(PeerId peer) {
  for (Waiting& waiting : waiting_) {
    if (waiting.from == peer) {
      waiting.from.reset();
    }
  }
}

void AuditTrail::when_accepted(std::function<void()> then) {
  if (!enabled_ || waiting_.empty()) {
    return then();
  }
  held_.emplace_back(last_number_, std::move(then));
}

void AuditTrail::recorder_came() {
  recorder_is_there_ = true;
  for (Waiting& waiting : waiting_) {
    waiting.message.again = true;
    send(waiting);
  }
}

void AuditTrail::on_state(ipc::AuditState state) {
  state_ = std::move(state);
  std::map<PeerId, std::uint32_t> reported;
  while (!waiting_.empty() && waiting_.front().message.number <= state_.accepted) {
    if (waiting_.front().from) {
      ++reported[*waiting_.front().from];
    }
    waiting_bytes_ -= waiting_.front().bytes;
    waiting_.pop_front();
  }
  for (const auto& [worker, count] : reported) {
    io_.send(worker, ipc::encode({}, ipc::AuditAccepted{count}), UniqueFd());
  }
  // A held call may add events, or hold another; those that were there go in their order.
  while (!held_.empty() && held_.front().first <= state_.accepted) {
    const auto then = std::move(held_.front().second);
    held_.pop_front();
    then();
  }
}

std::string AuditTrail::trouble() const {
  if (!enabled_) {
    return {};
  }
  if (state_.failing) {
    return state_.why;
  }
  if (waiting_.size() > kWaitingMax || waiting_bytes_ > kWaitingBytesMax) {
    return "the recorder does not keep up";
  }
  const bool silent = !waiting_.empty() && io_.now() >= deadline();
  return silent ? "the recorder does not answer" : std::string();
}

MonoTime AuditTrail::deadline() const {
  return !enabled_ || waiting_.empty() ? kNever : after(waiting_.front().since, kSilenceNs);
}

bool AuditTrail::may_sign(const audit::Head& head) {
  if (head.seq < signed_.seq || (head.seq == signed_.seq && head.hash != signed_.hash)) {
    return false;
  }
  signed_ = head;
  return true;
}

std::string_view mode_name(ipc::SessionMode mode) {
  switch (mode) {
    case ipc::SessionMode::kRouted: return "routed";
    case ipc::SessionMode::kMenu: return "menu";
    case ipc::SessionMode::kRefused: return "refused";
  }
  return "";
}

// --- the warden's events -------------------------------------------------------------------------

audit::Event Warden::event_of(audit::Name name, const Session& session) const {
  audit::Event event(name);
  event.values.reserve(12);  // most have fewer
  event.text(audit::Key::kSession, session.long_id);
  event.text(audit::Key::kUser, session.user != nullptr ? session.user->name : "");
  if (session.grant && audit::may_have(name, audit::Key::kTarget)) {
    if (audit::may_have(name, audit::Key::kLogin)) {
      event.text(audit::Key::kLogin, session.grant->login);
    }
    event.text(audit::Key::kTarget, session.grant->target.name);
  }
  return event;
}

void Warden::audit_login(const Session& session, const ipc::KeyVerify& message,
                         const config::Admission& admission, std::string_view reason) {
  if (!audit_.enabled()) {
    return;
  }
  using audit::Key;
  audit::Event event(audit::Name::kLogin);
  event.text(Key::kSession, session.long_id)
      .text(Key::kOutcome, reason.empty() ? "accepted" : "refused");
  if (session.user != nullptr) {
    event.text(Key::kUser, session.user->name);
  }
  event.text(Key::kUserName, message.user_name)
      .text(Key::kMethod, "publickey")
      .text(Key::kAlgorithm, message.algorithm)
      .text(Key::kKey, config::key_fingerprint(message.key_blob));
  if (!admission.ca.empty()) {
    event.text(Key::kCertificate, admission.key_id)
        .text(Key::kSerial, std::to_string(admission.serial))
        .text(Key::kCa, admission.ca);
  }
  event.text(Key::kFrom, session.peer.text())
      .number(Key::kFromPort, session.peer_port)
      .text(Key::kClient, session.client_ident)
      .text(Key::kReason, reason);
  audit_.add(std::move(event));
}

void Warden::audit_decision(const Session& session, std::string_view user_name,
                            std::string_view rule, std::string_view reason) {
  if (!audit_.enabled()) {
    return;
  }
  using audit::Key;
  const auto name = config::parse_user_name(user_name);
  const bool allowed = session.mode != ipc::SessionMode::kRefused;
  audit::Event event = event_of(audit::Name::kDecision, session);
  event.text(Key::kOutcome, allowed ? "allow" : "deny").text(Key::kMode, mode_name(session.mode));
  if (session.grant) {
    event.number(Key::kPort, session.grant->target.port);
  } else if (name && name->has_target()) {
    event.text(Key::kLogin, name->login).text(Key::kHost, name->target);
    if (name->port != 0) {
      event.number(Key::kPort, name->port);
    }
  }
  event.text(Key::kRule, rule)
      .text(Key::kPolicy, session.active->policy().id())
      .text(Key::kReason, reason);
  audit_.add(std::move(event));
}

void Warden::audit_session_start(Session& session) {
  session.began = io_.now();
  session.started = true;
  if (!audit_.enabled()) {
    return;
  }
  using audit::Key;
  audit::Event event = event_of(audit::Name::kSessionStart, session);
  event.text(Key::kRule, session.grant ? session.grant->rule : "")
      .text(Key::kPolicy, session.active->policy().id())
      .text(Key::kMode, mode_name(session.mode))
      .text(Key::kFrom, session.peer.text())
      .number(Key::kFromPort, session.peer_port)
      .text(Key::kClient, session.client_ident);
  audit_.add(std::move(event));
}

void Warden::audit_end(const Session& session, std::string_view reason) {
  if (!audit_.enabled()) {
    return;
  }
  using audit::Key;
  if (session.started) {
    audit::Event event = event_of(audit::Name::kSessionEnd, session);
    event.text(Key::kReason, reason)
        .number(Key::kBytesUp, session.bytes_up)
        .number(Key::kBytesDown, session.bytes_down)
        .number(Key::kDurationUs,
                static_cast<std::uint64_t>(io_.now().ns - session.began.ns) / 1000);
    audit_.add(std::move(event));
  } else if (session.user == nullptr) {
    audit::Event event(audit::Name::kLoginAbandoned);
    event.text(Key::kFrom, session.peer.text())
        .number(Key::kFromPort, session.peer_port)
        .text(Key::kClient, session.client_ident)
        .text(Key::kReason, reason)
        .number(Key::kAttempts, session.failures)
        .number(Key::kKeysOffered, session.key_queries);
    audit_.add(std::move(event));
  }
}

void Warden::reload_refused(const std::string& by, std::string_view why) {
  audit::Event event(audit::Name::kConfigLoad);
  event.text(audit::Key::kOutcome, "refused").text(audit::Key::kBy, by);
  audit_.add(std::move(event.text(audit::Key::kReason, why)));
}

void Warden::limit_reached(const ipc::LimitReached& message) {
  audit::Event event(audit::Name::kLimit);
  event.text(audit::Key::kLimit, message.limit)
      .number(audit::Key::kValue, message.value)
      .number(audit::Key::kCount, message.count)
      .text(audit::Key::kFrom, message.from);
  audit_.add(std::move(event));
}

void Warden::audit_tunnel(audit::Name name, const Session& session, const Dial& dial,
                          std::string_view address, std::string_view reason) {
  using audit::Key;
  audit::Event event = event_of(name, session);
  event.number(Key::kChannel, dial.channel)
      .text(Key::kTarget, dial.target.name)
      .text(Key::kHost, dial.target.address)
      .number(Key::kPort, dial.target.port)
      .text(Key::kAddress, address)
      .text(Key::kReason, reason);
  audit_.add(std::move(event));
}

void Warden::audit_process_end(PeerId peer, const Peer& gone) {
  using audit::Key;
  if (peer == kRecorder) {
    audit_.recorder_gone();
  }
  audit_.forget(peer);
  if (shutting_down_) {
    return;
  }
  audit::Event event(audit::Name::kProcessEnd);
  event.text(Key::kRole, role_name(peer.role))
      .number(Key::kIndex, peer.index)
      .number(Key::kPid, gone.pid)
      .text(Key::kReason, gone.fault);
  audit_.add(std::move(event));
}

bool Warden::audit_is_done() const {
  return audit_.settled() || io_.now() >= after(shut_down_at_, AuditTrail::kSilenceNs);
}

// on_audit_note: a worker reports what happened in a session of its own; who and where is ours.
void Warden::on_audit_note(const Caller& caller, const Session& session, ipc::AuditNote message) {
  using audit::Key;
  audit::Event& noted = message.event;
  if (!noted.check() || !audit::info(noted.name).from_worker ||
      noted.find(Key::kSession) != nullptr || noted.find(Key::kUser) != nullptr ||
      noted.find(Key::kLogin) != nullptr || noted.find(Key::kTarget) != nullptr) {
    return violated(caller.peer, "it reported an event that cannot be");
  }
  audit::Event event = event_of(noted.name, session);
  event.values.insert(event.values.end(), std::make_move_iterator(noted.values.begin()),
                      std::make_move_iterator(noted.values.end()));
  audit_.add({.event = std::move(event),
              .worker = caller.peer.index,
              .session_number = caller.session_id,
              .digest_read = message.digest_read,
              .digest_written = message.digest_written},
             caller.peer);
}

void Warden::sign_audit_head(const Caller& caller, const crypto::PrivateKey& key,
                             const ipc::SignHead& message) {
  const audit::Head head{message.seq, audit::hex_of(message.hash)};
  if (!audit_.may_sign(head)) {
    return violated(caller.peer, "it asked for a signature over another history");
  }
  ipc::HeadSigned answer;
  if (const auto signature = audit::sign_head(key, head)) {
    answer.key = key.public_key().line();
    answer.signature = *signature;
  }
  reply(caller, answer);
}

void Warden::on_audit_state(ipc::AuditState message) {
  audit_.on_state(std::move(message));
  watch_audit();
}

// watch_audit ends what would go on without being on record.
void Warden::watch_audit() {
  const std::string trouble = audit_.trouble();
  if (trouble == audit_trouble_) {
    return;
  }
  const bool was_good = audit_trouble_.empty();
  audit_trouble_ = trouble;
  if (trouble.empty()) {
    io_.log(LogLevel::kInfo, "the audit log is written again: sessions may begin", {});
    return;
  }
  io_.log(LogLevel::kError, "the audit log cannot be written: sessions end, none begin",
          {{"why", trouble}});
  if (!was_good) {
    return;
  }
  sessions_.for_each([&](ipc::SessionId id, Session& session) {
    if (session.user == nullptr) {
      return;
    }
    if (session.state == SessionState::kAdopted && !session.adopt_waits) {
      send({ipc::Role::kWorker, session.worker}, id,
           ipc::EndSession{with_id("the bastion cannot write its audit log, so this session ends. "
                                   "Tell your administrators.",
                                   session)});
    } else {
      end_row(id, session, "the audit log cannot be written");
    }
  });
}

}  // namespace bastion::daemon
