#include "crypto/ipsec_mb.h"

#include <gtest/gtest.h>
#include <openssl/aead.h>
#include <openssl/chacha.h>
#include <openssl/poly1305.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base/secret.h"
#include "crypto/aes_gcm.h"
#include "tests/support/random.h"

// Every variant of libipsec-mb's code that this processor can run, whether or not we would choose
// it here, against BoringSSL.
namespace bastion::crypto {
namespace {

using test::SeededRandom;

constexpr std::size_t kNonceLen = AesGcm::kNonceLen;
constexpr std::size_t kTagLen = AesGcm::kTagLen;

struct Named {
  std::string name;
  std::unique_ptr<IpsecMb> code;
};

std::vector<Named> all_variants() {
  std::vector<Named> all;
  for (const auto& [name, variant] : {std::pair{"SSE", IpsecMb::Variant::kSse},
                                      {"AVX2", IpsecMb::Variant::kAvx2},
                                      {"AVX-512", IpsecMb::Variant::kAvx512}}) {
    for (const bool without_extras : {false, true}) {
      if (auto code = IpsecMb::make(variant, without_extras)) {
        all.push_back({std::string(name) + (without_extras ? " plain" : ""), std::move(code)});
      }
    }
  }
  return all;
}

bool is_long_run() {
  const char* configured = std::getenv("BASTION_LONG");
  return configured != nullptr && std::string_view(configured) == "1";
}

struct Case {
  Bytes key, nonce, aad, text;
};

/// by_boringssl seals: ciphertext and tag behind each other.
Bytes by_boringssl(const Case& c) {
  const EVP_AEAD* aead = c.key.size() == 16 ? EVP_aead_aes_128_gcm() : EVP_aead_aes_256_gcm();
  EVP_AEAD_CTX context;
  EXPECT_EQ(EVP_AEAD_CTX_init(&context, aead, c.key.data(), c.key.size(), kTagLen, nullptr), 1);
  Bytes sealed(c.text.size() + kTagLen);
  std::size_t tag_len = 0;
  EXPECT_EQ(
      EVP_AEAD_CTX_seal_scatter(&context, sealed.data(), sealed.data() + c.text.size(), &tag_len,
                                kTagLen, c.nonce.data(), c.nonce.size(), c.text.data(),
                                c.text.size(), nullptr, 0, c.aad.data(), c.aad.size()),
      1);
  EVP_AEAD_CTX_cleanup(&context);
  return sealed;
}

/// agrees seals and opens, apart or in place, and holds all of it against BoringSSL's.
bool agrees(IpsecMb& code, const Case& c, bool in_place) {
  const Bytes expected = by_boringssl(c);
  IpsecMb::GcmKey key;
  code.gcm_expand(c.key, key);
  Bytes sealed(c.text.size() + kTagLen);
  std::uint8_t* tag = sealed.data() + c.text.size();
  std::ranges::copy(c.text, sealed.begin());
  const ByteView clear = in_place ? ByteView(sealed).first(c.text.size()) : ByteView(c.text);
  code.gcm_seal(key, c.key.size(), c.nonce, c.aad, clear, sealed.data(), tag);
  if (sealed != expected) {
    return false;
  }
  Bytes opened(c.text.size(), 0xee);
  Bytes right_tag(kTagLen);
  if (in_place) {
    opened.assign(sealed.begin(), sealed.begin() + static_cast<std::ptrdiff_t>(c.text.size()));
  }
  const ByteView closed = in_place ? ByteView(opened) : ByteView(sealed).first(c.text.size());
  code.gcm_open(key, c.key.size(), c.nonce, c.aad, closed, opened.data(), right_tag.data());
  return opened == c.text && equal(right_tag, ByteView(expected).last(kTagLen));
}

Case make_case(SeededRandom& random, std::size_t key_len, std::size_t aad_len, std::size_t len) {
  return {random.bytes(key_len), random.bytes(kNonceLen), random.bytes(aad_len), random.bytes(len)};
}

TEST(IpsecMb, EveryVariantSealsAndOpensEveryLengthAsBoringSslDoes) {
  std::vector<std::size_t> lengths;
  for (std::size_t len = 0; len <= 2048; ++len) {
    lengths.push_back(len);
  }
  for (const std::size_t around : {std::size_t{32} * 1024, std::size_t{256} * 1024}) {
    for (std::size_t len = around - 33; len <= around + 48; ++len) {
      lengths.push_back(len);
    }
  }
  SeededRandom random;
  for (const Named& variant : all_variants()) {
    for (const std::size_t len : lengths) {
      const std::size_t key_len = len % 2 == 0 ? 16 : 32;
      ASSERT_TRUE(agrees(*variant.code, make_case(random, key_len, 4, len), len % 4 < 2))
          << variant.name << " " << len;
      ASSERT_TRUE(
          agrees(*variant.code, make_case(random, 48 - key_len, len % 67, len), len % 4 >= 2))
          << variant.name << " " << len;
    }
  }
}

/// any_length prefers what packets have: most are short, some full, few in between.
std::size_t any_length(SeededRandom& random) {
  const std::uint64_t r = random.next();
  const std::size_t max = r % 512 == 0 ? 35'000 : r % 16 == 0 ? 2'048 : 300;
  return random.next() % (max + 1);
}

TEST(IpsecMb, AgreesWithBoringSslOnRandomCases) {
  const std::vector<Named> variants = all_variants();
  if (variants.empty()) {
    EXPECT_EQ(IpsecMb::of_this_thread(), nullptr);
    return;
  }
  const std::size_t num_cases = is_long_run() ? 10'000'000 : 30'000;
  SeededRandom random(42);
  for (std::size_t i = 0; i < num_cases; ++i) {
    const std::uint64_t r = random.next();
    const Named& variant = variants[r % variants.size()];
    const Case c =
        make_case(random, (r >> 8) % 2 == 0 ? 16 : 32, (r >> 9) % 40, any_length(random));
    ASSERT_TRUE(agrees(*variant.code, c, (r >> 16) % 2 == 0))
        << variant.name << " case " << i << ", key " << c.key.size() << ", text " << c.text.size();
  }
  std::printf("%zu cases over %zu variants\n", num_cases, variants.size());
}

TEST(IpsecMb, EveryVariantOfChaCha20AndPoly1305DoesAsBoringSslDoes) {
  SeededRandom random;
  for (const Named& variant : all_variants()) {
    for (std::size_t i = 1; i < 3000; ++i) {  // of nothing it makes no tag, and says so
      const std::size_t len = i < 1100 ? i : 1 + any_length(random);
      const Bytes key = random.bytes(32);
      const Bytes nonce = random.bytes(12);
      const Bytes text = random.bytes(len);
      Bytes expected(len);
      CRYPTO_chacha_20(expected.data(), text.data(), len, key.data(), nonce.data(), 1);
      Bytes got(len);
      ASSERT_TRUE(variant.code->chacha20(key.data(), nonce.data(), text, got.data()));
      ASSERT_EQ(got, expected) << variant.name << " " << len;

      poly1305_state state;
      CRYPTO_poly1305_init(&state, key.data());
      CRYPTO_poly1305_update(&state, text.data(), len);
      std::array<std::uint8_t, 16> expected_tag{};
      CRYPTO_poly1305_finish(&state, expected_tag.data());
      std::array<std::uint8_t, 16> tag{};
      ASSERT_TRUE(variant.code->poly1305(key.data(), text, tag.data()));
      ASSERT_EQ(tag, expected_tag) << variant.name << " " << len;
    }
  }
}

TEST(AesGcm, RefusesWhatWasChangedAndGivesZerosThen) {
  SeededRandom random;
  for (const AesGcm::Backend backend : {AesGcm::Backend::kFastest, AesGcm::Backend::kBoringSsl}) {
    Case c = make_case(random, 16, 4, 333);
    const AesGcm aes(c.key, backend);
    Bytes sealed(c.text.size());
    Bytes tag(kTagLen);
    aes.seal(c.nonce, c.aad, c.text, sealed.data(), tag.data());
    for (std::size_t i = 0; i < tag.size(); ++i) {
      Bytes text = sealed;
      Bytes wrong = tag;
      wrong[i] ^= 0x80;
      EXPECT_FALSE(aes.open(c.nonce, c.aad, text, wrong));
      EXPECT_EQ(text, Bytes(text.size(), 0));
    }
    ASSERT_TRUE(aes.open(c.nonce, c.aad, sealed, tag));
    EXPECT_EQ(sealed, c.text);
  }
}

/// num_in_memory counts the places in this process's writable memory that hold `masked` with every
/// byte turned over; so the pattern itself is nowhere but where it was left behind.
std::size_t num_in_memory(const std::array<std::uint8_t, 16>& masked) {
  std::size_t found = 0;
  std::ifstream maps("/proc/self/maps");
  std::FILE* memory = std::fopen("/proc/self/mem", "rb");
  EXPECT_NE(memory, nullptr);
  Bytes window(1 << 16);
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char mode[5] = {};
    constexpr unsigned long kRegionMax = 256UL
                                         << 20;  // a sanitizer's shadow is larger, and no memory
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, mode) != 3 || mode[1] != 'w' ||
        end - begin > kRegionMax) {
      continue;
    }
    for (unsigned long at = begin; at < end; at += window.size() - masked.size()) {
      std::fseek(memory, static_cast<long>(at), SEEK_SET);
      const std::size_t len = std::min<std::size_t>(window.size(), end - at);
      const std::size_t n = std::fread(window.data(), 1, len, memory);
      for (std::size_t i = 0; i + masked.size() <= n; ++i) {
        std::size_t same = 0;
        while (same < masked.size() &&
               static_cast<std::uint8_t>(window[i + same] ^ 0xff) == masked[same]) {
          ++same;
        }
        found += same == masked.size() ? 1 : 0;
      }
    }
    wipe(window);
  }
  std::fclose(memory);
  return found;
}

TEST(AesGcm, LeavesNoKeyBehind) {
  std::array<std::uint8_t, 16> masked;
  SeededRandom(7).fill(masked);
  for (const AesGcm::Backend backend : {AesGcm::Backend::kFastest, AesGcm::Backend::kBoringSsl}) {
    {
      SecretArray<16> key;
      for (std::size_t i = 0; i < masked.size(); ++i) {
        key.bytes()[i] = static_cast<std::uint8_t>(masked[i] ^ 0xff);
      }
      const AesGcm aes(key.view(), backend);
      Bytes text(1000, 'x');
      Bytes tag(kTagLen);
      aes.seal(Bytes(kNonceLen), {}, text, text.data(), tag.data());
      ASSERT_TRUE(aes.open(Bytes(kNonceLen), {}, text, tag));
      // The key itself, its holder's copy, and the first round of what it expands to.
      EXPECT_GE(num_in_memory(masked), 3U);
    }
    EXPECT_EQ(num_in_memory(masked), 0U);
  }
}

}  // namespace
}  // namespace bastion::crypto
