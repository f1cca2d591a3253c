#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/load.h"
#include "crypto/hash.h"
#include "tests/unit/config/support.h"

namespace bastion::config {
namespace {

constexpr std::string_view kPath = "/etc/bastiond/bastiond.yaml";
constexpr std::string_view kPolicy = R"(users: {alice: {keys: ["KEY1"]}}
target_defaults: {host_ca: "KEY60"}
targets: {web1: {address: 10.0.0.1}}
rules: []
)";

class Service : public ::testing::Test {
 protected:
  static const crypto::PrivateKey& host_key() {
    static const auto key = *crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
    return key;
  }
  static const crypto::PrivateKey& ca() {
    static const auto key = *crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
    return key;
  }
  static std::string host_certificate(const crypto::PublicKey& key, crypto::CertificateType type,
                                      std::vector<std::string> principals = {"bastion.corp"}) {
    crypto::CertificateRequest request;
    request.key = key;
    request.type = type;
    request.principals = std::move(principals);
    request.valid_before = UINT64_MAX;
    return "ssh-ed25519-cert-v01@openssh.com " +
           crypto::base64_encode(
               *crypto::sign_certificate(request, ca(), crypto::system_random())) +
           " comment\n";
  }

  FileBundle files = [] {
    FileBundle bundle;
    const auto add = [&](const std::string& name, std::string_view text) {
      bundle.add("/etc/bastiond/" + name, secret_text(text));
    };
    bundle.add("/etc/bastiond/host_key", host_key().to_openssh("host"));
    bundle.add("/etc/bastiond/ca", ca().to_openssh("ca"));
    add("policy.yaml", expand(std::string(kPolicy)));
    add("garbage", "garbage\n");
    add("cert", host_certificate(host_key().public_key(), crypto::CertificateType::kHost));
    add("user_cert", host_certificate(host_key().public_key(), crypto::CertificateType::kUser));
    add("foreign_cert", host_certificate(public_key(5), crypto::CertificateType::kHost));
    add("nameless_cert",
        host_certificate(host_key().public_key(), crypto::CertificateType::kHost, {}));
    return bundle;
  }();

