#include <gtest/gtest.h>

#include <chrono>

#include "base/limits.h"
#include "base/wire.h"
#include "tests/support/program.h"
#include "tests/support/random.h"
#include "tests/support/test_data.h"
#include "tests/unit/crypto/test_keys.h"

namespace bastion::crypto {
namespace {

using test::run_program;
using test::SeededRandom;
using test::TempDir;

/// RawCertificate is PROTOCOL.certkeys taken apart, so that each part can be made wrong.
struct RawCertificate {
  std::string type_name = "ssh-ed25519-cert-v01@openssh.com";
  Bytes nonce = Bytes(32, 7);
  Bytes key_fields;
  std::uint64_t serial = 42;
  std::uint32_t type = 1;
  std::string key_id = "alice";
  Bytes principals = Writer().text("root").text("deploy").take();
  std::uint64_t valid_after = 1'000;
  std::uint64_t valid_before = 2'000;
  Bytes critical_options;
  Bytes extensions = Writer().text("permit-pty").text("").take();
  Bytes reserved;
  Bytes ca_blob = made_public(KeyType::kEd25519).blob();
  Bytes trailing;

  RawCertificate() : RawCertificate(KeyType::kEd25519) {}
  explicit RawCertificate(KeyType subject) : type_name(certificate_type_name(subject)) {
    Reader reader(made_public(subject).blob());
    reader.string();
    key_fields = to_bytes(reader.rest());
  }
  Bytes body() const {
    Writer out;
    out.text(type_name).string(nonce).bytes(key_fields).u64(serial).u32(type).text(key_id);
    out.string(principals).u64(valid_after).u64(valid_before);
    out.string(critical_options).string(extensions).string(reserved).string(ca_blob);
    return out.take();
  }
  Bytes with_signature(ByteView signature) const {
    return Writer().bytes(body()).string(signature).bytes(trailing).take();
  }
  /// signed_by_ca: by the ed25519 key, whatever ca_blob says.
  Bytes signed_by_ca() const {
    return with_signature(
        signed_by(KeyType::kEd25519, *find_signature_algorithm("ssh-ed25519"), body()));
  }
  Result<Certificate> parse() const { return Certificate::parse(signed_by_ca()); }
};

template <typename Change>
Result<Certificate> changed(Change change) {
  RawCertificate raw;
  change(raw);
  return raw.parse();
}

Bytes options(std::initializer_list<std::string_view> names) {
  Writer out;
  for (const std::string_view name : names) {
    out.text(name).text("");
  }
  return out.take();
}

Certificate vector_certificate(const std::string& name) {
  const Bytes file = test::read_file(test::test_data("vectors/openssh/" + name + "-cert.pub"));
  std::string_view line = as_text(file);
  line.remove_prefix(line.find(' ') + 1);
  return Certificate::parse(base64_decode(line.substr(0, line.find(' '))).value()).value();
}

CertificateRequest request_for(KeyType subject) {
  return {.key = made_public(subject),
          .serial = 0x0123456789abcdef,
          .type = CertificateType::kUser,
          .key_id = "alice by rule 3",
          .principals = {"root", "deploy"},
          .valid_after = 1'700'000'000,
          .valid_before = 1'700'000'600,
          .critical_options = {{"source-address", make_option_string("192.0.2.0/24")},
                               {"force-command", make_option_string("uptime -p")}},
          .extensions = {{"permit-pty", {}}, {"permit-agent-forwarding", {}}}};
}

class CertificateOfEachType : public testing::TestWithParam<KeyType> {
 protected:
  SeededRandom random_{11};
};
INSTANTIATE_TEST_SUITE_P(Keys, CertificateOfEachType, testing::ValuesIn(kAllTypes), name_of_type);

TEST_P(CertificateOfEachType, SurvivesSigningAndParsing) {
  for (const KeyType ca_type : kSoftwareTypes) {
    const CertificateRequest request = request_for(GetParam());
    const auto blob = sign_certificate(request, made(ca_type), random_);
    ASSERT_TRUE(blob) << blob.error().text;
    EXPECT_TRUE(is_certificate_blob(*blob));
    const auto certificate = Certificate::parse(*blob);
    ASSERT_TRUE(certificate) << certificate.error().text;
    EXPECT_TRUE(certificate->verify_signature());
    EXPECT_EQ(certificate->blob, *blob);
    EXPECT_EQ(certificate->key, request.key);
    EXPECT_EQ(certificate->serial, request.serial);
    EXPECT_EQ(certificate->type, CertificateType::kUser);
    EXPECT_EQ(certificate->key_id, request.key_id);
    EXPECT_EQ(certificate->principals, request.principals);
    EXPECT_EQ(certificate->valid_after, request.valid_after);
    EXPECT_EQ(certificate->valid_before, request.valid_before);
    EXPECT_EQ(certificate->ca_key, made_public(ca_type));
    ASSERT_EQ(certificate->critical_options.size(), 2U);  // in order now
    EXPECT_EQ(certificate->critical_options[0].name, "force-command");
    EXPECT_EQ(parse_critical_option_string(certificate->critical_options[0].data), "uptime -p");
    EXPECT_EQ(certificate->critical_options[1].name, "source-address");
    ASSERT_EQ(certificate->extensions.size(), 2U);
    EXPECT_EQ(certificate->extensions[0].name, "permit-agent-forwarding");
    EXPECT_TRUE(certificate->extensions[0].data.empty());
  }
}

TEST_P(CertificateOfEachType, IsAcceptedBySshKeygen) {
  // ssh-keygen checks the CA's signature while it reads.
  const auto blob = sign_certificate(request_for(GetParam()), made(KeyType::kRsa), random_);
  ASSERT_TRUE(blob);
  const TempDir dir;
  const std::string path =
      dir.write("c.pub", as_bytes(key_line(*blob, certificate_type_name(GetParam()))));
  const auto shown = run_program({"ssh-keygen", "-L", "-f", path});
  ASSERT_EQ(shown.exit_code, 0) << shown.output;
  for (const std::string& expected :
       {std::string("user certificate"), std::string("Key ID: \"alice by rule 3\""),
        std::string("Serial: 81985529216486895"), std::string("force-command uptime -p"),
        std::string("source-address 192.0.2.0/24"), std::string("permit-agent-forwarding"),
        made_public(GetParam()).fingerprint(), made_public(KeyType::kRsa).fingerprint(),
        std::string("(using rsa-sha2-512)")}) {
    EXPECT_NE(shown.output.find(expected), std::string::npos) << expected << shown.output;
  }
}

TEST_P(CertificateOfEachType, RefusesToBeCutAnywhereAndTrailingBytes) {
  Bytes blob = RawCertificate(GetParam()).signed_by_ca();
  ASSERT_TRUE(Certificate::parse(blob));
  for (std::size_t len = 0; len < blob.size(); ++len) {
    EXPECT_FALSE(Certificate::parse(ByteView(blob).first(len))) << len;
  }
  for (int n = 1; n <= 9; ++n) {
    blob.push_back(0);
    EXPECT_EQ(code_of(Certificate::parse(blob)), ErrorCode::kMalformed) << n;
  }
}

TEST_P(CertificateOfEachType, IsNoPlainKeyAndNoPlainKeyIsOne) {
  const Bytes blob = RawCertificate(GetParam()).signed_by_ca();
  EXPECT_TRUE(is_certificate_blob(blob));
  EXPECT_EQ(code_of(PublicKey::parse(blob)), ErrorCode::kUnsupported);
  EXPECT_FALSE(is_certificate_blob(made_public(GetParam()).blob()));
  EXPECT_EQ(code_of(Certificate::parse(made_public(GetParam()).blob())), ErrorCode::kUnsupported);
}

TEST_P(CertificateOfEachType, MayBeSignedByAnyPlainKeyButNotByItsOwnBadOnes) {
  // The CA is of each type; sk ones must have been touched.
  RawCertificate raw;
  raw.ca_blob = made_public(GetParam()).blob();
  const Bytes body = raw.body();
  const SignatureAlgorithm& algorithm = *pick_signature_algorithms(GetParam()).front();
  const Bytes blob = raw.with_signature(signed_by(GetParam(), algorithm, body));
  const auto certificate = Certificate::parse(blob);
  ASSERT_TRUE(certificate);
  EXPECT_TRUE(certificate->verify_signature());
  const TempDir dir;
  const std::string path = dir.write("c.pub", as_bytes(key_line(blob, raw.type_name)));
  EXPECT_EQ(run_program({"ssh-keygen", "-L", "-f", path}).exit_code, 0);
  if (is_sk(GetParam())) {
    const Bytes untouched = raw.with_signature(made_sk(GetParam()).sign(body, 0));
    EXPECT_EQ(code_of(Certificate::parse(untouched).value().verify_signature()), ErrorCode::kAuth);
  }
}

TEST(Certificate, NoFlippedBitVerifies) {
  Bytes blob = RawCertificate().signed_by_ca();
  ASSERT_TRUE(Certificate::parse(blob).value().verify_signature());
  for (std::size_t bit = 0; bit < 8 * blob.size(); ++bit) {
    blob[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    const auto certificate = Certificate::parse(blob);
    EXPECT_FALSE(certificate && certificate->verify_signature()) << bit;
    blob[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
  }
}

TEST(Certificate, OfAnotherCaDoesNotVerify) {
  RawCertificate raw;
  raw.ca_blob = PrivateKey::generate(KeyType::kEd25519).value().public_key().blob();
  EXPECT_EQ(code_of(raw.parse().value().verify_signature()), ErrorCode::kAuth);
  raw.ca_blob = made_public(KeyType::kRsa).blob();
  EXPECT_FALSE(raw.parse().value().verify_signature());
}

TEST(Certificate, SignatureOfNoAlgorithmOrACertificatesIsRefused) {
  RawCertificate raw;
  for (const std::string_view name :
       {"", "ssh-rsa", "ssh-dss", "ssh-ed25519-cert-v01@openssh.com", "none"}) {
    const Bytes proper =
        signed_by(KeyType::kEd25519, *find_signature_algorithm("ssh-ed25519"), raw.body());
    Reader good(proper);
    good.string();
    const Bytes signature = Writer().text(name).bytes(good.rest()).take();
    const auto certificate = Certificate::parse(raw.with_signature(signature));
    ASSERT_TRUE(certificate);
    EXPECT_EQ(code_of(certificate->verify_signature()), ErrorCode::kAuth) << name;
  }
  EXPECT_FALSE(Certificate::parse(raw.with_signature({})).value().verify_signature());
}

TEST(Certificate, WithoutContentDoesNotVerify) {
  EXPECT_FALSE(Certificate().verify_signature());
  EXPECT_FALSE(Certificate().valid_at(1'500));
}

TEST(Certificate, sec_011_ACertificateIsNoCaAtAnyDepth) {
  Bytes ca = made_public(KeyType::kEd25519).blob();
  for (const std::size_t depth : {1U, 2U, 3U, 10U, 100U, 1'000U, 10'000U}) {
    // `depth` certificates, each the CA key of the next. Built from the inside by prefixes alone,
    // as signatures do not matter: parsing stops before them.
    static std::size_t built = 0;
    static Bytes nested = ca;
    std::vector<Bytes> heads;
    for (; built < depth; ++built) {
      RawCertificate raw;
      raw.nonce.clear();
      raw.key_id.clear();
      raw.extensions.clear();
      raw.ca_blob = std::move(nested);
      nested = raw.with_signature({});
      if (nested.size() > 4 * limits::kKeyBlobBytesMax && depth > 1'000) {
        break;  // refused by its length alone from here on
      }
    }
    RawCertificate outer;
    outer.ca_blob = nested;
    const auto start = std::chrono::steady_clock::now();
    const auto parsed = outer.parse();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(50));
    EXPECT_EQ(code_of(parsed), outer.signed_by_ca().size() > limits::kKeyBlobBytesMax
                                   ? ErrorCode::kLimit
                                   : ErrorCode::kUnsupported);
  }
}

TEST(Certificate, sec_011_ASelfSignedCertificateAsItsOwnCaIsRefused) {
  RawCertificate raw;
  const Bytes own = raw.signed_by_ca();
  raw.ca_blob = own;
  EXPECT_EQ(code_of(raw.parse()), ErrorCode::kUnsupported);
}

TEST(Certificate, OptionsAreInOrderAndUnique) {
  const auto with = [](const Bytes& encoded) {
    const auto critical = changed([&](RawCertificate& raw) { raw.critical_options = encoded; });
    const auto extensions = changed([&](RawCertificate& raw) { raw.extensions = encoded; });
    EXPECT_EQ(critical.has_value(), extensions.has_value());
    return critical.has_value();
  };
  EXPECT_TRUE(with({}));
  EXPECT_TRUE(with(options({"a"})));
  EXPECT_TRUE(with(options({"a", "b", "c"})));
  EXPECT_TRUE(with(options({"a", "aa", "b"})));
  EXPECT_TRUE(with(options({"Z", "a"})));  // by bytes
  EXPECT_FALSE(with(options({"b", "a"})));
  EXPECT_FALSE(with(options({"a", "a"})));
  EXPECT_FALSE(with(options({"a", "b", "a"})));
  EXPECT_FALSE(with(options({""})));
  EXPECT_FALSE(with(options({std::string_view("a\0b", 3)})));
  EXPECT_FALSE(with(Bytes{0}));
  EXPECT_FALSE(with(Writer().text("a").take()));
  EXPECT_FALSE(with(Writer().text("a").u32(100).take()));
  EXPECT_FALSE(with(Writer().bytes(options({"a"})).u8(0).take()));
}

TEST(Certificate, FormOfItsFieldsIsChecked) {
  EXPECT_TRUE(changed([](RawCertificate&) {}));
  for (const std::uint32_t type : {0U, 3U, 0x0100'0001U, 0xffff'ffffU}) {
    EXPECT_FALSE(changed([&](RawCertificate& raw) { raw.type = type; })) << type;
  }
  EXPECT_FALSE(changed([](RawCertificate& raw) { raw.key_id = std::string("a\0b", 3); }));
  EXPECT_FALSE(changed([](RawCertificate& raw) {
    raw.principals = Writer().text(std::string_view("ro\0ot", 5)).take();
  }));
  EXPECT_FALSE(changed([](RawCertificate& raw) { raw.principals = {0, 0, 0}; }));
  EXPECT_FALSE(changed([](RawCertificate& raw) { raw.principals = {0, 0, 0, 9, 'r'}; }));
  EXPECT_FALSE(
      changed([](RawCertificate& raw) { raw.type_name = "ssh-rsa-cert-v01@openssh.com"; }));
  EXPECT_FALSE(changed([](RawCertificate& raw) { raw.type_name = "ssh-ed25519"; }));
  EXPECT_FALSE(changed([](RawCertificate& raw) { raw.ca_blob.clear(); }));
  EXPECT_FALSE(changed([](RawCertificate& raw) { raw.ca_blob.push_back(0); }));
  // The reserved field is ignored, the nonce may have any length.
  EXPECT_TRUE(changed([](RawCertificate& raw) { raw.reserved = {1, 2, 3}; }));
  EXPECT_TRUE(changed([](RawCertificate& raw) { raw.nonce.clear(); }));
}

TEST(Certificate, sec_012_PrincipalsAreKeptAsTheyAre) {
  const auto certificate = changed([](RawCertificate& raw) {
    raw.principals = Writer().text("root,alice").text("").text("*").take();
  });
  ASSERT_TRUE(certificate);
  EXPECT_EQ(certificate->principals, (std::vector<std::string>{"root,alice", "", "*"}));
  EXPECT_TRUE(changed([](RawCertificate& raw) { raw.principals.clear(); })->principals.empty());
}

TEST(Certificate, HasAtMost256Principals) {
  const auto with = [](std::size_t n) {
    return changed([&](RawCertificate& raw) {
      Writer principals;
      for (std::size_t i = 0; i < n; ++i) {
        principals.text("p");
      }
      raw.principals = principals.take();
    });
  };
  EXPECT_EQ(with(limits::kCertificatePrincipalsMax)->principals.size(), 256U);
  EXPECT_EQ(code_of(with(limits::kCertificatePrincipalsMax + 1)), ErrorCode::kLimit);
}

TEST(Certificate, IsAtMostAsLongAsAKeyBlobMayBe) {
  RawCertificate raw;
  const std::size_t rest = raw.signed_by_ca().size() - raw.key_id.size();
  raw.key_id = std::string(limits::kKeyBlobBytesMax - rest, 'x');
  EXPECT_TRUE(raw.parse());
  raw.key_id += 'x';
  EXPECT_EQ(code_of(raw.parse()), ErrorCode::kLimit);
}

TEST(Certificate, IsValidFromTheFirstSecondUntilBeforeTheLast) {
  const auto at = [](std::uint64_t after, std::uint64_t before, WallTime now) {
    Certificate certificate;
    certificate.valid_after = after;
    certificate.valid_before = before;
    return certificate.valid_at(now);
  };
  EXPECT_FALSE(at(1'000, 2'000, 999));
  EXPECT_TRUE(at(1'000, 2'000, 1'000));
  EXPECT_TRUE(at(1'000, 2'000, 1'999));
  EXPECT_FALSE(at(1'000, 2'000, 2'000));
  EXPECT_TRUE(at(0, UINT64_MAX, 0));
  EXPECT_TRUE(at(0, UINT64_MAX, INT64_MAX));
  EXPECT_FALSE(at(0, UINT64_MAX, -1));
  EXPECT_FALSE(at(2'000, 1'000, 1'500));
  EXPECT_FALSE(at(1'000, 1'000, 1'000));
  EXPECT_FALSE(at(UINT64_MAX, UINT64_MAX, INT64_MAX));
}

TEST(CertificateOption, StringsAreOneStringAndNothingElse) {
  EXPECT_EQ(parse_critical_option_string(make_option_string("uptime -p")), "uptime -p");
  EXPECT_EQ(parse_critical_option_string(make_option_string("")), "");
  EXPECT_FALSE(parse_critical_option_string({}));
  EXPECT_FALSE(parse_critical_option_string(as_bytes("uptime")));
  EXPECT_FALSE(parse_critical_option_string(Writer().text("a").u8(0).view()));
  EXPECT_FALSE(parse_critical_option_string(Writer().text("a").text("b").view()));
  EXPECT_FALSE(parse_critical_option_string(make_option_string(std::string_view("a\0b", 3))));
}

TEST(CertificateOption, IsFoundByItsExactName) {
  const std::vector<CertificateOption> list = {{"force-command", {1}}, {"source-address", {2}}};
  ASSERT_NE(find_option(list, "force-command"), nullptr);
  EXPECT_EQ(find_option(list, "force-command")->data, Bytes{1});
  EXPECT_EQ(find_option(list, "force-comman"), nullptr);
  EXPECT_EQ(find_option(list, ""), nullptr);
}

TEST(SignCertificate, RefusesTwoOptionsOfOneName) {
  SeededRandom random;
  CertificateRequest request = request_for(KeyType::kEd25519);
  request.extensions.push_back({"permit-pty", {}});
  EXPECT_EQ(code_of(sign_certificate(request, made(KeyType::kEd25519), random)),
            ErrorCode::kMalformed);
}

TEST(SignCertificate, KeepsTheLimitsOfParsing) {
  SeededRandom random;
  CertificateRequest request = request_for(KeyType::kEd25519);
  request.principals.assign(257, "p");
  EXPECT_EQ(code_of(sign_certificate(request, made(KeyType::kEd25519), random)), ErrorCode::kLimit);
  request.principals = {std::string(limits::kKeyBlobBytesMax, 'p')};
  EXPECT_EQ(code_of(sign_certificate(request, made(KeyType::kEd25519), random)), ErrorCode::kLimit);
}

TEST(SignCertificate, TakesANewNonceEachTime) {
  SeededRandom random;
  const CertificateRequest request = request_for(KeyType::kEd25519);
  EXPECT_NE(sign_certificate(request, made(KeyType::kEd25519), random),
            sign_certificate(request, made(KeyType::kEd25519), random));
}

// ---- Certificates of the real ssh-keygen ----

TEST(CertificateOfOpenssh, IsReadInFull) {
  const Certificate certificate = vector_certificate("user");
  EXPECT_TRUE(certificate.verify_signature());
  EXPECT_EQ(certificate.type, CertificateType::kUser);
  EXPECT_EQ(certificate.serial, 7U);
  EXPECT_EQ(certificate.key_id, "alice from the office");
  EXPECT_EQ(certificate.principals, (std::vector<std::string>{"root", "deploy"}));
  EXPECT_EQ(certificate.valid_after, 1'577'836'800U);   // 2020-01-01
  EXPECT_EQ(certificate.valid_before, 1'893'456'000U);  // 2030-01-01
  ASSERT_EQ(certificate.critical_options.size(), 2U);
  EXPECT_EQ(parse_critical_option_string(
                find_option(certificate.critical_options, "force-command")->data),
            "uptime -p");
  EXPECT_EQ(parse_critical_option_string(
                find_option(certificate.critical_options, "source-address")->data),
            "192.0.2.0/24,2001:db8::/32");
  EXPECT_NE(find_option(certificate.extensions, "permit-pty"), nullptr);
  EXPECT_EQ(find_option(certificate.extensions, "permit-X11-forwarding"), nullptr);
}

TEST(CertificateOfOpenssh, HostsAndForeverAndNothingAllowed) {
  const Certificate host = vector_certificate("host");
  EXPECT_TRUE(host.verify_signature());
  EXPECT_EQ(host.type, CertificateType::kHost);
  EXPECT_EQ(host.principals, (std::vector<std::string>{"web1.example.org", "web1"}));
  EXPECT_EQ(host.valid_after, 0U);
  EXPECT_EQ(host.valid_before, UINT64_MAX);
  const Certificate clear = vector_certificate("clear");
  EXPECT_TRUE(clear.verify_signature());
  EXPECT_TRUE(clear.principals.empty());
  EXPECT_TRUE(clear.extensions.empty());
  EXPECT_TRUE(clear.critical_options.empty());
}

TEST(CertificateOfOpenssh, VerifiesByEachCurrentCaAlgorithmButNotBySha1) {
  for (const char* name :
       {"user", "host", "clear", "by_p256", "by_p384", "by_p521", "by_rsa_sha256"}) {
    EXPECT_TRUE(vector_certificate(name).verify_signature()) << name;
  }
  EXPECT_EQ(code_of(vector_certificate("by_rsa_sha1").verify_signature()), ErrorCode::kAuth);
}

}  // namespace
}  // namespace bastion::crypto
