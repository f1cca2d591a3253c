#include <algorithm>

#include "config/policy.h"
#include "config/policy_internal.h"
#include "config/suggest.h"

namespace bastion::config {
namespace {

std::string for_user(const Rule& rule, const User& user) {
  if (rule.groups.size() == 1 && rule.users.empty()) {
    return user.name + " is not in group " + rule.groups.front();
  }
  std::vector<std::string> named = rule.users;
  for (const std::string& group : rule.groups) {
    named.push_back("group " + group);
  }
  return "is for " + join(named, " and ") + ", not for " + user.name;
}

std::string sources(const Rule& rule) {
  std::vector<std::string> blocks;
  for (const Cidr& block : rule.from) {
    blocks.push_back(block.text());
  }
  return join(blocks);
}

std::string denied_actions(const Rule& rule) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kActionCount; ++i) {
    if (rule.denied.has(static_cast<Action>(i))) {
      names.emplace_back(action_name(static_cast<Action>(i)));
    }
  }
  return names.size() == kActionCount ? "everything" : join(names);
}

std::string allowed_actions(const Rule& rule) {
  std::vector<std::string> names;
  for (const Allowance& allowance : rule.allow) {
    names.push_back(allowance.text());
  }
  return join(names);
}

/// Misses says which of its conditions keeps a rule from covering a request.
struct Misses {
  bool user = false;
  bool login = false;
  bool action = false;
  bool source = false;
  bool only_login() const { return login && !user && !action && !source; }
  bool none() const { return !user && !login && !action && !source; }
};

Misses misses_of(const Rule& rule, const Request& request, const ActionRequest& action) {
  Misses misses;
  const bool jump = action.action == Action::kJump;
  misses.user = !rule.covers_user(*request.user);
  misses.login = !jump && !rule.covers_login(*request.user, request.login);
  misses.action =
      rule.deny
          ? !rule.denies(action.action)
          : std::none_of(rule.allow.begin(), rule.allow.end(), [&](const Allowance& allowance) {
              return allowance.covers(action.action, action.parameter);
            });
  misses.source = !rule.covers_source(request.peer);
  return misses;
}

std::string reason(const Rule& rule, const Request& request, const ActionRequest& action,
                   const Misses& misses) {
  const std::string verb = rule.deny ? "denies " : "allows ";
  if (misses.user) {
    return for_user(rule, *request.user);
  }
  if (misses.login && !rule.logins.empty()) {
    return verb + join(rule.logins) + ", not " + std::string(request.login);
  }
  if (misses.action) {
    return verb + (rule.deny ? denied_actions(rule) : allowed_actions(rule)) + ", not " +
           action.text();
  }
  if (misses.login) {
    return "allows no login";
  }
  if (misses.source) {
    return "is for sources in " + sources(rule) + ", not " + request.peer.text();
  }
  return rule.deny ? "denies it" : "allows it";
}

}  // namespace

std::string Explanation::text() const {
  std::string out = headline + "\n";
  std::size_t width = 0;
  for (const auto& [name, why] : rules) {
    width = std::max(width, name.size());
  }
  for (const auto& [name, why] : rules) {
    out += "  " + name + std::string(width - name.size() + 3, ' ') + why + "\n";
  }
  return out;
}

Explanation Policy::explain(const Request& request, const ActionRequest& action) const {
  Explanation out;
  const auto target = find_target(request.target, request.port);
  if (!target) {
    std::vector<std::string> names;
    for (const Target& known : data_.targets) {
      names.push_back(known.name);
    }
    out.headline = "denied: there is no target " + in_quotes(request.target) +
                   did_you_mean(request.target, names);
    return out;
  }
  const std::string name = folded(target->name);
  const Decision decision = decide(request, *target->entry, name, action);
  out.allowed = decision.allowed;
  out.rule = decision.rule == nullptr ? "" : decision.rule->name;

  bool login_is_missing = false;
  for (const Rule& rule : data_.rules) {
    if (!rule.targets.covers(*target->entry, name)) {
      continue;
    }
    const Misses misses = misses_of(rule, request, action);
    login_is_missing = login_is_missing || (!rule.deny && misses.only_login());
    const bool decided = decision.rule != nullptr && &rule != decision.rule;
    // Rules after the one that decided are not asked; a deny rule for other people explains
    // nothing.
    if ((rule.deny && misses.user) ||
        (decided && (misses.none() || rule.line > decision.rule->line))) {
      continue;
    }
    out.rules.emplace_back(rule.name, reason(rule, request, action, misses));
  }

  const std::string& user = request.user->name;
  if (decision.rule != nullptr) {
    out.headline = (out.allowed ? "allowed by rule \"" : "denied by rule \"") + out.rule + "\"";
  } else if (login_is_missing) {
    out.headline =
        "denied: no rule allows login " + std::string(request.login) + " here for " + user;
  } else {
    const std::string as =
        action.action == Action::kJump ? "" : " as " + std::string(request.login);
    out.headline =
        "denied: no rule allows " + action.text() + " to " + user + as + " on " + target->name;
  }
  return out;
}

}  // namespace bastion::config
