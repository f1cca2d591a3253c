#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/result.h"
#include "crypto/kex.h"
#include "crypto/packet_cipher.h"
#include "proto/algorithms.h"
#include "proto/message_permits.h"
#include "proto/messages.h"
#include "proto/packet_reader.h"
#include "proto/packet_writer.h"
#include "proto/payload.h"
#include "proto/send_queue.h"
#include "proto/session_state.h"

namespace bastion::proto {

/// kIdent is how we name ourselves, in both roles. Peers switch work-arounds on this text:
/// it begins with none of the names in OpenSSH's, PuTTY's, libssh's or asyncssh's tables
/// ("OpenSSH*", "dropbear*", "Cisco*", "3.0.*" …), so everybody treats us as a plain correct SSH
/// 2.0 peer; and it tells a scanner no more than which program to look up, not how it is built.
inline constexpr std::string_view kIdent = "SSH-2.0-bastiond_0.1";

struct KexInit;

using Cookie = std::array<std::uint8_t, 16>;

/// RekeyLimits: beyond any of these under one set of keys, in either direction, rekey_due is true.
/// Beyond four times the bytes, or one and a half times the packets, the transport starts the
/// exchange by itself.
struct RekeyLimits {
  std::uint64_t bytes = limits::kRekeyBytes;
  std::uint64_t packets = limits::kRekeyPackets;
  std::int64_t seconds = limits::kRekeySeconds;
};

/// HostKey is one host key that a server offers: a signature algorithm name (also of a certificate)
/// and the blob, plain key or certificate, that goes with it. The private half is the warden's.
struct HostKey {
  std::string algorithm;
  Bytes blob;
};

/// TransportOptions is immutable and shared by all transports of one kind (for a client: of one
/// target).
struct TransportOptions {
  Role role = Role::kServer;
  AlgorithmLists algorithms = standard_algorithms();
  std::string ident{kIdent};
  RekeyLimits rekey;
  /// What a server offers instead of algorithms.host_keys, in order of preference. An RSA key has
  /// one entry for each of its two names.
  std::vector<HostKey> host_keys;
  std::int64_t kex_finish_seconds = limits::kRekeyFinishSeconds;
};

enum class StepKind : std::uint8_t {
  kNeedBytes,             // call again when `need_bytes` are there, counted behind `consumed`
  kPayload,               // `payload` is a message for the layer above
  kNeedHostSignature,     // server: see exchange(), then provide_host_signature
  kNeedHostVerification,  // client: see exchange(), then provide_host_verified
  kKeysChanged,           // a key exchange is complete in both directions, the first or a later one
  kDisconnected,          // the peer said DISCONNECT: see disconnect_reason() and _text()
  kWaiting,               // one of the provide_ calls is outstanding; nothing was consumed
  kConsumed,              // packets that concern only the transport were taken: call again
};

/// Step is what `next` made of the bytes.
struct Step {
  StepKind kind = StepKind::kNeedBytes;
  std::size_t consumed = 0;    // bytes of `in` that are done with
  std::size_t need_bytes = 0;  // kNeedBytes: at least so many must lie behind `consumed`
  Payload payload;             // kPayload: lies inside `in`, and stays there for as long as the
                               // owner keeps that memory: later calls touch only what is behind
};

/// Exchange shows a key exchange that waits for the warden. Views live until the provide_ call.
struct Exchange {
  bool first = false;
  const crypto::KexMethod* kex = nullptr;  // names the hash, too
  const crypto::SignatureAlgorithm* host_key_algorithm = nullptr;
  crypto::ExchangeParts parts;
  ByteView signature;  // the server's signature blob; empty where we are the server
};

/// Counters of one transport, over its whole life in this process.
struct TransportCounters {
  std::uint64_t bytes_in = 0;  // wire bytes of whole packets
  std::uint64_t packets_in = 0;
  std::uint64_t packets_out = 0;
  std::uint64_t bytes_relayed = 0;  // payload bytes that came by send_in_place or count_relayed
  std::uint64_t bytes_copied = 0;   // payload bytes moved by memcpy: by send, or to wait for keys
};

/// Transport is RFC 4253 for one leg, in either role, without I/O: identification, packets, key
/// exchange, and the messages that belong to this layer. Bytes come in by `next`, bytes go out
/// through `output()`; time, cookies, signatures and trust are given to it.
///
/// An owner's loop:
///
///     while (true) {
///       auto step = transport.next(in.subspan(pos), now);
///       if (!step) { transport.disconnect(reason_for(step.error()), step.error().text); close… }
///       pos += step->consumed;
///       switch (step->kind) …            // kNeedBytes and kWaiting leave the loop
///     }
///
/// and, whenever output() is not empty and no write is under way, writes what gather gives and
/// calls consume with what was written.
///
/// Back-pressure is the owner's: it stops reading this leg while output queued by what it reads
/// (PONG, UNIMPLEMENTED, replies) has not left, that is while queued_bytes() is over its bound;
/// `next` itself adds at most as many bytes as it consumes, a constant apart. Only in a key
/// exchange, when a leg is always read, does the transport bound PONGs itself (kLimit).
///
/// One call takes at most kQuietPacketsMax packets that are no Step (IGNORE, PING, …) before it
/// returns kConsumed, so that an owner can bound what it does for one peer in a row.
///
/// Every error of `next` and check_deadlines is final. Nothing here allocates for a packet outside
/// of a key exchange, beyond chunks of the pool.
class Transport final : public PacketSink {
 public:
  /// The pool and the random source outlive the transport.
  Transport(std::shared_ptr<const TransportOptions> options, ChunkPool& pool, RandomSource& random);
  ~Transport() override;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// start queues our identification string and KEXINIT. A server gives the warden's cookie; with
  /// none the transport takes a random one. Once, before `next`.
  void start(std::optional<Cookie> cookie, MonoTime now);

