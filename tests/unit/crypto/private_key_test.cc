#include <gtest/gtest.h>

#include <chrono>

#include "base/limits.h"
#include "base/wire.h"
#include "tests/support/hex.h"
#include "tests/support/program.h"
#include "tests/support/test_data.h"
#include "tests/unit/crypto/test_keys.h"

namespace bastion::crypto {
namespace {

using test::read_file;
using test::run_program;
using test::TempDir;
using test::test_data;

Bytes vector_file(const std::string& name) {
  return read_file(test_data("vectors/openssh/" + name));
}

std::string armored(ByteView content, std::string_view label = "OPENSSH PRIVATE KEY") {
  return "-----BEGIN " + std::string(label) + "-----\n" + base64_encode(content) + "\n-----END " +
         std::string(label) + "-----\n";
}

/// unarmored gives the bytes inside a key file.
Bytes unarmored(ByteView file) {
  std::string base64;
  std::string_view rest = as_text(file);
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (!line.starts_with("-----")) {
      base64 += line;
    }
  }
  return base64_decode(base64).value();
}

/// KeyFile is PROTOCOL.key taken apart, so that each part can be made wrong.
struct KeyFile {
  std::string magic{"openssh-key-v1\0", 15};
  std::string cipher = "none", kdf = "none";
  Bytes kdf_options;
  std::uint32_t num_keys = 1;
  Bytes public_blob;
  std::uint32_t check1 = 0x01020304, check2 = 0x01020304;
  Bytes private_fields;  // type name included
  std::string comment = "comment";
  Bytes padding;  // filled in by of()
  Bytes trailing;

