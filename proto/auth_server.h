#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/result.h"
#include "proto/auth_messages.h"
#include "proto/payload.h"

namespace bastion::proto {

/// AuthServerOptions: the limits count per connection and end it; see config/schema.h for what an
/// administrator sets.
struct AuthServerOptions {
  /// failures: this many refused attempts, the last of them included, end the connection. Counted
  /// are refused signatures, methods that we do not offer, each "none" but the first, and each
  /// change of user.
  std::uint32_t failures = 6;
  /// key_offers: questions whether a key would do (an agent's keys) that are answered.
  std::uint32_t key_offers = 64;
  /// methods: the name-list that USERAUTH_FAILURE gives.
  std::string methods{kMethodPublicKey};
  /// algorithms: the public key algorithms that a user may sign with, the ones of server-sig-algs.
  /// Any other name is refused as an unknown key is.
  std::vector<std::string> algorithms;
};

/// AuthVerdict is what the warden said of a signature. kPartial: it is good, and more is required.
enum class AuthVerdict : std::uint8_t { kFailure, kPartial, kSuccess };

/// AuthStep is what the owner has to do after a message. Its views point into the AuthServer's own
/// copy of the request: they live until the answer is provided.
struct AuthStep {
  enum class Kind : std::uint8_t {
    kNone,           // answered, or nothing to answer: give the next message
    kNeedKeyQuery,   // ask whether user may use key_blob; answer by provide_key_query
    kNeedKeyVerify,  // have `signature` verified and the login decided; answer by provide_verdict
  };
  Kind kind = Kind::kNone;
  std::string_view user;       // as sent: at most limits::kUserNameBytesMax bytes of any value
  std::string_view service;    // always kServiceConnection
  std::string_view algorithm;  // one of AuthServerOptions::algorithms
  ByteView key_blob;           // of the type that `algorithm` names; unparsed but for that
  ByteView signature;          // kNeedKeyVerify
  /// hostbound: the signature covers host_key_blob, which is the client's word. Whoever verifies
  /// puts the host key that was used on this connection in its place, and refuses another.
  bool hostbound = false;
  ByteView host_key_blob;
  /// user_changes counts the requests that named another user than the one before. A factor that
  /// was verified under a smaller count is void (RFC 4252 5).
  std::uint32_t user_changes = 0;
};

/// AuthServer is the server's side of SERVICE_REQUEST and RFC 4252, without I/O: messages in,
/// answers into the sink, and the warden's two decisions as steps that the owner resumes.
///
/// The owner gives it every message after the first key exchange that the transport does not
/// consume itself, until authenticated(); messages that may not come in a state are errors. While
/// waiting() the owner leaves further packets unread (a client may pipeline): on_message is then an
/// error of ours. Every error is final: the owner sends DISCONNECT with
/// auth_disconnect_reason(error) and the error's text, and closes. What is sent depends on the
/// request's form and the answers provided only, never on who the user is.
///
/// It keeps counters, the last user's name and one pending request (at most
/// limits::kPacketLengthMax bytes). Nothing that was learnt from an earlier request is used for a
/// later one: each signed request is verified from scratch.
class AuthServer {
 public:
  /// `sink` outlives the machine.
  AuthServer(std::shared_ptr<const AuthServerOptions> options, PacketSink& sink);
  AuthServer(AuthServerOptions options, PacketSink& sink)
      : AuthServer(std::make_shared<const AuthServerOptions>(std::move(options)), sink) {}

  /// on_message takes one payload, which may be reused when it returns.
  Result<AuthStep> on_message(ByteView payload);

  /// provide_key_query answers kNeedKeyQuery: USERAUTH_PK_OK, or USERAUTH_FAILURE.
  Status provide_key_query(bool acceptable);

  /// provide_verdict answers kNeedKeyVerify: USERAUTH_SUCCESS (once; authenticated() from then on),
  /// or USERAUTH_FAILURE. `methods_left` is the name-list of what kPartial leaves to do; it is also
  /// what later failures list, until the user changes.
  Status provide_verdict(AuthVerdict verdict, std::string_view methods_left = {});

  /// send_banner sends text before authentication ends (afterwards it does nothing). UTF-8, lines
  /// end in CR LF.
  void send_banner(std::string_view text);

  bool waiting() const { return state_ == State::kQuery || state_ == State::kVerify; }
  bool authenticated() const { return state_ == State::kDone; }
  std::uint32_t failures() const { return failures_; }
  std::uint32_t key_offers() const { return key_offers_; }

  enum class State : std::uint8_t {
    kExpectService,
    kExpectRequest,
    kQuery,   // provide_key_query is due
    kVerify,  // provide_verdict is due
    kDone,
    kBroken,  // an error was returned
  };
  State state() const { return state_; }

  /// permits is the table of messages: default deny. After success USERAUTH_REQUEST is let in to be
  /// ignored (RFC 4252 5.1); whoever takes the connection over goes on so.
  static constexpr bool permits(State state, std::uint8_t message) {
    switch (state) {
      case State::kExpectService: return message == kMsgServiceRequest;
      case State::kExpectRequest:
        return message == kMsgServiceRequest || message == kMsgUserauthRequest;
      case State::kDone: return message == kMsgUserauthRequest;
      case State::kQuery:
      case State::kVerify:
      case State::kBroken: return false;
    }
    return false;
  }

 private:
  Result<AuthStep> on_service_request(ByteView payload);
  Result<AuthStep> on_userauth_request(ByteView payload);
  Result<AuthStep> on_publickey(const UserauthRequest& request, bool hostbound);
  bool is_accepted(const PublicKeyRequest& request) const;
  Status note_user(std::string_view user);
  Status refuse();
  std::unexpected<Error> broken(ErrorCode code, std::string_view text, std::int64_t detail = 0);

  std::shared_ptr<const AuthServerOptions> options_;
  PacketSink& sink_;
  State state_ = State::kExpectService;
  std::string methods_left_;
  std::string user_;
  bool have_user_ = false;
  bool had_none_ = false;
  std::uint32_t failures_ = 0;
  std::uint32_t key_offers_ = 0;
  std::uint32_t service_requests_ = 0;
  std::uint32_t user_changes_ = 0;
  Bytes pending_;  // the method's part of the request that waits
};

}  // namespace bastion::proto
