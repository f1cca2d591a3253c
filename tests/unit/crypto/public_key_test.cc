#include <gtest/gtest.h>

#include <chrono>

#include "base/limits.h"
#include "base/wire.h"
#include "tests/support/hex.h"
#include "tests/support/program.h"
#include "tests/unit/crypto/test_keys.h"

namespace bastion::crypto {
namespace {

using test::from_hex;
using test::run_program;
using test::TempDir;

Bytes ed25519_blob(ByteView point) { return Writer().text("ssh-ed25519").string(point).take(); }
Bytes rsa_blob(ByteView e, ByteView n) { return Writer().text("ssh-rsa").mpint(e).mpint(n).take(); }
Bytes p256_blob(std::string_view curve, ByteView point) {
  return Writer().text("ecdsa-sha2-nistp256").text(curve).string(point).take();
}

/// odd_number has exactly that many bits, the first and the last of them set.
Bytes odd_number(std::size_t bits) {
  Bytes number((bits + 7) / 8, 0x55);
  number.front() = static_cast<std::uint8_t>(1U << ((bits + 7) % 8));
  number.back() |= 1;
  return number;
}

const Bytes kE65537 = {1, 0, 1};

class PublicKeyOfEachType : public testing::TestWithParam<KeyType> {
 protected:
  const PublicKey& key() const { return made_public(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Keys, PublicKeyOfEachType, testing::ValuesIn(kAllTypes), name_of_type);

TEST_P(PublicKeyOfEachType, ParsesItsOwnBlob) {
  const auto again = PublicKey::parse(key().blob());
  ASSERT_TRUE(again) << again.error().text;
  EXPECT_EQ(*again, key());
  EXPECT_EQ(again->type(), GetParam());
  EXPECT_EQ(again->type_name(), key_type_name(GetParam()));
}

TEST_P(PublicKeyOfEachType, RefusesToBeCutAnywhere) {
  const Bytes& blob = key().blob();
  for (std::size_t len = 0; len < blob.size(); ++len) {
    EXPECT_FALSE(PublicKey::parse(ByteView(blob).first(len))) << len;
  }
}

TEST_P(PublicKeyOfEachType, sec_049_RefusesTrailingBytes) {
  Bytes blob = key().blob();
  for (int n = 1; n <= 9; ++n) {
    blob.push_back(0);
    EXPECT_EQ(code_of(PublicKey::parse(blob)), ErrorCode::kMalformed) << n;
  }
}

TEST_P(PublicKeyOfEachType, RefusesHugeLengthsInEachField) {
  // Each of the key's strings in turn claims to be longer than all that there is.
  const Bytes& blob = key().blob();
  Reader reader(blob);
  while (!reader.rest().empty()) {
    const std::size_t at = blob.size() - reader.rest().size();
    reader.string();
    for (const std::uint32_t len : {0xffff'ffffU, 0x8000'0000U, 0x1000'0000U, 0x0001'0000U}) {
      Bytes changed = blob;
      store_u32(changed.data() + at, len);
      EXPECT_FALSE(PublicKey::parse(changed)) << at << " " << len;
    }
  }
}

TEST_P(PublicKeyOfEachType, ReadsItsLine) {
  for (const std::string& line :
       {key().line(), key().line() + "\n", key().line() + "\r\n", key().line() + " a comment here",
        "  " + key().line() + "\tcomment\n"}) {
    const auto parsed = PublicKey::parse_line(line);
    ASSERT_TRUE(parsed) << line << parsed.error().text;
    EXPECT_EQ(*parsed, key());
  }
}

TEST_P(PublicKeyOfEachType, IsWhatSshKeygenSeesInItsLine) {
  const TempDir dir;
  const std::string path = dir.write("key.pub", as_bytes(key().line() + " comment\n"));
  const auto result = run_program({"ssh-keygen", "-l", "-f", path});
  ASSERT_EQ(result.exit_code, 0) << result.output;
  const std::string expected =
      std::to_string(key().bits()) + ' ' + key().fingerprint() + " comment ";
  EXPECT_TRUE(result.output.starts_with(expected)) << result.output << expected;
}

TEST(PublicKey, RefusesLinesThatAreNotOneKey) {
  const std::string line = made_public(KeyType::kEd25519).line();
  const std::string base64 = line.substr(line.find(' ') + 1);
  const std::string bad[] = {
      "",
      " ",
      "ssh-ed25519",
      "ssh-ed25519 ",
      base64,
      "ssh-rsa " + base64,
      "sk-ssh-ed25519@openssh.com " + base64,
      "no-pty " + line,
      "ssh-ed25519 " + base64.substr(1),
      "ssh-ed25519 " + base64 + "=",
      "ssh-ed25519 *" + base64,
      line + "\n" + line,
      line + std::string("\0", 1),
      "ssh-dss AAAAB3NzaC1kc3M=",
  };
  for (const std::string& each : bad) {
    EXPECT_FALSE(PublicKey::parse_line(each)) << each;
  }
}

TEST(PublicKey, CallsUnknownTypesUnsupported) {
  for (const std::string_view name :
       {"ssh-dss", "ssh-ed448", "", "ssh-ed2551", "ssh-ed25519 ", "SSH-ED25519", "rsa-sha2-512",
        "ssh-ed25519-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com",
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"}) {
    const Bytes blob = Writer().text(name).string(Bytes(32, 9)).take();
    EXPECT_EQ(code_of(PublicKey::parse(blob)), ErrorCode::kUnsupported) << name;
  }
}

TEST(PublicKey, WithoutContentVerifiesNothing) {
  const SignatureAlgorithm& algorithm = *find_signature_algorithm("ssh-ed25519");
  const Bytes data = to_bytes("data");
  const Bytes signature = signed_by(KeyType::kEd25519, algorithm, data);
  EXPECT_FALSE(PublicKey().verify(algorithm, data, signature));
  EXPECT_EQ(PublicKey().bits(), 0U);
}

// ---- Ed25519 ----

TEST(PublicKeyEd25519, RefusesPointsOfSmallOrder) {
  const std::string_view ys[] = {
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};
  for (const std::string_view y : ys) {
    Bytes point = from_hex(y);
    for (const int sign : {0x00, 0x80}) {
      point[31] = static_cast<std::uint8_t>((point[31] & 0x7f) | sign);
      EXPECT_EQ(code_of(PublicKey::parse(ed25519_blob(point))), ErrorCode::kMalformed) << y;
    }
  }
}

TEST(PublicKeyEd25519, RefusesEncodingsThatAreNotCanonical) {
  // y = p … 2^255 - 1, which are 0 … 18 once more.
  for (int last = 0xed; last <= 0xff; ++last) {
    Bytes point(32, 0xff);
    point[0] = static_cast<std::uint8_t>(last);
    for (const int top : {0x7f, 0xff}) {
      point[31] = static_cast<std::uint8_t>(top);
      EXPECT_FALSE(PublicKey::parse(ed25519_blob(point))) << last;
    }
  }
  Bytes below(32, 0xff);  // p - 2 is an ordinary encoding
  below[0] = 0xeb;
  below[31] = 0x7f;
  EXPECT_TRUE(PublicKey::parse(ed25519_blob(below)));
}

TEST(PublicKeyEd25519, RefusesOtherLengths) {
  for (const std::size_t len : {0U, 1U, 31U, 33U, 64U}) {
    EXPECT_EQ(code_of(PublicKey::parse(ed25519_blob(Bytes(len, 9)))), ErrorCode::kMalformed);
  }
}

// ---- RSA ----

TEST(PublicKeyRsa, TakesModuliWithinLimitsOnly) {
  for (const std::size_t bits : {2048U, 2049U, 3072U, 4096U, 8192U, 16384U}) {
    const auto key = PublicKey::parse(rsa_blob(kE65537, odd_number(bits)));
    ASSERT_TRUE(key) << bits << key.error().text;
    EXPECT_EQ(key->bits(), bits);
  }
  for (const std::size_t bits : {1U, 8U, 512U, 1024U, 2047U, 16385U, 20000U}) {
    EXPECT_EQ(code_of(PublicKey::parse(rsa_blob(kE65537, odd_number(bits)))), ErrorCode::kMalformed)
        << bits;
  }
  EXPECT_FALSE(PublicKey::parse(rsa_blob(kE65537, {})));
}

TEST(PublicKeyRsa, RefusesEvenModuli) {
  Bytes n = odd_number(2048);
  n.back() ^= 1;
  EXPECT_EQ(code_of(PublicKey::parse(rsa_blob(kE65537, n))), ErrorCode::kMalformed);
}

TEST(PublicKeyRsa, TakesOddExponentsFrom3To33Bits) {
  const Bytes n = odd_number(2048);
  const Bytes good[] = {{3}, {5}, {17}, {35}, {1, 0, 1}, {1, 0xff, 0xff, 0xff, 0xff}};
  for (const Bytes& e : good) {
    EXPECT_TRUE(PublicKey::parse(rsa_blob(e, n))) << test::to_hex(e);
  }
  const Bytes bad[] = {{}, {1}, {2}, {4}, {1, 0, 0}, {2, 0, 0, 0, 1}, odd_number(65), n};
  for (const Bytes& e : bad) {
    EXPECT_EQ(code_of(PublicKey::parse(rsa_blob(e, n))), ErrorCode::kMalformed) << test::to_hex(e);
  }
}

TEST(PublicKeyRsa, RefusesNumbersThatAreNotMinimalOrNegative) {
  const Bytes n = odd_number(2047);
  Bytes n_padded = {0};
  n_padded.insert(n_padded.end(), n.begin(), n.end());
  EXPECT_FALSE(PublicKey::parse(
      Writer().text("ssh-rsa").string(Bytes{0, 1, 0, 1}).mpint(odd_number(2048)).take()));
  EXPECT_FALSE(PublicKey::parse(Writer().text("ssh-rsa").mpint(kE65537).string(n_padded).take()));
  EXPECT_FALSE(
      PublicKey::parse(Writer().text("ssh-rsa").mpint(kE65537).string(odd_number(2048)).take()));
}

TEST(PublicKeyRsa, sec_044_RefusesGiantNumbersAtOnce) {
  const Bytes mega_bit(1'000'000 / 8, 0x7f);
  Bytes power_of_two(8193, 0);  // 2^65536
  power_of_two[0] = 1;
  const Bytes blobs[] = {
      rsa_blob(kE65537, mega_bit), rsa_blob(mega_bit, odd_number(2048)),
      rsa_blob(power_of_two, odd_number(2048)),
      rsa_blob(odd_number(limits::kRsaBitsMax), odd_number(limits::kRsaBitsMax))};
  const auto start = std::chrono::steady_clock::now();
  for (const Bytes& blob : blobs) {
    EXPECT_FALSE(PublicKey::parse(blob));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(10));
  EXPECT_EQ(code_of(PublicKey::parse(blobs[0])), ErrorCode::kLimit);
}

// ---- ECDSA and FIDO ----

TEST(PublicKeyEcdsa, RefusesWhatIsNoPointOfItsCurve) {
  Reader reader(made_public(KeyType::kEcdsaP256).blob());
  reader.string();
  reader.string();
  const Bytes point = to_bytes(reader.string());
  ASSERT_EQ(point.size(), 65U);
  ASSERT_TRUE(PublicKey::parse(p256_blob("nistp256", point)));

  Bytes off_curve = point;
  off_curve[64] ^= 1;
  Bytes beyond_field = point;
  std::fill(beyond_field.begin() + 1, beyond_field.begin() + 33, std::uint8_t{0xff});
  Bytes compressed(point.begin(), point.begin() + 33);
  compressed[0] = static_cast<std::uint8_t>(2 + (point[64] & 1));
  Bytes hybrid = point;
  hybrid[0] = static_cast<std::uint8_t>(6 + (point[64] & 1));
  Bytes zero(65, 0);
  zero[0] = 4;
  const Bytes infinity = {0};
  const Bytes infinity_padded(65, 0);
  for (const Bytes& bad :
       {off_curve, beyond_field, compressed, hybrid, zero, infinity, infinity_padded, Bytes{}}) {
    EXPECT_EQ(code_of(PublicKey::parse(p256_blob("nistp256", bad))), ErrorCode::kMalformed)
        << test::to_hex(bad);
  }
}

TEST(PublicKeyEcdsa, RefusesAnotherCurveThanItsType) {
  Reader reader(made_public(KeyType::kEcdsaP256).blob());
  reader.string();
  reader.string();
  const Bytes point = to_bytes(reader.string());
  for (const std::string_view curve : {"nistp384", "nistp521", "", "NISTP256", "nistp256 "}) {
    EXPECT_FALSE(PublicKey::parse(p256_blob(curve, point))) << curve;
  }
  Reader other(made_public(KeyType::kEcdsaP384).blob());
  other.string();
  other.string();
  EXPECT_FALSE(PublicKey::parse(p256_blob("nistp256", other.string())));
}

TEST(PublicKeySk, LimitsTheApplication) {
  Reader reader(made_public(KeyType::kSkEd25519).blob());
  reader.string();
  const Bytes point = to_bytes(reader.string());
  const auto with = [&](std::string_view application) {
    return PublicKey::parse(
        Writer().text("sk-ssh-ed25519@openssh.com").string(point).text(application).take());
  };
  EXPECT_TRUE(with("ssh:"));
  EXPECT_TRUE(with("x"));
  EXPECT_TRUE(with(std::string(255, 'a')));
  EXPECT_FALSE(with(std::string(256, 'a')));
  EXPECT_FALSE(with(""));
  EXPECT_FALSE(with(std::string_view("ssh:\0x", 6)));
}

TEST(PublicKeySk, DiffersByApplication) {
  const test::SkKey one(KeyType::kSkEd25519, "ssh:one");
  Reader reader(one.public_key().blob());
  reader.string();
  const Bytes point = to_bytes(reader.string());
  const auto two = PublicKey::parse(
      Writer().text("sk-ssh-ed25519@openssh.com").string(point).text("ssh:two").take());
  ASSERT_TRUE(two);
  EXPECT_NE(*two, one.public_key());
}

// ---- Names ----

TEST(SignatureAlgorithms, AreFoundByTheirExactNames) {
  for (const std::string_view name : kAllAlgorithmNames) {
    const SignatureAlgorithm* const algorithm = find_signature_algorithm(name);
    ASSERT_NE(algorithm, nullptr) << name;
    EXPECT_EQ(algorithm->name, name);
    EXPECT_EQ(algorithm->certificate, name.find("-cert-v01@") != std::string_view::npos);
    EXPECT_EQ(algorithm->legacy, name == "ssh-rsa");
    EXPECT_EQ(find_signature_algorithm(std::string(name) + " "), nullptr);
    EXPECT_EQ(find_signature_algorithm(name.substr(1)), nullptr);
  }
  EXPECT_EQ(find_signature_algorithm(""), nullptr);
  EXPECT_EQ(find_signature_algorithm("ssh-rsa-cert-v01@openssh.com"), nullptr);
  EXPECT_EQ(find_signature_algorithm("ssh-dss"), nullptr);
}

TEST(SignatureAlgorithms, CoverWhatTheSystemsSshKnows) {
  const auto result = run_program({"ssh", "-Q", "HostKeyAlgorithms"});
  ASSERT_EQ(result.exit_code, 0) << result.output;
  std::string_view rest = result.output;
  std::size_t num_known = 0;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view name = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    const bool left_out = name.starts_with("ssh-dss") || name.starts_with("webauthn-") ||
                          name == "ssh-rsa-cert-v01@openssh.com";
    EXPECT_EQ(find_signature_algorithm(name) == nullptr, left_out) << name;
    num_known += left_out ? 0 : 1;
  }
  EXPECT_GE(num_known, 16U);
}

TEST(SignatureAlgorithms, PairPlainOnesWithThoseOfCertificates) {
  for (const std::string_view name : kAllAlgorithmNames) {
    const SignatureAlgorithm& algorithm = *find_signature_algorithm(name);
    const SignatureAlgorithm& plain = plain_algorithm_for(algorithm);
    EXPECT_FALSE(plain.certificate);
    EXPECT_EQ(plain.key_type, algorithm.key_type);
    EXPECT_EQ(plain.signature_name, algorithm.signature_name);
    EXPECT_EQ(plain.name, plain.signature_name);
    const SignatureAlgorithm* const certificate = certificate_algorithm_for(plain);
    if (plain.legacy) {
      EXPECT_EQ(certificate, nullptr);
      continue;
    }
    ASSERT_NE(certificate, nullptr) << name;
    EXPECT_TRUE(certificate->certificate);
    EXPECT_EQ(&plain_algorithm_for(*certificate), &plain);
    EXPECT_EQ(certificate_algorithm_for(*certificate), nullptr);
  }
}

TEST(SignatureAlgorithms, ArePickedForTheirKeyAndNeverLegacy) {
  for (const KeyType type : kAllTypes) {
    const auto picked = pick_signature_algorithms(type);
    ASSERT_FALSE(picked.empty());
    for (const SignatureAlgorithm* algorithm : picked) {
      EXPECT_EQ(algorithm->key_type, type);
      EXPECT_FALSE(algorithm->legacy);
      EXPECT_FALSE(algorithm->certificate);
    }
    EXPECT_EQ(find_key_type(key_type_name(type)), type);
    EXPECT_EQ(find_certificate_type(certificate_type_name(type)), type);
    EXPECT_FALSE(find_key_type(certificate_type_name(type)));
    EXPECT_FALSE(find_certificate_type(key_type_name(type)));
  }
  EXPECT_EQ(pick_signature_algorithms(KeyType::kRsa)[0]->name, "rsa-sha2-512");
  EXPECT_EQ(pick_signature_algorithms(KeyType::kRsa)[1]->name, "rsa-sha2-256");
}

}  // namespace
}  // namespace bastion::crypto
