#pragma once

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "base/wire.h"
#include "crypto/keys.h"
#include "proto/transport.h"
#include "tests/support/test_random.h"

/// A conversation between our transport and somebody else's SSH program, small enough to be written
/// down and held again: what is above the transport here is the least that lets a peer log in and
/// move data. With the same seed and the same bytes from the peer, our side says the same.
namespace bastion::test {

/// ConversationSetup is the head of a transcript: everything on our side that is not the peer's.
struct ConversationSetup {
  proto::Role role = proto::Role::kServer;
  std::uint64_t seed = 1;
  std::string kex;
  std::string cipher;
  std::string mac;
  std::string host_key_algorithm = "ssh-ed25519";
  std::uint64_t rekey_packets = limits::kRekeyPackets;
  std::string user = "tester";  // a client logs in as
  std::size_t bulk_bytes = 0;   // a client sends through `cat`
};

/// conversation_key is the key of our side, host key or user key, in tests/transcripts/key.
inline crypto::PrivateKey conversation_key(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return std::move(crypto::PrivateKey::parse_openssh(as_bytes(text)).value());
}

/// Conversation is our side. Bytes go in by receive; what it says is in transport().output().
class Conversation {
 public:
  Conversation(ConversationSetup setup, crypto::PrivateKey key)
      : setup_(std::move(setup)), key_(std::move(key)), random_(setup_.seed) {
    auto options = std::make_shared<proto::TransportOptions>();
    options->role = setup_.role;
    const auto set = [](std::vector<std::string>& list, const std::string& name) {
      if (!name.empty()) {
        list = {name};
      }
    };
    options->algorithms = proto::compatible_algorithms();
    set(options->algorithms.kex, setup_.kex);
    set(options->algorithms.ciphers, setup_.cipher);
    set(options->algorithms.macs, setup_.mac);
    set(options->algorithms.host_keys, setup_.host_key_algorithm);
    options->host_keys = {{setup_.host_key_algorithm, key_.public_key().blob()}};
    options->rekey.packets = setup_.rekey_packets;
    transport_ = std::make_unique<proto::Transport>(std::move(options), pool_, random_);
    transport_->start(std::nullopt, {});
  }

  proto::Transport& transport() { return *transport_; }
  bool finished() const { return finished_; }
  const std::string& trouble() const { return trouble_; }
  std::size_t bytes_echoed() const { return bytes_echoed_; }

  /// receive works on bytes of the peer. Afterwards all output is due to be written.
  void receive(ByteView bytes) {
    inbox_.insert(inbox_.end(), bytes.begin(), bytes.end());
    std::size_t pos = 0;
    while (trouble_.empty() && !finished_) {
      const auto step = transport_->next(MutBytes(inbox_).subspan(pos), {});
      if (!step) {
        trouble_ = std::string(step.error().text) + " " + std::to_string(step.error().detail);
        return;
      }
      pos += step->consumed;
      if (step->kind == proto::StepKind::kNeedBytes) {
        break;
      }
      act(*step);
    }
    inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<std::ptrdiff_t>(pos));
    if (transport_->rekey_due({})) {
      transport_->request_rekey({});
    }
  }

 private:
  static constexpr std::uint32_t kWindow = 2 * 1024 * 1024;
  static constexpr std::uint32_t kPiece = 16 * 1024;

