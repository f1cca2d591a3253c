#include "config/policy.h"

#include <gtest/gtest.h>

#include "tests/unit/config/support.h"

namespace bastion::config {
namespace {

class CompanyPolicy : public ::testing::Test {
 protected:
  std::shared_ptr<const Policy> policy = must_load(std::string(kCompany));

  Request ask(std::string_view user, std::string_view login, std::string_view target,
              std::uint16_t port = 0, std::string_view peer = "10.1.2.3") const {
    Request request;
    request.user = policy->find_user(user);
    request.login = login;
    request.target = target;
    request.port = port;
    request.peer = ip(peer);
    request.bastion = "bastion.corp";
    return request;
  }
  std::string refusal(const Request& request) const {
    const auto grant = policy->grant(request);
    return grant ? "granted" : grant.error().text;
  }
  std::string jump_refusal(const Request& request) const {
    const auto jump = policy->jump(request);
    return jump ? "granted" : jump.error().text;
  }
};

TEST_F(CompanyPolicy, GrantsWhatTheRuleListsAndNothingElse) {
  const auto grant = policy->grant(ask("alice", "deploy", "web1"));
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->login, "deploy");
  EXPECT_EQ(grant->rule, "developers-on-web");
  EXPECT_EQ(grant->target.name, "web1");
  EXPECT_EQ(grant->target.ip, ip("10.0.1.11"));
  EXPECT_EQ(grant->target.port, 22);
  proto::Permissions expected;
  expected.shell = expected.exec = expected.pty = true;
  expected.subsystems = {"sftp"};
  expected.forward_local = {{"localhost", 5432, 5432}, {"*.cache.internal", 6379, 6379}};
  expected.env = ServiceConfig().env;
  expected.sftp_files.rule = expected.exec_files.rule = grant->rule;
  EXPECT_EQ(grant->permissions, expected);
}

TEST_F(CompanyPolicy, AllGrantsEverythingButJump) {
  const auto grant = policy->grant(ask("bob", "root", "web1"));
  ASSERT_TRUE(grant.has_value());
  proto::Permissions expected;
  expected.shell = expected.exec = expected.pty = expected.agent = expected.x11 = true;
  expected.every_subsystem = true;
  expected.forward_local = expected.forward_remote = {{"*", 0, 65535}};
  expected.forward_local_sockets = expected.forward_remote_sockets = {"*"};
  expected.env = ServiceConfig().env;
  expected.sftp_files.rule = expected.exec_files.rule = "sre-everywhere";
  EXPECT_EQ(grant->permissions, expected);
  EXPECT_EQ(grant->rule_of[static_cast<std::size_t>(Action::kJump)], "");
  EXPECT_FALSE(policy->jump(ask("bob", "", "web1", 22)).has_value());
}

TEST_F(CompanyPolicy, DenyRulesComeFirstWhereverTheyStand) {
  const auto grant = policy->grant(ask("bob", "root", "db-7"));
  ASSERT_TRUE(grant.has_value());
  EXPECT_FALSE(grant->permissions.agent);
  EXPECT_FALSE(grant->permissions.x11);
  EXPECT_TRUE(grant->permissions.shell);
  EXPECT_FALSE(policy->allows(ask("bob", "root", "db-7"), {Action::kAgent, ""}));
  EXPECT_TRUE(policy->allows(ask("bob", "root", "web1"), {Action::kAgent, ""}));
}

TEST_F(CompanyPolicy, APatternFillsItsNameIntoTheAddress) {
  const auto grant = policy->grant(ask("bob", "root", "DB-7"));
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->target.name, "db-7");
  EXPECT_EQ(grant->target.address, "db-7.db.internal");
  EXPECT_FALSE(grant->target.ip.has_value());
  EXPECT_EQ(grant->target.host_names, (std::vector<std::string>{"db-7", "db-7.db.internal"}));
}

TEST_F(CompanyPolicy, UserStandsForTheUsersOwnName) {
  EXPECT_TRUE(policy->grant(ask("bob", "bob", "web1")).has_value());
  EXPECT_FALSE(policy->grant(ask("bob", "alice", "web1")).has_value());
  EXPECT_FALSE(policy->grant(ask("bob", "{user}", "web1")).has_value());
}