  /// next takes as much of `in` as makes one Step. `in` is memory that the transport may overwrite:
  /// packets are opened in place, and a payload lives in it until the next call. What was not
  /// consumed must come again, unchanged, at the front of the next call's `in`.
  [[nodiscard]] Result<Step> next(MutBytes in, MonoTime now);

  /// exchange is legal from kNeedHostSignature or kNeedHostVerification until the provide_ call.
  Exchange exchange() const;
  /// provide_host_signature: the exchange hash (which for the first exchange becomes the session
  /// id) and the signature blob over it. Queues REPLY and NEWKEYS; ours are the new keys then.
  Status provide_host_signature(const crypto::Digest& exchange_hash, ByteView signature_blob);
  /// provide_host_verified: the target's key is the one on record and its signature over this hash
  /// is good. Queues NEWKEYS. A caller that finds otherwise calls disconnect instead.
  Status provide_host_verified(const crypto::Digest& exchange_hash);

  /// set_next_cookie gives the cookie for the KEXINIT after the current one; without one the
  /// transport takes a random one. wants_cookie: none is in store.
  void set_next_cookie(const Cookie& cookie) { next_cookie_ = cookie; }
  bool wants_cookie() const { return !next_cookie_.has_value(); }

  /// set_authenticated lets messages 80 and up pass. The owner calls it right after it has queued
  /// USERAUTH_SUCCESS (server) or accepted the one it got (client), before the next `next`. The
  /// step from kService to kAuth the transport sees by itself, from SERVICE_ACCEPT.
  void set_authenticated();
  Phase phase() const { return phase_; }

  // PacketSink. In a key exchange of ours messages wait, in order, until NEWKEYS; after disconnect
  // they are dropped.
  void send(ByteView payload) override;
  void send_in_place(Payload payload) override;
  std::size_t queued_bytes() const override { return writer_.queue().bytes() + waiting_.bytes(); }

  /// disconnect queues SSH_MSG_DISCONNECT; `text` is for people and goes out as it is. Afterwards
  /// the owner writes what output() holds, as far as it goes at once, and closes.
  void disconnect(DisconnectReason reason, std::string_view text);

  /// output is what to write. bytes "in flight" stay in it until consume.
  SendQueue& output() { return writer_.queue(); }
  const SendQueue& output() const { return writer_.queue(); }

  /// rekey_due: one of the limits was passed and no exchange is under way. The owner then calls
  /// request_rekey when it suits (on one leg of a session while the other is in none).
  bool rekey_due(MonoTime now) const;
  /// request_rekey queues our KEXINIT, unless an exchange is under way or the first is not done.
  void request_rekey(MonoTime now);
  /// in_key_exchange: from the first KEXINIT of either side to the last NEWKEYS. Such a leg is
  /// always read, and what is for it waits.
  bool in_key_exchange() const { return kex_ != nullptr; }

  /// check_deadlines fails (kLimit) where the peer has not finished a key exchange in time.
  [[nodiscard]] Status check_deadlines(MonoTime now) const;
  /// restart_deadline gives the key exchange under way its whole time anew: for an owner that does
  /// not read the peer's messages for reasons of its own.
  void restart_deadline(MonoTime now);
  /// next_deadline is when check_deadlines or rekey_due must be asked again at the latest.
  std::optional<MonoTime> next_deadline() const;

