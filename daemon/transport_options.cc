#include "daemon/transport_options.h"

#include <algorithm>

#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"

namespace bastion::daemon {
namespace {

proto::TransportOptions common_options(const ipc::Settings& settings) {
  proto::TransportOptions options;
  options.algorithms.kex = settings.kex;
  options.algorithms.ciphers = settings.ciphers;
  options.algorithms.macs = settings.macs;
  options.algorithms.host_keys = settings.host_key_algorithms;
  options.algorithms.public_keys = settings.public_key_algorithms;
  options.rekey = {.bytes = settings.rekey_bytes,
                   .packets = settings.rekey_packets,
                   .seconds = settings.rekey_seconds};
  return options;
}

}  // namespace

std::shared_ptr<const proto::TransportOptions> server_options(const ipc::Settings& settings) {
  proto::TransportOptions options = common_options(settings);
  options.role = proto::Role::kServer;
  for (const ipc::HostKey& key : settings.host_keys) {
    options.host_keys.push_back({key.algorithm, key.blob});
  }
  return std::make_shared<const proto::TransportOptions>(std::move(options));
}

std::shared_ptr<const proto::TransportOptions> client_options(const ipc::Settings& settings,
                                                              const ipc::TargetConnected& target) {
  proto::TransportOptions options = common_options(settings);
  options.role = proto::Role::kClient;
  options.algorithms.host_keys = target.host_key_algorithms;
  proto::add_legacy(options.algorithms, target.legacy);
  return std::make_shared<const proto::TransportOptions>(std::move(options));
}

ipc::Exchange exchange_message(const proto::Exchange& exchange) {
  ipc::Exchange message;
  message.kex_method = exchange.kex->name;
  message.host_key_algorithm = exchange.host_key_algorithm->name;
  message.client_ident = to_bytes(exchange.parts.client_ident);
  message.server_ident = to_bytes(exchange.parts.server_ident);
  message.client_kexinit = to_bytes(exchange.parts.client_kexinit);
  message.server_kexinit = to_bytes(exchange.parts.server_kexinit);
  message.host_key_blob = to_bytes(exchange.parts.host_key_blob);
  message.client_field = to_bytes(exchange.parts.client_field);
  message.server_field = to_bytes(exchange.parts.server_field);
  message.secret_field = to_secret(exchange.parts.secret_field);
  return message;
}

crypto::Digest digest_of(ByteView bytes) {
  crypto::Digest digest;
  if (bytes.size() <= digest.data.size()) {
    std::copy(bytes.begin(), bytes.end(), digest.data.begin());
    digest.len = bytes.size();
  }
  return digest;
}

proto::DisconnectReason reason_for(const Error& error) {
  switch (error.code) {
    case ErrorCode::kMac: return proto::DisconnectReason::kMacError;
    case ErrorCode::kKeyExchange: return proto::DisconnectReason::kKeyExchangeFailed;
    case ErrorCode::kHostKey: return proto::DisconnectReason::kHostKeyNotVerifiable;
    case ErrorCode::kProtocol:
    case ErrorCode::kMalformed: return proto::DisconnectReason::kProtocolError;
    default: return proto::DisconnectReason::kByApplication;
  }
}

}  // namespace bastion::daemon