TEST_F(CompanyPolicy, SourceIsPartOfTheDecision) {
  EXPECT_TRUE(policy->grant(ask("bob", "root", "web1", 0, "10.255.0.1")).has_value());
  EXPECT_TRUE(policy->grant(ask("bob", "root", "web1", 0, "::ffff:10.0.0.1")).has_value());
  const auto outside = policy->grant(ask("bob", "root", "web1", 0, "11.0.0.1"));
  ASSERT_FALSE(outside.has_value());
  EXPECT_EQ(outside.error().reason, RefusalReason::kNoTarget);
}

TEST_F(CompanyPolicy, AnotherLoginIsNamedWhereThereIsOne) {
  EXPECT_EQ(refusal(ask("alice", "root", "web1")),
            "alice may not log in as root on web1; as deploy you may: "
            "ssh deploy@web1@bastion.corp");
  EXPECT_EQ(refusal(ask("bob", "oracle", "web1")),
            "bob may not log in as oracle on web1; as root, deploy or bob you may: "
            "ssh root@web1@bastion.corp");
}

TEST_F(CompanyPolicy, TargetsOutOfReachAreRefusedLikeTargetsThatDoNotExist) {
  const std::string hidden = refusal(ask("alice", "deploy", "legacy1"));
  const std::string missing = refusal(ask("alice", "deploy", "legacy2"));
  EXPECT_EQ(hidden, "no target \"legacy1\" that you may reach. All of yours: ssh bastion.corp ls");
  EXPECT_EQ(missing, "no target \"legacy2\" that you may reach. All of yours: ssh bastion.corp ls");
  EXPECT_EQ(refusal(ask("alice", "root", "db-1")),
            "no target \"db-1\" that you may reach. All of yours: ssh bastion.corp ls");
  EXPECT_EQ(refusal(ask("carol", "root", "web1")), "no target \"web1\" that you may reach");
}

TEST_F(CompanyPolicy, HintsNameOnlyWhatIsWithinReach) {
  EXPECT_EQ(refusal(ask("alice", "deploy", "wbe1")),
            "no target \"wbe1\" that you may reach. Did you mean web1 or web2? All of yours: "
            "ssh bastion.corp ls");
  // legacy1 is nearest, and not alice's.
  EXPECT_EQ(refusal(ask("alice", "deploy", "legasy1")).find("legacy1"), std::string::npos);
}

TEST_F(CompanyPolicy, ABriefRefusalLooksForNoHints) {
  auto request = ask("alice", "deploy", "wbe1");
  request.brief = true;
  EXPECT_EQ(refusal(request), "no target \"wbe1\" that you may reach");
  EXPECT_EQ(policy->jump(request).error().text, "no target \"wbe1\" that you may reach");
  // What else is told takes no walk through all targets.
  request.target = "web1";
  request.login = "root";
  EXPECT_NE(refusal(request).find("; as deploy you may"), std::string::npos);
}

TEST_F(CompanyPolicy, PatternsAreNoHints) {
  EXPECT_EQ(refusal(ask("bob", "root", "db-*")).find("Did you mean db-*"), std::string::npos);
  EXPECT_EQ(refusal(ask("bob", "root", "dbx")),
            "no target \"dbx\" that you may reach. All of yours: ssh bastion.corp ls");
}

TEST_F(CompanyPolicy, OnlyThePortsOfTheTargetAreReached) {
  EXPECT_EQ(refusal(ask("bob", "root", "web1", 22)), "granted");
  EXPECT_EQ(refusal(ask("bob", "root", "web1", 2222)), "web1 is reached on port 22 only");
  EXPECT_EQ(refusal(ask("bob", "root", "legacy1", 2305)), "granted");
  EXPECT_EQ(refusal(ask("bob", "root", "legacy1", 2311)),
            "legacy1 is reached on ports 22, 2222 and 2300-2310 only");
  EXPECT_EQ(policy->grant(ask("bob", "root", "legacy1", 2222))->target.port, 2222);
  // The port says nothing about targets out of reach.
  EXPECT_EQ(refusal(ask("alice", "root", "legacy1", 1)), refusal(ask("alice", "root", "legacy1")));
}

TEST_F(CompanyPolicy, JumpReachesTargetsByNameAndByAddress) {
  const auto by_name = policy->jump(ask("bob", "", "lab1", 2222));
  ASSERT_TRUE(by_name.has_value());
  EXPECT_EQ(by_name->rule, "sre-tunnels");
  EXPECT_EQ(by_name->target.address, "lab1.corp.example");
  EXPECT_EQ(by_name->target.port, 2222);
  EXPECT_TRUE(policy->jump(ask("bob", "", "LAB1.corp.example", 2222)).has_value());
  EXPECT_TRUE(policy->jump(ask("bob", "", "lab1.corp.example.", 2222)).has_value());
}

