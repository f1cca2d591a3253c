#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "proto/messages.h"
#include "proto/name_list.h"

/// The messages of RFC 4252 (user authentication), RFC 4253 10 (service requests) and OpenSSH's
/// publickey-hostbound-v00@openssh.com (PROTOCOL 3.1), as plain structs.
///
/// parse_* take a whole payload, its message number first. Views in the result point into it.
/// Truncated, trailing or wrongly numbered bytes are kProtocol; nothing is allocated. Booleans are
/// taken as RFC 4251 5 says: any value but 0 is TRUE. encode_* give a whole payload.
namespace bastion::proto {

inline constexpr std::string_view kServiceUserauth = "ssh-userauth";
inline constexpr std::string_view kServiceConnection = "ssh-connection";

inline constexpr std::string_view kMethodNone = "none";
inline constexpr std::string_view kMethodPublicKey = "publickey";
inline constexpr std::string_view kMethodPublicKeyHostbound = "publickey-hostbound-v00@openssh.com";
inline constexpr std::string_view kMethodPassword = "password";

/// ServiceMessage is SERVICE_REQUEST and SERVICE_ACCEPT.
struct ServiceMessage {
  std::string_view service;
};
Result<ServiceMessage> parse_service_request(ByteView payload);
Result<ServiceMessage> parse_service_accept(ByteView payload);
Bytes encode_service_request(std::string_view service);
Bytes encode_service_accept(std::string_view service);

/// UserauthRequest is USERAUTH_REQUEST up to the method's own fields, which are `method_data`:
/// unparsed, whatever the method, so that one that we do not know costs nothing.
struct UserauthRequest {
  std::string_view user;
  std::string_view service;
  std::string_view method;
  ByteView method_data;
};
Result<UserauthRequest> parse_userauth_request(ByteView payload);

/// PublicKeyRequest is the method_data of "publickey" (RFC 4252 7) and, with `hostbound`, of
/// "publickey-hostbound-v00@openssh.com", which adds the host key that the client saw.
/// Without a signature it asks whether the key would do.
struct PublicKeyRequest {
  std::string_view algorithm;
  ByteView key_blob;
  bool hostbound = false;
  ByteView host_key_blob;  // empty unless hostbound
  std::optional<ByteView> signature;
};
Result<PublicKeyRequest> parse_publickey_data(ByteView method_data, bool hostbound);
Bytes encode_publickey_request(std::string_view user, std::string_view service,
                               const PublicKeyRequest& request);

Bytes encode_none_request(std::string_view user, std::string_view service);

/// PasswordRequest is the method_data of "password" (RFC 4252 8).
struct PasswordRequest {
  std::string_view password;
  std::optional<std::string_view> new_password;
};
Result<PasswordRequest> parse_password_data(ByteView method_data);
SecretBytes encode_password_request(std::string_view user, std::string_view service,
                                    const PasswordRequest& request);

/// UserauthFailure: `methods` is the name-list of methods that can continue.
struct UserauthFailure {
  std::string_view methods;
  bool partial_success = false;
};
Result<UserauthFailure> parse_userauth_failure(ByteView payload);
Bytes encode_userauth_failure(const UserauthFailure& failure);

Status parse_userauth_success(ByteView payload);
Bytes encode_userauth_success();

struct UserauthBanner {
  std::string_view text;
  std::string_view language;
};
Result<UserauthBanner> parse_userauth_banner(ByteView payload);
Bytes encode_userauth_banner(const UserauthBanner& banner);

/// PublicKeyOk is USERAUTH_PK_OK: the query's algorithm and key, echoed.
struct PublicKeyOk {
  std::string_view algorithm;
  ByteView key_blob;
};
Result<PublicKeyOk> parse_publickey_ok(ByteView payload);
Bytes encode_publickey_ok(const PublicKeyOk& ok);

/// SignedRequest names everything that a publickey signature covers.
struct SignedRequest {
  ByteView session_id;
  std::string_view user;
  std::string_view service;
  std::string_view algorithm;
  ByteView key_blob;
  /// host_key_blob: set for the hostbound method only. A verifier sets its own host key here,
  /// never the one that the client named.
  std::optional<ByteView> host_key_blob;
};
/// userauth_signed_data gives the exact bytes that a client signs (RFC 4252 7, PROTOCOL 3.1). Who
/// verifies or signs calls it with what it knows itself, not with what the other process claims.
Bytes userauth_signed_data(const SignedRequest& request);

/// auth_disconnect_reason is the reason of the DISCONNECT that follows an error of AuthServer or
/// AuthClient; its text is the error's.
DisconnectReason auth_disconnect_reason(const Error& error);

}  // namespace bastion::proto
