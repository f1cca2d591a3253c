#pragma once

#include <array>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "config/policy_model.h"
#include "config/user_name.h"
#include "proto/permissions.h"

namespace bastion::config {

/// Restrictions come with the key or certificate that a user logged in with. They only ever take
/// away from what the policy grants.
struct Restrictions {
  bool touch_required = true;    // sk keys: SkFlags::user_present must be set
  bool verify_required = false;  // sk keys: SkFlags::user_verified must be set
  bool pty = true;
  bool agent = true;
  bool x11 = true;
  bool port_forwarding = true;
  std::string force_command;
};

/// Admission is who a key or certificate belongs to, if its signature is good (the caller checks
/// that, and the touch). `user` lives as long as the policy.
struct Admission {
  const User* user = nullptr;
  Restrictions restrictions;
  std::string ca;      // user_cas name; empty for a plain key
  std::string key_id;  // of the certificate; any bytes: escape for logs
  std::uint64_t serial = 0;
};

/// Request is one question to the policy. All views outlive the call only.
struct Request {
  const User* user = nullptr;
  const Restrictions* restrictions = nullptr;  // null: none
  std::string_view login;                      // empty for jump
  std::string_view target;                     // as typed
  std::uint16_t port = 0;                      // 0: the target's own
  IpAddress peer;
  WallTime now = 0;
  std::string_view bastion;  // our name in hints: "ssh deploy@web1@BASTION"
  /// brief: a target that is not within reach is refused without hints, for which all targets are
  /// walked through.
  bool brief = false;
};

/// ResolvedTarget is a target with its pattern filled in: what to dial and what to expect there.
struct ResolvedTarget {
  const Target* entry = nullptr;
  std::string name;     // as in the file, or as typed in lower case for a pattern
  std::string address;  // for the resolver, where `ip` is empty
  std::optional<IpAddress> ip;
  std::uint16_t port = 22;
  std::vector<std::string> host_names;  // for HostKeyPolicy: the name and the address
};

/// Grant is what the policy allows one routed session, compiled.
struct Grant {
  ResolvedTarget target;
  std::string login;
  proto::Permissions permissions;
  proto::RecordPlan record;
  std::string rule;  // that decided the first action allowed, in the order of Action: for displays
  std::array<std::string, kActionCount> rule_of;  // for each action, empty where it is denied
};

enum class RefusalReason : std::uint8_t {
  kNoTarget,    // it does not exist, or nothing there is allowed to this user from this address
  kLogin,       // other logins are allowed there
  kPort,        // it is reached on other ports only
  kJump,        // it is reached by a routed session only
  kTunnelOnly,  // it is reached by ProxyJump only
  kRestricted,  // the user's own certificate forbids it
};

/// Refusal is a denial. `text` is one line for the user, without prefix and session id. It is the
/// same for a target that does not exist and for one that the user may not reach, and names only
/// targets and logins that the user may reach from there.
struct Refusal {
  RefusalReason reason = RefusalReason::kNoTarget;
  std::string text;
  std::string rule;  // the deny rule that decided, for the log; empty: no rule allows it
};

/// may_dial: whether an address that the resolver gave for `target` may be connected to. An address
/// that the policy names itself always may. A name in the DNS is somebody else's word: it may not
/// lead to the bastion itself, its hypervisor or anywhere that IpAddress::is_special describes,
/// unless the policy says "localhost".
bool may_dial(const ResolvedTarget& target, const IpAddress& address);

/// JumpGrant is one tunnel: what to dial.
struct JumpGrant {
  ResolvedTarget target;
  std::string rule;
};

/// Reachable is one line of `ssh bastion`.
struct Reachable {
  std::string target;  // or a pattern, such as "db-*"
  std::map<std::string, std::string, std::less<>> labels;
  std::vector<std::string> logins;  // "{user}" filled in; "*" stands for any; empty: jump only
  ActionSet actions;
  bool every_subsystem = false;         // Action::kSubsystem: every one,
  std::vector<std::string> subsystems;  // or these, "sftp" among them
};

/// Explanation says which rule decides and why the others do not.
struct Explanation {
  bool allowed = false;
  std::string rule;  // that decided; empty: none covers it
  std::string
      headline;  // `allowed by rule "x"`, `denied: no rule allows login root here for alice`
  std::vector<std::pair<std::string, std::string>> rules;  // name, why (not)
  std::string text() const;                                // lines, each ended by '\n'
};

/// PolicyTest is one line of `tests:`.
struct PolicyTest {
  std::string user;
  std::string login;
  std::string target;
  ActionRequest action;
  IpAddress from;  // `::` matches no rule that asks for a source
  bool expect_allow = false;
  int line = 0;
  int column = 0;
};

/// PolicyData is everything that policy.yaml says, checked by the loader.
struct PolicyData {
  std::string path;
  std::vector<User> users;
  std::vector<UserCa> user_cas;
  std::vector<Target> targets;
  std::vector<Rule> rules;
  std::vector<PolicyTest> tests;
  std::shared_ptr<const RevokedKeys> revoked;
  std::vector<std::string> env;  // of the service
  std::uint32_t channels_max = 64;
  std::uint32_t session_channels_max = 10;
};

/// Policy decides. It is immutable and has no clock, no randomness and no state, so a decision is a
/// function of the request; share it by shared_ptr<const Policy>. Every way in goes through it.
///
/// The order of decision: deny rules first, in file order; then the first rule in file order that
/// covers user, target, login, action and source; what none allows is denied. A deny rule that
/// names logins denies jump as well where it applies, since no login rule can hold in a tunnel.
class Policy {
 public:
  explicit Policy(PolicyData data);
  Policy(const Policy&) = delete;  // its indexes point into it
  Policy& operator=(const Policy&) = delete;

