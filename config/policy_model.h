#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "config/host_key_policy.h"
#include "crypto/keys.h"
#include "proto/permissions.h"

/// The parts of policy.yaml as plain data, checked: names are valid, references resolved, patterns
/// within bounds. config/policy.h decides by them.
namespace bastion::config {

/// Action is what a rule grants or denies. `sftp` in a file is kSubsystem with that name. A pty
/// comes with shell and exec.
enum class Action : std::uint8_t {
  kShell,
  kExec,
  kSubsystem,
  kAgent,
  kX11,
  kForwardLocal,         // direct-tcpip through the target
  kForwardRemote,        // tcpip-forward on the target
  kForwardLocalSocket,   // direct-streamlocal@openssh.com
  kForwardRemoteSocket,  // streamlocal-forward@openssh.com
  kJump,                 // an opaque tunnel from us to the target: never part of `all`
};
inline constexpr std::size_t kActionCount = 10;
/// action_name is the spelling in files: "shell", "forward_local", …
std::string_view action_name(Action action);

/// ActionRequest is an action as a person names it: "shell", "sftp", "subsystem:netconf",
/// "forward_local:db:5432", "forward_local_socket:/run/x". Without the part after the first colon
/// it asks for any of that kind. `sftp` is the subsystem of that name.
struct ActionRequest {
  Action action{};
  std::string parameter;
  std::string text() const;
  friend bool operator==(const ActionRequest&, const ActionRequest&) = default;
};
std::optional<ActionRequest> parse_action(std::string_view text);

/// ActionSet is a set of whole actions.
class ActionSet {
 public:
  constexpr bool has(Action action) const { return (bits_ >> static_cast<unsigned>(action)) & 1U; }
  constexpr void add(Action action) {
    bits_ = static_cast<std::uint16_t>(bits_ | 1U << static_cast<unsigned>(action));
  }
  constexpr bool empty() const { return bits_ == 0; }
  friend bool operator==(const ActionSet&, const ActionSet&) = default;

 private:
  std::uint16_t bits_ = 0;
};

/// UserKey is one of a user's keys. A security key's touch is required unless the file says not.
struct UserKey {
  crypto::PublicKey key;
  bool touch_required = true;    // sk keys only
  bool verify_required = false;  // sk keys only: PIN or fingerprint
  std::vector<Cidr> from;        // empty: from anywhere
};

struct User {
  std::string name;
  std::vector<UserKey> keys;
  std::vector<std::string> groups;  // sorted
  bool in_group(std::string_view group) const;
};

/// UserCa is a certificate authority for users. A principal names the user of that name, or, where
/// `principals` is not empty, the one that it maps to; other principals name nobody.
struct UserCa {
  std::string name;
  crypto::PublicKey key;
  bool principals_are_users = true;
  std::map<std::string, std::string, std::less<>> principals;
};

/// Credential is how the bastion logs in to a target.
struct Credential {
  enum class Kind : std::uint8_t { kCertificate, kKeyFile };
  Kind kind = Kind::kCertificate;  // made for each session by the bastion's user_ca
  std::string key_file;
  std::optional<crypto::PrivateKey> key;  // of key_file
};

struct PortRange {
  std::uint16_t min = 0;
  std::uint16_t max = 0;
  bool contains(std::uint16_t port) const { return port >= min && port <= max; }
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

/// Target is one server, or with a glob as its name a family of them.
struct Target {
  std::string name;    // as written in the file
  std::string folded;  // in lower case: what is compared
  bool pattern = false;
  std::string address;  // an address, or a DNS name in lower case; may hold "{name}"
  std::uint16_t port = 22;
  std::vector<PortRange> ports;  // others that may be asked for
  std::map<std::string, std::string, std::less<>> labels;
  Credential credential;
  HostKeyPolicy host_keys;
  std::string known_hosts_file;     // of host_keys.known_hosts
  std::vector<std::string> legacy;  // algorithm names, towards this target only
};

/// Allowance is one item of a rule's `allow`.
struct Allowance {
  Action action{};
  bool every = false;                           // no parameters: all of that kind
  std::vector<std::string> names;               // kSubsystem: exact names; sockets: path globs
  std::vector<proto::ForwardPattern> forwards;  // kForwardLocal, kForwardRemote

  /// covers: `parameter` as in ActionRequest; empty: any of that kind.
  bool covers(Action asked, std::string_view parameter) const;
  /// text: "forward_local (db:5432)", "sftp".
  std::string text() const;
};

/// forward_text: "db:5432", "db:*", "[::1]:80-90".
std::string forward_text(const proto::ForwardPattern& pattern);

struct TargetSelector {
  enum class Kind : std::uint8_t { kAll, kNames, kLabels };
  Kind kind = Kind::kAll;
  std::vector<std::string> names;                                        // folded names or globs
  std::vector<std::pair<std::string, std::vector<std::string>>> labels;  // each key: one of values
  bool covers(const Target& target, std::string_view folded_name) const;
};

struct Rule {
  std::string name;
  int line = 0;
  bool deny = false;
  ActionSet denied;  // of a deny rule: which actions, all of them by default

  bool who_all = false;
  std::vector<std::string> users;   // sorted
  std::vector<std::string> groups;  // sorted
  TargetSelector targets;
  bool logins_all = false;          // allow: `logins: all`; deny: also where none are named
  std::vector<std::string> logins;  // exact; "{user}" is the user's own name
  std::vector<Cidr> from;           // empty: from anywhere
  std::vector<Allowance> allow;
  bool pty = true;
  std::vector<std::string> env;  // besides the service's
  bool has_files = false;        // `files:` is there
  proto::FileRules files;
  proto::RecordTerms record;  // of what this rule allows

  bool covers_user(const User& user) const;
  bool covers_login(const User& user, std::string_view login) const;
  bool covers_source(const IpAddress& peer) const;
  bool denies(Action action) const { return deny && denied.has(action); }
};

}  // namespace bastion::config
