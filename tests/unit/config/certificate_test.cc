#include <gtest/gtest.h>

#include "config/policy.h"
#include "tests/unit/config/support.h"

namespace bastion::config {
namespace {

constexpr WallTime kNow = 1'700'000'000;

crypto::CertificateOption text_option(std::string name, std::string_view value) {
  Writer data;
  data.text(value);
  return {std::move(name), data.take()};
}
crypto::CertificateOption flag(std::string name) { return {std::move(name), {}}; }

class UserCertificate : public ::testing::Test {
 protected:
  crypto::PrivateKey ca = *crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
  std::shared_ptr<const Policy> policy = load("");
  crypto::CertificateRequest request = {.key = public_key(40),
                                        .serial = 7,
                                        .type = crypto::CertificateType::kUser,
                                        .key_id = "laptop",
                                        .principals = {"alice"},
                                        .valid_after = kNow - 10,
                                        .valid_before = kNow + 10,
                                        .critical_options = {},
                                        .extensions = {}};

  std::shared_ptr<const Policy> load(const std::string& more) const {
    return must_load("users: {alice: {keys: [\"KEY1\"]}, bob: {}}\nuser_cas:\n  corp: {key: \"" +
                     ca.public_key().line() +
                     "\"}\n  mapped: {key: \"KEY9\", principals_are: {web-team: alice}}\n"
                     "targets: {}\nrules: []\n" +
                     more);
  }
  bool accepts() const {
    const auto blob = crypto::sign_certificate(request, ca, crypto::system_random());
    const auto certificate = crypto::Certificate::parse(*blob);
    return policy->accepts_certificate(*certificate, kNow, ip("10.0.0.1"));
  }
  /// check signs the request and asks the policy; a certificate that does not parse is refused too.
  Result<Admission> check(std::string_view identity = {},
                          std::string_view peer = "10.0.0.1") const {
    const auto blob = crypto::sign_certificate(request, ca, crypto::system_random());
    if (!blob) {
      return std::unexpected(blob.error());
    }
    const auto certificate = crypto::Certificate::parse(*blob);
    if (!certificate) {
      return std::unexpected(certificate.error());
    }
    return policy->check_user_certificate(*certificate, kNow, ip(peer), identity);
  }
};

TEST_F(UserCertificate, StandsForTheUserThatItNames) {
  const auto admission = check();
  ASSERT_TRUE(admission.has_value());
  EXPECT_EQ(admission->user, policy->find_user("alice"));
  EXPECT_EQ(admission->ca, "corp");
  EXPECT_EQ(admission->key_id, "laptop");
  EXPECT_EQ(admission->serial, 7U);
}

TEST_F(UserCertificate, sec_012_PrincipalsAreWholeWords) {
  for (const std::vector<std::string>& principals :
       std::vector<std::vector<std::string>>{{},
                                             {""},
                                             {"*"},
                                             {"alice,bob"},
                                             {"ALICE"},
                                             {"alic"},
                                             {"alicee"},
                                             {"a*"},
                                             {" alice"},
                                             {std::string("alice\0", 6)},
                                             {"root"}}) {
    request.principals = principals;
    EXPECT_FALSE(check().has_value());
  }
  request.principals = {"root", "alice"};
  EXPECT_TRUE(check().has_value()) << "others may stand beside";
}

TEST_F(UserCertificate, SeveralUsersNeedTheUserNameToChoose) {
  request.principals = {"alice", "bob"};
  EXPECT_FALSE(check().has_value());
  EXPECT_EQ(check("bob")->user, policy->find_user("bob"));
  EXPECT_EQ(check("alice")->user, policy->find_user("alice"));
  EXPECT_FALSE(check("carol").has_value());
  EXPECT_TRUE(accepts()) << "asked before the user name counts";
  request.principals = {"alice"};
  EXPECT_FALSE(check("bob").has_value()) << "an identity that it does not name";
  EXPECT_TRUE(accepts());
  request.principals = {"carol"};
  EXPECT_FALSE(accepts());
  request.principals = {"alice"};
  request.valid_before = kNow;
  EXPECT_FALSE(accepts());
}

TEST_F(UserCertificate, ValidityTypeAndCaAreChecked) {
  EXPECT_TRUE(check().has_value());
  request.valid_before = kNow;
  EXPECT_FALSE(check().has_value());
  request.valid_before = UINT64_MAX;
  EXPECT_TRUE(check().has_value());
  request.valid_after = kNow + 1;
  EXPECT_FALSE(check().has_value());
  request.valid_after = 0;
  request.type = crypto::CertificateType::kHost;
  EXPECT_FALSE(check().has_value());
  request.type = crypto::CertificateType::kUser;
  ca = *crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
  EXPECT_FALSE(check().has_value());
}

TEST_F(UserCertificate, SignatureIsChecked) {
  Bytes blob = *crypto::sign_certificate(request, ca, crypto::system_random());
  blob.back() ^= 1;
  const auto forged = crypto::Certificate::parse(blob);
  EXPECT_FALSE(forged && policy->check_user_certificate(*forged, kNow, ip("10.0.0.1")).has_value());
}

TEST_F(UserCertificate, RevokedKeysAndCasAreRefused) {
  policy = load("revoked_keys: [\"KEY40\"]\n");
  EXPECT_FALSE(check().has_value());
  policy = load("revoked_keys: [\"" + ca.public_key().fingerprint() + "\"]\n");
  EXPECT_FALSE(check().has_value());
  policy = load("revoked_keys: [\"KEY41\"]\n");
  EXPECT_TRUE(check().has_value());
}

TEST_F(UserCertificate, RevokedPlainKeysAreNobodys) {
  EXPECT_NE(policy->user_by_key(key_blob(1)), nullptr);
  policy = load("revoked_keys: [\"KEY1\"]\n");
  EXPECT_EQ(policy->user_by_key(key_blob(1)), nullptr);
  EXPECT_FALSE(policy->admit_key(key_blob(1), ip("10.0.0.1")).has_value());
}

TEST_F(UserCertificate, ExtensionsGiveAndTheirAbsenceTakes) {
  const auto none = check()->restrictions;
  EXPECT_FALSE(none.pty || none.agent || none.x11 || none.port_forwarding);
  EXPECT_TRUE(none.touch_required);
  request.extensions = {flag("permit-X11-forwarding"),  flag("permit-agent-forwarding"),
                        flag("permit-port-forwarding"), flag("permit-pty"),
                        flag("no-touch-required"),      flag("something@example.com")};
  const auto all = check()->restrictions;
  EXPECT_TRUE(all.pty && all.agent && all.x11 && all.port_forwarding);
  EXPECT_FALSE(all.touch_required);
}

TEST_F(UserCertificate, CriticalOptionsAreKeptOrRefuse) {
  request.critical_options = {text_option("force-command", "uptime"), flag("verify-required")};
  const auto admission = check();
  ASSERT_TRUE(admission.has_value());
  EXPECT_EQ(admission->restrictions.force_command, "uptime");
  EXPECT_TRUE(admission->restrictions.verify_required);
  for (const crypto::CertificateOption& bad : std::vector<crypto::CertificateOption>{
           flag("unknown"),
           flag("unknown@example.com"),
           text_option("force-command", ""),
           flag("force-command"),
           {"force-command", {0, 0, 0, 9, 'x'}},
           {"force-command", {0, 0, 0, 1, 'x', 'y'}},
           text_option("verify-required", "x"),
           text_option("force-command", std::string_view("a\0b", 3))}) {
    request.critical_options = {bad};
    EXPECT_FALSE(check().has_value()) << bad.name;
  }
}

TEST_F(UserCertificate, sec_009_SourceAddressHoldsAndEmptyAllowsNobody) {
  const auto from = [&](std::string_view list, std::string_view peer) {
    request.critical_options = {text_option("source-address", list)};
    return check({}, peer).has_value();
  };
  EXPECT_TRUE(from("10.0.0.0/8", "10.0.0.1"));
  EXPECT_TRUE(from("10.0.0.0/8", "::ffff:10.0.0.1"));
  EXPECT_TRUE(from("192.0.2.1,10.0.0.0/8", "10.0.0.1"));
  EXPECT_TRUE(from("2001:db8::/32", "2001:db8::1"));
  EXPECT_FALSE(from("192.0.2.0/24", "10.0.0.1"));
  EXPECT_FALSE(from("::/0", "10.0.0.1"));
  EXPECT_FALSE(from("", "10.0.0.1"));
  EXPECT_FALSE(from(",", "10.0.0.1"));
  EXPECT_FALSE(from("10.0.0.0/8,", "10.0.0.1"));
  EXPECT_FALSE(from("10.0.0.0/8,x", "10.0.0.1"));
  EXPECT_FALSE(from("10.0.0.1/8", "10.0.0.1"));
  request.critical_options = {flag("source-address")};
  EXPECT_FALSE(check().has_value());
}

TEST(PlainKey, MayBeTiedToItsSource) {
  const auto policy = must_load(
      "users: {alice: {keys: [{key: \"KEY1\", from: [10.0.0.0/8]}]}}\ntargets: {}\nrules: []\n");
  EXPECT_TRUE(policy->admit_key(key_blob(1), ip("10.1.1.1")).has_value());
  EXPECT_FALSE(policy->admit_key(key_blob(1), ip("11.1.1.1")).has_value());
  EXPECT_FALSE(policy->admit_key(key_blob(2), ip("10.1.1.1")).has_value());
}

TEST(PlainKey, SecurityKeysSayWhatTheyAskFor) {
  Writer blob;
  blob.text("sk-ssh-ed25519@openssh.com").string(Bytes(32, 3)).text("ssh:");
  const std::string line = "sk-ssh-ed25519@openssh.com " + crypto::base64_encode(blob.view());
  const auto load = [&](const std::string& more) {
    return must_load("users: {alice: {keys: [{key: \"" + line + "\"" + more +
                     "}]}}\ntargets: {}\nrules: []\n");
  };
  const auto plain = load("")->admit_key(blob.view(), {});
  ASSERT_TRUE(plain.has_value());
  EXPECT_TRUE(plain->restrictions.touch_required);
  EXPECT_FALSE(plain->restrictions.verify_required);
  EXPECT_FALSE(
      load(", touch_required: false")->admit_key(blob.view(), {})->restrictions.touch_required);
  EXPECT_TRUE(
      load(", verify_required: true")->admit_key(blob.view(), {})->restrictions.verify_required);
}

TEST(PrincipalMap, NamesTheMappedUserOnly) {
  const auto ca = *crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
  const auto policy =
      must_load("users: {alice: {}, bob: {}}\nuser_cas: {m: {key: \"" + ca.public_key().line() +
                "\", principals_are: {web-team: alice}}}\ntargets: {}\nrules: []\n");
  crypto::CertificateRequest request;
  request.key = public_key(40);
  request.valid_before = UINT64_MAX;
  const auto user = [&](std::string principal) -> std::string {
    request.principals = {std::move(principal)};
    const auto admission =
        policy->check_user_certificate(*crypto::Certificate::parse(*crypto::sign_certificate(
                                           request, ca, crypto::system_random())),
                                       kNow, {});
    return admission ? admission->user->name : "nobody";
  };
  EXPECT_EQ(user("web-team"), "alice");
  EXPECT_EQ(user("alice"), "nobody");
  EXPECT_EQ(user("bob"), "nobody");
}

}  // namespace
}  // namespace bastion::config