  const PolicyData& data() const { return data_; }
  /// id: the first 6 hexadecimal digits of hash(), which covers everything that decides, and
  /// neither comments nor layout.
  const std::string& id() const { return id_; }
  const std::string& hash() const { return hash_; }

  const User* find_user(std::string_view name) const;
  /// user_by_key finds whose plain key this is (never a certificate's blob); null: nobody's, or it
  /// is revoked. Constant-time in nothing but the number of users: one hash lookup.
  const User* user_by_key(ByteView plain_key_blob) const;

  /// admit_key: user_by_key with that key's restrictions, and from an address that it allows.
  /// Error: kAuth, the same for all reasons.
  Result<Admission> admit_key(ByteView plain_key_blob, const IpAddress& peer) const;

  /// check_user_certificate says whom a user certificate stands for. Checked: type, CA (known, not
  /// revoked), the CA's signature, subject key not revoked, validity, principals, every critical
  /// option (force-command, source-address, verify-required; any other refuses), extensions.
  /// Exactly one of its principals has to name a user; where several do, `identity` (of the user
  /// name, may be empty) has to be one of them. Principals are whole words: an empty list, "", "*"
  /// and "a,b" match nobody. Errors: kAuth with a constant text for the log.
  Result<Admission> check_user_certificate(const crypto::Certificate& certificate, WallTime now,
                                           const IpAddress& peer,
                                           std::string_view identity = {}) const;

  /// accepts_certificate: whether check_user_certificate accepts it for some identity. It answers a
  /// client's question whether a certificate would do, before it is known who they say they are.
  bool accepts_certificate(const crypto::Certificate& certificate, WallTime now,
                           const IpAddress& peer) const;

  /// user_name_fits: whether a user name may be used by this user: it names no identity but theirs,
  /// and without a target it is not another known user's name.
  bool user_name_fits(const UserName& name, const User& user) const;

  /// find_target: by exact name first, then by the first pattern in file order. `name` as typed.
  /// A port other than 0 is taken as it is: grant() checks it.
  std::optional<ResolvedTarget> find_target(std::string_view name, std::uint16_t port = 0) const;

  /// grant decides a routed session: something is allowed there for this login, or a refusal.
  std::expected<Grant, Refusal> grant(const Request& request) const;

  /// jump decides a tunnel. request.target is the host as the client asked for it: a target's name,
  /// or its address; request.port is required and has to be that target's.
  std::expected<JumpGrant, Refusal> jump(const Request& request) const;

  /// allows is the same decision for one action, before restrictions and ports. For jump the login
  /// is ignored.
  bool allows(const Request& request, const ActionRequest& action) const;

  /// explain says how allows() comes to its answer. It is for administrators: it names targets and
  /// users whoever asks.
  Explanation explain(const Request& request, const ActionRequest& action) const;

  /// reachable lists what a user may reach from an address, in the order of the file.
  std::vector<Reachable> reachable(const Request& request) const;

 private:
  struct Decision;
  struct Compiled;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  template <typename T>
  using Index = std::unordered_map<std::string, T, Hash, std::equal_to<>>;
  struct KeyOwner {
    const User* user;
    const UserKey* key;
  };
  /// Listed is one line of reachable(): a target, or the part of a pattern that a rule names.
  struct Listed {
    std::string name;
    std::string folded;
    const Target* target;
  };

  const UserCa* ca_of(const crypto::Certificate& certificate) const;
  const User* user_of_principal(const UserCa& ca, std::string_view principal) const;
  void list_targets();
  std::optional<ResolvedTarget> resolve(const Target& target, std::string_view folded_name,
                                        std::uint16_t port) const;
  std::vector<ResolvedTarget> targets_at(std::string_view text) const;
  std::vector<ResolvedTarget> targets_called(std::string_view host) const;
  Decision decide(const Request& request, const Target& target, std::string_view folded_name,
                  const ActionRequest& action) const;
  Compiled compile(const Request& request, const Target& target, std::string_view folded_name,
                   std::string_view login) const;
  bool may_jump(const Request& request, const Target& target, std::string_view folded_name) const;
  std::vector<std::string> allowed_logins(const Request& request, const Target& target,
                                          std::string_view folded_name) const;
  bool is_within_reach(const Request& request, const Listed& listed) const;
  std::vector<std::string> hints(const Request& request) const;
  Refusal no_target(const Request& request) const;

  PolicyData data_;
  Index<const User*> users_;
  Index<KeyOwner> keys_;                         // by key blob
  Index<const Target*> targets_;                 // exact ones, by folded name
  Index<std::vector<const Target*>> addresses_;  // exact ones, by canonical address
  std::vector<const Target*> patterns_;
  std::vector<const Rule*> deny_rules_;
  std::vector<const Rule*> allow_rules_;
  std::vector<Listed> listed_;
  std::vector<std::string> typeable_;     // names of those that are not patterns
  std::vector<std::size_t> typeable_at_;  // where they are in listed_
  std::string hash_;
  std::string id_;
};

}  // namespace bastion::config
