#include "config/host_key_policy.h"

#include <gtest/gtest.h>

#include "tests/unit/config/support.h"

namespace bastion::config {
namespace {

constexpr WallTime kNow = 1'700'000'000;
const std::vector<std::string> kNames = {"web1", "10.0.0.1"};

std::shared_ptr<const KnownHosts> hosts_file(const std::string& text) {
  return std::make_shared<const KnownHosts>(*KnownHosts::parse(expand(text)));
}

HostKeyVerdict verify(const HostKeyPolicy& policy, ByteView blob, std::uint16_t port = 22) {
  return policy.verify(blob, "web1", kNames, port, kNow);
}

TEST(HostKeyPolicy, PinsAndKnownHostsAccept) {
  HostKeyPolicy policy;
  policy.pins = {public_key(1)};
  policy.known_hosts = hosts_file("web1 KEY2\n10.0.0.1 KEY3\nweb2 KEY4\n");
  for (const int known : {1, 2, 3}) {
    EXPECT_TRUE(verify(policy, key_blob(known)).ok()) << known;
  }
  EXPECT_EQ(verify(policy, key_blob(4)).status, HostKeyStatus::kChanged);
}

TEST(HostKeyPolicy, AChangedKeyIsSaidWithBothFingerprints) {
  HostKeyPolicy policy;
  policy.pins = {public_key(1)};
  const auto verdict = verify(policy, key_blob(2));
  EXPECT_EQ(verdict.status, HostKeyStatus::kChanged);
  EXPECT_EQ(verdict.text, "the host key of web1 is not the one on record (ed25519 " +
                              public_key(2).fingerprint() + " instead of " +
                              public_key(1).fingerprint() +
                              "). Not connecting; tell your administrators.");
  EXPECT_NE(verdict.cure.find(key_line(2)), std::string::npos);
}

TEST(HostKeyPolicy, AnUnknownKeyComesWithTheLineToAdd) {
  HostKeyPolicy policy;
  policy.known_hosts = hosts_file("web2 KEY1\n");
  const auto verdict = verify(policy, key_blob(2), 2222);
  EXPECT_EQ(verdict.status, HostKeyStatus::kUnknown);
  EXPECT_EQ(verdict.text, "the host key of web1 is not on record (ed25519 " +
                              public_key(2).fingerprint() +
                              "). Not connecting; tell your administrators.");
  EXPECT_NE(verdict.cure.find("[web1]:2222 " + key_line(2)), std::string::npos);
}

TEST(sec_082_HostKeyPolicy, NothingOnRecordMeansRefused) {
  HostKeyPolicy nothing;
  EXPECT_EQ(verify(nothing, key_blob(1)).status, HostKeyStatus::kUnknown);
  HostKeyPolicy empty_file;
  empty_file.known_hosts = hosts_file("# nobody\n");
  EXPECT_EQ(verify(empty_file, key_blob(1)).status, HostKeyStatus::kUnknown);
}

TEST(sec_082_HostKeyPolicy, RevocationBeatsAllElse) {
  HostKeyPolicy policy;
  policy.pins = {public_key(1)};
  policy.known_hosts = hosts_file("web1 KEY1\n@revoked * KEY1\n");
  EXPECT_EQ(verify(policy, key_blob(1)).status, HostKeyStatus::kRevoked);

  HostKeyPolicy by_default_file;
  by_default_file.pins = {public_key(1)};
  by_default_file.also_revoked_by = hosts_file("@revoked web1 KEY1\nweb1 KEY2\n");
  EXPECT_EQ(verify(by_default_file, key_blob(1)).status, HostKeyStatus::kRevoked);
  EXPECT_FALSE(verify(by_default_file, key_blob(2)).ok()) << "the other file only revokes";

  HostKeyPolicy by_list;
  by_list.pins = {public_key(1)};
  auto revoked = std::make_shared<RevokedKeys>();
  revoked->add_fingerprint(public_key(1).fingerprint());
  by_list.revoked = revoked;
  EXPECT_EQ(verify(by_list, key_blob(1)).status, HostKeyStatus::kRevoked);
}

TEST(HostKeyPolicy, GarbageIsUnreadable) {
  HostKeyPolicy policy;
  policy.pins = {public_key(1)};
  const Bytes good = key_blob(1);
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_EQ(verify(policy, ByteView(good).first(n)).status, HostKeyStatus::kUnreadable) << n;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_EQ(verify(policy, longer).status, HostKeyStatus::kUnreadable);
}

class HostCertificate : public ::testing::Test {
 protected:
  crypto::PrivateKey ca = *crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
  crypto::CertificateRequest request = {.key = public_key(5),
                                        .serial = 1,
                                        .type = crypto::CertificateType::kHost,
                                        .key_id = "web1",
                                        .principals = {"web1"},
                                        .valid_after = kNow - 10,
                                        .valid_before = kNow + 10,
                                        .critical_options = {},
                                        .extensions = {}};