  void act(const proto::Step& step) {
    switch (step.kind) {
      case proto::StepKind::kNeedHostSignature: {
        const proto::Exchange exchange = transport_->exchange();
        const auto hash = crypto::exchange_hash(exchange.kex->hash, exchange.parts);
        const auto signature = key_.sign(*exchange.host_key_algorithm, hash.view());
        note(transport_->provide_host_signature(hash, *signature));
        break;
      }
      case proto::StepKind::kNeedHostVerification: {
        const proto::Exchange exchange = transport_->exchange();
        const auto hash = crypto::exchange_hash(exchange.kex->hash, exchange.parts);
        const auto host = crypto::PublicKey::parse(exchange.parts.host_key_blob);
        if (!host) {
          trouble_ = host.error().text;
          break;
        }
        note(host->verify(*exchange.host_key_algorithm, hash.view(), exchange.signature));
        note(transport_->provide_host_verified(hash));
        break;
      }
      case proto::StepKind::kKeysChanged:
        if (setup_.role == proto::Role::kClient && transport_->num_exchanges() == 1) {
          say(Writer().u8(proto::kMsgServiceRequest).text("ssh-userauth"));
        }
        break;
      case proto::StepKind::kPayload:
        setup_.role == proto::Role::kServer ? serve(step.payload) : follow(step.payload);
        break;
      case proto::StepKind::kDisconnected: finished_ = true; break;
      default: break;
    }
  }

  /// serve lets everybody in, runs nothing, and sends back what comes.
  void serve(proto::Payload payload) {
    Reader reader(payload.view());
    switch (reader.u8()) {
      case proto::kMsgServiceRequest:
        say(Writer().u8(proto::kMsgServiceAccept).text("ssh-userauth"));
        break;
      case proto::kMsgUserauthRequest:
        say(Writer().u8(proto::kMsgUserauthSuccess));
        transport_->set_authenticated();
        break;
      case proto::kMsgGlobalRequest:
        reader.string();
        if (reader.boolean()) {
          say(Writer().u8(proto::kMsgRequestFailure));
        }
        break;
      case proto::kMsgChannelOpen:
        reader.string();
        peer_channel_ = reader.u32();
        say(Writer()
                .u8(proto::kMsgChannelOpenConfirmation)
                .u32(peer_channel_)
                .u32(0)
                .u32(kWindow)
                .u32(kPiece * 2));
        break;
      case proto::kMsgChannelRequest:
        reader.u32();
        reader.string();
        if (reader.boolean()) {
          say(Writer().u8(proto::kMsgChannelSuccess).u32(peer_channel_));
        }
        break;
      case proto::kMsgChannelData: {
        const std::size_t len = payload.len - 9;
        bytes_echoed_ += len;
        store_u32(payload.data + 1, peer_channel_);
        transport_->send_in_place(payload);
        say(Writer()
                .u8(proto::kMsgChannelWindowAdjust)
                .u32(peer_channel_)
                .u32(static_cast<std::uint32_t>(len)));
        break;
      }
      case proto::kMsgChannelEof:
        say(Writer()
                .u8(proto::kMsgChannelRequest)
                .u32(peer_channel_)
                .text("exit-status")
                .boolean(false)
                .u32(0));
        say(Writer().u8(proto::kMsgChannelEof).u32(peer_channel_));
        say(Writer().u8(proto::kMsgChannelClose).u32(peer_channel_));
        break;
      default: break;
    }
  }

  /// follow logs in by key, runs `cat`, and sends it bulk_bytes.
  void follow(proto::Payload payload) {
    Reader reader(payload.view());
    switch (reader.u8()) {
      case proto::kMsgServiceAccept: say(login()); break;
      case proto::kMsgUserauthFailure: trouble_ = "the peer did not let us in"; break;
      case proto::kMsgUserauthSuccess:
        transport_->set_authenticated();
        say(Writer().u8(proto::kMsgChannelOpen).text("session").u32(0).u32(kWindow).u32(kPiece));
        break;
      case proto::kMsgGlobalRequest:
        reader.string();
        if (reader.boolean()) {
          say(Writer().u8(proto::kMsgRequestFailure));
        }
        break;
      case proto::kMsgChannelOpenConfirmation:
        reader.u32();
        peer_channel_ = reader.u32();
        say(Writer()
                .u8(proto::kMsgChannelRequest)
                .u32(peer_channel_)
                .text("exec")
                .boolean(true)
                .text("cat"));
        break;
      case proto::kMsgChannelSuccess: more(); break;
      case proto::kMsgChannelData: {
        const std::size_t len = payload.len - 9;
        bytes_echoed_ += len;
        say(Writer()
                .u8(proto::kMsgChannelWindowAdjust)
                .u32(peer_channel_)
                .u32(static_cast<std::uint32_t>(len)));
        if (bytes_echoed_ == bytes_sent_) {
          more();
        }
        break;
      }
      case proto::kMsgChannelClose:
        transport_->disconnect(proto::DisconnectReason::kByApplication, "done");
        finished_ = true;
        break;
      default: break;
    }
  }