TEST_F(CompanyPolicy, JumpRefusalsNameTheWayThatWorks) {
  EXPECT_EQ(jump_refusal(ask("bob", "", "lab1", 22)), "lab1 is reached on port 2222 only");
  EXPECT_EQ(jump_refusal(ask("alice", "", "web1", 22)),
            "web1 is reached by a routed session only; use: ssh deploy@web1@bastion.corp");
  EXPECT_EQ(jump_refusal(ask("alice", "", "10.0.1.11", 22)),
            "web1 is reached by a routed session only; use: ssh deploy@web1@bastion.corp");
  EXPECT_EQ(jump_refusal(ask("bob", "", "db-3.db.internal", 22)),
            "db-3 is reached by a routed session only; use: ssh root@db-3@bastion.corp");
  const auto hidden = policy->jump(ask("alice", "", "10.9.0.3", 22));
  const auto missing = policy->jump(ask("alice", "", "10.9.0.4", 22));
  EXPECT_EQ(hidden.error().text,
            "no target \"10.9.0.3\" that you may reach. All of yours: ssh bastion.corp ls");
  EXPECT_EQ(missing.error().text,
            "no target \"10.9.0.4\" that you may reach. All of yours: ssh bastion.corp ls");
}

TEST_F(CompanyPolicy, HostsThatAreNoNamesAreNotRepeated) {
  for (const std::string host : {"\x1b]0;pwned\x07", "a b", "../x", "%n%s", "", "a\nb"}) {
    const auto jump = policy->jump(ask("alice", "", host, 22));
    ASSERT_FALSE(jump.has_value());
    EXPECT_EQ(jump.error().text,
              "no target of that name that you may reach. All of yours: ssh bastion.corp ls");
  }
}

TEST_F(CompanyPolicy, OtherSpellingsOfAnAddressReachNothing) {
  for (const std::string host :
       {"10.9.3", "168361995", "0x0a.0.1.11", "012.0.1.11", "::ffff:10.0.1.11%eth0", "10.0.1.11:22",
        "[10.0.1.11]", "web1.", "127.0.0.1", "localhost", "169.254.169.254", "0", "::1"}) {
    EXPECT_FALSE(policy->jump(ask("bob", "", host, 22)).has_value()) << host;
  }
  // v4-mapped is the same address; it is found, and is not granted to bob for another reason.
  EXPECT_EQ(jump_refusal(ask("bob", "", "::ffff:10.0.1.11", 22)),
            "web1 is reached by a routed session only; use: ssh root@web1@bastion.corp");
}

TEST_F(CompanyPolicy, ListsWhatAUserMayReach) {
  const auto alice = policy->reachable(ask("alice", "", ""));
  ASSERT_EQ(alice.size(), 3U);
  EXPECT_EQ(alice[0].target, "web1");
  EXPECT_EQ(alice[0].logins, (std::vector<std::string>{"deploy"}));
  EXPECT_TRUE(alice[0].actions.has(Action::kShell));
  EXPECT_FALSE(alice[0].actions.has(Action::kAgent));
  EXPECT_EQ(alice[2].target, "lab1");
  const auto bob = policy->reachable(ask("bob", "", ""));
  ASSERT_EQ(bob.size(), 5U);
  EXPECT_EQ(bob[2].target, "db-*");
  EXPECT_EQ(bob[2].logins, (std::vector<std::string>{"root", "deploy", "bob"}));
  EXPECT_TRUE(bob[3].actions.has(Action::kJump));
  EXPECT_FALSE(bob[0].actions.has(Action::kJump));
  EXPECT_TRUE(policy->reachable(ask("carol", "", "")).empty());
  // From outside bob keeps only what asks for no source: the tunnel.
  const auto outside = policy->reachable(ask("bob", "", "", 0, "192.0.2.1"));
  ASSERT_EQ(outside.size(), 1U);
  EXPECT_EQ(outside[0].target, "lab1");
  EXPECT_TRUE(outside[0].logins.empty());
}

