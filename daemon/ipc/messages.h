#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/secret.h"
#include "daemon/audit/event.h"
#include "daemon/log.h"
#include "proto/permissions.h"

/// The messages between our processes (SOCK_SEQPACKET, one message a packet). Each struct lists its
/// fields once, in `fields`, and ipc/codec.h encodes and decodes by that list; decoding checks
/// every length and refuses what trails. docs/architecture.md has the table of who may send what
/// when; the warden's permit table (warden/permits.h) enforces it, default deny.
namespace bastion::daemon::ipc {

inline constexpr std::uint8_t kVersion = 1;
/// The largest message: a session's state with one receive of unread input (64 KiB), its unsent
/// output and a grant. Below Linux's default SO_SNDBUF of 212,992 bytes.
inline constexpr std::size_t kMessageBytesMax = 160 * 1024;

/// SessionId names one session in the warden's table: slot and generation. Zero: none.
using SessionId = std::uint64_t;
/// ConnectionId names one accepted connection in the supervisor's table.
using ConnectionId = std::uint64_t;
using Cookie = std::array<std::uint8_t, 16>;

enum class Role : std::uint8_t { kSupervisor, kGate, kWorker, kWarden, kResolver, kRecorder };

enum class Type : std::uint8_t {
  // supervisor → gate
  kConnection = 1,  // + the socket
  kDropConnection = 2,
  // gate → supervisor
  kConnectionDone = 3,
  kConnectionSpoke = 4,
  // supervisor → warden
  kConfiguration = 10,  // + memfd with the file bundle
  kAddPeer = 11,        // + the warden's end of the peer's socket pair
  kPeerGone = 12,
  kControlRequest = 13,
  kShutdown = 14,  // also warden → worker
  kReloadRefused = 15,
  // warden → supervisor
  kConfigurationResult = 20,
  kControlReply = 21,
  kDrained = 22,  // answer to kShutdown: no session is left
  kEndPeer = 23,  // kill a gate or worker that broke the rules
  // warden → gate, warden → worker
  kSettings = 30,
  kCookies = 31,
  kRefused = 32,  // the negative answer to any request
  // gate → warden
  kTakeCookies = 40,
  kSignFirstExchange = 41,  // + the connection's socket
  kKeyQuery = 42,
  kKeyVerify = 43,
  kHandOver = 44,
  kConnectionGone = 45,
  // warden → gate
  kExchangeSigned = 50,  // worker too
  kKeyAnswer = 51,
  kVerdict = 52,
  // warden → worker
  kAdopt = 60,            // + the user's socket
  kTargetConnected = 61,  // + the target's socket
  kTargetFailed = 62,
  kTargetVerified = 63,
  kTargetSignature = 64,
  kTunnelOpened = 65,  // + the tunnel's socket
  kListing = 66,
  kEndSession = 67,
  kRecordingReady = 68,
  kAuditAccepted = 69,
  // worker → warden
  kSignRekey = 70,
  kTargetVerify = 71,
  kTargetSign = 72,
  kOpenTunnel = 73,
  kAskListing = 74,
  kSessionEvent = 75,
  kSessionStats = 76,
  kSessionEnded = 77,
  kWorkerStats = 78,
  kAuditNote = 79,
  // warden → resolver, resolver → warden
  kResolve = 80,
  kResolved = 81,
  // supervisor → recorder
  kRecorderSettings = 90,  // first of all
  kRecorderTable = 91,     // + memfd
  kAddRing = 92,           // + the ring's memfd and its bell
  kRetireRing = 93,
  kRingsComplete = 94,
  // recorder → supervisor
  kRingDone = 95,
  kRingBroken = 96,
  // warden → recorder
  kOpenRecording = 100,
  kCloseRecording = 101,
  kResync = 102,
  kHeadSigned = 103,
  kAuditEvent = 104,
  // recorder → warden
  kRecordingOpened = 110,
  kRecordingFailed = 111,
  kRecordingSealed = 112,
  kSignHead = 113,
  kRecorderState = 114,
  kAuditState = 115,
};

/// Header goes before every message. `request` is chosen by the asking side and comes back in the
/// answer; 0 marks one-way messages. `session` is 0 where none is meant.
struct Header {
  std::uint8_t version = kVersion;
  Type type{};
  std::uint32_t request = 0;
  SessionId session = 0;
};

// --- supervisor ↔ gate -------------------------------------------------------------------------

/// Connection: a freshly accepted socket, which travels with it. Peer's address: getpeername.
struct Connection {
  static constexpr Type kType = Type::kConnection;
  ConnectionId connection = 0;
  void fields(auto& f) { f(connection); }
};
/// DropConnection: close it now (the table of unauthenticated connections is full).
struct DropConnection {
  static constexpr Type kType = Type::kDropConnection;
  ConnectionId connection = 0;
  void fields(auto& f) { f(connection); }
};
/// ConnectionDone: it no longer counts as unauthenticated: closed, or authenticated and handed
/// over.
struct ConnectionDone {
  static constexpr Type kType = Type::kConnectionDone;
  ConnectionId connection = 0;
  bool authenticated = false;
  void fields(auto& f) {
    f(connection);
    f(authenticated);
  }
};

/// ConnectionSpoke: it has finished a key exchange, so it is no longer one of the silent ones that
/// go first when the table is full. At most once per connection.
struct ConnectionSpoke {
  static constexpr Type kType = Type::kConnectionSpoke;
  ConnectionId connection = 0;
  void fields(auto& f) { f(connection); }
};

// --- supervisor ↔ warden -----------------------------------------------------------------------

struct Configuration {  // + memfd
  static constexpr Type kType = Type::kConfiguration;
  std::string path;       // of bastiond.yaml inside the bundle
  std::string loaded_by;  // "start", "reload"
  LogLevel log_level = LogLevel::kInfo;
  void fields(auto& f) {
    f(path);
    f(loaded_by);
    f(log_level);
  }
};
struct ConfigurationResult {
  static constexpr Type kType = Type::kConfigurationResult;
  bool ok = false;
  std::string text;  // errors, one a line; or a summary
  void fields(auto& f) {
    f(ok);
    f(text);
  }
};
/// ReloadRefused: files that cannot be loaded, for the audit log.
struct ReloadRefused {
  static constexpr Type kType = Type::kReloadRefused;
  std::string by;
  std::string why;  // the first error
  void fields(auto& f) {
    f(by);
    f(why);
  }
};
struct AddPeer {  // + socket
  static constexpr Type kType = Type::kAddPeer;
  Role role{};
  std::uint32_t index = 0;
  std::uint32_t pid = 0;
  void fields(auto& f) {
    f(role);
    f(index);
    f(pid);
  }
};
struct PeerGone {
  static constexpr Type kType = Type::kPeerGone;
  Role role{};
  std::uint32_t index = 0;
  std::uint32_t pid = 0;
  void fields(auto& f) {
    f(role);
    f(index);
    f(pid);
  }
};
/// ControlRequest: one JSON request of bastionctl, already admitted by its peer credentials.
struct ControlRequest {
  static constexpr Type kType = Type::kControlRequest;
  bool admin = false;  // else viewer
  std::string by;      // who asks, for the log: "uid 1000"
  std::string json;
  void fields(auto& f) {
    f(admin);
    f(by);
    f(json);
  }
};
/// ControlReply: the answer, in as many pieces as it needs (a list of sessions may be long).
struct ControlReply {
  static constexpr Type kType = Type::kControlReply;
  static constexpr std::size_t kPieceBytesMax = kMessageBytesMax - 1024;
  bool more = false;  // another piece with the same request follows
  std::string json;
  void fields(auto& f) {
    f(more);
    f(json);
  }
};
struct Shutdown {
  static constexpr Type kType = Type::kShutdown;
  std::uint32_t limit_ms = 0;
  std::string text;  // what the users are told
  void fields(auto& f) {
    f(limit_ms);
    f(text);
  }
};
struct Drained {
  static constexpr Type kType = Type::kDrained;
  void fields(auto& /*f*/) {}
};

/// EndPeer: the warden has found that a process breaks the rules of warden/permits.h. It listens to
/// it no more; the supervisor kills and replaces it.
struct EndPeer {
  static constexpr Type kType = Type::kEndPeer;
  Role role{};
  std::uint32_t index = 0;
  std::uint32_t pid = 0;
  std::string why;
  void fields(auto& f) {
    f(role);
    f(index);
    f(pid);
    f(why);
  }
};

// --- warden → gate, worker ---------------------------------------------------------------------

struct HostKey {
  std::string algorithm;  // as it stands in server_host_key_algorithms
  Bytes blob;             // plain key or host certificate
  void fields(auto& f) {
    f(algorithm);
    f(blob);
  }
};
/// Settings: everything that gates and workers need of the configuration; sent when they are added
/// and after each reload. Sessions that are under way keep what they began with.
struct Settings {
  static constexpr Type kType = Type::kSettings;
  std::vector<std::string> kex, ciphers, macs, host_key_algorithms, public_key_algorithms;
  std::vector<HostKey> host_keys;  // in order of preference; host_key_algorithms is theirs
  std::uint32_t first_factor_ms = 0, login_grace_ms = 0;
  std::uint32_t auth_failures = 0, key_offers = 0;
  std::uint32_t handshake_ms = 0, keepalive_ms = 0, keepalive_missed = 0;
  std::uint64_t rekey_bytes = 0, rekey_packets = 0;
  std::uint32_t rekey_seconds = 0;
  std::string bastion_name;  // as users call us, in hints
  LogLevel log_level = LogLevel::kInfo;
  void fields(auto& f) {
    f(kex);
    f(ciphers);
    f(macs);
    f(host_key_algorithms);
    f(public_key_algorithms);
    f(host_keys);
    f(first_factor_ms);
    f(login_grace_ms);
    f(auth_failures);
    f(key_offers);
    f(handshake_ms);
    f(keepalive_ms);
    f(keepalive_missed);
    f(rekey_bytes);
    f(rekey_packets);
    f(rekey_seconds);
    f(bastion_name);
    f(log_level);
  }
};
struct TakeCookies {
  static constexpr Type kType = Type::kTakeCookies;
  std::uint32_t count = 0;
  void fields(auto& f) { f(count); }
};
struct Cookies {
  static constexpr Type kType = Type::kCookies;
  std::vector<Cookie> cookies;
  void fields(auto& f) { f(cookies); }
};
/// Refused answers any request. `text` is for the user (one line, no control bytes, no prefix),
/// or empty where the user is told nothing; `fatal` asks for a disconnect with it.
struct Refused {
  static constexpr Type kType = Type::kRefused;
  bool fatal = false;
  std::string text;
  bool unreachable = false;  // allowed, but the target could not be connected
  void fields(auto& f) {
    f(fatal);
    f(text);
    f(unreachable);
  }
};

// --- exchanges: gate, worker → warden -----------------------------------------------------------

/// Exchange: the parts of an exchange hash (crypto::ExchangeParts), owned.
struct Exchange {
  std::string kex_method;
  std::string host_key_algorithm;
  Bytes client_ident, server_ident, client_kexinit, server_kexinit, host_key_blob;
  Bytes client_field, server_field;
  SecretBytes secret_field;
  void fields(auto& f) {
    f(kex_method);
    f(host_key_algorithm);
    f(client_ident);
    f(server_ident);
    f(client_kexinit);
    f(server_kexinit);
    f(host_key_blob);
    f(client_field);
    f(server_field);
    f(secret_field);
  }
};
/// SignFirstExchange (gate; once per socket): the warden makes the session from it.
struct SignFirstExchange {  // + socket
  static constexpr Type kType = Type::kSignFirstExchange;
  Exchange exchange;
  void fields(auto& f) { f(exchange); }
};
/// SignRekey (worker): a later exchange of the user's leg. It needs no cookie of the pool: no
/// session is ever made from it, so there is nothing to be fresh for.
struct SignRekey {
  static constexpr Type kType = Type::kSignRekey;
  Exchange exchange;
  void fields(auto& f) { f(exchange); }
};
struct ExchangeSigned {  // header.session names the session from here on
  static constexpr Type kType = Type::kExchangeSigned;
  Bytes hash;
  Bytes signature;
  void fields(auto& f) {
    f(hash);
    f(signature);
  }
};

// --- gate → warden ------------------------------------------------------------------------------

struct KeyQuery {
  static constexpr Type kType = Type::kKeyQuery;
  std::string user_name;
  std::string algorithm;
  Bytes key_blob;
  void fields(auto& f) {
    f(user_name);
    f(algorithm);
    f(key_blob);
  }
};
struct KeyAnswer {
  static constexpr Type kType = Type::kKeyAnswer;
  bool acceptable = false;
  void fields(auto& f) { f(acceptable); }
};
struct KeyVerify {
  static constexpr Type kType = Type::kKeyVerify;
  std::string user_name;
  std::string algorithm;
  Bytes key_blob;
  Bytes signature;
  bool hostbound = false;    // publickey-hostbound-v00@openssh.com
  Bytes hostbound_host_key;  // the host key blob that the user signed over
  void fields(auto& f) {
    f(user_name);
    f(algorithm);
    f(key_blob);
    f(signature);
    f(hostbound);
    f(hostbound_host_key);
  }
};
/// Verdict: authenticated or not. Where it is success the warden has decided and begun to dial.
struct Verdict {
  static constexpr Type kType = Type::kVerdict;
  bool success = false;
  void fields(auto& f) { f(success); }
};
/// HandOver (one-way, once, after a successful Verdict): the session leaves the gate. The warden
/// passes `state` and `input` on unread.
struct HandOver {
  static constexpr Type kType = Type::kHandOver;
  SecretBytes state;  // proto::SessionState, encoded
  SecretBytes input;  // received, not yet opened
  void fields(auto& f) {
    f(state);
    f(input);
  }
};
/// ConnectionGone (one-way): the gate has closed a connection whose exchange was signed.
struct ConnectionGone {
  static constexpr Type kType = Type::kConnectionGone;
  std::string reason;  // for the log
  void fields(auto& f) { f(reason); }
};

// --- warden → worker ----------------------------------------------------------------------------

enum class SessionMode : std::uint8_t {
  kRouted,   // a target is being dialled; TargetConnected or TargetFailed follows
  kMenu,     // no target named: listing, and ProxyJump tunnels
  kRefused,  // `refusal` is what every session channel is told
};
/// Adopt: a session comes to this worker.
struct Adopt {  // + the user's socket
  static constexpr Type kType = Type::kAdopt;
  SessionMode mode{};
  std::string short_id;  // for messages to the user: "7q2m"
  std::string user;      // identity
  std::string target;    // routed: the target's name
  std::string login;     // routed
  std::string refusal;   // kRefused
  proto::Permissions permissions;
  bool recorded = false;  // in `record_slot` of the worker's ring, by `record`
  std::uint32_t record_slot = 0;
  proto::RecordPlan record;
  bool notice = false;   // terminals are told
  bool audited = false;  // AuditNotes are wanted
  SecretBytes state;
  SecretBytes input;
  void fields(auto& f) {
    f(mode);
    f(short_id);
    f(user);
    f(target);
    f(login);
    f(refusal);
    f(permissions);
    f(recorded);
    f(record_slot);
    f(record);
    f(notice);
    f(audited);
    f(state);
    f(input);
  }
};
struct TargetConnected {  // + the target's socket
  static constexpr Type kType = Type::kTargetConnected;
  std::vector<std::string> host_key_algorithms;  // those on record for this target first
  std::vector<std::string> legacy;               // the target's `legacy:` names
  void fields(auto& f) {
    f(host_key_algorithms);
    f(legacy);
  }
  friend bool operator==(const TargetConnected&, const TargetConnected&) = default;
};
struct TargetFailed {
  static constexpr Type kType = Type::kTargetFailed;
  std::string text;  // one line for the user
  void fields(auto& f) { f(text); }
};
/// TargetVerify (worker, once): the first exchange with the target and the host's signature over
/// it. The warden computes the hash, verifies, holds the key against what is on record.
struct TargetVerify {
  static constexpr Type kType = Type::kTargetVerify;
  Exchange exchange;
  Bytes signature;
  void fields(auto& f) {
    f(exchange);
    f(signature);
  }
};
struct TargetCredential {
  std::string algorithm;  // empty for an RSA key: the worker picks by server-sig-algs, TargetSign
  Bytes blob;             // public key or certificate, as USERAUTH_REQUEST carries it
  Bytes signature;        // over userauth_signed_data for this exchange and login; empty for RSA
  std::vector<std::string> algorithms;  // RSA: what TargetSign may ask for
  void fields(auto& f) {
    f(algorithm);
    f(blob);
    f(signature);
    f(algorithms);
  }
};
struct TargetVerified {
  static constexpr Type kType = Type::kTargetVerified;
  Bytes hash;
  std::vector<TargetCredential> credentials;  // in the order to try
  void fields(auto& f) {
    f(hash);
    f(credentials);
  }
};
struct TargetSign {
  static constexpr Type kType = Type::kTargetSign;
  std::uint32_t credential = 0;
  std::string algorithm;
  void fields(auto& f) {
    f(credential);
    f(algorithm);
  }
};
struct TargetSignature {
  static constexpr Type kType = Type::kTargetSignature;
  Bytes signature;
  void fields(auto& f) { f(signature); }
};
/// OpenTunnel (menu sessions): a direct-tcpip of ProxyJump. Answer: TunnelOpened or Refused.
struct OpenTunnel {
  static constexpr Type kType = Type::kOpenTunnel;
  std::uint32_t channel = 0;
  std::string host;
  std::uint32_t port = 0;
  void fields(auto& f) {
    f(channel);
    f(host);
    f(port);
  }
};
struct TunnelOpened {  // + socket
  static constexpr Type kType = Type::kTunnelOpened;
  std::uint32_t channel = 0;
  void fields(auto& f) { f(channel); }
};
struct AskListing {
  static constexpr Type kType = Type::kAskListing;
  void fields(auto& /*f*/) {}
};
struct Listing {
  static constexpr Type kType = Type::kListing;
  std::string text;  // lines end with \n
  void fields(auto& f) { f(text); }
};
struct EndSession {
  static constexpr Type kType = Type::kEndSession;
  std::string text;  // for the user
  void fields(auto& f) { f(text); }
};
/// RecordingReady: the session is being recorded, or cannot be; `text` is then one line for the
/// user. The bridge waits for it, where Adopt asked for a recording.
struct RecordingReady {
  static constexpr Type kType = Type::kRecordingReady;
  bool ok = false;
  std::string text;
  void fields(auto& f) {
    f(ok);
    f(text);
  }
};
/// SessionEvent (one-way): what a log line says: "channel opened", "request refused"…
struct SessionEvent {
  static constexpr Type kType = Type::kSessionEvent;
  bool warning = false;
  std::string text;  // our own words; a peer's bytes in it are escaped already
  void fields(auto& f) {
    f(warning);
    f(text);
  }
};
/// AuditNote (one-way): something happened in a session that belongs into the audit log. Only what
/// audit/schema.h lets a worker say, and without who and where: the warden adds those.
/// Its digests are numbers of the session's own, by which the recorder has what went through the
/// worker's ring (record_ring/layout.h); 0: none.
struct AuditNote {
  static constexpr Type kType = Type::kAuditNote;
  audit::Event event;
  std::uint32_t digest_read = 0, digest_written = 0;
  void fields(auto& f) {
    f(event);
    f(digest_read);
    f(digest_written);
  }
};
/// AuditAccepted (warden → worker): so many of the worker's AuditNotes, the oldest, are on record.
struct AuditAccepted {
  static constexpr Type kType = Type::kAuditAccepted;
  std::uint32_t count = 0;
  void fields(auto& f) { f(count); }
};
/// SessionStats (one-way, at most one a second and only when something changed).
struct SessionStats {
  static constexpr Type kType = Type::kSessionStats;
  std::uint64_t bytes_up = 0, bytes_down = 0;  // channel data from the user, to the user
  std::string channels;                        // "shell, sftp"
  void fields(auto& f) {
    f(bytes_up);
    f(bytes_down);
    f(channels);
  }
};
/// WorkerStats is about all of a worker's sessions together, since it started.
struct WorkerStats {
  static constexpr Type kType = Type::kWorkerStats;
  std::uint64_t bytes_relayed = 0;         // payload bytes that went on from leg to leg
  std::uint64_t bytes_copied = 0;          // … and those that a memcpy moved on their way
  std::uint64_t packets = 0;               // that were opened
  std::uint64_t turns = 0;                 // of the worker's loop
  std::uint64_t turns_put_off = 0;         // in which a leg had more packets than its share
  std::uint64_t packets_per_turn_max = 0;  // of one leg
  void fields(auto& f) {
    f(bytes_relayed);
    f(bytes_copied);
    f(packets);
    f(turns);
    f(turns_put_off);
    f(packets_per_turn_max);
  }
};
struct SessionEnded {
  static constexpr Type kType = Type::kSessionEnded;
  std::string reason;
  std::uint64_t bytes_up = 0, bytes_down = 0;
  void fields(auto& f) {
    f(reason);
    f(bytes_up);
    f(bytes_down);
  }
};

// --- recorder -----------------------------------------------------------------------------------

/// AuditSink: one that gets the audit log's lines beside its file.
struct AuditSink {
  audit::SinkKind kind{};
  std::string path;      // of a socket; empty: an address
  std::string endpoint;  // "10.0.0.5:601"
  bool drops = false;    // instead of stopping the service
  void fields(auto& f) {
    f(kind);
    f(path);
    f(endpoint);
    f(drops);
  }
};
/// AuditSettings: the audit log. The folder, the file and the sinks count at the start only.
struct AuditSettings {
  std::string folder;  // empty: no audit log
  std::string file;    // its name there
  bool drops = false;
  std::uint64_t rotate_bytes = 0, rotate_seconds = 0;
  std::string host;  // as syslog names us
  std::vector<AuditSink> sinks;
  void fields(auto& f) {
    f(folder);
    f(file);
    f(drops);
    f(rotate_bytes);
    f(rotate_seconds);
    f(host);
    f(sinks);
  }
};
/// RecorderSettings: where and how it records. The first one comes before everything else and
/// decides the folders; a later one (after a reload) the rest.
struct RecorderSettings {  // + the folder of recordings, O_PATH
  static constexpr Type kType = Type::kRecorderSettings;
  bool recording = false;  // else it keeps the audit log alone
  std::string folder;      // its path, for the log; it is the recorder's own
  std::vector<std::string> recipients;
  std::uint64_t retention_seconds = 0, retention_bytes = 0;  // 0: no limit
  std::uint64_t reserve_bytes = 0;
  LogLevel log_level = LogLevel::kInfo;
  AuditSettings audit;
  void fields(auto& f) {
    f(recording);
    f(folder);
    f(recipients);
    f(retention_seconds);
    f(retention_bytes);
    f(reserve_bytes);
    f(log_level);
    f(audit);
  }
};
/// RecorderTable: the memory in which a recorder leaves its open recordings to its successor.
struct RecorderTable {  // + memfd
  static constexpr Type kType = Type::kRecorderTable;
  void fields(auto& /*f*/) {}
};
/// AddRing: a worker's ring (daemon/record_ring) and the eventfd by which it rings the bell.
struct AddRing {  // + memfd, eventfd
  static constexpr Type kType = Type::kAddRing;
  std::uint32_t worker = 0;      // index
  std::uint32_t generation = 0;  // of the ring: never the same twice, never 0
  void fields(auto& f) {
    f(worker);
    f(generation);
  }
};
/// RetireRing: its worker is dead. What is in it is written down, its recordings are sealed as
/// interrupted, then RingDone says that the memory may go.
struct RetireRing {
  static constexpr Type kType = Type::kRetireRing;
  std::uint32_t generation = 0;
  void fields(auto& f) { f(generation); }
};
/// RingsComplete: every ring that there is has been told; a successor may begin.
struct RingsComplete {
  static constexpr Type kType = Type::kRingsComplete;
  void fields(auto& /*f*/) {}
};
struct RingDone {
  static constexpr Type kType = Type::kRingDone;
  std::uint32_t generation = 0;
  void fields(auto& f) { f(generation); }
};
/// RingBroken: the worker wrote what cannot be; it is taken over or broken, and must end.
struct RingBroken {
  static constexpr Type kType = Type::kRingBroken;
  std::uint32_t generation = 0;
  std::string why;
  void fields(auto& f) {
    f(generation);
    f(why);
  }
};

/// OpenRecording: a session that is to be recorded. Answer: RecordingOpened or RecordingFailed.
/// Sent again to a successor, which then answers for what it has found.
struct OpenRecording {
  static constexpr Type kType = Type::kOpenRecording;
  SessionId session_number = 0;
  std::uint32_t worker = 0;
  std::uint32_t slot = 0;  // in that worker's ring
  std::string session;     // long id
  std::string user, login, target, address, rule, mode, from, host;
  std::uint64_t start_us = 0;
  bool records_input = false;
  void fields(auto& f) {
    f(session_number);
    f(worker);
    f(slot);
    f(session);
    f(user);
    f(login);
    f(target);
    f(address);
    f(rule);
    f(mode);
    f(from);
    f(host);
    f(start_us);
    f(records_input);
  }
};
/// CloseRecording: the session is over, and all of it is in the ring. Answer: RecordingSealed.
struct CloseRecording {
  static constexpr Type kType = Type::kCloseRecording;
  std::string session;
  bool complete = false;  // false: its worker died
  std::string reason;
  void fields(auto& f) {
    f(session);
    f(complete);
    f(reason);
  }
};
/// Resync: all live sessions and all that are to be closed have been told to a new recorder; what
/// it has open beside them is sealed as interrupted.
struct Resync {
  static constexpr Type kType = Type::kResync;
  void fields(auto& /*f*/) {}
};
struct RecordingOpened {
  static constexpr Type kType = Type::kRecordingOpened;
  std::string session;
  void fields(auto& f) { f(session); }
};
/// RecordingFailed: it cannot be opened, or went wrong; the session must end.
struct RecordingFailed {
  static constexpr Type kType = Type::kRecordingFailed;
  std::string session;
  std::string why;  // "no space left on the disk"
  void fields(auto& f) {
    f(session);
    f(why);
  }
};
struct RecordingSealed {
  static constexpr Type kType = Type::kRecordingSealed;
  std::string session;
  void fields(auto& f) { f(session); }
};
/// SignHead asks for the audit key's signature over one of two structures that the warden makes
/// itself from these fields. Answer: HeadSigned, with no signature where there is no key.
enum class HeadKind : std::uint8_t { kRecording, kAuditLog };
struct SignHead {
  static constexpr Type kType = Type::kSignHead;
  HeadKind kind{};
  std::string session;  // kRecording
  std::uint64_t seq = 0;
  std::array<std::uint8_t, 32> hash{};
  void fields(auto& f) {
    f(kind);
    f(session);
    f(seq);
    f(hash);
  }
};
struct HeadSigned {
  static constexpr Type kType = Type::kHeadSigned;
  std::string key;  // "ssh-ed25519 BASE64"; empty: there is none
  Bytes signature;
  void fields(auto& f) {
    f(key);
    f(signature);
  }
};
/// RecorderState: at the start, when it changes, and now and then for `bastionctl status`.
struct RecorderState {
  static constexpr Type kType = Type::kRecorderState;
  bool can_record = false;
  std::string why;  // it cannot: "no space left on the disk"
  std::uint64_t recordings_bytes = 0, disk_bytes = 0, free_bytes = 0;
  std::uint32_t open = 0;
  void fields(auto& f) {
    f(can_record);
    f(why);
    f(recordings_bytes);
    f(disk_bytes);
    f(free_bytes);
    f(open);
  }
};
/// AuditEvent: one event for the audit log. The warden numbers them from 1; `again` says that the
/// recorder before this one got it, too, and may have written it. AuditState answers.
/// `worker` and `session_number` say whose digests those are.
struct AuditEvent {
  static constexpr Type kType = Type::kAuditEvent;
  std::uint64_t number = 0;
  bool again = false;
  audit::Event event;
  std::uint32_t worker = 0;
  SessionId session_number = 0;
  std::uint32_t digest_read = 0, digest_written = 0;
  void fields(auto& f) {
    f(number);
    f(again);
    f(event);
    f(worker);
    f(session_number);
    f(digest_read);
    f(digest_written);
  }
};
/// AuditState: what the log has accepted, and whether it takes more; after each batch of events and
/// when it changes.
struct AuditState {
  static constexpr Type kType = Type::kAuditState;
  std::uint64_t accepted = 0;  // all events up to this number are in the file
  bool failing = false;
  std::string why;
  bool settled = true;  // the last line is signed, or there is no key
  void fields(auto& f) {
    f(accepted);
    f(failing);
    f(why);
    f(settled);
  }
};

// --- resolver -----------------------------------------------------------------------------------

struct Resolve {
  static constexpr Type kType = Type::kResolve;
  std::string name;
  bool whole = false;  // a user chose a part of it: it is not completed by domains to search
  void fields(auto& f) {
    f(name);
    f(whole);
  }
};
struct Resolved {
  static constexpr Type kType = Type::kResolved;
  std::string name;              // as it was asked for
  std::string error;             // empty: found
  std::vector<Bytes> addresses;  // 4 or 16 octets each, in the order to try, at most 16
  void fields(auto& f) {
    f(name);
    f(error);
    f(addresses);
  }
};

}  // namespace bastion::daemon::ipc
