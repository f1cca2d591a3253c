#include "proto/auth_server.h"

#include <algorithm>
#include <utility>

#include "base/wire.h"
#include "crypto/keys.h"

namespace bastion::proto {
namespace {

/// blob_type_fits compares a key blob's own type name with the one that the algorithm stands for.
bool blob_type_fits(const crypto::SignatureAlgorithm& algorithm, ByteView key_blob) {
  return Reader(key_blob).text() == (algorithm.certificate
                                         ? crypto::certificate_type_name(algorithm.key_type)
                                         : crypto::key_type_name(algorithm.key_type));
}

}  // namespace

AuthServer::AuthServer(std::shared_ptr<const AuthServerOptions> options, PacketSink& sink)
    : options_(std::move(options)), sink_(sink), methods_left_(options_->methods) {}

std::unexpected<Error> AuthServer::broken(ErrorCode code, std::string_view text,
                                          std::int64_t detail) {
  state_ = State::kBroken;
  return fail(code, text, detail);
}

Result<AuthStep> AuthServer::on_message(ByteView payload) {
  if (waiting()) {
    return broken(ErrorCode::kInternal, "a message came while an answer was due");
  }
  if (payload.empty()) {
    return broken(ErrorCode::kProtocol, "empty message");
  }
  const std::uint8_t message = payload[0];
  if (!permits(state_, message)) {
    return broken(ErrorCode::kProtocol, "message not allowed during user authentication", message);
  }
  if (state_ == State::kDone) {
    return AuthStep{};
  }
  auto step =
      message == kMsgServiceRequest ? on_service_request(payload) : on_userauth_request(payload);
  if (!step) {
    state_ = State::kBroken;
  }
  return step;
}

Result<AuthStep> AuthServer::on_service_request(ByteView payload) {
  const auto request = parse_service_request(payload);
  if (!request) {
    return std::unexpected(request.error());
  }
  if (request->service != kServiceUserauth) {
    return fail(ErrorCode::kUnsupported, "service not available");
  }
  // Some clients (paramiko) ask anew before each attempt: as often as there are attempts.
  if (service_requests_ > options_->failures + options_->key_offers) {
    return fail(ErrorCode::kLimit, "Too many service requests");
  }
  ++service_requests_;
  state_ = State::kExpectRequest;
  sink_.send(encode_service_accept(kServiceUserauth));
  return AuthStep{};
}

Result<AuthStep> AuthServer::on_userauth_request(ByteView payload) {
  const auto request = parse_userauth_request(payload);
  if (!request) {
    return std::unexpected(request.error());
  }
  if (request->service != kServiceConnection) {
    return fail(ErrorCode::kUnsupported, "service not available");
  }
  BASTION_TRY(note_user(request->user));
  if (request->method == kMethodPublicKey || request->method == kMethodPublicKeyHostbound) {
    return on_publickey(*request, request->method == kMethodPublicKeyHostbound);
  }
  if (request->method == kMethodNone && !std::exchange(had_none_, true)) {
    // Clients ask "none" first to learn the methods: free, once.
    sink_.send(encode_userauth_failure({methods_left_, false}));
    return AuthStep{};
  }
  BASTION_TRY(refuse());
  return AuthStep{};
}

Result<AuthStep> AuthServer::on_publickey(const UserauthRequest& request, bool hostbound) {
  const auto parsed = parse_publickey_data(request.method_data, hostbound);
  if (!parsed) {
    return std::unexpected(parsed.error());
  }
  const bool is_query = !parsed->signature.has_value();
  if (is_query && key_offers_++ >= options_->key_offers) {
    return fail(ErrorCode::kLimit,
                "Too many keys offered; with IdentitiesOnly=yes only the right one is");
  }
  if (request.user.size() > limits::kUserNameBytesMax || !is_accepted(*parsed)) {
    if (is_query) {
      sink_.send(encode_userauth_failure({methods_left_, false}));
    } else {
      BASTION_TRY(refuse());
    }
    return AuthStep{};
  }
  // The wait outlives the payload: keep the method's part, and view it again there.
  pending_ = to_bytes(request.method_data);
  const auto kept = parse_publickey_data(pending_, hostbound);
  if (!kept) {
    return fail(ErrorCode::kInternal, "a request does not parse twice");
  }
  state_ = is_query ? State::kQuery : State::kVerify;
  return AuthStep{
      .kind = is_query ? AuthStep::Kind::kNeedKeyQuery : AuthStep::Kind::kNeedKeyVerify,
      .user = user_,
      .service = kServiceConnection,
      .algorithm = kept->algorithm,
      .key_blob = kept->key_blob,
      .signature = kept->signature.value_or(ByteView{}),
      .hostbound = hostbound,
      .host_key_blob = kept->host_key_blob,
      .user_changes = user_changes_,
  };
}

bool AuthServer::is_accepted(const PublicKeyRequest& request) const {
  const auto& accepted = options_->algorithms;
  if (std::ranges::find(accepted, request.algorithm) == accepted.end()) {
    return false;
  }
  const auto* algorithm = crypto::find_signature_algorithm(request.algorithm);
  return algorithm != nullptr && request.key_blob.size() <= limits::kKeyBlobBytesMax &&
         request.host_key_blob.size() <= limits::kKeyBlobBytesMax &&
         request.signature.value_or(ByteView{}).size() <= limits::kKeyBlobBytesMax &&
         blob_type_fits(*algorithm, request.key_blob);
}

/// note_user notices a change of user, which voids what was achieved before (RFC 4252 5). Longer
/// names than anybody has are kept cut, since none of them ever gets a question.
Status AuthServer::note_user(std::string_view user) {
  user = user.substr(0, limits::kUserNameBytesMax + 1);
  const bool changed = have_user_ && user != user_;
  user_ = user;
  have_user_ = true;
  if (!changed) {
    return {};
  }
  ++user_changes_;
  methods_left_ = options_->methods;
  if (++failures_ >= options_->failures) {
    return fail(ErrorCode::kLimit, "Too many authentication failures");
  }
  return {};
}

Status AuthServer::refuse() {
  if (++failures_ >= options_->failures) {
    return broken(ErrorCode::kLimit, "Too many authentication failures");
  }
  sink_.send(encode_userauth_failure({methods_left_, false}));
  return {};
}

Status AuthServer::provide_key_query(bool acceptable) {
  if (state_ != State::kQuery) {
    return broken(ErrorCode::kInternal, "an answer to a key query that was not asked");
  }
  state_ = State::kExpectRequest;
  if (acceptable) {
    Reader reader(pending_);
    reader.lenient_boolean();
    const std::string_view algorithm = reader.text();
    sink_.send(encode_publickey_ok({algorithm, reader.string()}));
  } else {
    sink_.send(encode_userauth_failure({methods_left_, false}));
  }
  return {};
}

Status AuthServer::provide_verdict(AuthVerdict verdict, std::string_view methods_left) {
  if (state_ != State::kVerify) {
    return broken(ErrorCode::kInternal, "a verdict on a signature that was not asked");
  }
  state_ = State::kExpectRequest;
  switch (verdict) {
    case AuthVerdict::kSuccess:
      state_ = State::kDone;
      pending_ = {};
      sink_.send(encode_userauth_success());
      return {};
    case AuthVerdict::kPartial:
      methods_left_ = methods_left;
      sink_.send(encode_userauth_failure({methods_left_, true}));
      return {};
    case AuthVerdict::kFailure: return refuse();
  }
  return broken(ErrorCode::kInternal, "a verdict of no known kind");
}

void AuthServer::send_banner(std::string_view text) {
  if (state_ != State::kDone && state_ != State::kBroken) {
    sink_.send(encode_userauth_banner({text, ""}));
  }
}

}  // namespace bastion::proto
