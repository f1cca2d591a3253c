#include "proto/auth_messages.h"

#include "base/wire.h"

namespace bastion::proto {
namespace {

/// parse_numbered starts a reader behind the message number, or fails it.
Reader parse_numbered(ByteView payload, Message number) {
  Reader reader(payload);
  if (reader.u8() != number) {
    reader.set_failed();
  }
  return reader;
}

std::unexpected<Error> malformed(Message number) {
  return fail(ErrorCode::kProtocol, "malformed message", number);
}

Result<ServiceMessage> parse_service(ByteView payload, Message number) {
  Reader reader = parse_numbered(payload, number);
  const ServiceMessage message{reader.text()};
  if (!reader.done()) {
    return malformed(number);
  }
  return message;
}

Bytes encode_service(std::string_view service, Message number) {
  Writer writer;
  return writer.u8(number).text(service).take();
}

template <typename W>
void write_request_head(W& writer, std::string_view user, std::string_view service,
                        std::string_view method) {
  writer.u8(kMsgUserauthRequest).text(user).text(service).text(method);
}

}  // namespace

Result<ServiceMessage> parse_service_request(ByteView payload) {
  return parse_service(payload, kMsgServiceRequest);
}

Result<ServiceMessage> parse_service_accept(ByteView payload) {
  return parse_service(payload, kMsgServiceAccept);
}

Bytes encode_service_request(std::string_view service) {
  return encode_service(service, kMsgServiceRequest);
}

Bytes encode_service_accept(std::string_view service) {
  return encode_service(service, kMsgServiceAccept);
}

Result<UserauthRequest> parse_userauth_request(ByteView payload) {
  Reader reader = parse_numbered(payload, kMsgUserauthRequest);
  UserauthRequest request;
  request.user = reader.text();
  request.service = reader.text();
  request.method = reader.text();
  request.method_data = reader.rest();
  if (!reader.ok()) {
    return malformed(kMsgUserauthRequest);
  }
  return request;
}

Result<PublicKeyRequest> parse_publickey_data(ByteView method_data, bool hostbound) {
  Reader reader(method_data);
  PublicKeyRequest request;
  const bool has_signature = reader.lenient_boolean();
  request.algorithm = reader.text();
  request.key_blob = reader.string();
  request.hostbound = hostbound;
  if (hostbound) {
    request.host_key_blob = reader.string();
  }
  if (has_signature) {
    request.signature = reader.string();
  }
  if (!reader.done()) {
    return malformed(kMsgUserauthRequest);
  }
  return request;
}

Bytes encode_publickey_request(std::string_view user, std::string_view service,
                               const PublicKeyRequest& request) {
  Writer writer;
  write_request_head(writer, user, service,
                     request.hostbound ? kMethodPublicKeyHostbound : kMethodPublicKey);
  writer.boolean(request.signature.has_value()).text(request.algorithm).string(request.key_blob);
  if (request.hostbound) {
    writer.string(request.host_key_blob);
  }
  if (request.signature) {
    writer.string(*request.signature);
  }
  return writer.take();
}

Bytes encode_none_request(std::string_view user, std::string_view service) {
  Writer writer;
  write_request_head(writer, user, service, kMethodNone);
  return writer.take();
}

Result<PasswordRequest> parse_password_data(ByteView method_data) {
  Reader reader(method_data);
  PasswordRequest request;
  const bool has_new = reader.lenient_boolean();
  request.password = reader.text();
  if (has_new) {
    request.new_password = reader.text();
  }
  if (!reader.done()) {
    return malformed(kMsgUserauthRequest);
  }
  return request;
}

SecretBytes encode_password_request(std::string_view user, std::string_view service,
                                    const PasswordRequest& request) {
  SecretWriter writer;
  write_request_head(writer, user, service, kMethodPassword);
  writer.boolean(request.new_password.has_value()).text(request.password);
  if (request.new_password) {
    writer.text(*request.new_password);
  }
  return writer.take();
}

Result<UserauthFailure> parse_userauth_failure(ByteView payload) {
  Reader reader = parse_numbered(payload, kMsgUserauthFailure);
  UserauthFailure failure;
  failure.methods = reader.text();
  failure.partial_success = reader.lenient_boolean();
  if (!reader.done()) {
    return malformed(kMsgUserauthFailure);
  }
  return failure;
}

Bytes encode_userauth_failure(const UserauthFailure& failure) {
  Writer writer;
  writer.u8(kMsgUserauthFailure).text(failure.methods).boolean(failure.partial_success);
  return writer.take();
}

Status parse_userauth_success(ByteView payload) {
  if (!parse_numbered(payload, kMsgUserauthSuccess).done()) {
    return malformed(kMsgUserauthSuccess);
  }
  return {};
}

Bytes encode_userauth_success() { return {kMsgUserauthSuccess}; }

Result<UserauthBanner> parse_userauth_banner(ByteView payload) {
  Reader reader = parse_numbered(payload, kMsgUserauthBanner);
  UserauthBanner banner;
  banner.text = reader.text();
  banner.language = reader.text();
  if (!reader.done()) {
    return malformed(kMsgUserauthBanner);
  }
  return banner;
}

Bytes encode_userauth_banner(const UserauthBanner& banner) {
  Writer writer;
  return writer.u8(kMsgUserauthBanner).text(banner.text).text(banner.language).take();
}

Result<PublicKeyOk> parse_publickey_ok(ByteView payload) {
  Reader reader = parse_numbered(payload, kMsgUserauthPkOk);
  PublicKeyOk ok;
  ok.algorithm = reader.text();
  ok.key_blob = reader.string();
  if (!reader.done()) {
    return malformed(kMsgUserauthPkOk);
  }
  return ok;
}

Bytes encode_publickey_ok(const PublicKeyOk& ok) {
  Writer writer;
  return writer.u8(kMsgUserauthPkOk).text(ok.algorithm).string(ok.key_blob).take();
}

Bytes userauth_signed_data(const SignedRequest& request) {
  Writer writer;
  writer.string(request.session_id);
  write_request_head(writer, request.user, request.service,
                     request.host_key_blob ? kMethodPublicKeyHostbound : kMethodPublicKey);
  writer.boolean(true).text(request.algorithm).string(request.key_blob);
  if (request.host_key_blob) {
    writer.string(*request.host_key_blob);
  }
  return writer.take();
}

DisconnectReason auth_disconnect_reason(const Error& error) {
  switch (error.code) {
    case ErrorCode::kLimit:
    case ErrorCode::kAuth: return DisconnectReason::kNoMoreAuthMethodsAvailable;
    case ErrorCode::kUnsupported: return DisconnectReason::kServiceNotAvailable;
    case ErrorCode::kIo:
    case ErrorCode::kInternal: return DisconnectReason::kByApplication;
    case ErrorCode::kProtocol:
    case ErrorCode::kMac:
    case ErrorCode::kKeyExchange:
    case ErrorCode::kHostKey:
    case ErrorCode::kMalformed: return DisconnectReason::kProtocolError;
  }
  return DisconnectReason::kProtocolError;
}

}  // namespace bastion::proto
