#include <gtest/gtest.h>

#include "tests/unit/config/support.h"

namespace bastion::config {
namespace {

constexpr std::string_view kFile = "/etc/bastiond/policy.yaml";

/// messages: all errors, or the warnings of a policy that is good, without the file's name.
std::string messages(const std::string& text) {
  const auto loaded = load_policy_text(text);
  EXPECT_EQ(loaded.value.has_value(), loaded.problems.ok());
  std::string out;
  for (const Problem& problem :
       loaded.problems.ok() ? loaded.problems.warnings : loaded.problems.errors) {
    std::string line = problem.text();
    out += line.starts_with(kFile) ? line.substr(kFile.size() + 1) + "\n" : line + "\n";
  }
  return loaded.problems.ok() && out.empty() ? "ok\n" : out;
}

struct Golden {
  std::string_view text;
  std::string_view expected;
  friend void PrintTo(const Golden& golden, std::ostream* out) { *out << golden.text; }
};

// --- users ---------------------------------------------------------------------------------------

class UserErrors : public ::testing::TestWithParam<Golden> {};

TEST_P(UserErrors, AreSaidWithTheirPlace) {
  EXPECT_EQ(messages("targets: {}\nrules: []\n" + std::string(GetParam().text)),
            GetParam().expected);
}

// The text begins in line 3.
INSTANTIATE_TEST_SUITE_P(
    Goldens, UserErrors,
    ::testing::Values(
        Golden{"users: {alice: {}}\n", "ok\n"},
        Golden{"users: {alice: {kyes: []}}\n",
               "3:17: unknown key \"kyes\" in user \"alice\" (did you mean \"keys\"?)\n"},
        Golden{"users: {alice: {keys: \"KEY1\"}}\n",
               "3:23: \"keys\" of user \"alice\": expected a list of public keys, found "
               "\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEB...\"\n"},
        Golden{"users: {alice: [x]}\n",
               "3:16: user \"alice\": expected keys and values, found a list\n"},
        Golden{"users: {alice: }\n",
               "3:16: user \"alice\": expected keys and values, found nothing\n"},
        Golden{"users: {\"a b\": {}}\n",
               "3:9: a user's name: expected letters, digits, '.', '_' and '-', found \"a b\"\n"},
        Golden{"users: {alice: {groups: [no, \"x y\"]}}\n",
               "3:30: \"groups\" of user \"alice\": expected letters, digits, '.', '_' and '-', "
               "found \"x y\"\n"},
        Golden{"users:\n  alice: {keys: [\"KEY1\"]}\n  bob: {keys: [\"KEY1\"]}\n",
               "5:16: the key SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA of user "
               "\"bob\" is already a key of user \"alice\" (line 4)\n"},
        Golden{"users: {alice: {keys: [\"KEY1\", \"KEY1 again\"]}}\n",
               "3:108: the key SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA of user "
               "\"alice\" is already there (line 3)\n"},
        Golden{
            "users: {alice: {keys: [{key: \"KEY1\", touch_required: false}]}}\n",
            "3:24: \"keys\" of user \"alice\": only security keys (sk-...) can ask for a touch or "
            "verification\n"},
        Golden{"users: {alice: {keys: [{key: \"KEY1\", from: []}]}}\n",
               "3:120: \"from\" of \"keys\" of user \"alice\": expected at least one address "
               "block, found a list\n"},
        Golden{"users: {alice: {}}\nuser_cas: {corp: {key: \"KEY9\", principals_are: user}}\n",
               "4:124: \"principals_are\" of user CA \"corp\": expected users, or a map of "
               "principals to users, found \"user\"\n"},
        Golden{
            "users: {alice: {}}\nuser_cas: {corp: {key: \"KEY9\", principals_are: {x: alcie}}}\n",
            "4:128: \"principals_are\" of user CA \"corp\": there is no user \"alcie\" (did "
            "you mean \"alice\"?)\n"},
        Golden{
            "users: {alice: {}}\nuser_cas: {corp: {}}\n",
            "4:18: user CA \"corp\": the key \"key\" is missing; expected the CA's public key\n"},
        Golden{"users: {alice: {}}\nrevoked_keys: [\"SHA256:short\"]\n",
               "4:16: \"revoked_keys\": expected a fingerprint as ssh-keygen -l prints it, found "
               "\"SHA256:short\"\n"}));

// --- targets
// ---------------------------------------------------------------------------------------

class TargetErrors : public ::testing::TestWithParam<Golden> {};

TEST_P(TargetErrors, AreSaidWithTheirPlace) {
  EXPECT_EQ(messages("users: {}\nrules: []\n" + std::string(GetParam().text)), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Goldens, TargetErrors,
    ::testing::Values(
        Golden{"targets: {switch7: {address: 10.0.0.1, credentail: certificate, host_keys: "
               "[\"KEY1\"]}}\n",
               "3:40: unknown key \"credentail\" in target \"switch7\" (did you mean "
               "\"credential\"?)\n"},
        Golden{"targets: {web1: {address: 10.0.0.1}}\n",
               "3:11: target \"web1\" has nothing to know its host by: give it host_keys, host_ca "
               "or known_hosts, or put one into target_defaults\n"},
        Golden{"targets: {web1: {host_ca: \"KEY1\"}}\n",
               "3:17: target \"web1\": the key \"address\" is missing; expected an IP address or a "
               "DNS name\n"},
        Golden{"targets: {web1: {address: 10.0.0.256, host_ca: \"KEY1\"}}\n",
               "3:27: \"address\" of target \"web1\": expected an IP address or a DNS name, found "
               "\"10.0.0.256\"\n"},
        Golden{"targets: {web1: {address: \"127.1\", host_ca: \"KEY1\"}}\n",
               "3:27: \"address\" of target \"web1\": expected an IP address or a DNS name, found "
               "\"127.1\"\n"},
        Golden{
            "targets: {web1: {address: \"{name}.x\", host_ca: \"KEY1\"}}\n",
            "3:27: \"address\" of target \"web1\": {name} stands for a part of a pattern's name, "
            "and \"web1\" is no pattern\n"},
        Golden{"targets: {\"w*\": {address: 10.0.0.1, host_ca: \"KEY1\"}}\n",
               "3:27: \"address\" of target \"w*\": expected a DNS name with {name} in it, such as "
               "\"{name}.db.internal\"; every name of a pattern has its own address, found "
               "\"10.0.0.1\"\n"},
        Golden{"targets: {\"*\": {address: \"{name}\", host_ca: \"KEY1\"}}\n",
               "3:26: \"address\" of target \"*\": the pattern \"*\" with this address would reach "
               "every host that anybody names\n"},
        Golden{"targets: {\"db-*\": {address: \"{name}\", host_ca: \"KEY1\"}}\n",
               "3:29: \"address\" of target \"db-*\": what a user names is looked up as it stands, "
               "and a name of one word is none in the DNS: write the domain, such as "
               "\"{name}.example.com\"\n"},
        Golden{"targets: {\"db-*\": {address: \"x-{name}\", host_ca: \"KEY1\"}}\n",
               "3:29: \"address\" of target \"db-*\": what a user names is looked up as it stands, "
               "and a name of one word is none in the DNS: write the domain, such as "
               "\"x-{name}.example.com\"\n"},
        Golden{"targets: {\"2222\": {address: 10.0.0.1, host_ca: \"KEY1\"}}\n",
               "3:11: a target's name of digits alone (\"2222\") would be read as a port\n"},
        Golden{"targets: {\"a/b\": {address: 10.0.0.1, host_ca: \"KEY1\"}}\n",
               "3:11: a target's name: expected at most 64 letters, digits, '.', '_' and '-', or a "
               "glob of them, found \"a/b\"\n"},
        Golden{"targets:\n  web1: {address: 10.0.0.1, host_ca: \"KEY1\"}\n  Web1: {address: "
               "10.0.0.2, host_ca: \"KEY1\"}\n",
               "5:3: target \"Web1\" differs only in case from the one in line 4\n"},
        Golden{"targets: {web1: {address: 10.0.0.1, host_ca: \"KEY1\", port: 0}}\n",
               "3:136: \"port\" of target \"web1\": expected a number from 1 to 65535, found "
               "\"0\"\n"},
        Golden{"targets: {web1: {address: 10.0.0.1, host_ca: \"KEY1\", ports: [9-8]}}\n",
               "3:138: \"ports\" of target \"web1\": expected a port, or a range such as "
               "2200-2299, found \"9-8\"\n"},
        Golden{"targets: {web1: {address: 10.0.0.1, host_ca: KEY1, credential: password}}\n",
               "3:140: \"credential\" of target \"web1\": expected certificate, or {key_file: "
               "FILE}, found \"password\"\n"},
        Golden{"targets: {web1: {address: 10.0.0.1, host_ca: \"KEY1\", credential: {password_file: "
               "x}}}\n",
               "3:143: \"password_file\" of \"credential\" of target \"web1\" is not supported "
               "by this version: use a key file or certificates\n"},
        Golden{"targets: {web1: {address: 10.0.0.1, host_ca: \"KEY1\", credential: {key_file: "
               "known_hosts}}}\n",
               "3:153: \"credential\" of target \"web1\": /etc/bastiond/known_hosts: this is "
               "not a private key file (OpenSSH's or PEM)\n"},
        Golden{"targets: {web1: {address: 10.0.0.1, host_ca: \"KEY1\", credential: {key_file: "
               "none}}}\n",
               "3:153: \"credential\" of target \"web1\": /etc/bastiond/none: it is not among "
               "the files that were passed on\n"},
        Golden{"targets: {web1: {address: 10.0.0.1, known_hosts: missing}}\n",
               "3:50: \"known_hosts\" of target \"web1\": /etc/bastiond/missing: it is not among "
               "the files that were passed on\n"},
        Golden{"targets: {web1: {address: 10.0.0.1, known_hosts: bad_hosts}}\n",
               "/etc/bastiond/bad_hosts:1: the key is not base64 of a public key: \"AAAA\"\n"},
        Golden{"targets: {web1: {address: 10.0.0.1, known_hosts: empty_hosts}}\n",
               "3:50: \"known_hosts\" of target \"web1\": /etc/bastiond/empty_hosts knows no host, "
               "so no connection will be made by it\n"},
        Golden{
            "targets: {web1: {address: \"10.0.0.1:2222\", host_ca: \"KEY1\"}}\n",
            "3:27: \"address\" of target \"web1\": expected an IP address or a DNS name (a port is "
            "written as `port:` beside it), found \"10.0.0.1:2222\"\n"},
        Golden{"targets: {web1: {address: 10.0.0.1, known_hosts: known_hosts}}\n", "ok\n"},
        Golden{"targets: {web1: {address: 10.0.0.1, host_ca: \"KEY1\", legacy: [aes128-cbc]}}\n",
               "3:139: \"legacy\" of target \"web1\": \"aes128-cbc\" is not an algorithm of "
               "this version\n"},
        Golden{"targets: {web1: {address: 10.0.0.1, host_ca: \"KEY1\", labels: {env: [a]}}}\n",
               "3:144: \"labels\" of target \"web1\": expected text, found a list\n"}));

// --- rules
// -----------------------------------------------------------------------------------------

constexpr std::string_view kHead =
    "users: {alice: {groups: [developers]}, bob: {}}\n"
    "targets: {web1: {address: 10.0.0.1, host_ca: \"KEY1\", labels: {env: prod}}}\n"
    "rules:\n";

class RuleErrors : public ::testing::TestWithParam<Golden> {};

TEST_P(RuleErrors, AreSaidWithTheirPlace) {
  EXPECT_EQ(messages(std::string(kHead) + std::string(GetParam().text)), GetParam().expected);
}

constexpr std::string_view kOpaque =
    "jump is an opaque tunnel to the target, in which we see neither login nor commands; give jump "
    "a rule of its own\n";

INSTANTIATE_TEST_SUITE_P(
    Goldens, RuleErrors,
    ::testing::Values(
        Golden{"- {name: r, who: all, targets: all, logins: all, allow: all}\n", "ok\n"},
        Golden{"- {name: r, who: [group:develoeprs], targets: all, logins: all, allow: all}\n",
               "4:19: rule \"r\": no user is in group \"develoeprs\" (did you mean "
               "\"developers\"?)\n"},
        Golden{"- {name: r, who: [alcie], targets: all, logins: all, allow: all}\n",
               "4:19: rule \"r\": there is no user \"alcie\" (did you mean \"alice\"?)\n"},
        Golden{"- {name: r, who: [developers], targets: all, logins: all, allow: all}\n",
               "4:19: rule \"r\": there is no user \"developers\" (did you mean "
               "\"group:developers\"?)\n"},
        Golden{
            "- {name: r, who: [], targets: all, logins: all, allow: all}\n",
            "4:18: \"who\" of rule \"r\": expected all, or a list of users and group:NAME, found "
            "a list\n"},
        Golden{
            "- {name: r, who: everybody, targets: all, logins: all, allow: all}\n",
            "4:18: \"who\" of rule \"r\": expected all, or a list of users and group:NAME, found "
            "\"everybody\"\n"},
        Golden{"- {name: r, who: all, targets: [wbe1], logins: all, allow: all}\n",
               "4:33: rule \"r\": there is no target \"wbe1\" (did you mean \"web1\"?)\n"},
        Golden{"- {name: r, who: all, targets: {env: lab}, logins: all, allow: all}\n",
               "4:32: rule \"r\": no target has these labels\n"},
        Golden{"- {name: r, who: all, targets: {}, logins: all, allow: all}\n",
               "4:32: \"targets\" of rule \"r\": expected all, names, or at least one label, found "
               "keys and values\n"},
        Golden{"- {name: r, who: all, targets: all, allow: [shell]}\n",
               "4:3: rule \"r\": the key \"logins\" is missing; expected a list of logins, or "
               "all\n"},
        Golden{"- {name: r, who: all, targets: all, logins: [\"ro ot\"], allow: [shell]}\n",
               "4:46: \"logins\" of rule \"r\": expected letters, digits, '.', '_' and '-'; or "
               "{user} for the user's own name, found \"ro ot\"\n"},
        Golden{"- {name: r, who: all, targets: all, logins: all}\n",
               "4:3: rule \"r\": expected \"allow\" or \"deny\"\n"},
        Golden{"- {name: r, who: all, targets: all, logins: all, allow: all, deny: true}\n",
               "4:3: rule \"r\": it has both \"allow\" and \"deny\"\n"},
        Golden{"- {who: all, targets: all, logins: all, allow: all}\n",
               "4:3: rule \"#1\": the key \"name\" is missing; expected a name\n"},
        Golden{"- {name: r, who: all, targets: all, deny: true}\n"
               "- {name: r, who: all, targets: all, deny: true}\n",
               "5:10: a rule \"r\" is in line 4 already\n"},
        Golden{"- {name: r, who: all, targets: all, deny: yes}\n",
               "4:43: \"deny\" of rule \"r\": expected true or false, found \"yes\"\n"},
        Golden{"- {name: r, who: all, targets: all, deny: false}\n",
               "4:43: \"deny\" of rule \"r\": false says nothing; leave the key out\n"},
        Golden{"- {name: r, who: all, targets: all, deny: [sftp]}\n",
               "4:44: \"deny\" of rule \"r\": sftp cannot be denied by itself; deny subsystem, "
               "which is all of them, and know that exec moves files, too\n"},
        Golden{"- {name: r, who: all, targets: all, deny: [agnt]}\n",
               "4:44: \"deny\" of rule \"r\": unknown action \"agnt\" (did you mean \"agent\"?)\n"},
        Golden{
            "- {name: r, who: all, targets: all, logins: all, allow: [shel]}\n",
            "4:58: \"allow\" of rule \"r\": unknown action \"shel\" (did you mean \"shell\"?)\n"},
        Golden{"- {name: r, who: all, targets: all, logins: all, allow: [pty]}\n",
               "4:58: \"allow\" of rule \"r\": unknown action \"pty\" (a pty comes with shell and "
               "exec; \"pty: false\" in the rule withholds it)\n"},
        Golden{
            "- {name: r, who: all, targets: all, logins: all, allow: [{exec: [ls]}]}\n",
            "4:59: \"allow\" of rule \"r\": \"exec\" takes no parameters in this version: a list "
            "of commands would not be kept\n"},
        Golden{"- {name: r, who: all, targets: all, logins: all, allow: [{forward_local: [db]}]}\n",
               "4:75: \"forward_local\" in \"allow\" of rule \"r\": expected HOST:PORT, such as "
               "\"localhost:5432\" or \"*.internal:*\", found \"db\"\n"},
        Golden{"- {name: r, who: all, targets: all, logins: all, allow: []}\n",
               "4:57: \"allow\" of rule \"r\": expected all (which is all but jump), or a list of "
               "actions, found a list\n"},
        Golden{"- {name: r, who: all, targets: all, logins: all, allow: all, record: full}\n",
               "4:70: \"record\" of rule \"r\": nothing is recorded by this service; give "
               "bastiond.yaml a \"state_dir\" or \"recording\"\n"},
        Golden{"- {name: r, who: all, targets: all, logins: all, allow: all, record: all}\n",
               "4:70: \"record\" of rule \"r\": expected full, metadata or none, found \"all\"\n"},
        Golden{"- {name: r, who: all, targets: all, deny: true, record_input: true}\n",
               "4:3: rule \"r\": \"record_input\" has no meaning in a deny rule\n"},
        Golden{"- {name: r, who: all, targets: all, logins: all, allow: all, record: none}\n",
               "ok\n"},
        Golden{"- {name: r, who: all, targets: all, logins: all, allow: all, require: [key]}\n",
               "ok\n"},
        Golden{
            "- {name: r, who: all, targets: all, logins: all, allow: all, require: [key, totp]}\n",
            "4:77: \"require\" of rule \"r\": only \"key\" is available in this version, found "
            "\"totp\"\n"},
        Golden{"- {name: r, who: all, targets: all, deny: true, when: {hours: \"22:00-06:00\"}}\n",
               "4:56: \"hours\" of \"when\" of rule \"r\" is not supported by this version: a rule "
               "that asks for a time would hold at all times\n"},
        Golden{"- {name: r, who: all, targets: all, deny: true, when: {from: [10.0.0.1/8]}}\n",
               "4:63: \"from\" of \"when\" of rule \"r\": expected an address block such as "
               "10.0.0.0/8, with no bit set beyond it, found \"10.0.0.1/8\"\n"},
        Golden{"- {name: r, who: all, targets: all, deny: true, when: {}}\n",
               "4:55: \"when\" of rule \"r\": expected a condition such as {from: [10.0.0.0/8]}, "
               "found keys and values\n"},
        Golden{"- {name: r, who: all, targets: all, logins: all, allow: all, pty: no}\n",
               "4:67: \"pty\" of rule \"r\": expected true or false, found \"no\"\n"},
        Golden{"- {name: r, who: all, targets: all, allow: [jump]}\n", "ok\n"},
        Golden{"- text\n", "4:3: rule \"#1\": expected keys and values, found \"text\"\n"},
        Golden{"- {name: r, who: all, targets: all, deny: true, target: all}\n",
               "4:49: unknown key \"target\" in rule \"r\" (did you mean \"targets\"?)\n"}));

TEST(RuleErrors, AJumpRuleHasNothingThatCannotHoldInATunnel) {
  for (const std::string_view key : {"logins: [root]", "record: none", "env: [X]", "pty: false"}) {
    EXPECT_EQ(messages(std::string(kHead) + "- {name: r, who: all, targets: all, allow: [jump], " +
                       std::string(key) + "}\n"),
              "4:3: rule \"r\": a rule with \"" + std::string(key.substr(0, key.find(':'))) +
                  "\" cannot allow jump: " + std::string(kOpaque));
  }
  EXPECT_EQ(messages(std::string(kHead) +
                     "- {name: r, who: all, targets: all, logins: all, allow: [shell, jump]}\n"),
            "4:3: rule \"r\": a rule with \"logins\" cannot allow jump: " + std::string(kOpaque));
}

// --- tests
// -----------------------------------------------------------------------------------------

TEST(PolicyTests, ThatHoldLetThePolicyIn) {
  EXPECT_EQ(messages(std::string(kHead) +
                     "- {name: r, who: [alice], targets: all, logins: [deploy], allow: [shell, "
                     "{forward_local: [\"db:5432\"]}]}\n"
                     "tests:\n"
                     "- {user: alice, as: deploy, target: web1, do: shell, expect: allow}\n"
                     "- {user: alice, as: root, target: web1, do: shell, expect: deny}\n"
                     "- {user: alice, as: deploy, target: web1, do: \"forward_local:db:5432\", "
                     "expect: allow}\n"
                     "- {user: alice, as: deploy, target: web1, do: \"forward_local:db:5433\", "
                     "expect: deny}\n"
                     "- {user: bob, as: deploy, target: web1, do: exec, expect: deny}\n"
                     "- {user: bob, target: web1, do: jump, expect: deny}\n"),
            "ok\n");
}

TEST(PolicyTests, ThatFailRefuseThePolicyAndSayWhy) {
  EXPECT_EQ(
      messages(std::string(kHead) +
               "- {name: r, who: [alice], targets: all, logins: [deploy], allow: [shell], "
               "when: {from: [10.0.0.0/8]}}\n"
               "tests:\n"
               "- {user: alice, as: root, target: web1, do: shell, from: 10.1.1.1, expect: "
               "allow}\n"
               "- {user: alice, as: deploy, target: web1, do: shell, from: 10.1.1.1, expect: "
               "deny}\n"
               "- {user: alice, as: deploy, target: web1, do: shell, expect: allow}\n"
               "- {user: alice, as: deploy, target: web2, do: shell, expect: deny}\n"),
      "6:3: test failed: expected allow, but it is denied: no rule allows login root here for "
      "alice; r: allows deploy, not root\n"
      "7:3: test failed: expected deny, but it is allowed by rule \"r\"; r: allows it\n"
      "8:3: test failed: expected allow, but it is denied: no rule allows shell to alice as "
      "deploy on web1; r: is for sources in 10.0.0.0/8, not ::\n"
      "9:3: test failed: expected deny, but it is denied: there is no target \"web2\" (did "
      "you mean \"web1\"?)\n");
}

TEST(PolicyTests, AreCheckedThemselves) {
  EXPECT_EQ(messages(std::string(kHead) +
                     "- {name: r, who: all, targets: all, deny: true}\n"
                     "tests:\n"
                     "- {user: alcie, as: x, target: web1, do: fly, expect: maybe, frm: x}\n"),
            "6:3: test #1: there is no user \"alcie\" (did you mean \"alice\"?)\n"
            "6:42: \"do\" of test #1: expected an action, such as shell or "
            "forward_local:localhost:5432, found \"fly\"\n"
            "6:55: \"expect\" of test #1: expected allow or deny, found \"maybe\"\n"
            "6:62: unknown key \"frm\" in test #1 (did you mean \"from\"?)\n");
}

// --- the words of other YAML readers
// ----------------------------------------------------------------

TEST(sec_092_Words, MeanWhatTheyAreOrAreRefused) {
  const auto rule = [](const std::string& more) {
    return messages(std::string(kHead) + "- {name: r, who: all, targets: all, " + more + "}\n");
  };
  // In a list of names they are names.
  for (const std::string word : {"no", "off", "none", "0", "yes", "true", "null1"}) {
    EXPECT_EQ(rule("logins: [" + word + "], allow: [shell]"), "ok\n") << word;
    const auto policy =
        must_load(std::string(kHead) + "- {name: r, who: all, targets: all, logins: [" + word +
                  "], allow: [shell]}\n");
    EXPECT_EQ(policy->data().rules[0].logins, std::vector<std::string>{word});
  }
  // Nowhere do they stand for an empty list, for "all", or for a boolean.
  for (const std::string word : {"no", "off", "0", "none", "false", "~", "null", "''", "\"\""}) {
    for (const std::string key : {"logins", "when", "env", "require"}) {
      EXPECT_NE(rule("allow: [exec], logins: all, " + key + ": " + word), "ok\n") << key << word;
    }
    EXPECT_NE(rule("logins: all, allow: " + word), "ok\n") << word;
    EXPECT_NE(rule("deny: " + word), "ok\n") << word;
  }
  for (const std::string word :
       {"no", "off", "0", "none", "~", "n", "False", "FALSE", "\"false\""}) {
    EXPECT_NE(rule("logins: all, allow: [exec], pty: " + word), "ok\n") << word;
  }
  for (const std::string word : {"off", "0", "false", "no", "~", "''"}) {
    EXPECT_NE(rule("logins: all, allow: [exec], record: " + word), "ok\n") << word;
  }
}

TEST(HostKeys, OfATargetReplaceTheDefaults) {
  const auto policy = must_load(
      "users: {}\nrules: []\ntarget_defaults: {host_ca: \"KEY60\", known_hosts: known_hosts}\n"
      "targets:\n"
      "  plain: {address: 10.0.0.1}\n"
      "  pinned: {address: 10.0.0.2, host_keys: [\"KEY61\"]}\n");
  const HostKeyPolicy& plain = policy->find_target("plain")->entry->host_keys;
  EXPECT_EQ(plain.cas.size(), 1U);
  EXPECT_NE(plain.known_hosts, nullptr);
  const HostKeyPolicy& pinned = policy->find_target("pinned")->entry->host_keys;
  EXPECT_TRUE(pinned.cas.empty());
  EXPECT_EQ(pinned.known_hosts, nullptr);
  EXPECT_EQ(pinned.also_revoked_by, plain.known_hosts);
  EXPECT_EQ(pinned.pins.size(), 1U);
}

}  // namespace
}  // namespace bastion::config
