#pragma once

#include <cstdint>
#include <string>

#include "daemon/ipc/message.h"
#include "daemon/log.h"

/// The supervisor's channels: with the gates, which it gives connections to, and with the warden.
namespace bastion::daemon::ipc {

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
/// ConnectionEnd is which limit, if any, ended a connection that nobody has logged in on.
enum class ConnectionEnd : std::uint8_t {
  kOther,
  kFirstFactor,
  kLoginGrace,
  kAuthFailures,
  kKeyOffers,
};
constexpr ConnectionEnd last_of(ConnectionEnd) { return ConnectionEnd::kKeyOffers; }
/// ConnectionDone: it no longer counts as unauthenticated: closed, or authenticated and handed
/// over.
struct ConnectionDone {
  static constexpr Type kType = Type::kConnectionDone;
  ConnectionId connection = 0;
  bool authenticated = false;
  ConnectionEnd end = ConnectionEnd::kOther;
  void fields(auto& f) {
    f(connection);
    f(authenticated);
    f(end);
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
/// LimitReached: strangers have reached one of the limits that they have, `count` times since it
/// was last told, which is at most once a second.
struct LimitReached {
  static constexpr Type kType = Type::kLimitReached;
  std::string limit;  // as in the configuration
  std::uint64_t value = 0, count = 0;
  std::string from;  // the last one's source: an address, or an IPv6 /64
  void fields(auto& f) {
    f(limit);
    f(value);
    f(count);
    f(from);
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

}  // namespace bastion::daemon::ipc
