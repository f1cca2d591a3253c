#include "daemon/warden/credentials.h"

#include "base/wire.h"
#include "daemon/ipc/session_messages.h"
#include "proto/auth_messages.h"

namespace bastion::daemon {
namespace {

/// extensions_of names the certificate extensions that a grant needs, and no other
/// (PROTOCOL.certkeys; sshd refuses what is missing).
std::vector<crypto::CertificateOption> extensions_of(const proto::Permissions& permissions) {
  std::vector<crypto::CertificateOption> extensions;
  if (permissions.x11) {
    extensions.push_back({"permit-X11-forwarding", {}});
  }
  if (permissions.agent) {
    extensions.push_back({"permit-agent-forwarding", {}});
  }
  const bool forwards = !permissions.forward_local.empty() || !permissions.forward_remote.empty() ||
                        !permissions.forward_local_sockets.empty() ||
                        !permissions.forward_remote_sockets.empty();
  if (forwards) {
    extensions.push_back({"permit-port-forwarding", {}});
  }
  if (permissions.pty) {
    extensions.push_back({"permit-pty", {}});
  }
  return extensions;
}

std::vector<crypto::CertificateOption> critical_options_of(const CredentialRequest& request) {
  std::vector<crypto::CertificateOption> options;
  if (!request.permissions.force_command.empty()) {
    Writer data;
    data.text(request.permissions.force_command);
    options.push_back({"force-command", data.take()});
  }
  std::string addresses;
  for (const IpAddress& address : request.source_addresses) {
    addresses +=
        (addresses.empty() ? "" : ",") + address.text() + (address.is_v4() ? "/32" : "/128");
  }
  if (!addresses.empty()) {
    Writer data;
    data.text(addresses);
    options.push_back({"source-address", data.take()});
  }
  return options;
}

Result<Credentials> from_certificate(const CredentialRequest& request, RandomSource& random) {
  auto key = crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
  if (!key) {
    return std::unexpected(key.error());
  }
  crypto::CertificateRequest certificate;
  certificate.key = key->public_key();
  std::array<std::uint8_t, 8> serial;
  random.fill(serial);
  certificate.serial = load_u64(serial.data());
  certificate.type = crypto::CertificateType::kUser;
  certificate.key_id = request.key_id;
  certificate.principals = {request.login};
  certificate.valid_after =
      static_cast<std::uint64_t>(std::max<WallTime>(request.now - kCertificateSecondsBefore, 0));
  certificate.valid_before = static_cast<std::uint64_t>(request.now + kCertificateSecondsAfter);
  certificate.critical_options = critical_options_of(request);
  certificate.extensions = extensions_of(request.permissions);
  auto blob = crypto::sign_certificate(certificate, request.key, random);
  if (!blob) {
    return std::unexpected(blob.error());
  }
  ipc::TargetCredential credential;
  credential.algorithm = "ssh-ed25519-cert-v01@openssh.com";
  auto signature = sign_userauth(request, *key, credential.algorithm, *blob);
  if (!signature) {
    return std::unexpected(signature.error());
  }
  credential.blob = std::move(*blob);
  credential.signature = std::move(*signature);
  return Credentials{{std::move(credential)}, {std::move(*key)}};
}

Result<Credentials> from_key_file(const CredentialRequest& request) {
  ipc::TargetCredential credential;
  credential.blob = request.key.public_key().blob();
  const auto algorithms = crypto::pick_signature_algorithms(request.key.public_key().type());
  if (request.key.public_key().type() == crypto::KeyType::kRsa) {
    for (const crypto::SignatureAlgorithm* algorithm : algorithms) {
      credential.algorithms.emplace_back(algorithm->name);
    }
    return Credentials{{std::move(credential)}, {request.key}};
  }
  if (algorithms.empty()) {
    return fail(ErrorCode::kUnsupported, "the target's key_file cannot sign");
  }
  credential.algorithm = algorithms.front()->name;
  auto signature = sign_userauth(request, request.key, credential.algorithm, credential.blob);
  if (!signature) {
    return std::unexpected(signature.error());
  }
  credential.signature = std::move(*signature);
  return Credentials{{std::move(credential)}, {request.key}};
}

}  // namespace

Result<Bytes> sign_userauth(const CredentialRequest& request, const crypto::PrivateKey& key,
                            const std::string& algorithm, ByteView blob) {
  const crypto::SignatureAlgorithm* how = crypto::find_signature_algorithm(algorithm);
  if (how == nullptr) {
    return fail(ErrorCode::kInternal, "unknown signature algorithm");
  }
  const proto::SignedRequest signed_request{.session_id = request.target_session_id.view(),
                                            .user = request.login,
                                            .service = proto::kServiceConnection,
                                            .algorithm = algorithm,
                                            .key_blob = blob,
                                            .host_key_blob = std::nullopt};
  return key.sign(*how, proto::userauth_signed_data(signed_request));
}

Result<Credentials> make_credentials(const CredentialRequest& request, RandomSource& random) {
  return request.certificate ? from_certificate(request, random) : from_key_file(request);
}

}  // namespace bastion::daemon
