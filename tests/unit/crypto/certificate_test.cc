#include <gtest/gtest.h>

#include "crypto/keys.h"
#include "tests/support/program.h"
#include "tests/support/random.h"

namespace bastion::crypto {
namespace {

using test::run_program;
using test::SeededRandom;
using test::TempDir;

TEST(Certificate, IsReadBySshKeygen) {
  SeededRandom random;
  const auto ca = PrivateKey::generate(KeyType::kEd25519).value();
  const auto subject = PrivateKey::generate(KeyType::kEd25519).value();
  CertificateRequest request{.key = subject.public_key(),
                             .serial = 42,
                             .key_id = "alice by rule 3",
                             .principals = {"root"},
                             .valid_after = 1'000,
                             .valid_before = 2'000,
                             .critical_options = {},
                             .extensions = {{"permit-pty", {}}, {"permit-agent-forwarding", {}}}};
  const auto blob = sign_certificate(request, ca, random);
  ASSERT_TRUE(blob) << blob.error().text;
  const auto certificate = Certificate::parse(*blob);
  ASSERT_TRUE(certificate) << certificate.error().text;
  EXPECT_TRUE(certificate->verify_signature());
  const TempDir dir;
  const std::string line =
      "ssh-ed25519-cert-v01@openssh.com " + base64_encode(*blob) + " comment\n";
  const auto result = run_program({"ssh-keygen", "-L", "-f", dir.write("c.pub", as_bytes(line))});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_NE(result.output.find("alice by rule 3"), std::string::npos) << result.output;
}

}  // namespace
}  // namespace bastion::crypto
