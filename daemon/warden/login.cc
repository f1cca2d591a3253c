#include <algorithm>
#include <cctype>

#include "config/user_name.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/warden/warden.h"
#include "proto/auth_messages.h"

namespace bastion::daemon {
namespace {

constexpr std::string_view kIdLetters = "23456789abcdefghijkmnpqrstuvwxyz";  // 32, none alike
constexpr std::size_t kLongIdLen = 26;                                       // 130 bits

/// What may be configured at most.
constexpr std::uint32_t kAuthFailuresMax = 100;
constexpr std::uint32_t kKeyOffersMax = 1000;

/// What of an Adopt message is the grant: its permissions (400 patterns of 30 bytes), and 4 KiB of
/// names and of a refusal. What is left is for the session's state and input.
constexpr std::size_t kPermissionBytesMax = 12 * 1024;
constexpr std::size_t kGrantBytesMax = kPermissionBytesMax + 4 * 1024;

const crypto::SignatureAlgorithm* accepted_algorithm(const Session& session,
                                                     const std::string& name) {
  const auto& accepted = session.active->algorithms.public_keys;
  if (std::ranges::find(accepted, name) == accepted.end()) {
    return nullptr;
  }
  const crypto::SignatureAlgorithm* algorithm = crypto::find_signature_algorithm(name);
  return algorithm == nullptr || algorithm->legacy ? nullptr : algorithm;
}

}  // namespace

// Whether a key is acceptable depends on the key alone, never on the user name, the target or the
// policy's rules: else asking would tell strangers about them.
void Warden::on_key_query(const Caller& caller, Session& session, const ipc::KeyQuery& message) {
  // A gate keeps to the limits that were in force when the connection came, which a reload may have
  // lowered since: that costs the connection. What no limit allows costs the gate.
  if (++session.key_queries > session.active->service().limits.key_offers + 1) {
    return session.key_queries > kKeyOffersMax + 1
               ? violated(caller.peer, "it asked about more keys than a connection may offer")
               : refuse(caller, "Too many keys offered", true);
  }
  bool acceptable = false;
  const crypto::SignatureAlgorithm* algorithm = accepted_algorithm(session, message.algorithm);
  if (algorithm != nullptr && algorithm->certificate) {
    const auto certificate = crypto::Certificate::parse(message.key_blob);
    acceptable =
        certificate && certificate->key.type() == algorithm->key_type &&
        session.active->policy().accepts_certificate(*certificate, io_.wall_now(), session.peer);
  } else if (algorithm != nullptr) {
    acceptable = session.active->policy().admit_key(message.key_blob, session.peer).has_value();
  }
  reply(caller, ipc::KeyAnswer{acceptable});
}

// admit finds whose key or certificate this is; the signature is not checked yet.
Result<config::Admission> Warden::admit(const Session& session, const ipc::KeyVerify& message,
                                        crypto::PublicKey& out_key) {
  const config::Policy& policy = session.active->policy();
  const crypto::SignatureAlgorithm* algorithm = accepted_algorithm(session, message.algorithm);
  if (algorithm == nullptr) {
    return fail(ErrorCode::kAuth, "the public key algorithm is not accepted");
  }
  if (!algorithm->certificate) {
    auto key = crypto::PublicKey::parse(message.key_blob);
    if (!key) {
      return std::unexpected(key.error());
    }
    out_key = std::move(*key);
    return policy.admit_key(message.key_blob, session.peer);
  }
  auto certificate = crypto::Certificate::parse(message.key_blob);
  if (!certificate) {
    return std::unexpected(certificate.error());
  }
  const auto name = config::parse_user_name(message.user_name);
  out_key = certificate->key;
  return policy.check_user_certificate(*certificate, io_.wall_now(), session.peer,
                                       name ? name->identity : std::string_view());
}

// verify_user is the one place where a user is accepted: every step must succeed, and each works on
// this request alone, whatever was asked or answered before.
Status Warden::verify_user(const Session& session, const ipc::KeyVerify& message,
                           config::Admission& out_admission) {
  crypto::PublicKey key;
  auto admission = admit(session, message, key);
  if (!admission) {
    return std::unexpected(admission.error());
  }
  if (message.hostbound && !equal(message.hostbound_host_key, session.host_key_blob)) {
    return fail(ErrorCode::kAuth, "the signature is bound to another host key");
  }
  proto::SignedRequest request{.session_id = session.session_id.view(),
                               .user = message.user_name,
                               .service = proto::kServiceConnection,
                               .algorithm = message.algorithm,
                               .key_blob = message.key_blob,
                               .host_key_blob = std::nullopt};
  if (message.hostbound) {
    request.host_key_blob = session.host_key_blob;
  }
  crypto::SkFlags flags;
  const crypto::SignatureAlgorithm* algorithm = accepted_algorithm(session, message.algorithm);
  BASTION_TRY(
      key.verify(*algorithm, proto::userauth_signed_data(request), message.signature, &flags));
  const bool is_sk =
      key.type() == crypto::KeyType::kSkEd25519 || key.type() == crypto::KeyType::kSkEcdsaP256;
  if (is_sk && admission->restrictions.touch_required && !flags.user_present) {
    return fail(ErrorCode::kAuth, "the security key was not touched");
  }
  if (admission->restrictions.verify_required && !(is_sk && flags.user_verified)) {
    return fail(ErrorCode::kAuth, "the security key did not verify its user");
  }
  const auto name = config::parse_user_name(message.user_name);
  if (!name) {
    return std::unexpected(name.error());
  }
  if (!session.active->policy().user_name_fits(*name, *admission->user)) {
    return fail(ErrorCode::kAuth, "the user name is another user's");
  }
  out_admission = std::move(*admission);
  return {};
}

void Warden::on_key_verify(const Caller& caller, Session& session, const ipc::KeyVerify& message) {
  if (!audit_trouble_.empty()) {
    return refuse(caller, std::string(kNoAuditText),
                  true);  // it came while the log was written yet
  }
  const config::ServiceLimits& limits = session.active->service().limits;
  if (session.failures >= limits.auth_failures) {
    return ++session.failures > kAuthFailuresMax
               ? violated(caller.peer, "it went on after too many authentication failures")
               : refuse(caller, "Too many authentication failures", true);
  }
  const std::string from = session.peer.text() + " port " + std::to_string(session.peer_port);
  const std::string key = config::key_fingerprint(message.key_blob);
  config::Admission admission;
  if (const Status verified = verify_user(session, message, admission); !verified) {
    ++session.failures;
    ++logins_refused_;
    io_.log(LogLevel::kInfo, "login refused",
            {{"from", from},
             {"user_name", message.user_name},
             {"algorithm", message.algorithm},
             {"key", key},
             {"reason", describe(verified.error())}});
    audit_login(session, message, admission, describe(verified.error()));
    return reply(caller, ipc::Verdict{.success = false});
  }
  session.user = admission.user;
  session.restrictions = admission.restrictions;
  session.proof = message.algorithm + " " + key;
  if (!admission.ca.empty()) {
    session.proof += " certificate \"" + admission.key_id + "\" serial " +
                     std::to_string(admission.serial) + " of " + admission.ca;
  }
  session.state = SessionState::kAuthenticated;
  session.since = session.last_active = io_.wall_now();
  name_session(session);
  ++sessions_of_user_[session.user->name];
  ++logins_ok_;
  audit_login(session, message, admission, "");
  decide(caller.session_id, session, message.user_name);
  audit_session_start(session);
  io_.log(LogLevel::kInfo, "login",
          {{"session", session.long_id},
           {"user", session.user->name},
           {"from", from},
           {"proof", session.proof},
           {"client", session.client_ident}});
  reply(caller, ipc::Verdict{.success = true});
}

// name_session gives a session its id. Short ids are beginnings of the long ones, as git's are.
void Warden::name_session(Session& session) {
  std::array<std::uint8_t, kLongIdLen> raw;
  random_.fill(raw);
  session.long_id.clear();
  for (const std::uint8_t byte : raw) {
    session.long_id += kIdLetters[byte % kIdLetters.size()];
  }
  const auto shared_len = [&](const std::string& other) {
    const auto differs = std::ranges::mismatch(session.long_id, other);
    return static_cast<std::size_t>(differs.in1 - session.long_id.begin());
  };
  const auto next = live_ids_.lower_bound(session.long_id);
  session.short_len = 4;
  if (next != live_ids_.end()) {
    session.short_len = std::max(session.short_len, shared_len(*next) + 1);
  }
  if (next != live_ids_.begin()) {
    session.short_len = std::max(session.short_len, shared_len(*std::prev(next)) + 1);
  }
  live_ids_.insert(session.long_id);
}

std::string Warden::with_id(std::string text, const Session& session) const {
  return text + "   (" + session.short_id() + ")";
}

bool Warden::Budget::any(MonoTime now) {
  const std::int64_t back = std::min(kMax - left, (now.ns - counted_at.ns) / kNsPerWalk);
  left += back;
  counted_at = left == kMax ? now : after(counted_at, back * kNsPerWalk);
  return left > 0;
}

Warden::Budget& Warden::walks_of(const Session& session) {
  return walks_.try_emplace(session.user->name, Budget{.counted_at = io_.now()}).first->second;
}

config::Request Warden::request_of(const Session& session) {
  config::Request request;
  request.user = session.user;
  request.restrictions = &session.restrictions;
  request.peer = session.peer;
  request.now = io_.wall_now();
  request.bastion = session.active->bastion_name;
  request.brief = !walks_of(session).any(io_.now());
  return request;
}

void Warden::decide(ipc::SessionId id, Session& session, std::string_view user_name) {
  const auto name = config::parse_user_name(user_name);  // verify_user has parsed it already
  const config::ServiceLimits& limits = session.active->service().limits;
  const auto refused = [&](std::string text, std::string_view reason, std::string_view rule) {
    session.mode = ipc::SessionMode::kRefused;
    session.refusal = with_id(std::move(text), session);
    audit_decision(session, user_name, rule, session.refusal);
    io_.log(LogLevel::kInfo, "session refused",
            {{"session", session.long_id},
             {"user", session.user->name},
             {"asked_for", user_name},
             {"reason", reason},
             {"rule", rule}});
  };
  if (sessions_of_user_[session.user->name] > limits.sessions_per_user) {
    audit::Event event = event_of(audit::Name::kLimit, session);
    event.text(audit::Key::kLimit, "sessions_per_user")
        .number(audit::Key::kValue, limits.sessions_per_user)
        .text(audit::Key::kFrom, session.peer.text());
    audit_.add(std::move(event));
    return refused("you have " + std::to_string(limits.sessions_per_user) +
                       (limits.sessions_per_user == 1 ? " session" : " sessions") +
                       " open, which is the limit. End one and try again.",
                   "sessions_per_user", "");
  }
  if (!name->has_target()) {
    session.mode = ipc::SessionMode::kMenu;
    return audit_decision(session, user_name, "", "");
  }
  config::Request request = request_of(session);
  request.login = name->login;
  request.target = name->target;
  request.port = name->port;
  auto grant = session.active->policy().grant(request);
  if (!grant) {
    if (grant.error().reason == config::RefusalReason::kNoTarget && !request.brief) {
      walks_of(session).take();
    }
    return refused(grant.error().text, "policy", grant.error().rule);
  }
  SecretBytes permissions;
  ipc::Encoder encoder(permissions);
  ipc::visit(encoder, grant->permissions);
  if (permissions.size() > kPermissionBytesMax) {
    return refused("what the policy lets you do on " + grant->target.name +
                       " is a list too long for one session; tell your administrators.",
                   "the grant does not fit into a message", grant->rule);
  }
  if (const std::string why = grant->record.any() ? cannot_record() : ""; !why.empty()) {
    return refused("this session is to be recorded, and cannot be now (" + why +
                       "). Tell your administrators.",
                   "it cannot be recorded: " + why, grant->rule);
  }
  session.mode = ipc::SessionMode::kRouted;
  session.grant = std::move(*grant);
  io_.log(LogLevel::kInfo, "session granted",
          {{"session", session.long_id},
           {"user", session.user->name},
           {"target", session.grant->target.name},
           {"login", session.grant->login},
           {"rule", session.grant->rule}});
  audit_decision(session, user_name, session.grant->rule, "");
  session.target_state = TargetState::kDialling;
  Dial dial;
  dial.purpose = Dial::Purpose::kTarget;
  dial.session = id;
  dial.target = session.grant->target;
  start_dial(std::move(dial));
}

void Warden::on_hand_over(const Caller& caller, Session& session, ipc::HandOver message) {
  // A message that does not fit would end the worker that it is for, and everybody's sessions
  // there.
  if (message.state.size() + message.input.size() > ipc::kMessageBytesMax - kGrantBytesMax) {
    return violated(caller.peer, "it handed over a session that is too large");
  }
  const std::uint32_t worker = least_loaded_worker();
  if (worker == UINT32_MAX || shutting_down_) {
    io_.log(LogLevel::kError, "no worker can take a session", {{"session", session.long_id}});
    return end_row(caller.session_id, session, "no worker");
  }
  --peers_[caller.peer].num_sessions;
  Peer& taker = peers_[{ipc::Role::kWorker, worker}];
  ++taker.num_sessions;
  taker.num_dials += session.dials.size();
  session.worker = worker;
  session.state = SessionState::kAdopted;
  ipc::Adopt adopt;
  adopt.mode = session.mode;
  adopt.short_id = session.short_id();
  adopt.user = session.user->name;
  adopt.refusal = session.refusal;
  if (session.grant) {
    adopt.target = session.grant->target.name;
    adopt.login = session.grant->login;
    adopt.permissions = session.grant->permissions;
    if (session.grant->record.any()) {
      open_recording(caller.session_id, session);
      adopt.recorded = true;
      adopt.record_slot = session.record_slot;
      adopt.record = session.grant->record;
      adopt.notice = session.active->service().recording.notice;
    }
  } else {
    adopt.permissions.channels_max = session.active->service().limits.channels_per_session;
    adopt.permissions.session_channels_max =
        session.active->service().limits.session_channels_per_session;
  }
  adopt.audited = audit_.enabled();
  adopt.state = std::move(message.state);
  adopt.input = std::move(message.input);
  // Nothing happens in a session before it is on record that it began.
  session.adopt_waits = true;
  const ipc::SessionId id = caller.session_id;
  audit_.when_accepted([this, id, waiting = std::make_shared<ipc::Adopt>(std::move(adopt))] {
    if (Session* live = sessions_.find(id); live != nullptr && live->adopt_waits) {
      adopt_session(id, *live, *waiting);
    }
  });
}

void Warden::adopt_session(ipc::SessionId id, Session& session, const ipc::Adopt& adopt) {
  session.adopt_waits = false;
  const PeerId worker{ipc::Role::kWorker, session.worker};
  send(worker, id, adopt, std::move(session.user_socket));
  if (const auto early = std::exchange(session.early_ready, nullptr)) {
    send(worker, id, *early);
  }
  if (adopt.recorded && !session.recorded) {
    send(worker, id,
         ipc::RecordingReady{false, with_id("this session is to be recorded, and its worker has no "
                                            "room for one more. Try again.",
                                            session)});
  }
  pass_target(id, session);
}

// pass_target tells the worker how the dial ended, once both are there: the worker and the end.
void Warden::pass_target(ipc::SessionId id, Session& session) {
  if (session.state != SessionState::kAdopted || session.adopt_waits) {
    return;
  }
  const PeerId worker{ipc::Role::kWorker, session.worker};
  if (session.target_state == TargetState::kFailed) {
    send(worker, id, ipc::TargetFailed{session.target_text});
  } else if (session.target_state == TargetState::kConnected && session.target_socket) {
    const config::ResolvedTarget& target = session.grant->target;
    ipc::TargetConnected connected;
    connected.host_key_algorithms = target.entry->host_keys.algorithms(
        session.active->algorithms.host_keys, target.host_names, target.port);
    connected.legacy = target.entry->legacy;
    send(worker, id, connected, std::move(session.target_socket));
  }
}

}  // namespace bastion::daemon
