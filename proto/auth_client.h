#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/keys.h"
#include "proto/auth_messages.h"
#include "proto/payload.h"

namespace bastion::proto {

struct AuthClientOptions {
  /// A target's banners, before and between its answers: text in all, and how many.
  std::uint32_t banner_bytes_max = 16 * 1024;
  std::uint32_t banners_max = 10;
};

/// ClientAuthStep is what the owner has to do after a message of the target.
struct ClientAuthStep {
  enum class Kind : std::uint8_t {
    kNone,            // give the next message
    kNeedCredential,  // the target is ready: provide_signed
    kRefused,         // it refused the last one: provide_signed another, or end with a message
    kBanner,          // `banner` is text of the target's, unfiltered
    kSuccess,         // logged in as the login that start() named
  };
  Kind kind = Kind::kNone;
  /// banner points into the payload and lives until that is reused. Its bytes are the target's: the
  /// owner filters them before a user or a log sees them.
  std::string_view banner{};
  /// methods (kRefused): what the target says can continue, as a name-list of at most
  /// kMethodsShownMax bytes with "?" in place of names that are not plain ASCII. It lives until the
  /// next call.
  std::string_view methods{};
  /// partial (kRefused): the target took the credential and wants another one beside it.
  bool partial = false;
};

/// AuthClient is the client's side of RFC 4252 towards a target, without I/O. It sends signatures
/// that the warden has made and nothing else: no "none", no query round trip, no password. So the
/// target's answers are few, and each is allowed only as the answer to a request of ours: a success
/// that nothing was signed for is refused, since a target that lets anybody in could then ask the
/// user for secrets in our name.
///
/// The owner gives it every message of the target that the transport does not consume itself, until
/// kSuccess. Every error is final.
class AuthClient {
 public:
  /// kMethodsShownMax: enough for each method that exists, short enough for a line of log.
  static constexpr std::size_t kMethodsShownMax = 256;

  /// `sink` outlives the machine.
  AuthClient(AuthClientOptions options, PacketSink& sink);

  /// start asks for the service; `login` is the account that every request will name.
  void start(std::string_view login);

  Result<ClientAuthStep> on_message(ByteView payload);

  /// provide_signed sends a publickey request with its signature, which was made over
  /// userauth_signed_data for this login, algorithm and blob (a key or a certificate). Allowed
  /// after kNeedCredential and kRefused; otherwise kInternal.
  Status provide_signed(std::string_view algorithm, ByteView key_blob, ByteView signature);

  enum class State : std::uint8_t {
    kIdle,          // before start
    kExpectAccept,  // SERVICE_ACCEPT is due
    kReady,         // provide_signed is due
    kExpectAnswer,  // the target's verdict is due
    kDone,
    kBroken,
  };
  State state() const { return state_; }

  /// permits is the table of messages: default deny.
  static constexpr bool permits(State state, std::uint8_t message) {
    switch (state) {
      case State::kExpectAccept: return message == kMsgServiceAccept;
      case State::kReady: return message == kMsgUserauthBanner;
      case State::kExpectAnswer:
        return message == kMsgUserauthFailure || message == kMsgUserauthSuccess ||
               message == kMsgUserauthBanner;
      case State::kIdle:
      case State::kDone:
      case State::kBroken: return false;
    }
    return false;
  }

 private:
  Result<ClientAuthStep> on_service_accept(ByteView payload);
  Result<ClientAuthStep> on_failure(ByteView payload);
  Result<ClientAuthStep> on_banner(ByteView payload);
  std::unexpected<Error> broken(ErrorCode code, std::string_view text, std::int64_t detail = 0);

  AuthClientOptions options_;
  PacketSink& sink_;
  State state_ = State::kIdle;
  std::string login_;
  std::string methods_;
  std::uint32_t banner_bytes_ = 0;
  std::uint32_t banners_ = 0;
};

/// choose_userauth_algorithm names the algorithm to sign with for a key of `type`, or for a
/// certificate of one. For RSA the target's server-sig-algs (RFC 8308 3.1; nullopt where it sent no
/// EXT_INFO, when we try SHA-2 all the same, RFC 8332 3.3) decides between rsa-sha2-512 and
/// rsa-sha2-256. "ssh-rsa" with SHA-1 is taken only where `allow_legacy_rsa` and nothing better is
/// listed, and never for a certificate. Other types have one name each, and old servers list them
/// incompletely, so the list is not asked. kAuth: the target takes no RSA signature of ours.
Result<std::string_view> choose_userauth_algorithm(crypto::KeyType type, bool certificate,
                                                   std::optional<std::string_view> server_sig_algs,
                                                   bool allow_legacy_rsa);

}  // namespace bastion::proto
