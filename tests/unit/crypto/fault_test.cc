#include <gtest/gtest.h>
#if BASTION_HAVE_LIB25519
#include <lib25519.h>
#endif
#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <climits>
#include <functional>
#include <set>

#include "tests/support/program.h"
#include "tests/support/random.h"
#include "tests/support/test_data.h"
#include "tests/unit/crypto/test_keys.h"

// Each call of crypto/ to a function of BoringSSL that can fail goes through a wrapper here (the
// linker's
// --wrap), so that any one of them can be made to fail: as BoringSSL says it does (0, NULL) and as
// it should not (-1, 2). This is SECURITY's class of CVE-2023-2283, CVE-2025-26465 and
// CVE-2026-59847.

namespace {

struct Fault {
  std::size_t strike_at = 0;  // the how-manyth call fails; 0: none
  int value = 0;              // what a function that returns an int says then
  std::size_t num_calls = 0;
  std::string_view struck;  // the function that failed
};
Fault fault;

bool strikes(std::string_view function) {
  if (++fault.num_calls != fault.strike_at) {
    return false;
  }
  fault.struck = function;
  return true;
}

template <typename T>
T faulty() {
  if constexpr (std::is_pointer_v<T>) {
    return nullptr;
  } else if constexpr (std::is_same_v<T, int>) {
    return fault.value;
  } else {
    return 0;
  }
}

}  // namespace

// NOLINTBEGIN: these names are the linker's
#define WRAP(type, name, parameters, arguments) \
  extern "C" type __real_##name parameters;     \
  extern "C" type __wrap_##name parameters;     \
  extern "C" type __wrap_##name parameters {    \
    if (strikes(#name)) {                       \
      return faulty<type>();                    \
    }                                           \
    return __real_##name arguments;             \
  }

WRAP(BIGNUM*, BN_bin2bn, (const std::uint8_t* in, std::size_t len, BIGNUM* out), (in, len, out))
WRAP(BIGNUM*, BN_new, (), ())
WRAP(BN_CTX*, BN_CTX_new, (), ())
WRAP(int, BN_cmp, (const BIGNUM* a, const BIGNUM* b), (a, b))
WRAP(int, BN_is_zero, (const BIGNUM* a), (a))
WRAP(int, BN_set_word, (BIGNUM * a, BN_ULONG word), (a, word))
WRAP(int, BN_sub, (BIGNUM * r, const BIGNUM* a, const BIGNUM* b), (r, a, b))
WRAP(int, BN_div, (BIGNUM * q, BIGNUM* rem, const BIGNUM* a, const BIGNUM* b, BN_CTX* ctx),
     (q, rem, a, b, ctx))
WRAP(int, ED25519_sign,
     (std::uint8_t* out, const std::uint8_t* message, std::size_t len, const std::uint8_t* key),
     (out, message, len, key))
WRAP(int, ED25519_verify,
     (const std::uint8_t* message, std::size_t len, const std::uint8_t* signature,
      const std::uint8_t* key),
     (message, len, signature, key))
WRAP(ECDSA_SIG*, ECDSA_SIG_new, (), ())
WRAP(int, ECDSA_SIG_set0, (ECDSA_SIG * signature, BIGNUM* r, BIGNUM* s), (signature, r, s))
WRAP(ECDSA_SIG*, ECDSA_do_sign, (const std::uint8_t* digest, std::size_t len, const EC_KEY* key),
     (digest, len, key))
WRAP(int, ECDSA_do_verify,
     (const std::uint8_t* digest, std::size_t len, const ECDSA_SIG* signature, const EC_KEY* key),
     (digest, len, signature, key))
WRAP(EC_KEY*, EC_KEY_new_by_curve_name, (int nid), (nid))
WRAP(EC_KEY*, EC_KEY_parse_private_key, (CBS * cbs, const EC_GROUP* group), (cbs, group))
WRAP(int, EC_KEY_check_key, (const EC_KEY* key), (key))
WRAP(int, EC_KEY_generate_key, (EC_KEY * key), (key))
WRAP(int, EC_KEY_oct2key, (EC_KEY * key, const std::uint8_t* in, std::size_t len, BN_CTX* ctx),
     (key, in, len, ctx))
