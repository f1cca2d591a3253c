#pragma once

#include <string>
#include <vector>

#include "base/wire.h"
#include "proto/kexinit.h"
#include "proto/negotiate.h"
#include "proto/packet_reader.h"
#include "proto/packet_writer.h"
#include "tests/support/transport_pair.h"

namespace bastion::test {

/// RawPeer is the other side of a transport under test, made from single steps, so that a test can
/// leave one out, repeat one, or say anything in between. It keeps no rules itself.
class RawPeer {
 public:
  /// `role` is this peer's own.
  explicit RawPeer(proto::Role role, ChunkPool& pool, std::uint64_t seed = 77)
      : role_(role), random_(seed), writer_(pool, random_) {
    lists.kex = {"curve25519-sha256"};
    lists.host_keys = {"ssh-ed25519"};
    lists.ciphers = {"aes128-gcm@openssh.com"};
    lists.macs = {"hmac-sha2-256-etm@openssh.com"};
  }

  proto::AlgorithmLists lists;
  bool strict = true;  // in effect, since the transport always is
  bool ext_info = true;
  bool follows = false;
  std::string ident = "SSH-2.0-raw";
  std::vector<Bytes> got;  // payloads, in order, NEWKEYS and all
  std::vector<std::uint32_t> got_seq;
  std::string peer_ident;
  bool broken = false;  // what came could not be read

  // What goes out, in order, until take().
  void raw(ByteView bytes) { writer_.write_raw(bytes); }
  void send_ident() { raw(as_bytes(ident + "\r\n")); }
  void packet(ByteView payload) { writer_.write(payload); }
  void packet(std::uint8_t message) { writer_.write({&message, 1}); }
  std::uint32_t next_seq() const { return writer_.seq(); }

  Bytes make_kexinit() {
    std::array<std::uint8_t, 16> cookie;
    random_.fill(cookie);
    std::vector<std::string_view> host_keys(lists.host_keys.begin(), lists.host_keys.end());
    std::vector<std::string_view> markers;
    const bool server = role_ == proto::Role::kServer;
    if (ext_info) {
      markers.push_back(server ? proto::kExtInfoServer : proto::kExtInfoClient);
    }
    if (strict) {
      markers.push_back(server ? proto::kStrictKexServer : proto::kStrictKexClient);
    }
    Bytes payload = proto::encode_kexinit(cookie, lists, host_keys, markers);
    payload[payload.size() - 5] = follows ? 1 : 0;
    return payload;
  }
  void send_kexinit() { send_kexinit(make_kexinit()); }
  void send_kexinit(const Bytes& payload) {
    our_kexinit_ = payload;
    packet(our_kexinit_);
  }

  /// can_make_method: what make_method needs has been said. can_send_newkeys: so has what the keys
  /// are made of.
  bool can_make_method() const {
    return negotiated().has_value() && (role_ == proto::Role::kClient || !client_field_.empty());
  }
  bool can_send_newkeys() const { return hash_.len != 0 && negotiated().has_value(); }

  /// make_method makes our INIT or, as a server, once INIT is in, our REPLY.
  Bytes make_method() {
    const proto::NegotiatedAlgorithms names = *negotiated();
    Writer writer;
    if (role_ == proto::Role::kClient) {
      kex_client_ = std::move(*crypto::make_kex_client(*names.kex, random_));
      client_field_ = kex_client_->public_field();
      writer.u8(proto::kMsgKexMethodInit).bytes(client_field_);
    } else {
      auto reply = crypto::kex_respond(*names.kex, client_field_, random_);
      if (!reply) {
        broken = true;
        return {proto::kMsgKexMethodReply};
      }
      server_field_ = reply->public_field;
      secret_field_ = reply->secret_field;
      const crypto::PrivateKey& key = host_key_for(names.host_key->name);
      host_key_blob_ = key.public_key().blob();
      hash_ = exchange_hash();
      writer.u8(proto::kMsgKexMethodReply).string(host_key_blob_).bytes(server_field_);
      writer.string(*key.sign(*names.host_key, hash_.view()));
    }
    return writer.take();
  }
  void send_method() { packet(make_method()); }
  void send_newkeys() {
    packet(proto::kMsgNewKeys);
    writer_.set_sealer(std::move(*crypto::make_sealer(keys(role_ != proto::Role::kServer))), strict,
                       random_);
  }
  Bytes take() {
    Bytes taken;
    std::array<ByteView, 4> parts;
    while (!writer_.queue().empty()) {
      writer_.queue().gather(parts);
      taken.insert(taken.end(), parts[0].begin(), parts[0].end());
      writer_.queue().consume(parts[0].size());
    }
    return taken;
  }

