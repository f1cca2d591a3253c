#include <cassert>

#include "base/wire.h"
#include "proto/name_list.h"
#include "proto/negotiate.h"
#include "proto/transport_impl.h"

namespace bastion::proto {
namespace {

/// A signature blob is an algorithm name and, at most, an RSA-16384 value.
constexpr std::size_t kSignatureBlobMax = 4096;

/// take_field gives one RFC 4251 field, a string or an mpint, as it stands: its length prefix, too.
ByteView take_field(Reader& reader) {
  const ByteView rest = reader.rest();
  const ByteView content = reader.string();
  return reader.ok() ? rest.first(4 + content.size()) : ByteView{};
}

std::string join_signature_algorithms(const std::vector<std::string>& names) {
  std::string joined;
  for (const std::string& name : names) {
    // Certificates' names are left out, as in OpenSSH's: what signs is the key inside.
    if (name.find("-cert-v01@") == std::string::npos) {
      joined += joined.empty() ? "" : ",";
      joined += name;
    }
  }
  return joined;
}

}  // namespace

void Transport::begin_kex(MonoTime now) {
  kex_ = std::make_unique<Kex>();
  kex_->first = num_exchanges_ == 0;
  kex_->deadline = after(now, options_->kex_finish_seconds * kNsPerSecond);
  send_kexinit();
}

void Transport::send_kexinit() {
  Cookie cookie;
  if (next_cookie_.has_value()) {
    cookie = *next_cookie_;
    next_cookie_.reset();
  } else {
    random_->fill(cookie);
  }
  std::vector<std::string_view> host_keys;
  std::vector<std::string_view> markers;
  if (role() == Role::kServer) {
    for (const HostKey& key : options_->host_keys) {
      host_keys.push_back(key.algorithm);
    }
    markers = {kExtInfoServer, kStrictKexServer};
  } else {
    const auto& names = options_->algorithms.host_keys;
    host_keys.assign(names.begin(), names.end());
    markers = {kExtInfoClient, kStrictKexClient};
  }
  if (!kex_->first) {
    markers.clear();
  }
  kex_->our_kexinit = encode_kexinit(cookie, options_->algorithms, host_keys, markers);
  writer_.write(kex_->our_kexinit);
  ++counters_.packets_out;
}

Status Transport::on_kexinit(const Packet& packet, MonoTime now) {
  if (kex_ == nullptr) {
    if (phase_ != Phase::kAuthenticated && num_exchanges_ >= limits::kExchangesBeforeAuthMax) {
      return fail(ErrorCode::kLimit, "too many key exchanges before authentication");
    }
    begin_kex(now);
  }
  kex_->peer_kexinit = to_bytes(packet.payload.view());
  const auto ours = parse_kexinit(kex_->our_kexinit);
  BASTION_TRY(ours);
  const auto peer = parse_kexinit(kex_->peer_kexinit);
  BASTION_TRY(peer);
  if (kex_->first) {
    BASTION_TRY(note_markers(*peer, packet.seq));
  }
  const bool server = role() == Role::kServer;
  const KexInit& client_init = server ? *peer : *ours;
  const KexInit& server_init = server ? *ours : *peer;
  const auto algorithms = negotiate(client_init, server_init);
  BASTION_TRY(algorithms);
  kex_->algorithms = *algorithms;
  kex_->peer = PeerKex::kMethod;
  kex_->skip_guess = peer->first_kex_packet_follows && !guessed_right(client_init, server_init);
  if (server) {
    return {};
  }
  auto client = crypto::make_kex_client(*algorithms->kex, *random_);
  BASTION_TRY(client);
  kex_->client = std::move(*client);
  kex_->client_field = kex_->client->public_field();
  Writer init;
  init.u8(kMsgKexMethodInit).bytes(kex_->client_field);
  writer_.write(init.view());
  ++counters_.packets_out;
  return {};
}

/// note_markers reads what only the first KEXINIT of a connection says.
Status Transport::note_markers(const KexInit& peer, std::uint32_t seq) {
  const bool server = role() == Role::kServer;
  strict_kex_ = list_contains(peer.kex, server ? kStrictKexClient : kStrictKexServer);
  peer_wants_ext_info_ = list_contains(peer.kex, server ? kExtInfoClient : kExtInfoServer);
  if (strict_kex_ && seq != 0) {
    return fail(ErrorCode::kProtocol, "strict key exchange: KEXINIT was not the first packet");
  }
  return {};
}

Result<Transport::Report> Transport::on_kex_method(ByteView payload) {
  return role() == Role::kServer ? on_kex_init_message(payload) : on_kex_reply_message(payload);
}

Result<Transport::Report> Transport::on_kex_init_message(ByteView payload) {
  Reader reader(payload);
  reader.u8();
  kex_->client_field = to_bytes(take_field(reader));
  if (!reader.done()) {
    return fail(ErrorCode::kKeyExchange, "malformed key exchange message");
  }
  auto reply = crypto::kex_respond(*kex_->algorithms.kex, kex_->client_field, *random_);
  BASTION_TRY(reply);
  kex_->server_field = std::move(reply->public_field);
  kex_->secret_field = std::move(reply->secret_field);
  for (const HostKey& key : options_->host_keys) {
    if (key.algorithm == kex_->algorithms.host_key->name) {
      kex_->host_key_blob = key.blob;
      break;
    }
  }
  kex_->peer = PeerKex::kNewKeys;
  kex_->blocked = Kex::Blocked::kSignature;
  return StepKind::kNeedHostSignature;
}

Result<Transport::Report> Transport::on_kex_reply_message(ByteView payload) {
  Reader reader(payload);
  reader.u8();
  kex_->host_key_blob = to_bytes(reader.string(limits::kKeyBlobBytesMax));
  kex_->server_field = to_bytes(take_field(reader));
  kex_->signature = to_bytes(reader.string(kSignatureBlobMax));
  if (!reader.done()) {
    return fail(ErrorCode::kKeyExchange, "malformed key exchange message");
  }
  auto secret = kex_->client->finish(kex_->server_field);
  BASTION_TRY(secret);
  kex_->secret_field = std::move(*secret);
  kex_->client.reset();
  kex_->peer = PeerKex::kNewKeys;
  kex_->blocked = Kex::Blocked::kVerification;
  return StepKind::kNeedHostVerification;
}

Exchange Transport::exchange() const {
  assert(kex_ != nullptr && kex_->blocked != Kex::Blocked::kNo);
  const bool server = role() == Role::kServer;
  Exchange exchange;
  exchange.first = kex_->first;
  exchange.kex = kex_->algorithms.kex;
  exchange.host_key_algorithm = kex_->algorithms.host_key;
  exchange.parts = {
      .client_ident = as_bytes(client_ident()),
      .server_ident = as_bytes(server_ident()),
      .client_kexinit = server ? kex_->peer_kexinit : kex_->our_kexinit,
      .server_kexinit = server ? kex_->our_kexinit : kex_->peer_kexinit,
      .host_key_blob = kex_->host_key_blob,
      .client_field = kex_->client_field,
      .server_field = kex_->server_field,
      .secret_field = kex_->secret_field,
  };
  exchange.signature = kex_->signature;
  return exchange;
}

Status Transport::provide_host_signature(const crypto::Digest& exchange_hash,
                                         ByteView signature_blob) {
  if (kex_ == nullptr || kex_->blocked != Kex::Blocked::kSignature || signature_blob.empty()) {
    return fail(ErrorCode::kInternal, "a host signature that nothing waits for");
  }
  BASTION_TRY(derive_keys(exchange_hash));
  Writer reply;
  reply.u8(kMsgKexMethodReply).string(kex_->host_key_blob).bytes(kex_->server_field);
  reply.string(signature_blob);
  writer_.write(reply.view());
  ++counters_.packets_out;
  return send_newkeys();
}

Status Transport::provide_host_verified(const crypto::Digest& exchange_hash) {
  if (kex_ == nullptr || kex_->blocked != Kex::Blocked::kVerification) {
    return fail(ErrorCode::kInternal, "a host verification that nothing waits for");
  }
  BASTION_TRY(derive_keys(exchange_hash));
  return send_newkeys();
}

/// derive_keys makes both directions' ciphers of the exchange (RFC 4253 7.2).
Status Transport::derive_keys(const crypto::Digest& exchange_hash) {
  if (exchange_hash.len != crypto::hash_len(kex_->algorithms.kex->hash)) {
    return fail(ErrorCode::kInternal, "an exchange hash of another length");
  }
  if (kex_->first) {
    session_id_ = exchange_hash;
  }
  const auto keys_for = [&](bool to_server) {
    const NegotiatedAlgorithms& names = kex_->algorithms;
    crypto::PacketKeys keys;
    keys.cipher = to_server ? names.cipher_to_server : names.cipher_to_client;
    keys.mac = to_server ? names.mac_to_server : names.mac_to_client;
    const auto derive = [&](char to_server_letter, std::size_t len) {
      const char letter = static_cast<char>(to_server_letter + (to_server ? 0 : 1));
      return crypto::derive_key(names.kex->hash, kex_->secret_field, exchange_hash.view(), letter,
                                session_id_.view(), len);
    };
    keys.iv = derive('A', keys.cipher->iv_len);
    keys.key = derive('C', keys.cipher->key_len);
    keys.mac_key = derive('E', keys.mac == nullptr ? 0 : keys.mac->key_len);
    return keys;
  };
  const bool server = role() == Role::kServer;
  auto opener = crypto::make_opener(keys_for(server));
  BASTION_TRY(opener);
  auto sealer = crypto::make_sealer(keys_for(!server));
  BASTION_TRY(sealer);
  kex_->next_opener = std::move(*opener);
  kex_->next_sealer = std::move(*sealer);
  return {};
}

/// send_newkeys puts our new keys to use at once, and what waited for them leaves.
Status Transport::send_newkeys() {
  const std::uint8_t newkeys = kMsgNewKeys;
  writer_.write({&newkeys, 1});
  ++counters_.packets_out;
  writer_.set_sealer(std::move(kex_->next_sealer), strict_kex_, *random_);
  kex_->blocked = Kex::Blocked::kNo;
  kex_->newkeys_sent = true;
  if (kex_->first && role() == Role::kServer && peer_wants_ext_info_) {
    send_ext_info();
  }
  flush_waiting();
  return {};
}

void Transport::send_ext_info() {
  Writer writer;
  writer.u8(kMsgExtInfo).u32(3);
  writer.text("server-sig-algs");
  writer.text(join_signature_algorithms(options_->algorithms.public_keys));
  writer.text("publickey-hostbound@openssh.com").text("0");
  writer.text("ping@openssh.com").text("0");
  writer_.write(writer.view());
  ++counters_.packets_out;
}

Status Transport::on_newkeys(ByteView payload, MonoTime now) {
  if (payload.size() != 1) {
    return fail(ErrorCode::kProtocol, "malformed NEWKEYS");
  }
  reader_.set_opener(std::move(kex_->next_opener), strict_kex_);
  algorithms_ = kex_->algorithms;
  ++num_exchanges_;
  keys_since_ = now;
  if (kex_->first) {
    phase_ = Phase::kService;
    ext_info_allowed_ = true;
  }
  kex_.reset();
  return {};
}

}  // namespace bastion::proto