  Bytes sign() const { return *crypto::sign_certificate(request, ca, crypto::system_random()); }
  HostKeyPolicy trusting() const {
    HostKeyPolicy policy;
    policy.cas = {ca.public_key()};
    return policy;
  }
};

TEST_F(HostCertificate, OfATrustedCaIsAccepted) {
  EXPECT_TRUE(verify(trusting(), sign()).ok());
  HostKeyPolicy by_file;
  by_file.known_hosts = hosts_file("@cert-authority web* " + ca.public_key().line() + "\n");
  EXPECT_TRUE(verify(by_file, sign()).ok());
  EXPECT_TRUE(verify(by_file, sign(), 2222).ok());
  HostKeyPolicy other_hosts;
  other_hosts.known_hosts = hosts_file("@cert-authority db* " + ca.public_key().line() + "\n");
  EXPECT_EQ(verify(other_hosts, sign()).status, HostKeyStatus::kUnknown);
}

TEST_F(HostCertificate, MustBeForThisHostAndNow) {
  request.principals = {"10.0.0.1"};
  EXPECT_TRUE(verify(trusting(), sign()).ok());
  for (const std::vector<std::string>& principals :
       std::vector<std::vector<std::string>>{{}, {""}, {"*"}, {"web*"}, {"web2"}, {"web1,web2"}}) {
    request.principals = principals;
    EXPECT_EQ(verify(trusting(), sign()).status, HostKeyStatus::kBadCertificate);
  }
  request.principals = {"web2", "web1"};
  EXPECT_TRUE(verify(trusting(), sign()).ok());
  request.valid_before = kNow;
  EXPECT_EQ(verify(trusting(), sign()).status, HostKeyStatus::kBadCertificate);
  request.valid_before = kNow + 10;
  request.valid_after = kNow + 1;
  EXPECT_EQ(verify(trusting(), sign()).status, HostKeyStatus::kBadCertificate);
}

TEST_F(HostCertificate, MustBeAHostsAndUnconditional) {
  request.type = crypto::CertificateType::kUser;
  EXPECT_EQ(verify(trusting(), sign()).status, HostKeyStatus::kBadCertificate);
  request.type = crypto::CertificateType::kHost;
  request.critical_options = {{"force-command", {0, 0, 0, 1, 'x'}}};
  EXPECT_EQ(verify(trusting(), sign()).status, HostKeyStatus::kBadCertificate);
}

TEST_F(HostCertificate, OfAnotherCaIsWorthWhatItsKeyIs) {
  HostKeyPolicy policy;
  policy.cas = {public_key(9)};
  EXPECT_EQ(verify(policy, sign()).status, HostKeyStatus::kUnknown);
  policy.pins = {public_key(5)};
  EXPECT_TRUE(verify(policy, sign()).ok());
  policy.pins = {public_key(6)};
  EXPECT_EQ(verify(policy, sign()).status, HostKeyStatus::kChanged);
}

TEST_F(HostCertificate, ACaIsNoHostKey) {
  EXPECT_FALSE(verify(trusting(), ca.public_key().blob()).ok());
  HostKeyPolicy pinned;
  pinned.pins = {ca.public_key()};
  EXPECT_FALSE(verify(pinned, sign()).ok()) << "a pinned key signs no other host's certificate";
}

TEST_F(HostCertificate, SignatureIsChecked) {
  const Bytes good = sign();
  for (const std::size_t from_end : {std::size_t{1}, std::size_t{30}, std::size_t{64}}) {
    Bytes bad = good;
    bad[bad.size() - from_end] ^= 1;
    EXPECT_FALSE(verify(trusting(), bad).ok());
  }
}

TEST_F(HostCertificate, RevokedKeysAndCasAreRefused) {
  for (const std::string& line : {key_line(5), ca.public_key().line()}) {
    HostKeyPolicy policy = trusting();
    policy.known_hosts = hosts_file("@revoked * " + line + "\n");
    EXPECT_EQ(verify(policy, sign()).status, HostKeyStatus::kRevoked);
  }
}

TEST(HostKeyPolicy, AsksFirstForWhatIsOnRecord) {
  const std::vector<std::string> preference = {"ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519",
                                               "rsa-sha2-512", "rsa-sha2-256"};
  HostKeyPolicy policy;
  policy.pins = {public_key(1)};
  EXPECT_EQ(policy.algorithms(preference, kNames, 22),
            (std::vector<std::string>{"ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com",
                                      "rsa-sha2-512", "rsa-sha2-256"}));
  policy.cas = {public_key(2)};
  EXPECT_EQ(policy.algorithms(preference, kNames, 22), preference);
  const auto rsa = crypto::PrivateKey::generate(crypto::KeyType::kRsa, 2048);
  HostKeyPolicy old;
  old.known_hosts = hosts_file("web1 " + rsa->public_key().line() + "\n");
  EXPECT_EQ(old.algorithms(preference, kNames, 22),
            (std::vector<std::string>{"rsa-sha2-512", "rsa-sha2-256",
                                      "ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"}));
}

}  // namespace
}  // namespace bastion::config