  /// receive reads what the transport said; messages go to `got`, those of a key exchange are
  /// acted on as far as later steps need it.
  void receive(ByteView bytes) {
    inbox_.insert(inbox_.end(), bytes.begin(), bytes.end());
    std::size_t pos = 0;
    if (peer_ident.empty()) {
      const std::string_view text = as_text(inbox_);
      const std::size_t end = text.find("\r\n");
      if (end == std::string_view::npos) {
        return;
      }
      peer_ident = text.substr(0, end);
      pos = end + 2;
    }
    while (!broken) {
      const auto packet = reader_.read(MutBytes(inbox_).subspan(pos));
      if (!packet) {
        broken = true;
        break;
      }
      if (packet->need_bytes != 0) {
        break;
      }
      pos += packet->wire_bytes;
      got.push_back(to_bytes(packet->payload.view()));
      got_seq.push_back(packet->seq);
      note(got.back());
    }
    inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<std::ptrdiff_t>(pos));
  }

  bool has_got(std::uint8_t message) const {
    return std::any_of(got.begin(), got.end(),
                       [&](const Bytes& payload) { return payload[0] == message; });
  }
  std::uint32_t reader_seq() const { return reader_.seq(); }

 private:
  void note(const Bytes& payload) {
    const bool client = role_ == proto::Role::kClient;
    Reader reader(payload);
    reader.u8();
    if (payload[0] == proto::kMsgKexInit) {
      peer_kexinit_ = payload;
    } else if (payload[0] == proto::kMsgKexMethodInit && !client) {
      client_field_ = to_bytes(reader.rest());
    } else if (payload[0] == proto::kMsgKexMethodReply && client) {
      host_key_blob_ = to_bytes(reader.string());
      const ByteView rest = reader.rest();
      const std::size_t field_len = 4 + load_u32(rest.data());
      server_field_ = to_bytes(rest.first(field_len));
      if (kex_client_ == nullptr || !kex_client_->finish(server_field_) || !negotiated()) {
        broken = true;  // the transport answers an INIT that we made by hand
        return;
      }
      secret_field_ = *kex_client_->finish(server_field_);
      hash_ = exchange_hash();
    } else if (payload[0] == proto::kMsgNewKeys) {
      if (!can_send_newkeys()) {
        broken = true;
        return;
      }
      reader_.set_opener(std::move(*crypto::make_opener(keys(client ? false : true))), strict);
    }
  }

  Result<proto::NegotiatedAlgorithms> negotiated() const {
    const bool client = role_ == proto::Role::kClient;
    const auto ours = proto::parse_kexinit(our_kexinit_);
    BASTION_TRY(ours);
    const auto peer = proto::parse_kexinit(peer_kexinit_);
    BASTION_TRY(peer);
    return proto::negotiate(client ? *ours : *peer, client ? *peer : *ours);
  }

