#include "proto/session_state.h"

#include "base/limits.h"

namespace bastion::proto {
namespace {

constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kKeyBytesMax = 64;
constexpr std::size_t kSessionIdMin = 32;

void put_name(SecretWriter& out, const auto* info) {
  out.text(info == nullptr ? std::string_view{} : info->name);
}

void put_direction(SecretWriter& out, const DirectionState& direction) {
  out.string(direction.keys.key).string(direction.keys.iv).string(direction.keys.mac_key);
  out.u32(direction.seq).u64(direction.key_bytes).u64(direction.key_packets);
}

void get_direction(Reader& reader, DirectionState& direction) {
  direction.keys.key = to_secret(reader.string(kKeyBytesMax));
  direction.keys.iv = to_secret(reader.string(kKeyBytesMax));
  direction.keys.mac_key = to_secret(reader.string(kKeyBytesMax));
  direction.seq = reader.u32();
  direction.key_bytes = reader.u64();
  direction.key_packets = reader.u64();
}

/// get_name looks a name up; one that crypto/ does not have fails the reader.
template <typename Info>
const Info* get_name(Reader& reader, const Info* (*find)(std::string_view)) {
  const Info* info = find(reader.text(limits::kAlgorithmNameMax));
  if (info == nullptr) {
    reader.set_failed();
  }
  return info;
}

/// get_mac takes the empty name where, and only where, the cipher needs no MAC.
const crypto::MacInfo* get_mac(Reader& reader, const crypto::CipherInfo* cipher) {
  const std::string_view name = reader.text(limits::kAlgorithmNameMax);
  const crypto::MacInfo* mac = crypto::find_mac(name);
  if (cipher == nullptr || (cipher->aead ? !name.empty() : mac == nullptr)) {
    reader.set_failed();
    return nullptr;
  }
  return mac;
}

void get_algorithms(Reader& reader, NegotiatedAlgorithms& algorithms) {
  algorithms.kex = get_name(reader, crypto::find_kex);
  algorithms.host_key = get_name(reader, crypto::find_signature_algorithm);
  algorithms.cipher_to_server = get_name(reader, crypto::find_cipher);
  algorithms.cipher_to_client = get_name(reader, crypto::find_cipher);
  algorithms.mac_to_server = get_mac(reader, algorithms.cipher_to_server);
  algorithms.mac_to_client = get_mac(reader, algorithms.cipher_to_client);
}

void get_peer(Reader& reader, PeerExtensions& peer) {
  peer.ext_info = reader.boolean();
  peer.hostbound = reader.boolean();
  peer.ping = reader.boolean();
  const std::uint32_t num_names = reader.u32();
  if (num_names > limits::kExtInfoNamesMax) {
    reader.set_failed();
    return;
  }
  for (std::uint32_t i = 0; i < num_names && reader.ok(); ++i) {
    peer.server_sig_algs.emplace_back(reader.text(limits::kAlgorithmNameMax));
  }
}

/// set_ciphers fills in what the two directions take from the negotiated names.
void set_ciphers(SessionState& state) {
  const NegotiatedAlgorithms& names = state.algorithms;
  DirectionState& to_server = state.role == Role::kServer ? state.in : state.out;
  DirectionState& to_client = state.role == Role::kServer ? state.out : state.in;
  to_server.keys.cipher = names.cipher_to_server;
  to_server.keys.mac = names.mac_to_server;
  to_client.keys.cipher = names.cipher_to_client;
  to_client.keys.mac = names.mac_to_client;
}

}  // namespace

void SessionState::encode(SecretWriter& out_writer) const {
  SecretWriter& w = out_writer;
  w.u32(kVersion);
  w.u8(static_cast<std::uint8_t>(role)).u8(static_cast<std::uint8_t>(phase));
  w.boolean(strict_kex).boolean(ext_info_allowed).boolean(success_expected);
  w.text(client_ident).text(server_ident).string(session_id);
  put_name(w, algorithms.kex);
  put_name(w, algorithms.host_key);
  put_name(w, algorithms.cipher_to_server);
  put_name(w, algorithms.cipher_to_client);
  put_name(w, algorithms.mac_to_server);
  put_name(w, algorithms.mac_to_client);
  put_direction(w, in);
  put_direction(w, out);
  w.u64(static_cast<std::uint64_t>(keys_since.ns)).u64(num_exchanges);
  w.boolean(peer.ext_info).boolean(peer.hostbound).boolean(peer.ping);
  w.u32(static_cast<std::uint32_t>(peer.server_sig_algs.size()));
  for (const std::string& name : peer.server_sig_algs) {
    w.text(name);
  }
  w.string(unsent);
}

Result<SessionState> SessionState::decode(Reader& reader) {
  if (reader.u32() != kVersion) {
    return fail(ErrorCode::kUnsupported, "session state of another version");
  }
  SessionState state;
  const std::uint8_t role = reader.u8();
  const std::uint8_t phase = reader.u8();
  if (role > static_cast<std::uint8_t>(Role::kClient) ||
      phase < static_cast<std::uint8_t>(Phase::kService) ||
      phase > static_cast<std::uint8_t>(Phase::kAuthenticated)) {
    reader.set_failed();
  } else {
    state.role = static_cast<Role>(role);
    state.phase = static_cast<Phase>(phase);
  }
  state.strict_kex = reader.boolean();
  state.ext_info_allowed = reader.boolean();
  state.success_expected = reader.boolean();
  state.client_ident = reader.text(limits::kIdentLineMax);
  state.server_ident = reader.text(limits::kIdentLineMax);
  state.session_id = to_bytes(reader.string(crypto::kHashBytesMax));
  get_algorithms(reader, state.algorithms);
  get_direction(reader, state.in);
  get_direction(reader, state.out);
  state.keys_since.ns = static_cast<std::int64_t>(reader.u64());
  state.num_exchanges = reader.u64();
  get_peer(reader, state.peer);
  state.unsent = to_secret(reader.string(limits::kUnsentBytesMax));
  if (!reader.ok() || state.session_id.size() < kSessionIdMin || state.num_exchanges == 0) {
    return fail(ErrorCode::kMalformed, "malformed session state");
  }
  set_ciphers(state);
  return state;
}

}  // namespace bastion::proto
