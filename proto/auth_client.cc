#include "proto/auth_client.h"

#include <algorithm>

namespace bastion::proto {
namespace {

/// shown_methods makes a target's name-list fit to be said: plain names as they are, others as "?",
/// cut where it grows too long.
std::string shown_methods(std::string_view list) {
  constexpr std::size_t kNameMax = 64;  // RFC 4251 6
  std::string shown;
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view name = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    const bool plain = !name.empty() && name.size() <= kNameMax &&
                       std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7f; });
    if (!plain) {
      name = "?";
    }
    if (shown.size() + 1 + name.size() > AuthClient::kMethodsShownMax) {
      break;
    }
    if (!shown.empty()) {
      shown += ',';
    }
    shown += name;
  }
  return shown;
}

}  // namespace

AuthClient::AuthClient(AuthClientOptions options, PacketSink& sink)
    : options_(options), sink_(sink) {}

std::unexpected<Error> AuthClient::broken(ErrorCode code, std::string_view text,
                                          std::int64_t detail) {
  state_ = State::kBroken;
  return fail(code, text, detail);
}

void AuthClient::start(std::string_view login) {
  if (state_ != State::kIdle) {
    state_ = State::kBroken;
    return;
  }
  login_ = login;
  state_ = State::kExpectAccept;
  sink_.send(encode_service_request(kServiceUserauth));
}

Result<ClientAuthStep> AuthClient::on_message(ByteView payload) {
  if (payload.empty()) {
    return broken(ErrorCode::kProtocol, "empty message");
  }
  const std::uint8_t message = payload[0];
  if (!permits(state_, message)) {
    if (message == kMsgUserauthSuccess && state_ != State::kDone && state_ != State::kBroken) {
      return broken(ErrorCode::kAuth, "the target lets anybody in without a key");
    }
    return broken(ErrorCode::kProtocol, "message not allowed during user authentication", message);
  }
  switch (message) {
    case kMsgServiceAccept: return on_service_accept(payload);
    case kMsgUserauthFailure: return on_failure(payload);
    case kMsgUserauthBanner: return on_banner(payload);
    default: break;
  }
  if (const auto success = parse_userauth_success(payload); !success) {
    return broken(success.error().code, success.error().text, success.error().detail);
  }
  state_ = State::kDone;
  return ClientAuthStep{.kind = ClientAuthStep::Kind::kSuccess};
}

Result<ClientAuthStep> AuthClient::on_service_accept(ByteView payload) {
  const auto accept = parse_service_accept(payload);
  if (!accept || accept->service != kServiceUserauth) {
    return broken(ErrorCode::kProtocol, "malformed message", kMsgServiceAccept);
  }
  state_ = State::kReady;
  return ClientAuthStep{.kind = ClientAuthStep::Kind::kNeedCredential};
}

Result<ClientAuthStep> AuthClient::on_failure(ByteView payload) {
  const auto failure = parse_userauth_failure(payload);
  if (!failure) {
    return broken(failure.error().code, failure.error().text, failure.error().detail);
  }
  state_ = State::kReady;
  methods_ = shown_methods(failure->methods);
  return ClientAuthStep{.kind = ClientAuthStep::Kind::kRefused,
                        .methods = methods_,
                        .partial = failure->partial_success};
}

Result<ClientAuthStep> AuthClient::on_banner(ByteView payload) {
  const auto banner = parse_userauth_banner(payload);
  if (!banner) {
    return broken(banner.error().code, banner.error().text, banner.error().detail);
  }
  if (banners_ >= options_.banners_max ||
      banner->text.size() > options_.banner_bytes_max - banner_bytes_) {
    return broken(ErrorCode::kLimit, "the target sends too many banners");
  }
  ++banners_;
  banner_bytes_ += static_cast<std::uint32_t>(banner->text.size());
  return ClientAuthStep{.kind = ClientAuthStep::Kind::kBanner, .banner = banner->text};
}

Status AuthClient::provide_signed(std::string_view algorithm, ByteView key_blob,
                                  ByteView signature) {
  if (state_ != State::kReady) {
    return broken(ErrorCode::kInternal, "a credential that the target did not ask for");
  }
  state_ = State::kExpectAnswer;
  sink_.send(encode_publickey_request(login_, kServiceConnection,
                                      {.algorithm = algorithm,
                                       .key_blob = key_blob,
                                       .hostbound = false,
                                       .host_key_blob = {},
                                       .signature = signature}));
  return {};
}

Result<std::string_view> choose_userauth_algorithm(crypto::KeyType type, bool certificate,
                                                   std::optional<std::string_view> server_sig_algs,
                                                   bool allow_legacy_rsa) {
  for (const auto* plain : crypto::pick_signature_algorithms(type)) {
    const auto* certified = crypto::certificate_algorithm_for(*plain);
    // Servers list either spelling, and mean both.
    const bool listed = !server_sig_algs || list_contains(*server_sig_algs, plain->name) ||
                        (certified != nullptr && list_contains(*server_sig_algs, certified->name));
    if (type != crypto::KeyType::kRsa || (listed && (server_sig_algs || !allow_legacy_rsa))) {
      return certificate && certified != nullptr ? certified->name : plain->name;
    }
  }
  if (allow_legacy_rsa && !certificate) {
    return "ssh-rsa";
  }
  return fail(ErrorCode::kAuth, "the target takes no RSA signature with SHA-2");
}

}  // namespace bastion::proto
