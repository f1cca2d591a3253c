#include <algorithm>

#include "config/policy.h"
#include "config/policy_internal.h"
#include "config/suggest.h"

namespace bastion::config {
namespace {

constexpr std::size_t kHintsMax = 2;
/// Of this many alike names it is asked whether the user may reach them.
constexpr std::size_t kNearNamesMax = 16;

std::size_t index_of(Action action) { return static_cast<std::size_t>(action); }

template <typename T>
void append_new(std::vector<T>& to, const std::vector<T>& from) {
  for (const T& item : from) {
    if (std::find(to.begin(), to.end(), item) == to.end()) {
      to.push_back(item);
    }
  }
}

/// add puts one item of a rule's `allow` into what a session may do.
void add(proto::Permissions& to, const Allowance& allowance) {
  static const std::vector<proto::ForwardPattern> kAnywhere = {{"*", 0, 65535}};
  static const std::vector<std::string> kAnyPath = {"*"};
  switch (allowance.action) {
    case Action::kShell: to.shell = true; break;
    case Action::kExec: to.exec = true; break;
    case Action::kSubsystem:
      to.every_subsystem = to.every_subsystem || allowance.every;
      append_new(to.subsystems, allowance.names);
      break;
    case Action::kAgent: to.agent = true; break;
    case Action::kX11: to.x11 = true; break;
    case Action::kForwardLocal:
      append_new(to.forward_local, allowance.every ? kAnywhere : allowance.forwards);
      break;
    case Action::kForwardRemote:
      append_new(to.forward_remote, allowance.every ? kAnywhere : allowance.forwards);
      break;
    case Action::kForwardLocalSocket:
      append_new(to.forward_local_sockets, allowance.every ? kAnyPath : allowance.names);
      break;
    case Action::kForwardRemoteSocket:
      append_new(to.forward_remote_sockets, allowance.every ? kAnyPath : allowance.names);
      break;
    case Action::kJump: break;  // never part of a routed session
  }
}

/// withheld: the user's own certificate does not permit the action.
bool withheld(const Restrictions& restrictions, Action action) {
  switch (action) {
    case Action::kAgent: return !restrictions.agent;
    case Action::kX11: return !restrictions.x11;
    case Action::kForwardLocal:
    case Action::kForwardRemote:
    case Action::kForwardLocalSocket:
    case Action::kForwardRemoteSocket: return !restrictions.port_forwarding;
    case Action::kJump:
      // No forced command can hold inside a tunnel.
      return !restrictions.port_forwarding || !restrictions.force_command.empty();
    case Action::kShell:
    case Action::kExec:
    case Action::kSubsystem: return false;
  }
  return true;
}

/// stricter joins two rules' terms into what records no less than either.
proto::RecordTerms stricter(const proto::RecordTerms& a, const proto::RecordTerms& b) {
  return {std::max(a.mode, b.mode), a.input || b.input, std::max(a.bytes_max, b.bytes_max),
          a.file_content || b.file_content};
}

/// terms_of finds the part of a plan that an action falls under; null for jump.
proto::RecordTerms* terms_of(proto::RecordPlan& plan, Action action) {
  switch (action) {
    case Action::kShell: return &plan.shell;
    case Action::kExec: return &plan.exec;
    case Action::kSubsystem: return &plan.subsystem;
    case Action::kJump: return nullptr;
    default: return &plan.forwards;
  }
}

bool port_is_open(const Target& target, std::uint16_t port) {
  return port == target.port ||
         std::any_of(target.ports.begin(), target.ports.end(),
                     [&](const PortRange& range) { return range.contains(port); });
}

std::string port_text(const Target& target) {
  std::vector<std::string> ports = {std::to_string(target.port)};
  for (const PortRange& range : target.ports) {
    ports.push_back(range.min == range.max
                        ? std::to_string(range.min)
                        : std::to_string(range.min) + "-" + std::to_string(range.max));
  }
  return (ports.size() == 1 && target.ports.empty() ? "port " : "ports ") + join(ports, " and ");
}

/// routed_command is what to type to reach a target: "ssh deploy@web1@bastion.corp".
std::string routed_command(const Request& request, std::string_view login,
                           std::string_view target) {
  const std::string_view as = login == "*" ? std::string_view("LOGIN") : login;
  return "ssh " + std::string(as) + "@" + std::string(target) + "@" + bastion_name(request);
}

std::string login_choice(std::vector<std::string> logins) {
  if (logins.front() == "*") {
    return "others";
  }
  std::erase(logins, "*");
  return join(logins, " or ");
}

/// host_text is a host as the user asked for it, where it can be shown.
std::string host_text(std::string_view host) {
  return is_target_name(host) || IpAddress::parse(host) ? in_quotes(host) : "of that name";
}

Refusal refusal(RefusalReason reason, std::string text, const Rule* rule = nullptr) {
  return {reason, std::move(text), rule == nullptr ? std::string() : rule->name};
}

Refusal wrong_port(const ResolvedTarget& target) {
  return refusal(RefusalReason::kPort,
                 target.name + " is reached on " + port_text(*target.entry) + " only");
}

}  // namespace

std::string bastion_name(const Request& request) {
  return request.bastion.empty() ? "BASTION" : std::string(request.bastion);
}

/// Compiled is what all rules together say of one login on one target.
struct Policy::Compiled {
  proto::Permissions permissions;
  proto::RecordPlan record;
  std::array<const Rule*, kActionCount> rule_of{};  // the first that allows it, if none denies it
  const Rule* denied_by = nullptr;                  // the first deny rule that took something away
  bool any = false;
};

Policy::Decision Policy::decide(const Request& request, const Target& target,
                                std::string_view folded_name, const ActionRequest& action) const {
  const User& user = *request.user;
  const auto covers = [&](const Rule& rule) {
    return rule.covers_user(user) && rule.targets.covers(target, folded_name) &&
           rule.covers_source(request.peer);
  };
  // A tunnel has no login: a deny rule for some logins therefore denies the tunnel.
  const bool jump = action.action == Action::kJump;
  for (const Rule* rule : deny_rules_) {
    if (rule->denies(action.action) && covers(*rule) &&
        (jump || rule->covers_login(user, request.login))) {
      return {false, rule};
    }
  }
  for (const Rule* rule : allow_rules_) {
    if (covers(*rule) && (jump || rule->covers_login(user, request.login)) &&
        std::any_of(rule->allow.begin(), rule->allow.end(), [&](const Allowance& allowance) {
          return allowance.covers(action.action, action.parameter);
        })) {
      return {true, rule};
    }
  }
  return {false, nullptr};
}

Policy::Compiled Policy::compile(const Request& request, const Target& target,
                                 std::string_view folded_name, std::string_view login) const {
  static const Restrictions kNone;
  const User& user = *request.user;
  const Restrictions& restrictions =
      request.restrictions == nullptr ? kNone : *request.restrictions;
  const auto covers = [&](const Rule& rule) {
    return rule.covers_user(user) && rule.targets.covers(target, folded_name) &&
           rule.covers_source(request.peer) && rule.covers_login(user, login);
  };
  Compiled out;
  ActionSet denied;
  for (const Rule* rule : deny_rules_) {
    if (covers(*rule)) {
      for (std::size_t i = 0; i < kActionCount; ++i) {
        if (rule->denies(static_cast<Action>(i))) {
          denied.add(static_cast<Action>(i));
        }
      }
      out.denied_by = out.denied_by == nullptr ? rule : out.denied_by;
    }
  }
  proto::Permissions& permissions = out.permissions;
  permissions.env = data_.env;
  permissions.channels_max = data_.channels_max;
  permissions.session_channels_max = data_.session_channels_max;
  bool pty = restrictions.pty;
  bool has_sftp = false;
  bool has_exec = false;
  ActionSet known;
  ActionSet settled;
  for (const Rule* rule : allow_rules_) {
    if (!covers(*rule)) {
      continue;
    }
    for (const Allowance& allowance : rule->allow) {
      if (allowance.action == Action::kJump || denied.has(allowance.action) ||
          withheld(restrictions, allowance.action)) {
        continue;
      }
      add(permissions, allowance);
      out.any = true;
      // The first rule that allows it decides, with its own files.
      if (!has_sftp && allowance.covers(Action::kSubsystem, "sftp")) {
        has_sftp = true;
        permissions.sftp_files = rule->files;
        permissions.sftp_files.rule = rule->name;
      } else if (!has_exec && allowance.action == Action::kExec) {
        has_exec = true;
        permissions.exec_files = rule->files;
        permissions.exec_files.rule = rule->name;
      }
      // The rule that decides an action says how it is recorded. Where several rules allow parts of
      // one kind (subsystems, forwardings), the strictest of them holds for all.
      if (proto::RecordTerms* terms = terms_of(out.record, allowance.action);
          terms != nullptr && !settled.has(allowance.action)) {
        *terms = known.has(allowance.action) ? stricter(*terms, rule->record) : rule->record;
        known.add(allowance.action);
        if (allowance.every || allowance.action <= Action::kExec) {
          settled.add(allowance.action);
        }
      }
      const Rule*& decided_by = out.rule_of[index_of(allowance.action)];
      if (decided_by != nullptr) {
        continue;
      }
      decided_by = rule;
      if (allowance.action == Action::kShell || allowance.action == Action::kExec) {
        pty = pty && rule->pty;
      }
      if (allowance.action <= Action::kSubsystem) {
        append_new(permissions.env, rule->env);
      }
    }
  }
  if (denied.has(Action::kExec)) {
    // What sftp's rule allows of scp and rsync are commands all the same.
    permissions.sftp_files.scp = permissions.sftp_files.rsync = proto::FileRules::Command::kRefused;
  }
  permissions.pty = pty && (permissions.shell || permissions.exec);
  permissions.force_command = restrictions.force_command;
  return out;
}

bool Policy::may_jump(const Request& request, const Target& target,
                      std::string_view folded_name) const {
  return !(request.restrictions != nullptr && withheld(*request.restrictions, Action::kJump)) &&
         decide(request, target, folded_name, {Action::kJump, {}}).allowed;
}

std::vector<std::string> Policy::allowed_logins(const Request& request, const Target& target,
                                                std::string_view folded_name) const {
  std::vector<std::string> named;
  for (const Rule* rule : allow_rules_) {
    if (!rule->covers_user(*request.user) || !rule->targets.covers(target, folded_name)) {
      continue;
    }
    std::vector<std::string> logins = rule->logins;
    std::replace(logins.begin(), logins.end(), std::string("{user}"), request.user->name);
    if (rule->logins_all) {
      logins.push_back("*");  // no login is spelt so: it stands for one that no rule names
    }
    append_new(named, logins);
  }
  std::erase_if(named, [&](const std::string& login) {
    return !compile(request, target, folded_name, login).any;
  });
  // Names to type come first; "any" is said where there is none.
  std::stable_partition(named.begin(), named.end(),
                        [](const std::string& login) { return login != "*"; });
  return named;
}

bool Policy::is_within_reach(const Request& request, const Listed& listed) const {
  return !allowed_logins(request, *listed.target, listed.folded).empty() ||
         may_jump(request, *listed.target, listed.folded);
}

/// hints gives names of targets within reach that look like what was typed. Names are compared
/// before anything is decided, since only a few are alike.
std::vector<std::string> Policy::hints(const Request& request) const {
  std::vector<std::string> out;
  for (const std::size_t i : nearest(request.target, typeable_, kNearNamesMax)) {
    if (out.size() < kHintsMax && is_within_reach(request, listed_[typeable_at_[i]])) {
      out.push_back(typeable_[i]);
    }
  }
  return out;
}

Refusal Policy::no_target(const Request& request) const {
  std::string text = "no target " + host_text(request.target) + " that you may reach";
  if (request.brief) {
    return refusal(RefusalReason::kNoTarget, std::move(text));
  }
  if (std::none_of(listed_.begin(), listed_.end(),
                   [&](const Listed& listed) { return is_within_reach(request, listed); })) {
    return refusal(RefusalReason::kNoTarget, std::move(text));
  }
  const auto near = hints(request);
  text += near.empty() ? "." : ". Did you mean " + join(near, " or ") + "?";
  text += " All of yours: ssh " + bastion_name(request) + " ls";
  return refusal(RefusalReason::kNoTarget, std::move(text));
}

std::expected<Grant, Refusal> Policy::grant(const Request& request) const {
  const auto target = find_target(request.target, request.port);
  if (!target) {
    return std::unexpected(no_target(request));
  }
  const std::string name = folded(target->name);
  Compiled compiled = compile(request, *target->entry, name, request.login);
  if (compiled.any) {
    if (!port_is_open(*target->entry, target->port)) {
      return std::unexpected(wrong_port(*target));
    }
    Grant grant;
    grant.target = *target;
    grant.login = std::string(request.login);
    grant.permissions = std::move(compiled.permissions);
    grant.record = compiled.record;
    for (std::size_t i = 0; i < kActionCount; ++i) {
      if (const Rule* rule = compiled.rule_of[i]; rule != nullptr) {
        grant.rule_of[i] = rule->name;
        grant.rule = grant.rule.empty() ? rule->name : grant.rule;
      }
    }
    return grant;
  }
  const auto logins = allowed_logins(request, *target->entry, name);
  if (!logins.empty()) {
    return std::unexpected(
        refusal(RefusalReason::kLogin,
                request.user->name + " may not log in as " + std::string(request.login) + " on " +
                    target->name + "; as " + login_choice(logins) +
                    " you may: " + routed_command(request, logins.front(), target->name),
                compiled.denied_by));
  }
  if (may_jump(request, *target->entry, name)) {
    return std::unexpected(refusal(RefusalReason::kTunnelOnly,
                                   target->name + " is reached by a tunnel only: ssh -J " +
                                       bastion_name(request) + " " + std::string(request.login) +
                                       "@" + target->name,
                                   compiled.denied_by));
  }
  Refusal refused = no_target(request);
  refused.rule = compiled.denied_by == nullptr ? "" : compiled.denied_by->name;
  return std::unexpected(std::move(refused));
}

std::expected<JumpGrant, Refusal> Policy::jump(const Request& request) const {
  if (request.restrictions != nullptr && withheld(*request.restrictions, Action::kJump)) {
    return std::unexpected(
        refusal(RefusalReason::kRestricted, "your certificate does not permit tunnels"));
  }
  std::vector<ResolvedTarget> candidates = targets_called(request.target);
  const ResolvedTarget* on_other_port = nullptr;
  for (ResolvedTarget& target : candidates) {
    const Decision decision =
        decide(request, *target.entry, folded(target.name), {Action::kJump, {}});
    if (!decision.allowed) {
      continue;
    }
    if (port_is_open(*target.entry, request.port)) {
      target.port = request.port;
      return JumpGrant{std::move(target), decision.rule->name};
    }
    on_other_port = &target;
  }
  if (on_other_port != nullptr) {
    return std::unexpected(wrong_port(*on_other_port));
  }
  for (const ResolvedTarget& target : candidates) {
    const auto logins = allowed_logins(request, *target.entry, folded(target.name));
    if (!logins.empty()) {
      const Decision decision =
          decide(request, *target.entry, folded(target.name), {Action::kJump, {}});
      return std::unexpected(refusal(RefusalReason::kJump,
                                     target.name + " is reached by a routed session only; use: " +
                                         routed_command(request, logins.front(), target.name),
                                     decision.rule));
    }
  }
  return std::unexpected(no_target(request));
}

bool Policy::allows(const Request& request, const ActionRequest& action) const {
  const auto target = find_target(request.target, request.port);
  return target && decide(request, *target->entry, folded(target->name), action).allowed;
}

std::vector<Reachable> Policy::reachable(const Request& request) const {
  std::vector<Reachable> out;
  for (const Listed& listed : listed_) {
    Reachable line;
    line.logins = allowed_logins(request, *listed.target, listed.folded);
    for (const std::string& login : line.logins) {
      const Compiled compiled = compile(request, *listed.target, listed.folded, login);
      for (std::size_t i = 0; i < kActionCount; ++i) {
        if (compiled.rule_of[i] != nullptr) {
          line.actions.add(static_cast<Action>(i));
        }
      }
      line.every_subsystem = line.every_subsystem || compiled.permissions.every_subsystem;
      append_new(line.subsystems, compiled.permissions.subsystems);
    }
    if (may_jump(request, *listed.target, listed.folded)) {
      line.actions.add(Action::kJump);
    }
    if (!line.actions.empty()) {
      line.target = listed.name;
      line.labels = listed.target->labels;
      out.push_back(std::move(line));
    }
  }
  return out;
}

}  // namespace bastion::config