TEST_F(CompanyPolicy, ExplainsLikeTheManual) {
  EXPECT_EQ(policy->explain(ask("alice", "root", "web1"), {Action::kShell, ""}).text(),
            "denied: no rule allows login root here for alice\n"
            "  developers-on-web   allows deploy, not root\n"
            "  sre-everywhere      alice is not in group sre\n");
  EXPECT_EQ(policy->explain(ask("alice", "deploy", "web1"), {Action::kShell, ""}).text(),
            "allowed by rule \"developers-on-web\"\n"
            "  developers-on-web   allows it\n");
  EXPECT_EQ(policy->explain(ask("alice", "deploy", "web1"), {Action::kAgent, ""}).text(),
            "denied: no rule allows agent to alice as deploy on web1\n"
            "  developers-on-web   allows shell, exec, sftp, forward_local (localhost:5432, "
            "*.cache.internal:6379), not agent\n"
            "  sre-everywhere      alice is not in group sre\n");
  EXPECT_EQ(policy->explain(ask("bob", "root", "db-1"), {Action::kAgent, ""}).text(),
            "denied by rule \"no-agent-on-databases\"\n"
            "  no-agent-on-databases   denies it\n");
  EXPECT_EQ(policy->explain(ask("bob", "root", "web1", 0, "192.0.2.1"), {Action::kExec, ""}).text(),
            "denied: no rule allows exec to bob as root on web1\n"
            "  developers-on-web   bob is not in group developers\n"
            "  sre-everywhere      is for sources in 10.0.0.0/8, not 192.0.2.1\n");
  EXPECT_EQ(policy->explain(ask("alice", "deploy", "wbe1"), {Action::kShell, ""}).text(),
            "denied: there is no target \"wbe1\" (did you mean \"web1\"?)\n");
}

TEST_F(CompanyPolicy, ForwardingIsDecidedByItsDestination) {
  const auto may = [&](std::string_view destination) {
    return policy->allows(ask("alice", "deploy", "web1"),
                          {Action::kForwardLocal, std::string(destination)});
  };
  EXPECT_TRUE(may("localhost:5432"));
  EXPECT_TRUE(may("LocalHost:5432"));
  EXPECT_TRUE(may("a.cache.internal:6379"));
  EXPECT_FALSE(may("localhost:5433"));
  EXPECT_FALSE(may("cache.internal:6379"));
  EXPECT_FALSE(may("localhost"));
  EXPECT_FALSE(may("127.0.0.1:5432"));
}

TEST_F(CompanyPolicy, AKeyHasOneUser) {
  EXPECT_EQ(policy->user_by_key(key_blob(1))->name, "alice");
  EXPECT_EQ(policy->user_by_key(key_blob(2))->name, "bob");
  EXPECT_EQ(policy->user_by_key(key_blob(9)), nullptr);
  EXPECT_EQ(policy->user_by_key({}), nullptr);
}

TEST_F(CompanyPolicy, UserNamesMustFitTheKey) {
  const User& alice = *policy->find_user("alice");
  const auto fits = [&](std::string_view name) {
    return policy->user_name_fits(*parse_user_name(name), alice);
  };
  EXPECT_TRUE(fits("deploy@web1"));
  EXPECT_TRUE(fits("alice+deploy@web1"));
  EXPECT_FALSE(fits("bob+deploy@web1"));
  EXPECT_FALSE(fits("nobody+deploy@web1"));
  EXPECT_TRUE(fits("bob@web1")) << "bob is the login here";
  EXPECT_TRUE(fits("alice"));
  EXPECT_TRUE(fits("akim"));
  EXPECT_FALSE(fits("bob"));
}

TEST_F(CompanyPolicy, RestrictionsTakeAway) {
  Restrictions restrictions;
  restrictions.pty = restrictions.agent = restrictions.x11 = restrictions.port_forwarding = false;
  restrictions.force_command = "uptime";
  Request request = ask("bob", "root", "web1");
  request.restrictions = &restrictions;
  const auto grant = policy->grant(request);
  ASSERT_TRUE(grant.has_value());
  proto::Permissions expected;
  expected.shell = expected.exec = expected.every_subsystem = true;
  expected.env = ServiceConfig().env;
  expected.force_command = "uptime";
  expected.sftp_files.rule = expected.exec_files.rule = "sre-everywhere";
  EXPECT_EQ(grant->permissions, expected);

  Request tunnel = ask("bob", "", "lab1", 2222);
  EXPECT_TRUE(policy->jump(tunnel).has_value());
  tunnel.restrictions = &restrictions;
  EXPECT_EQ(policy->jump(tunnel).error().reason, RefusalReason::kRestricted);
  Restrictions only_command;
  only_command.force_command = "uptime";
  tunnel.restrictions = &only_command;
  EXPECT_FALSE(policy->jump(tunnel).has_value());
}

constexpr std::string_view kHead = R"(users:
  alice: {keys: ["KEY1"], groups: [a]}
  bob: {keys: ["KEY2"]}