  /// export_state turns the transport into data. Errors (kInternal): before the first exchange is
  /// done, in an exchange, after disconnect. No write may be under way, and the unread input is the
  /// caller's to move. The transport must not be used for sealing or opening afterwards.
  [[nodiscard]] Result<SessionState> export_state() const;
  static Result<std::unique_ptr<Transport>> from_state(
      SessionState state, std::shared_ptr<const TransportOptions> options, ChunkPool& pool,
      RandomSource& random);

  Role role() const { return options_->role; }
  bool strict_kex() const { return strict_kex_; }
  /// The identification strings without CR LF, as they went over the wire. The peer's bytes are
  /// printable ASCII or not: whoever logs them escapes them.
  std::string_view client_ident() const { return role() == Role::kClient ? ident_ : peer_ident_; }
  std::string_view server_ident() const { return role() == Role::kServer ? ident_ : peer_ident_; }
  std::string_view peer_ident() const { return peer_ident_; }
  /// session_id is empty before the first exchange is complete.
  ByteView session_id() const { return session_id_.view(); }
  const NegotiatedAlgorithms& algorithms() const { return algorithms_; }
  const PeerExtensions& peer() const { return peer_; }
  std::uint64_t num_exchanges() const { return num_exchanges_; }
  const TransportCounters& counters() const { return counters_; }
  /// count_copied adds what the owner copied of this leg's input (incomplete packets), and
  /// count_relayed what it passed on without another transport (direct-tcpip).
  void count_copied(std::size_t bytes) { counters_.bytes_copied += bytes; }
  void count_relayed(std::size_t bytes) { counters_.bytes_relayed += bytes; }

  static constexpr std::size_t kQuietPacketsMax = 32;

  /// After kDisconnected. The text is the peer's: at most 1 KiB of it is kept, unescaped.
  std::uint32_t disconnect_reason() const { return disconnect_reason_; }
  std::string_view disconnect_text() const { return disconnect_text_; }

 private:
  struct Kex;  // one key exchange under way; only then does it take memory
  enum class State : std::uint8_t { kNew, kIdentification, kPackets, kClosed };
  using Packet = PacketReader::Packet;
  using Report = std::optional<StepKind>;  // what a handled message means for the owner

  // transport.cc: packets and the messages of this layer.
  Result<bool> read_ident(MutBytes in, Step& step);
  Result<Report> handle(const Packet& packet, MonoTime now);
  Result<Report> handle_transport(const Packet& packet, MonoTime now);
  Status check_order(std::uint8_t message);
  void on_disconnect(ByteView payload);
  Status on_ext_info(ByteView payload);
  Status on_ping(Payload payload);
  bool must_wait(std::uint8_t message) const;
  void keep_waiting(ByteView payload);
  void flush_waiting();
  bool may_start_rekey() const;
  void force_rekey();

  // transport_kex.cc: the key exchange.
  void begin_kex(MonoTime now);
  void send_kexinit();
  Status on_kexinit(const Packet& packet, MonoTime now);
  Status note_markers(const KexInit& peer, std::uint32_t seq);
  Result<Report> on_kex_method(ByteView payload);
  Result<Report> on_kex_init_message(ByteView payload);
  Result<Report> on_kex_reply_message(ByteView payload);
  Status derive_keys(const crypto::Digest& exchange_hash);
  Status send_newkeys();
  void send_ext_info();
  Status on_newkeys(ByteView payload, MonoTime now);

  std::shared_ptr<const TransportOptions> options_;
  RandomSource* random_;
  PacketReader reader_;
  PacketWriter writer_;
  SendQueue waiting_;
  std::unique_ptr<Kex> kex_;
  std::string ident_;  // as it was sent: a session outlives the version that it began with
  std::string peer_ident_;
  crypto::Digest session_id_;
  NegotiatedAlgorithms algorithms_;
  PeerExtensions peer_;
  TransportCounters counters_;
  std::optional<Cookie> next_cookie_;
  MonoTime keys_since_;
  MonoTime last_now_;
  std::uint64_t forced_bytes_;  // beyond these we begin an exchange unasked
  std::uint64_t forced_packets_;
  std::uint64_t num_exchanges_ = 0;
  std::size_t pre_ident_lines_ = 0;
  std::size_t pongs_waiting_bytes_ = 0;
  std::string disconnect_text_;
  std::uint32_t disconnect_reason_ = 0;
  State state_ = State::kNew;
  Phase phase_ = Phase::kInitialKex;
  bool strict_kex_ = false;
  bool peer_wants_ext_info_ = false;
  bool ext_info_allowed_ = false;
  bool success_expected_ = false;
  bool disconnected_ = false;
};

}  // namespace bastion::proto