WRAP(int, EC_KEY_oct2priv, (EC_KEY * key, const std::uint8_t* in, std::size_t len), (key, in, len))
WRAP(std::size_t, EC_POINT_point2oct,
     (const EC_GROUP* group, const EC_POINT* point, point_conversion_form_t form, std::uint8_t* out,
      std::size_t max, BN_CTX* ctx),
     (group, point, form, out, max, ctx))
WRAP(EVP_PKEY*, EVP_parse_private_key, (CBS * cbs), (cbs))
WRAP(RSA*, EVP_PKEY_get1_RSA, (const EVP_PKEY* key), (key))
WRAP(EC_KEY*, EVP_PKEY_get1_EC_KEY, (const EVP_PKEY* key), (key))
WRAP(int, EVP_PKEY_get_raw_private_key, (const EVP_PKEY* key, std::uint8_t* out, std::size_t* len),
     (key, out, len))
WRAP(RSA*, RSA_new, (), ())
WRAP(RSA*, RSA_parse_private_key, (CBS * cbs), (cbs))
WRAP(int, RSA_check_key, (const RSA* rsa), (rsa))
WRAP(int, RSA_generate_key_ex, (RSA * rsa, int bits, const BIGNUM* e, BN_GENCB* cb),
     (rsa, bits, e, cb))
WRAP(int, RSA_set0_key, (RSA * rsa, BIGNUM* n, BIGNUM* e, BIGNUM* d), (rsa, n, e, d))
WRAP(int, RSA_set0_factors, (RSA * rsa, BIGNUM* p, BIGNUM* q), (rsa, p, q))
WRAP(int, RSA_set0_crt_params, (RSA * rsa, BIGNUM* d_p, BIGNUM* d_q, BIGNUM* inverse),
     (rsa, d_p, d_q, inverse))
WRAP(int, RSA_sign,
     (int nid, const std::uint8_t* digest, unsigned len, std::uint8_t* out, unsigned* out_len,
      RSA* rsa),
     (nid, digest, len, out, out_len, rsa))
WRAP(int, RSA_verify,
     (int nid, const std::uint8_t* digest, std::size_t len, const std::uint8_t* signature,
      std::size_t signature_len, RSA* rsa),
     (nid, digest, len, signature, signature_len, rsa))
// lib25519 verifies where it is there. Its yes is 0, which must not be enough.
#if BASTION_HAVE_LIB25519
WRAP(int, lib25519_sign_ed25519_open,
     (unsigned char* out, long long* out_len, const unsigned char* in, long long len,
      const unsigned char* key),
     (out, out_len, in, len, key))
#endif
// NOLINTEND