  /// more sends the next pieces, and waits for all of them to come back.
  void more() {
    if (bytes_sent_ >= setup_.bulk_bytes) {
      say(Writer().u8(proto::kMsgChannelEof).u32(peer_channel_));
      return;
    }
    for (int i = 0; i < 4 && bytes_sent_ < setup_.bulk_bytes; ++i) {
      const Bytes piece(std::min<std::size_t>(kPiece, setup_.bulk_bytes - bytes_sent_), 'x');
      bytes_sent_ += piece.size();
      say(Writer().u8(proto::kMsgChannelData).u32(peer_channel_).string(piece));
    }
  }

  Bytes login() {
    const auto& algorithm = *crypto::find_signature_algorithm("ssh-ed25519");
    Writer request;
    request.u8(proto::kMsgUserauthRequest).text(setup_.user).text("ssh-connection");
    request.text("publickey").boolean(true).text("ssh-ed25519");
    request.string(key_.public_key().blob());
    Writer signed_data;
    signed_data.string(transport_->session_id()).bytes(request.view());
    request.string(*key_.sign(algorithm, signed_data.view()));
    return request.take();
  }

  void say(const Writer& writer) { transport_->send(writer.view()); }
  void say(const Bytes& message) { transport_->send(message); }
  void note(const Status& status) {
    if (!status) {
      trouble_ = status.error().text;
    }
  }

  ConversationSetup setup_;
  crypto::PrivateKey key_;
  TestRandom random_;
  ChunkPool pool_;
  std::unique_ptr<proto::Transport> transport_;
  Bytes inbox_;
  std::uint32_t peer_channel_ = 0;
  std::size_t bytes_sent_ = 0;
  std::size_t bytes_echoed_ = 0;
  bool finished_ = false;
  std::string trouble_;
};

/// A transcript file: "key value" lines, an empty line, then a line for each piece in its order:
/// "> hex" what we said, "< hex" what the peer said.
struct Transcript {
  ConversationSetup setup;
  struct Piece {
    bool ours;
    Bytes bytes;
  };
  std::vector<Piece> pieces;
};

inline std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const std::uint8_t byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

inline Bytes from_hex(std::string_view hex) {
  Bytes bytes;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(digit(hex[i]) << 4 | digit(hex[i + 1])));
  }
  return bytes;
}

inline void set_field(ConversationSetup& setup, const std::string& key, const std::string& value) {
  if (key == "role") {
    setup.role = value == "server" ? proto::Role::kServer : proto::Role::kClient;
  } else if (key == "seed") {
    setup.seed = std::stoull(value);
  } else if (key == "kex") {
    setup.kex = value;
  } else if (key == "cipher") {
    setup.cipher = value;
  } else if (key == "mac") {
    setup.mac = value;
  } else if (key == "rekey_packets") {
    setup.rekey_packets = std::stoull(value);
  } else if (key == "user") {
    setup.user = value;
  } else if (key == "bulk_bytes") {
    setup.bulk_bytes = std::stoull(value);
  }
}

inline Transcript read_transcript(const std::string& path) {
  Transcript transcript;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line) && !line.empty()) {
    const std::size_t space = line.find(' ');
    set_field(transcript.setup, line.substr(0, space), line.substr(space + 1));
  }
  while (std::getline(file, line)) {
    transcript.pieces.push_back({line[0] == '>', from_hex(std::string_view(line).substr(2))});
  }
  return transcript;
}

}  // namespace bastion::test