target_defaults: {host_ca: "KEY60"}
targets:
  web1: {address: 10.0.0.1}
  "app-*": {address: "{name}.app.internal"}
  "*.dc2": {address: "{name}"}
rules:
)";

std::shared_ptr<const Policy> with_rules(std::string_view rules) {
  return must_load(std::string(kHead) + std::string(rules));
}

Request plain_request(const Policy& policy, std::string_view login, std::string_view target) {
  Request request;
  request.user = policy.find_user("alice");
  request.login = login;
  request.target = target;
  request.port = 22;
  request.bastion = "b";
  return request;
}

TEST(Policy, ADenyRuleForALoginDeniesTheTunnelToo) {
  const auto policy = with_rules(R"(
  - {name: tunnels, who: all, targets: all, allow: [jump]}
  - {name: no-root, deny: true, who: all, targets: [web1], logins: [root]}
)");
  EXPECT_FALSE(policy->jump(plain_request(*policy, "", "web1")).has_value());
  EXPECT_TRUE(policy->jump(plain_request(*policy, "", "app-1")).has_value());
}

TEST(Policy, ADenyRuleForShellsLeavesTheTunnel) {
  const auto policy = with_rules(R"(
  - {name: tunnels, who: all, targets: all, allow: [jump]}
  - {name: no-shell, deny: [shell], who: all, targets: [web1], logins: [root]}
)");
  EXPECT_TRUE(policy->jump(plain_request(*policy, "", "web1")).has_value());
}

TEST(Policy, ATargetReachedByTunnelOnlySaysSo) {
  const auto policy = with_rules("  - {name: t, who: all, targets: all, allow: [jump]}\n");
  const auto grant = policy->grant(plain_request(*policy, "root", "web1"));
  ASSERT_FALSE(grant.has_value());
  EXPECT_EQ(grant.error().reason, RefusalReason::kTunnelOnly);
  EXPECT_EQ(grant.error().text, "web1 is reached by a tunnel only: ssh -J b root@web1");
}

TEST(Policy, ADotAtTheEndMakesNoOtherNameOfATarget) {
  const auto policy = must_load(R"(users: {alice: {}}
target_defaults: {host_ca: "KEY60"}
targets:
  db-1: {address: 10.0.0.1, labels: {env: prod}}
  "db-*": {address: "{name}.internal"}
rules:
  - {name: no-prod, deny: true, who: all, targets: [db-1]}
  - {name: rest, who: all, targets: all, logins: all, allow: all}
  - {name: tunnels, who: all, targets: all, allow: [jump]}
)");
  for (const std::string_view name : {"db-1", "DB-1", "db-1.", "DB-1.", "db-1..", "db-1..x"}) {
    EXPECT_FALSE(policy->grant(plain_request(*policy, "root", name)).has_value()) << name;
    EXPECT_FALSE(policy->jump(plain_request(*policy, "", name)).has_value()) << name;
  }
  EXPECT_TRUE(policy->grant(plain_request(*policy, "root", "db-2")).has_value());
  EXPECT_TRUE(policy->jump(plain_request(*policy, "", "db-2")).has_value());
}

TEST(Policy, PatternsNeverBecomeAddresses) {
  const auto policy =
      with_rules("  - {name: t, who: all, targets: all, logins: all, allow: all}\n");
  EXPECT_TRUE(policy->find_target("x.dc2").has_value());
  EXPECT_EQ(policy->find_target("x.dc2")->address, "x.dc2");
  const auto numbers = must_load(R"(users: {alice: {}}
target_defaults: {host_ca: "KEY60"}
targets:
  "1*.*": {address: "{name}"}
rules: []
)");
  for (const std::string_view name : {"127.0.0.1", "127.1", "10.0x1", "1.2.3.0X10"}) {
    EXPECT_FALSE(numbers->find_target(name).has_value()) << name;
  }
  EXPECT_TRUE(numbers->find_target("1st.example").has_value());
}

TEST(Policy, RulesMayNameAPartOfAPattern) {
  const auto policy = with_rules(R"(
  - {name: seven, who: all, targets: [app-7], logins: [root], allow: [shell]}
  - {name: teens, who: all, targets: ["app-1?"], logins: [root], allow: [shell]}
)");
  EXPECT_TRUE(policy->grant(plain_request(*policy, "root", "app-7")).has_value());
  EXPECT_TRUE(policy->grant(plain_request(*policy, "root", "app-12")).has_value());
  EXPECT_FALSE(policy->grant(plain_request(*policy, "root", "app-8")).has_value());
  const auto reachable = policy->reachable(plain_request(*policy, "", ""));
  ASSERT_EQ(reachable.size(), 2U);
  EXPECT_EQ(reachable[0].target, "app-7");
  EXPECT_EQ(reachable[1].target, "app-1?");
}