  static KeyFile of(const PrivateKey& key) {
    KeyFile file;
    const SecretBytes written = key.to_openssh(file.comment);
    const Bytes content = unarmored(written);
    Reader reader(content);
    reader.bytes(15);
    reader.string();
    reader.string();
    reader.string();
    reader.u32();
    file.public_blob = to_bytes(reader.string());
    const Bytes section = to_bytes(reader.string());
    // What is between the check numbers and the comment.
    const Bytes comment = Writer().text(file.comment).take();
    const auto at = std::search(section.begin() + 8, section.end(), comment.begin(), comment.end());
    file.private_fields.assign(section.begin() + 8, at);
    file.pad();
    return file;
  }
  std::size_t section_len() const {
    return 8 + private_fields.size() + 4 + comment.size() + padding.size();
  }
  void pad() {
    padding.clear();
    while (section_len() % 8 != 0) {
      padding.push_back(static_cast<std::uint8_t>(padding.size() + 1));
    }
  }
  Bytes content() const {
    Writer section;
    section.u32(check1).u32(check2).bytes(private_fields).text(comment).bytes(padding);
    Writer out;
    out.bytes(as_bytes(magic)).text(cipher).text(kdf).string(kdf_options).u32(num_keys);
    out.string(public_blob).string(section.view()).bytes(trailing);
    return out.take();
  }
  Result<PrivateKey> parse() const {
    return PrivateKey::parse_openssh(as_bytes(armored(content())));
  }
};

class PrivateKeyOfEachType : public testing::TestWithParam<KeyType> {
 protected:
  const PrivateKey& key() const { return made(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Keys, PrivateKeyOfEachType, testing::ValuesIn(kSoftwareTypes),
                         name_of_type);

TEST_P(PrivateKeyOfEachType, SurvivesItsFile) {
  // All comment lengths modulo the padding's block.
  for (std::size_t len = 0; len < 9; ++len) {
    const auto again = PrivateKey::parse_openssh(key().to_openssh(std::string(len, 'c')));
    ASSERT_TRUE(again) << again.error().text;
    EXPECT_EQ(again->public_key(), key().public_key());
    const SignatureAlgorithm& algorithm = *pick_signature_algorithms(GetParam()).front();
    const auto signature = again->sign(algorithm, as_bytes("data"));
    ASSERT_TRUE(signature);
    EXPECT_TRUE(key().public_key().verify(algorithm, as_bytes("data"), *signature));
  }
}

TEST_P(PrivateKeyOfEachType, IsReadBySshKeygen) {
  const TempDir dir;
  const std::string path = dir.write("key", key().to_openssh("somebody@somewhere"));
  const auto shown = run_program({"ssh-keygen", "-y", "-f", path});
  EXPECT_EQ(shown.exit_code, 0) << shown.output;
  EXPECT_EQ(shown.output, key().public_key().line() + " somebody@somewhere\n");
  const auto signed_by_it =
      run_program({"ssh-keygen", "-Y", "sign", "-f", path, "-n", "bastion-test"}, "data");
  EXPECT_EQ(signed_by_it.exit_code, 0) << signed_by_it.output;
}

TEST_P(PrivateKeyOfEachType, RefusesToBeCutAnywhere) {
  const KeyFile file = KeyFile::of(key());
  ASSERT_TRUE(file.parse()) << file.parse().error().text;
  const Bytes content = file.content();
  for (std::size_t len = 0; len < content.size(); ++len) {
    const std::string cut = armored(ByteView(content).first(len));
    ASSERT_FALSE(PrivateKey::parse_openssh(as_bytes(cut))) << len;
  }
  const SecretBytes text = key().to_openssh("comment");
  for (std::size_t len = 0; len + 1 < text.size(); ++len) {  // the last line end may be missing
    ASSERT_FALSE(PrivateKey::parse_openssh(ByteView(text).first(len))) << len;
  }
}

TEST_P(PrivateKeyOfEachType, RefusesFlippedBitsOfTheKey) {
  // Any bit but the comment's and the two check numbers' (both of which may change together).
  const KeyFile file = KeyFile::of(key());
  const std::size_t step = GetParam() == KeyType::kRsa ? 37 : 1;  // RSA's checks are slow
  KeyFile changed = file;
  for (std::size_t bit = 0; bit < 8 * file.private_fields.size(); bit += step) {
    changed.private_fields[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    EXPECT_FALSE(changed.parse()) << bit;
    changed.private_fields[bit / 8] = file.private_fields[bit / 8];
  }
  for (std::size_t bit = 0; bit < 8 * file.public_blob.size(); bit += step) {
    changed.public_blob[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    EXPECT_FALSE(changed.parse()) << bit;
    changed.public_blob[bit / 8] = file.public_blob[bit / 8];
  }
}

TEST_P(PrivateKeyOfEachType, RefusesAnotherPublicHalf) {
  KeyFile file = KeyFile::of(key());
  for (const KeyType type : kAllTypes) {
    if (type != GetParam()) {
      file.public_blob = made_public(type).blob();
      EXPECT_FALSE(file.parse());
    }
  }
  file.public_blob = PrivateKey::generate(GetParam(), 2048).value().public_key().blob();
  EXPECT_EQ(code_of(file.parse()), ErrorCode::kMalformed);
}

TEST_P(PrivateKeyOfEachType, sec_100_RefusesAFrameThatIsNotExact) {
  const KeyFile good = KeyFile::of(key());
  const auto refused = [&](auto change) {
    KeyFile file = good;
    change(file);
    return !file.parse().has_value();
  };
  EXPECT_TRUE(refused([](KeyFile& f) { f.magic[14] = '1'; }));
  EXPECT_TRUE(refused([](KeyFile& f) { f.magic[0] = 'O'; }));
  EXPECT_TRUE(refused([](KeyFile& f) { f.kdf_options = {0}; }));
  for (const std::uint32_t n : {0U, 2U, 0xffff'ffffU}) {
    EXPECT_TRUE(refused([&](KeyFile& f) { f.num_keys = n; }));
  }
  EXPECT_TRUE(refused([](KeyFile& f) { f.check2 ^= 1; }));
  EXPECT_TRUE(refused([](KeyFile& f) { f.trailing = {0}; }));
  EXPECT_TRUE(refused([](KeyFile& f) {
    f.padding.assign(8, 0);
    f.pad();
    f.padding.push_back(1);
  }));
  EXPECT_TRUE(refused([](KeyFile& f) {
    f.comment = "sevens";  // whatever the length, one wrong byte of padding
    while (f.pad(), f.padding.size() < 2) {
      f.comment += 'x';
    }
    f.padding[1] = 1;
  }));
  EXPECT_TRUE(refused([](KeyFile& f) {  // 16 bytes and more of it
    f.pad();
    for (int i = 0; i < 16; ++i) {
      f.padding.push_back(static_cast<std::uint8_t>(f.padding.size() + 1));
    }
  }));
}

TEST_P(PrivateKeyOfEachType, TakesPaddingToABlockOf16) {
  KeyFile file = KeyFile::of(key());
  while (file.section_len() % 16 != 8) {
    file.comment += 'x';
  }
  file.padding.clear();
  while (file.section_len() % 16 != 0) {
    file.padding.push_back(static_cast<std::uint8_t>(file.padding.size() + 1));
  }
  EXPECT_TRUE(file.parse());
}

TEST_P(PrivateKeyOfEachType, EncryptedIsUnsupportedAndSaysTheCure) {
  KeyFile file = KeyFile::of(key());
  file.cipher = "aes256-ctr";
  file.kdf = "bcrypt";
  // Sec 44: a billion rounds of the key derivation are never begun.
  file.kdf_options = Writer().string(Bytes(16, 1)).u32(1'000'000'000).take();
  const auto start = std::chrono::steady_clock::now();
  const auto parsed = file.parse();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(10));
  ASSERT_EQ(code_of(parsed), ErrorCode::kUnsupported);
  EXPECT_NE(parsed.error().text.find("ssh-keygen -p"), std::string_view::npos);
}

TEST(PrivateKey, IgnoresWhiteSpaceAroundTheFileOnly) {
  const SecretBytes file = made(KeyType::kEd25519).to_openssh("c");
  const std::string text(as_text(file));
  EXPECT_TRUE(PrivateKey::parse_openssh(as_bytes("\n \r\n" + text + "\n\n")));
  std::string crlf;
  for (const char c : text) {
    crlf += c == '\n' ? "\r\n" : std::string(1, c);
  }
  EXPECT_TRUE(PrivateKey::parse_openssh(as_bytes(crlf)));
  const std::string bad[] = {
      "",
      " ",
      "x" + text,
      text + "x",
      text + text,
      "-----BEGIN OPENSSH PRIVATE KEY-----",
      "-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----",
      "-----BEGIN -----",
      "ssh-ed25519 AAAA",
      std::string(100'000, '\n') + text};
  for (const std::string& each : bad) {
    EXPECT_FALSE(PrivateKey::parse_openssh(as_bytes(each))) << each.substr(0, 80);
  }
  EXPECT_EQ(code_of(PrivateKey::parse_openssh(Bytes(limits::kKeyFileBytesMax + 1, '\n'))),
            ErrorCode::kLimit);
}

TEST(PrivateKey, IsNeverOfAFidoKey) {
  for (const KeyType type : {KeyType::kSkEd25519, KeyType::kSkEcdsaP256}) {
    EXPECT_EQ(code_of(PrivateKey::generate(type)), ErrorCode::kUnsupported);
    KeyFile file = KeyFile::of(made(KeyType::kEd25519));
    file.public_blob = made_public(type).blob();
    Writer fields;
    fields.bytes(file.public_blob).u8(1).text("key handle").text("");
    file.private_fields = fields.take();
    file.pad();
    EXPECT_EQ(code_of(file.parse()), ErrorCode::kUnsupported);
  }
}

TEST(PrivateKey, RsaIsMadeWithinLimitsOnly) {
  for (const std::uint32_t bits : {0U, 1024U, 2040U, 2049U, 16'392U, 0xffff'fff8U}) {
    EXPECT_EQ(code_of(PrivateKey::generate(KeyType::kRsa, bits)), ErrorCode::kUnsupported) << bits;
  }
  EXPECT_EQ(made_public(KeyType::kRsa).bits(), 2048U);
}

TEST(PrivateKey, RsaBelowTheLimitIsRefusedInEachForm) {
  const TempDir dir;
  for (const char* form : {"RFC4716", "PEM", "PKCS8"}) {
    const std::string path = dir.file(form);
    ASSERT_EQ(run_program(
                  {"ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-m", form, "-f", path})
                  .exit_code,
              0);
    EXPECT_EQ(code_of(PrivateKey::parse_openssh(read_file(path))), ErrorCode::kMalformed) << form;
  }
}

// ---- Files of the real ssh-keygen and openssl ----

TEST(PrivateKeyOfOpenssh, IsReadInEveryForm) {
  const std::pair<std::string, std::string> files[] = {{"ed25519", "ed25519"},
                                                       {"rsa", "rsa"},
                                                       {"rsa.pem", "rsa"},
                                                       {"rsa.pkcs8", "rsa"},
                                                       {"ecdsa_p256", "ecdsa_p256"},
                                                       {"ecdsa_p256.pem", "ecdsa_p256"},
                                                       {"ecdsa_p384", "ecdsa_p384"},
                                                       {"ecdsa_p521", "ecdsa_p521"},
                                                       {"ecdsa_p521.pkcs8", "ecdsa_p521"}};
  for (const auto& [name, public_name] : files) {
    const auto key = PrivateKey::parse_openssh(vector_file(name));
    ASSERT_TRUE(key) << name << key.error().text;
    const auto public_key = PublicKey::parse_line(as_text(vector_file(public_name + ".pub")));
    ASSERT_TRUE(public_key) << public_key.error().text;
    EXPECT_EQ(key->public_key(), *public_key) << name;
  }
}

TEST(PrivateKeyOfOpenssl, IsReadFromPkcs8) {
  const auto key = PrivateKey::parse_openssh(vector_file("openssl_ed25519.pkcs8"));
  ASSERT_TRUE(key) << key.error().text;
  const Bytes point = test::from_hex(as_text(vector_file("openssl_ed25519.point")));
  EXPECT_EQ(key->public_key().blob(), Writer().text("ssh-ed25519").string(point).take());
}

TEST(PrivateKeyOfOpenssh, EncryptedIsUnsupportedInEveryForm) {
  for (const char* name :
       {"ed25519.encrypted", "rsa.encrypted.pem", "ecdsa_p256.encrypted.pkcs8"}) {
    const auto key = PrivateKey::parse_openssh(vector_file(name));
    ASSERT_EQ(code_of(key), ErrorCode::kUnsupported) << name;
    EXPECT_NE(key.error().text.find("ssh-keygen -p"), std::string_view::npos);
  }
}

TEST(PrivateKeyOfOpenssh, PemIsWholeOrRefused) {
  for (const auto& [name, label] :
       {std::pair{"rsa.pem", "RSA PRIVATE KEY"}, std::pair{"rsa.pkcs8", "PRIVATE KEY"},
        std::pair{"ecdsa_p256.pem", "EC PRIVATE KEY"}, std::pair{"ecdsa_p521.pkcs8", "PRIVATE KEY"},
        std::pair{"openssl_ed25519.pkcs8", "PRIVATE KEY"}}) {
    const Bytes content = unarmored(vector_file(name));
    ASSERT_TRUE(PrivateKey::parse_openssh(as_bytes(armored(content, label)))) << name;
    for (std::size_t len = 0; len < content.size(); ++len) {
      const std::string cut = armored(ByteView(content).first(len), label);
      ASSERT_FALSE(PrivateKey::parse_openssh(as_bytes(cut))) << name << " " << len;
    }
    Bytes longer = content;
    longer.push_back(0);
    EXPECT_FALSE(PrivateKey::parse_openssh(as_bytes(armored(longer, label)))) << name;
    for (const char* other :
         {"OPENSSH PRIVATE KEY", "DSA PRIVATE KEY", "CERTIFICATE", "PUBLIC KEY"}) {
      EXPECT_FALSE(PrivateKey::parse_openssh(as_bytes(armored(content, other)))) << other;
    }
  }
}

TEST(SignatureOfOpenssh, Verifies) {
  const Bytes message = vector_file("message");
  for (const std::string name : {"ed25519", "rsa", "ecdsa_p256", "ecdsa_p384", "ecdsa_p521"}) {
    const auto key = PublicKey::parse_line(as_text(vector_file(name + ".pub")));
    ASSERT_TRUE(key);
    const Bytes file = unarmored(vector_file(name + ".sig"));
    Reader reader(file);
    EXPECT_EQ(as_text(reader.bytes(6)), "SSHSIG");
    EXPECT_EQ(reader.u32(), 1U);
    EXPECT_TRUE(equal(reader.string(), key->blob()));
    EXPECT_EQ(reader.text(), "bastion-test");
    reader.string();
    EXPECT_EQ(reader.text(), "sha512");
    const ByteView signature = reader.string();
    ASSERT_TRUE(reader.done());
    Writer signed_data;
    signed_data.bytes(as_bytes("SSHSIG")).text("bastion-test").text("").text("sha512");
    signed_data.string(hash(HashAlgorithm::kSha512, message).view());
    const SignatureAlgorithm& algorithm = *pick_signature_algorithms(key->type()).front();
    EXPECT_TRUE(key->verify(algorithm, signed_data.view(), signature)) << name;
    EXPECT_FALSE(key->verify(algorithm, message, signature)) << name;
  }
}

}  // namespace
}  // namespace bastion::crypto
