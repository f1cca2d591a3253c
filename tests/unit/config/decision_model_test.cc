#include <gtest/gtest.h>

#include <random>
#include <set>

#include "base/glob.h"
#include "config/policy.h"
#include "tests/unit/config/support.h"

/// Random policies against a model of the decision: slow, and written from the manual's three
/// sentences alone. Deny first, wherever it stands; then the first rule that covers; then nothing.
namespace bastion::config {
namespace {

// Small worlds, so that rules meet each other often.
const std::vector<std::string> kUsers = {"u0", "u1", "u2"};
const std::vector<std::string> kGroups = {"g0", "g1"};
const std::vector<std::string> kLogins = {"root", "u0", "u1", "app"};
const std::vector<std::string> kTargets = {"web1", "web2", "db-1", "db-2"};
const std::vector<std::string> kPeers = {"10.0.0.1", "10.1.0.1", "192.0.2.1", "2001:db8::1"};

class World {
 public:
  explicit World(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return random_() % n; }
  bool chance(std::size_t one_in) { return below(one_in) == 0; }
  template <typename T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

  PolicyData policy() {
    PolicyData data;
    for (const std::string& name : kUsers) {
      User user;
      user.name = name;
      for (const std::string& group : kGroups) {
        if (chance(2)) {
          user.groups.push_back(group);
        }
      }
      data.users.push_back(std::move(user));
    }
    for (const std::string name : {"web1", "web2", "db-*"}) {
      Target target;
      target.name = target.folded = name;
      target.pattern = is_glob(name);
      target.address = target.pattern ? "{name}.internal" : "10.9.9." + std::to_string(below(200));
      target.labels = {{"env", chance(2) ? "prod" : "lab"},
                       {"role", target.pattern ? "db" : "web"}};
      data.targets.push_back(std::move(target));
    }
    const std::size_t num_rules = below(7);
    for (std::size_t i = 0; i < num_rules; ++i) {
      data.rules.push_back(rule(i));
    }
    return data;
  }

 private:
  Rule rule(std::size_t number) {
    Rule rule;
    rule.name = "r" + std::to_string(number);
    rule.line = static_cast<int>(number) + 1;
    rule.deny = chance(3);
    rule.who_all = chance(3);
    if (!rule.who_all) {
      (chance(2) ? rule.users : rule.groups).push_back(pick(chance(2) ? kUsers : kGroups));
    }
    choose_targets(rule.targets);
    rule.logins_all = chance(4);
    if (!rule.logins_all) {
      rule.logins = {chance(3) ? "{user}" : pick(kLogins)};
    }
    if (chance(3)) {
      rule.from = {
          *Cidr::parse(pick(std::vector<std::string>{"10.0.0.0/8", "10.0.0.0/16", "::/0"}))};
    }
    if (rule.deny) {
      for (std::size_t i = 0; i < kActionCount; ++i) {
        if (chance(2)) {
          rule.denied.add(static_cast<Action>(i));
        }
      }
    } else {
      for (std::size_t i = 0, n = 1 + below(3); i < n; ++i) {
        rule.allow.push_back(allowance());
      }
      rule.pty = !chance(3);
    }
    return rule;
  }

  void choose_targets(TargetSelector& out) {
    switch (below(3)) {
      case 0: break;
      case 1:
        out.kind = TargetSelector::Kind::kNames;
        out.names = {pick(std::vector<std::string>{"web1", "web2", "web?", "db-*", "db-1", "*1"})};
        break;
      default:
        out.kind = TargetSelector::Kind::kLabels;
        out.labels = {{"env", {pick(std::vector<std::string>{"prod", "lab"})}}};
        if (chance(2)) {
          out.labels.push_back({"role", {"web", "db"}});
        }
    }
  }

  Allowance allowance() {
    Allowance allowance;
    allowance.action = static_cast<Action>(below(kActionCount));
    allowance.every = chance(2);
    if (!allowance.every) {
      if (allowance.action == Action::kSubsystem) {
        allowance.names = {chance(2) ? "sftp" : "netconf"};
      } else if (allowance.action == Action::kForwardLocal ||
                 allowance.action == Action::kForwardRemote) {
        allowance.forwards = {{chance(2) ? "db" : "*", 80, 90}};
      } else if (allowance.action == Action::kForwardLocalSocket ||
                 allowance.action == Action::kForwardRemoteSocket) {
        allowance.names = {"/run/*"};
      } else {
        allowance.every = true;
      }
    }
    return allowance;
  }

