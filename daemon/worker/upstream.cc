#include <algorithm>

#include "crypto/kex.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/worker/session.h"
#include "daemon/worker/worker.h"

/// A session's way to its target: key exchange, the warden's verification, our login.
namespace bastion::daemon {
namespace {

/// Of a target's banner so much is shown on the first terminal.
constexpr std::size_t kBannerBytesMax = 4096;
/// A session that cannot be is over after this time: enough to open a channel and read why.
constexpr std::int64_t kRefusedMsMax = 10'000;

}  // namespace

void WorkerSession::on_target_connected(const ipc::TargetConnected& message, UniqueFd socket) {
  if (state_ != State::kDialling || !socket) {
    return;  // the user gave it up, or was refused; the socket closes here
  }
  state_ = State::kHandshake;
  handshake_deadline_ = after(worker_.now(), std::int64_t{settings_->handshake_ms} * kNsPerMs);
  make_stream(proto::Leg::kUpstream, std::move(socket));
  up().transport = std::make_unique<proto::Transport>(worker_.options_for(settings_, message),
                                                      worker_.pool(), crypto::system_random());
  up().transport->start(std::nullopt, worker_.now());
  update_timer();
  after_work();
}

void WorkerSession::on_target_failed(const ipc::TargetFailed& message) {
  if (state_ != State::kDialling) {
    return;
  }
  serve_locally(proto::LocalOptions::Mode::kRefuse, message.text);
  after_work();
}

void WorkerSession::on_recording_ready(const ipc::RecordingReady& message) {
  if (message.ok && worker_.record_ring() != nullptr) {
    recording_ready_ = true;
    bridge_when_recorded();
    return after_work();
  }
  const std::string text =
      message.text.empty() ? with_id(std::string(kRecorderSilent)) : message.text;
  if (state_ == State::kBridged) {
    return end_with(text);
  }
  if (state_ == State::kDialling || state_ == State::kHandshake) {
    disconnect(proto::Leg::kUpstream, proto::DisconnectReason::kByApplication, "");
    serve_locally(proto::LocalOptions::Mode::kRefuse, text);
    after_work();
  }
}

// target_refused ends the way to the target; the user is told on each channel that is opened.
void WorkerSession::target_refused(std::string text) {
  if (state_ != State::kHandshake) {
    return;
  }
  audit_target_login(text);
  note(true, "target refused: " + text);
  disconnect(proto::Leg::kUpstream, proto::DisconnectReason::kByApplication, "");
  serve_locally(proto::LocalOptions::Mode::kRefuse, with_id(std::move(text)));
}

void WorkerSession::serve_locally(proto::LocalOptions::Mode mode, std::string refusal) {
  proto::LocalOptions options;
  options.mode = mode;
  const std::string local_refusal = refusal;
  options.refusal = std::move(refusal);
  options.bastion_name = settings_->bastion_name;
  options.direct_tcpip = mode == proto::LocalOptions::Mode::kMenu;
  options.channels_max = adopt_.permissions.channels_max;
  options.session_channels_max = adopt_.permissions.session_channels_max;
  local_ = std::make_unique<proto::LocalConnection>(std::move(options), *down().transport, *this);
  state_ = State::kLocal;
  if (mode == proto::LocalOptions::Mode::kRefuse) {
    // A client that opens no channel (ssh -N) reads it in the disconnect message.
    end_text_ = local_refusal;
    end_deadline_ = after(worker_.now(), kRefusedMsMax * kNsPerMs);
  }
  update_timer();
}

void WorkerSession::on_host_verification() {
  const proto::Exchange exchange = up().transport->exchange();
  if (exchange.first) {
    up().awaiting = true;
    target_host_key_ = to_bytes(exchange.parts.host_key_blob);
    asked_[worker_.ask(
        *this, ipc::TargetVerify{exchange_message(exchange), to_bytes(exchange.signature)})] = {
        Asked::What::kTargetVerify};
    return;
  }
  crypto::Digest hash;
  Status verified = verify_same_host(exchange, hash);
  if (verified) {
    verified = up().transport->provide_host_verified(hash);
  }
  if (!verified) {
    leg_fault(proto::Leg::kUpstream, verified.error());
  }
}

// verify_same_host: in a later exchange the target proves the key that the warden has verified.
Status WorkerSession::verify_same_host(const proto::Exchange& exchange,
                                       crypto::Digest& out_hash) const {
  if (!equal(exchange.parts.host_key_blob, target_host_key_)) {
    return fail(ErrorCode::kHostKey, "the target changed its host key during the session");
  }
  out_hash = crypto::exchange_hash(exchange.kex->hash, exchange.parts);
  if (!exchange.host_key_algorithm->certificate) {
    const auto key = crypto::PublicKey::parse(target_host_key_);
    return key ? key->verify(*exchange.host_key_algorithm, out_hash.view(), exchange.signature)
               : Status(std::unexpected(key.error()));
  }
  const auto certificate = crypto::Certificate::parse(target_host_key_);
  return certificate ? certificate->key.verify(*exchange.host_key_algorithm, out_hash.view(),
                                               exchange.signature)
                     : Status(std::unexpected(certificate.error()));
}

void WorkerSession::on_target_verified(const ipc::TargetVerified& message) {
  if (state_ != State::kHandshake) {
    return;
  }
  credentials_ = message.credentials;
  next_credential_ = 0;
  const Status provided = up().transport->provide_host_verified(digest_of(message.hash));
  if (!provided) {
    return leg_fault(proto::Leg::kUpstream, provided.error());
  }
  advance(proto::Leg::kUpstream);
}

bool WorkerSession::on_auth_message(ByteView payload) {
  auto step = auth_->on_message(payload);
  if (!step) {
    leg_fault(proto::Leg::kUpstream, step.error());
    return false;
  }
  using Kind = proto::ClientAuthStep::Kind;
  switch (step->kind) {
    case Kind::kNone: break;
    case Kind::kBanner:
      for (const char c : step->banner) {
        const bool shown = c == '\n' || (static_cast<unsigned char>(c) >= 0x20 && c < 0x7f);
        if (shown && target_banner_.size() < kBannerBytesMax) {
          target_banner_ += c;
        }
      }
      break;
    case Kind::kRefused:
      methods_left_ = step->methods;
      log_in();
      break;
    case Kind::kNeedCredential: log_in(); break;
    case Kind::kSuccess:
      logged_in_ = true;
      audit_target_login("");
      handshake_deadline_ = after(worker_.now(), kRecorderNsMax);
      update_timer();
      bridge_when_recorded();
      break;
  }
  return state_ == State::kHandshake || state_ == State::kBridged;
}

// log_in tries the next credential that the warden gave; RSA keys need one more question, since the
// hash that the target takes is known only now.
void WorkerSession::log_in() {
  if (next_credential_ >= credentials_.size()) {
    std::string text = adopt_.target + " does not accept the bastion's login as " + adopt_.login;
    text += methods_left_.empty() ? "." : " (it wants: " + methods_left_ + ").";
    return target_refused(std::move(text));
  }
  const std::size_t index = next_credential_++;
  const ipc::TargetCredential& credential = credentials_[index];
  if (!credential.signature.empty()) {
    const Status sent =
        auth_->provide_signed(credential.algorithm, credential.blob, credential.signature);
    if (!sent) {
      leg_fault(proto::Leg::kUpstream, sent.error());
    }
    return;
  }
  // RFC 8308: without a list the target is old, and takes SHA-256 if any.
  const std::vector<std::string>& listed = up().transport->peer().server_sig_algs;
  std::string algorithm = "rsa-sha2-256";
  for (const std::string& offered : credential.algorithms) {
    if (std::ranges::find(listed, offered) != listed.end()) {
      algorithm = offered;
      break;
    }
  }
  asked_[worker_.ask(*this, ipc::TargetSign{static_cast<std::uint32_t>(index), algorithm})] = {
      Asked::What::kTargetSign, static_cast<std::uint32_t>(index)};
  credentials_[index].algorithm = algorithm;
}

// bridge_when_recorded: nothing passes before its recording is open.
void WorkerSession::bridge_when_recorded() {
  if (state_ == State::kHandshake && logged_in_ && (recording_ready_ || !adopt_.recorded)) {
    begin_bridge();
  }
}

void WorkerSession::begin_bridge() {
  up().transport->set_authenticated();
  bridge_ = std::make_unique<proto::Bridge>(adopt_.permissions, *down().transport, *up().transport,
                                            *this);
  bridge_->set_names({adopt_.user, adopt_.login, adopt_.target, adopt_.short_id});
  state_ = State::kBridged;
  if (adopt_.recorded) {
    recording_ =
        std::make_unique<SessionRecording>(*worker_.record_ring(), adopt_.record_slot, id_,
                                           adopt_.record, adopt_.permissions.force_command);
  }
  const proto::Permissions& may = adopt_.permissions;
  if ((may.sftp_files.digest || may.exec_files.digest) && (adopt_.recorded || adopt_.audited) &&
      worker_.record_ring() != nullptr) {
    digests_ = std::make_unique<FileDigests>(*worker_.record_ring(), id_);
  }
  auth_.reset();
  credentials_.clear();
  credentials_.shrink_to_fit();
  const auto& algorithms = up().transport->algorithms();
  note(false, "logged in at " + adopt_.target + " as " + adopt_.login + ", " +
                  std::string(algorithms.kex->name) + " " +
                  std::string(algorithms.cipher_to_server->name) + ", " +
                  escaped(up().transport->peer_ident(), 100));
  update_timer();
}

void WorkerSession::on_answer(std::uint32_t request, ipc::Received& received) {
  const auto found = asked_.find(request);
  if (found == asked_.end()) {
    return;
  }
  const Asked asked = found->second;
  const bool refused = received.header.type == ipc::Type::kRefused;
  ipc::Refused refusal;
  if (refused) {
    auto decoded = ipc::decode<ipc::Refused>(received.body);
    refusal = decoded ? std::move(*decoded) : ipc::Refused{};
  }
  switch (asked.what) {
    case Asked::What::kRekey: {
      down().awaiting = false;
      const auto signed_hash = ipc::decode<ipc::ExchangeSigned>(received.body);
      const Status provided =
          refused || !signed_hash
              ? Status(fail(ErrorCode::kInternal, "the key exchange could not be signed"))
              : down().transport->provide_host_signature(digest_of(signed_hash->hash),
                                                         signed_hash->signature);
      if (!provided) {
        leg_fault(proto::Leg::kDownstream, provided.error());
      } else {
        advance(proto::Leg::kDownstream);
      }
      break;
    }
    case Asked::What::kTargetVerify: {
      up().awaiting = false;
      const auto verified = ipc::decode<ipc::TargetVerified>(received.body);
      if (refused || !verified) {
        // The text has the session's id already.
        disconnect(proto::Leg::kUpstream, proto::DisconnectReason::kHostKeyNotVerifiable, "");
        if (state_ == State::kHandshake) {
          serve_locally(proto::LocalOptions::Mode::kRefuse, refusal.text);
        }
      } else {
        on_target_verified(*verified);
      }
      break;
    }
    case Asked::What::kTargetSign: {
      const auto signature = ipc::decode<ipc::TargetSignature>(received.body);
      if (state_ != State::kHandshake) {
        break;
      }
      if (refused || !signature) {
        target_refused(refusal.text);
        break;
      }
      const ipc::TargetCredential& credential = credentials_[asked.channel];
      const Status sent =
          auth_->provide_signed(credential.algorithm, credential.blob, signature->signature);
      if (!sent) {
        leg_fault(proto::Leg::kUpstream, sent.error());
      }
      break;
    }
    case Asked::What::kTunnel:
      if (refused) {
        on_tunnel_refused(request, refusal);
      } else if (const auto opened = ipc::decode<ipc::TunnelOpened>(received.body)) {
        on_tunnel_opened(*opened, std::move(received.fds[0]));
      }
      break;
    case Asked::What::kListing:
      if (const auto listing = ipc::decode<ipc::Listing>(received.body);
          listing && !refused && local_ != nullptr) {
        local_->provide_text(asked.channel, listing->text);
      }
      break;
  }
  asked_.erase(request);
  after_work();
}

}  // namespace bastion::daemon