TEST(Policy, PtyIsWithheldByTheRuleThatDecides) {
  const auto policy = with_rules(R"(
  - {name: batch, who: all, targets: [web1], logins: [root], allow: [exec], pty: false,
     env: [BATCH]}
  - {name: later, who: all, targets: [web1], logins: [root], allow: [exec], env: [LATER]}
)");
  const auto grant = policy->grant(plain_request(*policy, "root", "web1"));
  ASSERT_TRUE(grant.has_value());
  EXPECT_FALSE(grant->permissions.pty);
  EXPECT_EQ(grant->permissions.env.back(), "BATCH");
  EXPECT_EQ(grant->rule, "batch");
}

TEST(Policy, MayDialWhatThePolicyNamesAndNothingSpecialByDns) {
  const auto policy = must_load(R"(users: {alice: {}}
target_defaults: {host_ca: "KEY60"}
targets:
  fixed: {address: 127.0.0.1}
  named: {address: web.example}
  self: {address: localhost}
rules: []
)");
  const auto fixed = *policy->find_target("fixed");
  EXPECT_TRUE(may_dial(fixed, ip("127.0.0.1")));
  EXPECT_FALSE(may_dial(fixed, ip("10.0.0.1")));
  const auto named = *policy->find_target("named");
  EXPECT_TRUE(may_dial(named, ip("10.0.0.1")));
  EXPECT_TRUE(may_dial(named, ip("2001:db8::1")));
  for (const std::string_view special :
       {"127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "169.254.169.254", "fe80::1", "224.0.0.1",
        "ff02::1", "255.255.255.255", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::", "::127.0.0.1", "64:ff9b:1::1"}) {
    EXPECT_FALSE(may_dial(named, ip(special))) << special;
  }
  const auto self = *policy->find_target("self");
  EXPECT_TRUE(may_dial(self, ip("127.0.0.1")));
  EXPECT_TRUE(may_dial(self, ip("::1")));
  EXPECT_FALSE(may_dial(self, ip("169.254.169.254")));
}

TEST(Policy, TheHashCoversWhatDecidesAndNotTheLayout) {
  const auto policy = must_load(std::string(kCompany));
  EXPECT_EQ(policy->hash().size(), 64U);
  EXPECT_EQ(policy->id(), policy->hash().substr(0, 6));
  std::string commented = "# a comment\n" + std::string(kCompany);
  EXPECT_EQ(must_load(commented)->hash(), policy->hash());
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"logins: [deploy]", "logins: [depl0y]"},
                                                        {"10.0.0.0/8", "10.0.0.0/9"},
                                                        {"10.0.1.12", "10.0.1.13"},
                                                        {"KEY61", "KEY62"},
                                                        {"KEY50", "KEY51"},
                                                        {"deny: [agent, x11]", "deny: [agent]"},
                                                        {"localhost:5432", "localhost:5433"},
                                                        {"2300-2310", "2300-2311"}}) {
    std::string changed(kCompany);
    changed.replace(changed.find(from), from.size(), to);
    EXPECT_NE(must_load(changed)->hash(), policy->hash()) << to;
  }
}

TEST(ActionRequest, IsReadAndWritten) {
  EXPECT_EQ(parse_action("shell"), (ActionRequest{Action::kShell, ""}));
  EXPECT_EQ(parse_action("sftp"), (ActionRequest{Action::kSubsystem, "sftp"}));
  EXPECT_EQ(parse_action("subsystem:netconf"), (ActionRequest{Action::kSubsystem, "netconf"}));
  EXPECT_EQ(parse_action("forward_local:db:5432"),
            (ActionRequest{Action::kForwardLocal, "db:5432"}));
  for (const std::string_view bad :
       {"", "shel", "shell:x", "jump:x", "subsystem:", "sftp:x", "SHELL"}) {
    EXPECT_FALSE(parse_action(bad).has_value()) << bad;
  }
  for (const std::string_view text :
       {"shell", "sftp", "subsystem:x", "forward_remote:*:1", "jump"}) {
    EXPECT_EQ(parse_action(text)->text(), text);
  }
}

}  // namespace
}  // namespace bastion::config