namespace bastion::crypto {
namespace {

const Bytes kData = to_bytes("what is signed");
const Bytes kOtherData = to_bytes("what is not");

/// with_each_fault runs `attempt` once for every call that it makes and every value that the call
/// may give instead, after one run that counts the calls. `attempt` says whether it succeeded;
/// `check` hears that.
void with_each_fault(const std::function<bool()>& attempt,
                     const std::function<void(bool succeeded)>& check) {
  fault = {};
  static_cast<void>(attempt());
  const std::size_t num_calls = fault.num_calls;
  ASSERT_GT(num_calls, 0U);
  for (std::size_t at = 1; at <= num_calls; ++at) {
    for (const int value : {0, -1, 2, INT_MIN}) {
      fault = {.strike_at = at, .value = value, .num_calls = 0, .struck = {}};
      const bool succeeded = attempt();
      EXPECT_FALSE(fault.struck.empty());
      check(succeeded);
    }
  }
  fault = {};
}

struct Made {
  const SignatureAlgorithm* algorithm;
  Bytes signature;
};
std::vector<Made> all_signatures() {
  std::vector<Made> all;
  for (const std::string_view name : kAllAlgorithmNames) {
    const SignatureAlgorithm& algorithm = *find_signature_algorithm(name);
    if (!algorithm.certificate) {
      all.push_back({&algorithm, signed_by(algorithm.key_type, algorithm, kData)});
    }
  }
  return all;
}

TEST(Fault, sec_014_NoneMakesAWrongSignatureRight) {
  for (const Made& each : all_signatures()) {
    const PublicKey& key = made_public(each.algorithm->key_type);
    ASSERT_TRUE(key.verify(*each.algorithm, kData, each.signature));
    SkFlags flags;
    with_each_fault(
        [&] { return key.verify(*each.algorithm, kOtherData, each.signature, &flags).has_value(); },
        [&](bool verified) {
          EXPECT_FALSE(verified) << each.algorithm->name << " " << fault.struck << fault.value;
          EXPECT_FALSE(flags.user_present);
        });
  }
}

TEST(Fault, sec_014_OfAVerificationIsNeverAYes) {
  // BN_is_zero and BN_cmp answer questions whose other answer is a fault's value, too.
  const std::set<std::string_view> questions = {"BN_is_zero", "BN_cmp"};
  for (const Made& each : all_signatures()) {
    const PublicKey& key = made_public(each.algorithm->key_type);
    with_each_fault([&] { return key.verify(*each.algorithm, kData, each.signature).has_value(); },
                    [&](bool verified) {
                      EXPECT_TRUE(!verified || questions.contains(fault.struck))
                          << each.algorithm->name << " " << fault.struck << fault.value;
                    });
  }
}

TEST(Fault, sec_014_NoneMakesAWrongCertificateRight) {
  test::SeededRandom random;
  CertificateRequest request;
  request.key = made_public(KeyType::kEd25519);
  request.key_id = "alice";
  for (const KeyType ca : kSoftwareTypes) {
    Bytes blob = sign_certificate(request, made(ca), random).value();
    const auto at = std::ranges::search(blob, as_bytes("alice"));
    at.front() = 'A';
    with_each_fault(
        [&] {
          const auto certificate = Certificate::parse(blob);
          return certificate && certificate->verify_signature();
        },
        [&](bool verified) { EXPECT_FALSE(verified) << fault.struck << fault.value; });
  }
}

TEST(Fault, sec_014_OfALongMessageIsNeverAYesEither) {
  const SignatureAlgorithm& algorithm = *find_signature_algorithm("ssh-ed25519");
  const Bytes data(10'000, 'x');
  const Bytes signature = signed_by(KeyType::kEd25519, algorithm, data);
  with_each_fault(
      [&] { return made_public(KeyType::kEd25519).verify(algorithm, data, signature).has_value(); },
      [&](bool verified) { EXPECT_FALSE(verified) << fault.struck << fault.value; });
}

TEST(Fault, OfParsingAPublicKeyGivesNoKey) {
  for (const KeyType type : kAllTypes) {
    if (type == KeyType::kEd25519 || type == KeyType::kSkEd25519) {
      continue;  // nothing of BoringSSL is called
    }
    with_each_fault([&] { return PublicKey::parse(made_public(type).blob()).has_value(); },
                    [&](bool parsed) { EXPECT_FALSE(parsed) << fault.struck << fault.value; });
  }
}

TEST(Fault, OfParsingAPrivateKeyGivesNoKey) {
  for (const char* name : {"rsa", "rsa.pem", "rsa.pkcs8", "ecdsa_p256", "ecdsa_p256.pem",
                           "ecdsa_p384", "ecdsa_p521.pkcs8", "openssl_ed25519.pkcs8"}) {
    const Bytes file = test::read_file(test::test_data("vectors/openssh/" + std::string(name)));
    ASSERT_TRUE(PrivateKey::parse_openssh(file)) << name;
    with_each_fault(
        [&] { return PrivateKey::parse_openssh(file).has_value(); },
        [&](bool parsed) { EXPECT_FALSE(parsed) << name << fault.struck << fault.value; });
  }
}

TEST(Fault, OfSigningGivesNoSignature) {
  const Bytes data(10'000, 'x');  // longer than what lib25519, which has no errors, signs
  for (const KeyType type : kSoftwareTypes) {
    const SignatureAlgorithm& algorithm = *pick_signature_algorithms(type).front();
    with_each_fault([&] { return made(type).sign(algorithm, data).has_value(); },
                    [&](bool made_one) { EXPECT_FALSE(made_one) << fault.struck << fault.value; });
  }
}

TEST(Fault, OfMakingAKeyGivesNoKey) {
  for (const KeyType type : {KeyType::kEcdsaP256, KeyType::kEcdsaP384, KeyType::kEcdsaP521}) {
    with_each_fault([&] { return PrivateKey::generate(type).has_value(); },
                    [&](bool made_one) { EXPECT_FALSE(made_one) << fault.struck << fault.value; });
  }
}

}  // namespace
}  // namespace bastion::crypto