  std::mt19937 random_;
};

// --- the model
// -------------------------------------------------------------------------------------

struct Question {
  std::string user, login, target;
  IpAddress peer;
  Action action{};
  std::string parameter;
};

bool model_names(const Allowance& allowance, const std::string& parameter) {
  if (allowance.every || parameter.empty()) {
    return true;
  }
  if (!allowance.forwards.empty()) {
    const std::size_t colon = parameter.find(':');
    const int port = std::stoi(parameter.substr(colon + 1));
    for (const auto& forward : allowance.forwards) {
      if ((forward.host == "*" || forward.host == parameter.substr(0, colon)) &&
          port >= forward.port_min && port <= forward.port_max) {
        return true;
      }
    }
    return false;
  }
  for (const std::string& name : allowance.names) {
    if (name == parameter || (name == "/run/*" && parameter.starts_with("/run/"))) {
      return true;
    }
  }
  return false;
}

bool model_covers(const PolicyData& data, const Rule& rule, const Question& asked) {
  const User* user = nullptr;
  for (const User& candidate : data.users) {
    user = candidate.name == asked.user ? &candidate : user;
  }
  bool who = rule.who_all;
  for (const std::string& name : rule.users) {
    who = who || name == asked.user;
  }
  for (const std::string& group : rule.groups) {
    for (const std::string& own : user->groups) {
      who = who || own == group;
    }
  }
  const Target* target = nullptr;
  for (const Target& candidate : data.targets) {
    if (candidate.name == asked.target ||
        (candidate.name == "db-*" && asked.target.starts_with("db-"))) {
      target = &candidate;
    }
  }
  bool where = rule.targets.kind == TargetSelector::Kind::kAll;
  for (const std::string& name : rule.targets.names) {
    where = where || glob_match(name, asked.target);
  }
  if (rule.targets.kind == TargetSelector::Kind::kLabels) {
    where = true;
    for (const auto& [key, values] : rule.targets.labels) {
      where = where && std::set<std::string>(values.begin(), values.end())
                           .contains(target->labels.find(key)->second);
    }
  }
  bool login = rule.logins_all || asked.action == Action::kJump;
  for (const std::string& name : rule.logins) {
    login = login || name == asked.login || (name == "{user}" && asked.login == asked.user);
  }
  bool source = rule.from.empty();
  for (const Cidr& block : rule.from) {
    source = source || block.contains(asked.peer);
  }
  return who && where && login && source;
}

/// model_decides gives the rule that allows, or "" for denied.
std::string model_decides(const PolicyData& data, const Question& asked) {
  for (const Rule& rule : data.rules) {
    if (rule.deny && rule.denied.has(asked.action) && model_covers(data, rule, asked)) {
      return "";
    }
  }
  for (const Rule& rule : data.rules) {
    if (rule.deny || !model_covers(data, rule, asked)) {
      continue;
    }
    for (const Allowance& allowance : rule.allow) {
      if (allowance.action == asked.action && model_names(allowance, asked.parameter)) {
        return rule.name;
      }
    }
  }
  return "";
}

// --- what a compiled grant lets through
// --------------------------------------------------------------

bool permits_forward(const std::vector<proto::ForwardPattern>& patterns,
                     const std::string& destination) {
  Allowance allowance;
  allowance.action = Action::kForwardLocal;
  allowance.forwards = patterns;
  return !patterns.empty() && model_names(allowance, destination);
}

bool permits_path(const std::vector<std::string>& globs, const std::string& path) {
  for (const std::string& glob : globs) {
    if (glob_match(glob, path)) {
      return true;
    }
  }
  return false;
}

bool permits(const proto::Permissions& permissions, const Question& asked) {
  switch (asked.action) {
    case Action::kShell: return permissions.shell;
    case Action::kExec: return permissions.exec;
    case Action::kSubsystem:
      return permissions.every_subsystem ||
             std::find(permissions.subsystems.begin(), permissions.subsystems.end(),
                       asked.parameter) != permissions.subsystems.end();
    case Action::kAgent: return permissions.agent;
    case Action::kX11: return permissions.x11;
    case Action::kForwardLocal: return permits_forward(permissions.forward_local, asked.parameter);
    case Action::kForwardRemote:
      return permits_forward(permissions.forward_remote, asked.parameter);
    case Action::kForwardLocalSocket:
      return permits_path(permissions.forward_local_sockets, asked.parameter);
    case Action::kForwardRemoteSocket:
      return permits_path(permissions.forward_remote_sockets, asked.parameter);
    case Action::kJump: return false;
  }
  return false;
}

std::vector<std::pair<Action, std::string>> all_actions() {
  std::vector<std::pair<Action, std::string>> actions = {
      {Action::kShell, ""}, {Action::kExec, ""}, {Action::kAgent, ""}, {Action::kX11, ""}};
  for (const std::string name : {"sftp", "netconf"}) {
    actions.emplace_back(Action::kSubsystem, name);
  }
  for (const std::string destination : {"db:80", "db:91", "x:85", "x:79"}) {
    actions.emplace_back(Action::kForwardLocal, destination);
    actions.emplace_back(Action::kForwardRemote, destination);
  }
  for (const std::string path : {"/run/x", "/tmp/x"}) {
    actions.emplace_back(Action::kForwardLocalSocket, path);
    actions.emplace_back(Action::kForwardRemoteSocket, path);
  }
  return actions;
}

struct Counts {
  int allowed = 0;
  int denied = 0;
};

/// compare asks one policy everything about one user, login, target and peer.
void compare(const Policy& policy, Question asked, Counts& counts) {
  Request request;
  request.user = policy.find_user(asked.user);
  request.login = asked.login;
  request.target = asked.target;
  request.peer = asked.peer;
  const auto grant = policy.grant(request);
  bool any = false;
  for (const auto& [action, parameter] : all_actions()) {
    asked.action = action;
    asked.parameter = parameter;
    const std::string rule = model_decides(policy.data(), asked);
    ++(rule.empty() ? counts.denied : counts.allowed);
    const ActionRequest asked_action{action, parameter};
    ASSERT_EQ(policy.allows(request, asked_action), !rule.empty()) << asked_action.text();
    const Explanation why = policy.explain(request, asked_action);
    ASSERT_EQ(why.allowed, !rule.empty());
    if (why.allowed) {
      ASSERT_EQ(why.rule, rule);
    }
    ASSERT_EQ(grant && permits(grant->permissions, asked), !rule.empty()) << asked_action.text();
    any = any || !rule.empty();
  }
  if (any) {
    ASSERT_TRUE(grant.has_value());
  }
  asked.action = Action::kJump;
  asked.parameter.clear();
  const std::string jump_rule = model_decides(policy.data(), asked);
  request.port = 22;
  const auto jump = policy.jump(request);
  ASSERT_EQ(jump.has_value(), !jump_rule.empty());
  if (jump) {
    ASSERT_EQ(jump->rule, jump_rule);
  }
  // A user for whom nothing at all is allowed here learns nothing of the target.
  if (!grant && !jump && policy.reachable(request).empty()) {
    ASSERT_EQ(grant.error().text, "no target \"" + asked.target + "\" that you may reach");
    ASSERT_EQ(jump.error().text, grant.error().text);
  }
}

TEST(Decision, AgreesWithTheModelOnRandomPolicies) {
  Counts counts;
  for (unsigned seed = 1; seed <= 1000; ++seed) {
    World world(seed);
    const Policy policy(world.policy());
    for (int i = 0; i < 12; ++i) {
      Question asked;
      asked.user = world.pick(kUsers);
      asked.login = world.pick(kLogins);
      asked.target = world.pick(kTargets);
      asked.peer = ip(world.pick(kPeers));
      compare(policy, asked, counts);
      ASSERT_FALSE(HasFatalFailure()) << "seed " << seed << ": " << asked.user << " as "
                                      << asked.login << " on " << asked.target;
    }
  }
  // Neither answer is rare, or the comparison would show little.
  EXPECT_GT(counts.allowed, 5'000);
  EXPECT_GT(counts.denied, 5'000);
}

TEST(Decision, ReachableListsExactlyWhatIsGranted) {
  for (unsigned seed = 1; seed <= 400; ++seed) {
    World world(seed);
    const Policy policy(world.policy());
    Request request;
    request.user = policy.find_user(world.pick(kUsers));
    request.peer = ip(world.pick(kPeers));
    std::map<std::string, Reachable> listed;
    for (Reachable& line : policy.reachable(request)) {
      listed.emplace(line.target, std::move(line));
    }
    for (const std::string target : {"web1", "web2"}) {
      request.target = target;
      const auto found = listed.find(target);
      for (const std::string& login : kLogins) {
        request.login = login;
        request.port = 0;
        const bool in_list = found != listed.end() &&
                             std::any_of(found->second.logins.begin(), found->second.logins.end(),
                                         [&](const std::string& name) { return name == login; });
        const bool any_login = found != listed.end() && !found->second.logins.empty() &&
                               found->second.logins.back() == "*";
        const bool granted = policy.grant(request).has_value();
        if (in_list) {
          EXPECT_TRUE(granted) << seed << target << login;
        }
        if (granted) {
          EXPECT_TRUE(in_list || any_login) << seed << target << login;
        }
      }
      request.login = {};
      request.port = 22;
      EXPECT_EQ(policy.jump(request).has_value(),
                found != listed.end() && found->second.actions.has(Action::kJump));
    }
  }
}

}  // namespace
}  // namespace bastion::config
