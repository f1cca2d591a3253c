#include <algorithm>

#include "crypto/kex.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/warden/credentials.h"
#include "daemon/warden/warden.h"
#include "proto/transport.h"

namespace bastion::daemon {
namespace {

bool is_legacy_allowed(const config::Target& target, std::string_view name) {
  return std::ranges::find(target.legacy, name) != target.legacy.end();
}

/// signing_key gives the plain key inside what the target presented.
Result<crypto::PublicKey> signing_key(ByteView blob, bool certificate) {
  if (!certificate) {
    return crypto::PublicKey::parse(blob);
  }
  auto parsed = crypto::Certificate::parse(blob);
  if (!parsed) {
    return std::unexpected(parsed.error());
  }
  return std::move(parsed->key);
}

/// vouched_by says what made a good host key good.
std::string_view vouched_by(const config::HostKeyPolicy& policy, ByteView blob,
                            const config::HostKeyVerdict& verdict) {
  if (verdict.by_ca) {
    return "ca";
  }
  const auto key = signing_key(blob, crypto::is_certificate_blob(blob));
  return key && std::ranges::find(policy.pins, *key) != policy.pins.end() ? "pin" : "known_hosts";
}

CredentialRequest credential_request(const Session& session, const crypto::PrivateKey& key,
                                     WallTime now) {
  CredentialRequest request(key);
  request.target_session_id = session.target_session_id;
  request.login = session.grant->login;
  request.now = now;
  return request;
}

}  // namespace

// verify_target_signature computes the exchange hash from its parts and checks the target's
// signature over it. What the worker says of the target counts for nothing without that.
Status Warden::verify_target_signature(const Session& session, const ipc::TargetVerify& message,
                                       crypto::Digest& out_hash) const {
  const ipc::Exchange& exchange = message.exchange;
  const crypto::KexMethod* method = crypto::find_kex(exchange.kex_method);
  const crypto::SignatureAlgorithm* algorithm =
      crypto::find_signature_algorithm(exchange.host_key_algorithm);
  if (method == nullptr || algorithm == nullptr ||
      as_text(exchange.client_ident) != proto::kIdent) {
    return fail(ErrorCode::kMalformed, "not an exchange of ours");
  }
  if (algorithm->legacy &&
      !is_legacy_allowed(*session.grant->target.entry, exchange.host_key_algorithm)) {
    return fail(ErrorCode::kHostKey, "the host key algorithm is not allowed for this target");
  }
  const auto key = signing_key(exchange.host_key_blob, algorithm->certificate);
  if (!key) {
    return std::unexpected(key.error());
  }
  out_hash = crypto::exchange_hash(
      method->hash, {exchange.client_ident, exchange.server_ident, exchange.client_kexinit,
                     exchange.server_kexinit, exchange.host_key_blob, exchange.client_field,
                     exchange.server_field, exchange.secret_field});
  return key->verify(*algorithm, out_hash.view(), message.signature);
}

void Warden::on_target_verify(const Caller& caller, Session& session,
                              const ipc::TargetVerify& message) {
  if (session.target_verify_used || session.target_state != TargetState::kConnected ||
      session.target_socket) {
    return violated(caller.peer, "it asked for a target's verification out of turn");
  }
  session.target_verify_used = true;
  const config::ResolvedTarget& target = session.grant->target;
  const auto refused = [&](std::string text, std::string_view reason, std::string_view cure) {
    session.target_state = TargetState::kFailed;
    io_.log(LogLevel::kError, "target's host key refused",
            {{"session", session.long_id},
             {"target", target.name},
             {"address", session.target_address},
             {"key", config::key_fingerprint(message.exchange.host_key_blob)},
             {"reason", reason},
             {"cure", cure}});
    audit::Event event = event_of(audit::Name::kTargetRefused, session);
    event.text(audit::Key::kAddress, session.target_address)
        .text(audit::Key::kHostKey, config::key_fingerprint(message.exchange.host_key_blob))
        .text(audit::Key::kHostKeyAlgorithm, message.exchange.host_key_algorithm)
        .text(audit::Key::kReason, reason);
    audit_.add(std::move(event));
    refuse(caller, with_id(std::move(text), session));
  };
  crypto::Digest hash;
  if (const Status verified = verify_target_signature(session, message, hash); !verified) {
    return refused("the host key of " + target.name +
                       " does not prove itself: its signature is wrong. Not connecting; tell your "
                       "administrators.",
                   describe(verified.error()), "");
  }
  const config::HostKeyVerdict verdict = target.entry->host_keys.verify(
      message.exchange.host_key_blob, target.name, target.host_names, target.port, io_.wall_now());
  if (!verdict.ok()) {
    return refused(verdict.text, verdict.text, verdict.cure);
  }
  session.target_session_id = hash;
  session.target_state = TargetState::kVerified;
  if (audit_.enabled()) {
    const bool by_certificate =
        target.entry->credential.kind == config::Credential::Kind::kCertificate;
    audit::Event event = event_of(audit::Name::kTargetVerified, session);
    event.text(audit::Key::kAddress, session.target_address)
        .text(audit::Key::kHostKey, config::key_fingerprint(message.exchange.host_key_blob))
        .text(audit::Key::kHostKeyAlgorithm, message.exchange.host_key_algorithm)
        .text(audit::Key::kVerifiedBy,
              vouched_by(target.entry->host_keys, message.exchange.host_key_blob, verdict))
        .text(audit::Key::kCredential, by_certificate ? "certificate" : "key");
    audit_.add(std::move(event));
  }
  io_.log(LogLevel::kInfo, "target verified",
          {{"session", session.long_id},
           {"target", target.name},
           {"address", session.target_address},
           {"host_key", config::key_fingerprint(message.exchange.host_key_blob)}});
  give_credentials(caller, session, hash);
}

void Warden::give_credentials(const Caller& caller, Session& session, const crypto::Digest& hash) {
  const config::Credential& credential = session.grant->target.entry->credential;
  const bool certificate = credential.kind == config::Credential::Kind::kCertificate;
  const auto& ca = session.active->configuration.keys.user_ca;
  if (certificate ? !ca.has_value() : !credential.key.has_value()) {
    return refuse(caller, with_id("the bastion has no credential for " +
                                      session.grant->target.name + "; tell your administrators.",
                                  session));
  }
  CredentialRequest request =
      credential_request(session, certificate ? *ca : *credential.key, io_.wall_now());
  request.certificate = certificate;
  request.key_id = "bastiond user=" + session.user->name + " session=" + session.long_id +
                   " rule=" + session.grant->rule;
  request.permissions = session.grant->permissions;
  request.source_addresses = session.active->service().cert_source_address;
  if (request.source_addresses.empty()) {
    request.source_addresses = {session.our_address};
  }
  auto answer = [this, caller, hash](Result<Credentials> made) {
    Session* live = sessions_.find(caller.session_id);
    if (live == nullptr) {
      return;
    }
    if (!made) {
      io_.log(LogLevel::kError, "could not make the credentials for a target",
              {{"session", live->long_id}, {"error", describe(made.error())}});
      return refuse(caller, with_id("the bastion could not sign its login to " +
                                        live->grant->target.name + "; tell your administrators.",
                                    *live));
    }
    live->target_keys = std::move(made->keys);
    reply(caller, ipc::TargetVerified{to_bytes(hash.view()), std::move(made->list)});
  };
  if (!certificate || request.key.public_key().type() != crypto::KeyType::kRsa) {
    return answer(make_credentials(request, random_));
  }
  // An RSA CA signs slowly. What it makes is handed over beside the job's own result.
  auto made = std::make_shared<Result<Credentials>>(fail(ErrorCode::kInternal, "not made"));
  auto job = [made, request = std::move(request)]() -> Result<Bytes> {
    *made = make_credentials(request, crypto::system_random());
    return Bytes();
  };
  auto done = [made, answer = std::move(answer)](const Result<Bytes>&) mutable {
    answer(std::move(*made));
  };
  if (!io_.run_slow(caller.peer, std::move(job), std::move(done))) {
    refuse(caller, "the bastion is busy: try again");
  }
}

void Warden::on_target_sign(const Caller& caller, Session& session,
                            const ipc::TargetSign& message) {
  constexpr std::uint32_t kSignsMax = 4;
  const crypto::SignatureAlgorithm* algorithm = crypto::find_signature_algorithm(message.algorithm);
  if (session.target_state != TargetState::kVerified || algorithm == nullptr ||
      message.credential >= session.target_keys.size() || ++session.target_signs > kSignsMax ||
      algorithm->certificate) {
    return violated(caller.peer, "it asked for a signature that it may not have");
  }
  if (algorithm->legacy && !is_legacy_allowed(*session.grant->target.entry, message.algorithm)) {
    return violated(caller.peer, "it asked for a signature by an algorithm that is not allowed");
  }
  const crypto::PrivateKey& key = session.target_keys[message.credential];
  if (key.public_key().type() != algorithm->key_type) {
    return violated(caller.peer, "it asked for a signature of another kind of key");
  }
  auto job = [request = credential_request(session, key, io_.wall_now()),
              name = message.algorithm]() -> Result<Bytes> {
    return sign_userauth(request, request.key, name, request.key.public_key().blob());
  };
  auto done = [this, caller](Result<Bytes> signature) {
    if (sessions_.find(caller.session_id) == nullptr) {
      return;  // it ended in the meantime, perhaps with the worker that asked
    }
    if (!signature) {
      return refuse(caller, "the bastion could not sign its login to the target");
    }
    reply(caller, ipc::TargetSignature{std::move(*signature)});
  };
  if (!io_.run_slow(caller.peer, std::move(job), std::move(done))) {
    refuse(caller, "the bastion is busy: try again");
  }
}

}  // namespace bastion::daemon