  Loaded<Configuration> load(const std::string& text) {
    files.add(std::string(kPath), secret_text(text));
    return load_configuration(files, std::string(kPath));
  }
  Loaded<Configuration> load_with(const std::string& more) {
    return load("host_keys: [host_key]\nuser_ca: ca\n" + more);
  }
  /// errors_with: the errors of a file with this appended; each line without the file's name.
  std::string errors_with(const std::string& more) {
    const auto loaded = load_with(more);
    EXPECT_EQ(loaded.value.has_value(), loaded.problems.ok());
    std::string out;
    for (Problem problem : loaded.problems.errors) {
      const std::string text = problem.text();
      out += text.substr(text.find(".yaml") + 6) + "\n";
    }
    return out;
  }
};

TEST_F(Service, DefaultsAreThoseOfTheManual) {
  const auto loaded = load_with("");
  ASSERT_TRUE(loaded) << loaded.problems.text();
  EXPECT_TRUE(loaded.problems.warnings.empty());
  const ServiceConfig& service = loaded.value->service;
  ServiceConfig expected;
  expected.path = kPath;
  expected.listen = {*Endpoint::parse("0.0.0.0:22"), *Endpoint::parse("[::]:22")};
  expected.host_keys = {"/etc/bastiond/host_key"};
  expected.user_ca = "/etc/bastiond/ca";
  expected.policy = "/etc/bastiond/policy.yaml";
  EXPECT_EQ(service, expected);
  EXPECT_EQ(service.limits.first_factor_ms, 30'000);
  EXPECT_EQ(service.limits.login_grace_ms, 120'000);
  EXPECT_EQ(service.limits.unauthenticated, 1024U);
  EXPECT_EQ(service.limits.unauthenticated_per_source, 64U);
  EXPECT_EQ(service.limits.auth_failures, 6U);
  EXPECT_EQ(service.limits.key_offers, 64U);
  EXPECT_EQ(service.limits.sessions_per_user, 100U);
  EXPECT_EQ(service.limits.connect_ms, 10'000);
  EXPECT_EQ(service.limits.keepalive_ms, 60'000);
  ASSERT_EQ(loaded.value->keys.host_keys.size(), 1U);
  EXPECT_EQ(loaded.value->keys.host_keys[0].key.public_key(), host_key().public_key());
  EXPECT_EQ(loaded.value->keys.user_ca->public_key(), ca().public_key());
}

TEST_F(Service, EveryKeyIsTaken) {
  const auto loaded = load_with(R"(
name: bastion.corp
listen: ["127.0.0.1:0", "[::1]:2222"]
host_certificates: [cert]
cert_source_address: [192.0.2.1, "2001:db8::1"]
policy: /etc/bastiond/policy.yaml
workers: 4
gates: 2
algorithms: compatible
env: [LC_*, MY_VAR]
rekey: {bytes: 64KiB, time: 90s}
control: {socket: run/control.sock, admin_group: a, viewer_group: v}
log_level: debug
limits: {first_factor: 10s, login_grace: 1m, unauthenticated: 10, unauthenticated_per_source: 5,
         auth_failures: 3, key_offers: 4, sessions_per_user: 7, channels_per_session: 20,
         session_channels_per_session: 8, connect: 500ms, handshake: 3s, keepalive: 0,
         keepalive_missed: 2, shutdown: 0}
)");
  ASSERT_TRUE(loaded) << loaded.problems.text();
  const ServiceConfig& service = loaded.value->service;
  EXPECT_EQ(service.name, "bastion.corp");
  ASSERT_EQ(service.listen.size(), 2U);
  EXPECT_EQ(service.listen[0].port, 0);
  EXPECT_EQ(loaded.value->keys.host_keys[0].certificates.size(), 1U);
  EXPECT_EQ(service.cert_source_address.size(), 2U);
  EXPECT_EQ(service.workers, 4U);
  EXPECT_EQ(service.gates, 2U);
  EXPECT_EQ(service.algorithms.preset, AlgorithmPreset::kCompatible);
  EXPECT_EQ(service.env, (std::vector<std::string>{"LC_*", "MY_VAR"}));
  EXPECT_EQ(service.rekey, (RekeyLimits{65'536, 90}));
  EXPECT_EQ(service.control.socket, "/etc/bastiond/run/control.sock");
  EXPECT_EQ(service.log_level, LogLevel::kDebug);
  EXPECT_EQ(service.limits.connect_ms, 500);
  EXPECT_EQ(service.limits.keepalive_ms, 0);
  EXPECT_EQ(service.limits.shutdown_ms, 0);
  const PolicyData& policy = loaded.value->policy->data();
  EXPECT_EQ(policy.env, service.env);
  EXPECT_EQ(policy.channels_max, 20U);
  EXPECT_EQ(policy.session_channels_max, 8U);
}

TEST_F(Service, AlgorithmListsReplaceThePresets) {
  const auto loaded = load_with(
      "algorithms: {ciphers: [aes256-gcm@openssh.com], kex: [curve25519-sha256], "
      "host_keys: [ssh-ed25519], preset: compatible}\n");
  ASSERT_TRUE(loaded) << loaded.problems.text();
  const Algorithms& algorithms = loaded.value->service.algorithms;
  EXPECT_EQ(algorithms.preset, AlgorithmPreset::kCompatible);
  EXPECT_EQ(algorithms.ciphers, std::vector<std::string>{"aes256-gcm@openssh.com"});
  EXPECT_TRUE(algorithms.macs.empty());
}

struct Golden {
  std::string_view text;
  std::string_view errors;
  friend void PrintTo(const Golden& golden, std::ostream* out) { *out << golden.text; }
};
class ServiceErrors : public Service, public ::testing::WithParamInterface<Golden> {};

TEST_P(ServiceErrors, AreSaidWithTheirPlace) {
  EXPECT_EQ(errors_with(std::string(GetParam().text)), GetParam().errors);
}

// The text begins in line 3.
INSTANTIATE_TEST_SUITE_P(
    Goldens, ServiceErrors,
    ::testing::Values(
        Golden{"lisen: []\n", "3:1: unknown key \"lisen\" (did you mean \"listen\"?)\n"},
        Golden{"frobnicate: 1\n", "3:1: unknown key \"frobnicate\"\n"},
        Golden{"listen: []\n",
               "3:9: \"listen\": expected at least one address with a port, found a list\n"},
        Golden{"listen: \"0.0.0.0:22\"\n",
               "3:9: \"listen\": expected a list of addresses with ports, found \"0.0.0.0:22\"\n"},
        Golden{"listen: [localhost:22]\n",
               "3:10: \"listen\": expected an address and a port, such as \"0.0.0.0:22\" or "
               "\"[::]:22\" (no host names), found \"localhost:22\"\n"},
        Golden{"listen: [\"0.0.0.0:22\", \"0.0.0.0:22\"]\n",
               "3:24: \"listen\": \"0.0.0.0:22\" stands twice\n"},
        Golden{"workers: 0\n",
               "3:10: \"workers\": expected auto, or a number from 1 to 256, found \"0\"\n"},
        Golden{"workers: many\n",
               "3:10: \"workers\": expected auto, or a number from 1 to 256, found \"many\"\n"},
        Golden{"algorithms: strong\n",
               "3:13: \"algorithms\": expected standard, compatible, or lists of names, found "
               "\"strong\"\n"},
        Golden{"algorithms: {ciphers: [aes128-cbc]}\n",
               "3:24: \"ciphers\" of algorithms: \"aes128-cbc\" is not an algorithm of this "
               "version\n"},
        Golden{"algorithms: {ciphers: [aes256-gcm]}\n",
               "3:24: \"ciphers\" of algorithms: \"aes256-gcm\" is not an algorithm of this "
               "version (did you mean \"aes256-gcm@openssh.com\"?)\n"},
        Golden{
            "recording: false\n",
            "3:12: \"recording\": expected off, or keys and values such as {reserve: 1GiB}, found "
            "\"false\"\n"},
        Golden{"algorithms: {host_keys: [ssh-rsa]}\n",
               "3:26: \"host_keys\" of algorithms: \"ssh-rsa\" is not an algorithm of this "
               "version\n"},
        Golden{"algorithms: {kex: []}\n",
               "3:19: \"kex\" of algorithms: expected at least one algorithm, found a list\n"},
        Golden{"limits: {connect: 10}\n",
               "3:19: \"connect\" of limits: expected a time from 100ms to 10m (such as 500ms, "
               "30s, 2m), found \"10\"\n"},
        Golden{"limits: {keepalive: off}\n",
               "3:21: \"keepalive\" of limits: expected a time from 1s to 1d, or 0 for none (such "
               "as 500ms, 30s, 2m), found \"off\"\n"},
        Golden{"limits: {auth_failures: 0}\n",
               "3:25: \"auth_failures\" of limits: expected a number from 1 to 100, found \"0\"\n"},
        Golden{"limits: {auth_failure: 3}\n",
               "3:10: unknown key \"auth_failure\" in limits (did you mean \"auth_failures\"?)\n"},
        Golden{"limits: {first_factor: 5m}\n",
               "3:9: \"first_factor\" of limits (5m) is longer than \"login_grace\" (2m), which is "
               "the time for all factors\n"},
        Golden{"limits: 7\n", "3:9: limits: expected keys and values, found \"7\"\n"},
        Golden{"rekey: {bytes: 1KiB}\n",
               "3:16: \"bytes\" of rekey: expected a size from 16KiB to 64GiB (such as 64KiB, "
               "1GiB), found \"1KiB\"\n"},
        Golden{"host_certificates: [garbage]\n",
               "3:21: \"host_certificates\": /etc/bastiond/garbage is not a certificate: a "
               "certificate is cut short\n"},
        Golden{"host_certificates: [user_cert]\n",
               "3:21: \"host_certificates\": /etc/bastiond/user_cert is a user certificate, "
               "expected a host certificate\n"},
        Golden{"host_certificates: [foreign_cert]\n",
               "3:21: \"host_certificates\": /etc/bastiond/foreign_cert belongs to none of "
               "host_keys\n"},
        Golden{"host_certificates: [nameless_cert]\n",
               "3:21: \"host_certificates\": /etc/bastiond/nameless_cert names no host, so clients "
               "would not accept it\n"},
        Golden{"cert_source_address: [10.0.0.0/8]\n",
               "3:23: \"cert_source_address\": expected an address, found \"10.0.0.0/8\"\n"},
        Golden{"name: \"a b\"\n",
               "3:7: \"name\": expected the host name that users type, found \"a b\"\n"},
        Golden{"env: [\"*\"]\n", "3:7: \"env\": \"*\" would pass LD_..., which never passes\n"},
        Golden{"env: [LD_PRELOAD]\n",
               "3:7: \"env\": \"LD_PRELOAD\" would pass LD_..., which never passes\n"},
        Golden{"env: [G*]\n", "3:7: \"env\": \"G*\" would pass GIT_..., which never passes\n"},
        Golden{"env: [lang]\n",
               "3:7: \"env\": expected a variable's name of A-Z, 0-9 and _, or a glob such as "
               "LC_*, found \"lang\"\n"},
        Golden{"policy: elsewhere.yaml\n", " it is not among the files that were passed on\n"},
        Golden{"log_level: verbose\n",
               "3:12: \"log_level\": expected error, warning, info or debug, found \"verbose\"\n"},
        Golden{"audit: {file: /x/a, journald: yes}\n",
               "3:31: \"journald\" of audit: expected true or false, found \"yes\"\n"},
        Golden{"audit: {file: /x/a, on_failure: ignore}\n",
               "3:33: \"on_failure\" of audit: expected stop or drop, found \"ignore\"\n"},
        Golden{"host_keys: [x]\n", "3:1: the key \"host_keys\" stands twice; first in line 1\n"}));

TEST_F(Service, HostKeysAreRequiredAndChecked) {
  const auto message = [&](const std::string& text) {
    const auto loaded = load(text);
    return loaded.problems.errors.empty() ? "" : loaded.problems.errors.front().message;
  };
  EXPECT_EQ(message("user_ca: ca\n"),
            "the key \"host_keys\" is missing; expected a list of private key files");
  EXPECT_EQ(message("user_ca: ca\nhost_keys: [missing]\n"),
            "\"host_keys\": /etc/bastiond/missing: it is not among the files that were passed on");
  EXPECT_NE(message("user_ca: ca\nhost_keys: [garbage]\n").find("/etc/bastiond/garbage: "),
            std::string::npos);
  EXPECT_EQ(message("user_ca: ca\nhost_keys: [host_key, ../bastiond/host_key]\n").substr(0, 15),
            "\"host_keys\": /e");
  EXPECT_EQ(message("user_ca: ca\nhost_keys: [host_key, host_key]\n"),
            "\"host_keys\": the key in /etc/bastiond/host_key stands twice");
}

TEST_F(Service, AllErrorsOfBothFilesComeAtOnce) {
  files.add("/etc/bastiond/policy.yaml", secret_text("users: []\nrulez: []\n"));
  const auto report = [&] {
    files.add(std::string(kPath), secret_text("workers: x\ngates: y\nhost_keys: [host_key]\n"));
    return check_configuration(files, std::string(kPath));
  }();
  EXPECT_FALSE(report.ok);
  EXPECT_EQ(report.text,
            "/etc/bastiond/bastiond.yaml:1:10: \"workers\": expected auto, or a number from 1 to "
            "256, found \"x\"\n"
            "/etc/bastiond/bastiond.yaml:2:8: \"gates\": expected auto, or a number from 1 to 256, "
            "found \"y\"\n"
            "/etc/bastiond/policy.yaml:1:1: the key \"targets\" is missing; expected the servers\n"
            "/etc/bastiond/policy.yaml:1:1: the key \"rules\" is missing; expected who may do what "
            "where\n"
            "/etc/bastiond/policy.yaml:1:8: \"users\": expected keys and values, found a list\n"
            "/etc/bastiond/policy.yaml:2:1: unknown key \"rulez\" (did you mean \"rules\"?)\n"
            "6 errors. The running policy is not touched.\n");
}

TEST_F(Service, KeysOfLaterVersionsAreCheckedAndWarnedOf) {
  const auto loaded = load_with("metrics: {listen: \"127.0.0.1:9722\"}\n");
  ASSERT_TRUE(loaded) << loaded.problems.text();
  EXPECT_EQ(loaded.problems.text(),
            "/etc/bastiond/bastiond.yaml:3:10: warning: \"metrics\" has no effect in this "
            "version\n");
  EXPECT_FALSE(load_with("metrics: {listen: everywhere}\n"));
}

TEST_F(Service, TheAuditLogGoesToAFileAndToWhomElseItSays) {
  const auto loaded = load_with(
      "audit:\n"
      "  file: log/audit.jsonl\n"
      "  on_failure: drop\n"
      "  rotate: {size: 100MiB, age: 1d}\n"
      "  journald: {on_failure: stop}\n"
      "  syslog: {tcp: \"10.0.0.5:601\"}\n");
  ASSERT_TRUE(loaded) << loaded.problems.text();
  const AuditConfig& audit = loaded.value->service.audit;
  EXPECT_EQ(audit.file, "/etc/bastiond/log/audit.jsonl");
  EXPECT_TRUE(audit.drops);
  EXPECT_EQ(audit.rotate_bytes, 100U << 20);
  EXPECT_EQ(audit.rotate_age_ms, 86'400'000);
  ASSERT_EQ(audit.sinks.size(), 2u);
  EXPECT_EQ(audit.sinks[0].kind, AuditSinkConfig::Kind::kJournald);
  EXPECT_FALSE(audit.sinks[0].drops);
  EXPECT_EQ(audit.sinks[1].endpoint, Endpoint::parse("10.0.0.5:601"));
  EXPECT_TRUE(audit.sinks[1].drops);
  for (const std::string wrong :
       {"audit: {journald: true}", "audit: {file: /x/}", "audit: {file: /x, syslog: {}}",
        "audit: {file: /x, syslog: {tcp: \"a:1\"}}",
        "audit: {file: /x, syslog: {udp: \"1.1.1.1:0\"}}",
        "audit: {file: /x, syslog: {unix: /dev/log, udp: \"1.1.1.1:514\"}}",
        "audit: {file: /x, rotate: {size: 1KiB}}", "audit: {file: /x, rotation: {}}"}) {
    EXPECT_FALSE(load_with(wrong + "\n")) << wrong;
  }
}

TEST_F(Service, ATargetWithCertificatesNeedsTheCa) {
  const auto loaded = load("host_keys: [host_key]\n");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.problems.errors.front().message,
            "target \"web1\" is logged in to by certificate, and the service has no user_ca to "
            "sign it; set user_ca, or give the target a key_file");
}

TEST_F(Service, CheckSaysWhatIsGood) {
  files.add(std::string(kPath), secret_text("host_keys: [host_key]\nuser_ca: ca\n"));
  const auto report = check_configuration(files, std::string(kPath));
  EXPECT_TRUE(report.ok);
  const auto policy = load_with("").value->policy;
  EXPECT_EQ(report.text, "/etc/bastiond/bastiond.yaml: ok\n/etc/bastiond/policy.yaml: ok, policy " +
                             policy->id() + " (1 user, 1 target, 0 rules)\n");
}

TEST_F(Service, AFileThatIsMissingIsSaidWithWhatNamesIt) {
  std::string folder = testing::TempDir() + "service-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/bastiond.yaml";
  const std::string none = check_configuration(SystemFiles(), path).text;
  EXPECT_TRUE(none.starts_with(path + ": cannot open it: No such file or directory; --config "))
      << none;
  std::ofstream(path) << "host_keys: [host_key]\npolicy: polcy.yaml\n";
  const std::string misspelt = check_configuration(SystemFiles(), path).text;
  EXPECT_NE(misspelt.find(folder + "/polcy.yaml: cannot open it: No such file or directory; "
                                   "`policy:` of the service's file names it\n"),
            std::string::npos)
      << misspelt;
  std::filesystem::remove_all(folder);
}

TEST_F(Service, TheCollectedFilesLoadTheSameWithoutAFileSystem) {
  files.add(std::string(kPath),
            secret_text("host_keys: [host_key]\nuser_ca: ca\nhost_certificates: [cert]\n"));
  FileBundle collected;
  const CollectingFiles collecting(files, collected);
  const auto first = load_configuration(collecting, std::string(kPath));
  ASSERT_TRUE(first);
  EXPECT_EQ(collected.size(), 5U) << "nothing but what was named";
  const auto bundle = FileBundle::parse(collected.serialise());
  const auto second = load_configuration(*bundle, std::string(kPath));
  ASSERT_TRUE(second);
  EXPECT_EQ(first.value->service, second.value->service);
  EXPECT_EQ(first.value->policy->hash(), second.value->policy->hash());
}

TEST_F(Service, WhatIsPrintedLoadsToTheSame) {
  const auto first = load_with(
      "name: bastion.corp\nlimits: {keepalive: 0}\nalgorithms: {macs: "
      "[hmac-sha2-256-etm@openssh.com]}\n");
  ASSERT_TRUE(first);
  const std::string printed = print_config(*first.value);
  const std::size_t cut = printed.find("---\n");
  ASSERT_NE(cut, std::string::npos);
  files.add("/etc/bastiond/policy.yaml", secret_text(printed.substr(cut + 4)));
  const auto second = load(printed.substr(0, cut));
  ASSERT_TRUE(second) << second.problems.text() << printed;
  EXPECT_EQ(second.value->service, first.value->service);
  EXPECT_EQ(second.value->policy->hash(), first.value->policy->hash());
  EXPECT_EQ(printed.find("PRIVATE"), std::string::npos);
}

TEST_F(Service, RecipientsAreKeysThatCanBeSealedTo) {
  const std::string good = "bastion-recipient-x25519 " + crypto::base64_encode(Bytes(32, 9));
  const std::string kind =
      "recipients: a recipient is \"bastion-recipient-x25519 BASE64\", as keygen ";
  EXPECT_EQ(errors_with("recording: {recipients: [\"" + good + " security team\"]}\n"), "");
  EXPECT_EQ(errors_with("recording: {recipients: [nonsense]}\n"), "3:26: " + kind + "prints it\n");
  EXPECT_EQ(errors_with("recording: {recipients: [\"bastion-recipient-x25519 AAAA\"]}\n"),
            "3:26: recipients: a recipient's key is 32 bytes in base64\n");
  EXPECT_EQ(errors_with("recording: {recipients: [\"bastion-recipient-x25519 " +
                        crypto::base64_encode(Bytes(32, 0)) + "\"]}\n"),
            "3:26: recipients: this recipient's key is not usable\n");
  std::string many;
  for (int i = 0; i < 17; ++i) {
    many += "\n  - " + good;
  }
  EXPECT_EQ(errors_with("recording:\n  recipients:" + many + "\n"),
            "21:5: recipients: more than 16\n");
}

}  // namespace
}  // namespace bastion::config