  crypto::Digest exchange_hash() const {
    const bool client = role_ == proto::Role::kClient;
    crypto::ExchangeParts parts;
    parts.client_ident = as_bytes(client ? ident : peer_ident);
    parts.server_ident = as_bytes(client ? peer_ident : ident);
    parts.client_kexinit = client ? our_kexinit_ : peer_kexinit_;
    parts.server_kexinit = client ? peer_kexinit_ : our_kexinit_;
    parts.host_key_blob = host_key_blob_;
    parts.client_field = client_field_;
    parts.server_field = server_field_;
    parts.secret_field = secret_field_;
    return crypto::exchange_hash(negotiated()->kex->hash, parts);
  }

  crypto::PacketKeys keys(bool to_server) {
    if (session_id_.len == 0) {
      session_id_ = hash_;
    }
    const proto::NegotiatedAlgorithms names = *negotiated();
    crypto::PacketKeys keys;
    keys.cipher = to_server ? names.cipher_to_server : names.cipher_to_client;
    keys.mac = to_server ? names.mac_to_server : names.mac_to_client;
    const auto derive = [&](char letter, std::size_t len) {
      return crypto::derive_key(names.kex->hash, secret_field_, hash_.view(),
                                static_cast<char>(letter + (to_server ? 0 : 1)), session_id_.view(),
                                len);
    };
    keys.iv = derive('A', keys.cipher->iv_len);
    keys.key = derive('C', keys.cipher->key_len);
    keys.mac_key = derive('E', keys.mac == nullptr ? 0 : keys.mac->key_len);
    return keys;
  }

  proto::Role role_;
  TestRandom random_;
  proto::PacketWriter writer_;
  proto::PacketReader reader_;
  Bytes inbox_;
  Bytes our_kexinit_;
  Bytes peer_kexinit_;
  std::unique_ptr<crypto::KexClient> kex_client_;
  Bytes client_field_;
  Bytes server_field_;
  Bytes host_key_blob_;
  SecretBytes secret_field_;
  crypto::Digest hash_;
  crypto::Digest session_id_;
};

/// Duel is a transport under test against a raw peer.
class Duel {
 public:
  /// `tested` is the role of the transport under test.
  explicit Duel(proto::Role tested)
      : Duel(tested == proto::Role::kServer ? server_options() : client_options()) {}
  explicit Duel(std::shared_ptr<const proto::TransportOptions> options)
      : role(options->role),
        leg(options, pool, 5),
        peer(role == proto::Role::kServer ? proto::Role::kClient : proto::Role::kServer, pool) {
    leg.auto_auth = false;
    leg->start(std::nullopt, {});
    exchange();
  }

  ChunkPool pool{64 * 1024};
  proto::Role role;
  Leg leg;
  RawPeer peer;

  /// exchange moves what both have to say, the peer's first.
  void exchange() {
    leg.receive(peer.take());
    peer.receive(leg.take_output());
  }

  /// The steps of a key exchange from the peer's side.
  void kexinit() {
    peer.send_kexinit();
    exchange();
  }
  void method() {
    peer.send_method();
    exchange();
  }
  void newkeys() {
    peer.send_newkeys();
    exchange();
  }
  void ident() {
    peer.send_ident();
    exchange();
  }
  void handshake() {
    ident();
    kexinit();
    method();
    newkeys();
  }
  void rekey() {
    kexinit();
    method();
    newkeys();
  }
  /// to_auth and to_authenticated go on from a completed handshake.
  void to_auth() {
    if (role == proto::Role::kServer) {
      peer.packet(Leg::message_with_text(proto::kMsgServiceRequest, "ssh-userauth"));
      exchange();
      leg->send(Leg::message_with_text(proto::kMsgServiceAccept, "ssh-userauth"));
    } else {
      leg->send(Leg::message_with_text(proto::kMsgServiceRequest, "ssh-userauth"));
      exchange();
      peer.packet(Leg::message_with_text(proto::kMsgServiceAccept, "ssh-userauth"));
    }
    exchange();
  }
  void to_authenticated() {
    to_auth();
    leg->set_authenticated();
    leg.delivered.clear();
  }
};

}  // namespace bastion::test
