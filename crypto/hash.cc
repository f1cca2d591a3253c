#include "crypto/hash.h"

#include <openssl/rand.h>
#include <openssl/sha.h>

#include <cstdlib>
#include <new>
#include <type_traits>

#include "crypto/secret_array.h"

namespace bastion::crypto {
namespace {

// A hash function of BoringSSL: its context and its three functions, which return 1.
template <typename Context, int (*kInit)(Context*), int (*kUpdate)(Context*, const void*, size_t),
          int (*kFinal)(std::uint8_t*, Context*), std::size_t kDigestBytes, std::size_t kBlockBytes>
struct Function {
  static_assert(std::is_trivially_copyable_v<Context> && alignof(Context) <= 8);
  static constexpr std::size_t digest_len = kDigestBytes;
  static constexpr std::size_t block_len = kBlockBytes;
  static constexpr std::size_t context_len = sizeof(Context);

  static Context* context(MutBytes state) {
    return std::launder(reinterpret_cast<Context*>(state.data()));
  }
  static bool init(MutBytes state) { return kInit(new (state.data()) Context) == 1; }
  static bool update(MutBytes state, ByteView bytes) {
    return kUpdate(context(state), bytes.data(), bytes.size()) == 1;
  }
  static bool final(MutBytes state, std::uint8_t* out) { return kFinal(out, context(state)) == 1; }
};

using Sha1 = Function<SHA_CTX, SHA1_Init, SHA1_Update, SHA1_Final, 20, 64>;
using Sha256 = Function<SHA256_CTX, SHA256_Init, SHA256_Update, SHA256_Final, 32, 64>;
using Sha384 = Function<SHA512_CTX, SHA384_Init, SHA384_Update, SHA384_Final, 48, 128>;
using Sha512 = Function<SHA512_CTX, SHA512_Init, SHA512_Update, SHA512_Final, 64, 128>;

// dispatch calls `what` with the Function that `algorithm` stands for.
template <typename What>
auto dispatch(HashAlgorithm algorithm, What what) {
  switch (algorithm) {
    case HashAlgorithm::kSha1: return what(Sha1{});
    case HashAlgorithm::kSha256: return what(Sha256{});
    case HashAlgorithm::kSha384: return what(Sha384{});
    case HashAlgorithm::kSha512: return what(Sha512{});
  }
  std::abort();
}

class SystemRandom final : public RandomSource {
 public:
  void fill(MutBytes out) override { must(RAND_bytes(out.data(), out.size()) == 1); }
};

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> kBase64Values = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kBase64.size(); ++i) {
    values[static_cast<std::uint8_t>(kBase64[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}();

}  // namespace

std::size_t hash_len(HashAlgorithm algorithm) {
  return dispatch(algorithm, [](auto f) { return f.digest_len; });
}

Hash::Hash(HashAlgorithm algorithm) : algorithm_(algorithm) {
  must(dispatch(algorithm, [this](auto f) {
    static_assert(f.context_len <= kStateBytes);
    return f.init(state_);
  }));
}

void Hash::update(ByteView bytes) {
  if (!bytes.empty()) {
    must(dispatch(algorithm_, [&](auto f) { return f.update(state_, bytes); }));
  }
}

void Hash::update_string(ByteView bytes) {
  std::uint8_t length[4];
  store_u32(length, static_cast<std::uint32_t>(bytes.size()));
  update(length);
  update(bytes);
}

Digest Hash::finish() {
  Digest digest;
  must(dispatch(algorithm_, [&](auto f) {
    static_assert(f.digest_len <= kHashBytesMax);
    digest.len = f.digest_len;
    return f.final(state_, digest.data.data()) && f.init(state_);
  }));
  return digest;
}

Digest hash(HashAlgorithm algorithm, ByteView bytes) {
  Hash h(algorithm);
  h.update(bytes);
  return h.finish();
}

Hmac::Hmac(HashAlgorithm algorithm, ByteView key) : inner_(algorithm), outer_(algorithm) {
  std::array<std::uint8_t, 128> pad{};
  const std::size_t block_len = dispatch(algorithm, [](auto f) { return f.block_len; });
  if (key.size() > block_len) {
    Digest digest = hash(algorithm, key);
    std::copy_n(digest.data.begin(), digest.len, pad.begin());
    wipe(digest.data);
  } else {
    std::copy(key.begin(), key.end(), pad.begin());
  }
  const auto absorb = [&](Hash& h, std::uint8_t constant) {
    for (std::uint8_t& byte : pad) {
      byte = static_cast<std::uint8_t>(byte ^ constant);
    }
    h.update(MutBytes(pad).first(block_len));
  };
  absorb(inner_, 0x36);
  absorb(outer_, 0x36 ^ 0x5c);
  wipe(pad);
}

Digest Hmac::finish(Hash& message) const {
  Digest inner = message.finish();
  Hash outer = outer_;
  outer.update(inner.view());
  wipe(inner.data);
  return outer.finish();
}

Digest hmac(HashAlgorithm algorithm, ByteView key, ByteView bytes) {
  const Hmac mac(algorithm, key);
  Hash message = mac.start();
  message.update(bytes);
  return mac.finish(message);
}

RandomSource& system_random() {
  static SystemRandom random;
  return random;
}

std::string base64_encode(ByteView bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(bytes.size() - i, 3);
    std::uint32_t group = std::uint32_t{bytes[i]} << 16;
    group |= n > 1 ? std::uint32_t{bytes[i + 1]} << 8 : 0;
    group |= n > 2 ? std::uint32_t{bytes[i + 2]} : 0;
    text.push_back(kBase64[group >> 18]);
    text.push_back(kBase64[group >> 12 & 63]);
    text.push_back(n > 1 ? kBase64[group >> 6 & 63] : '=');
    text.push_back(n > 2 ? kBase64[group & 63] : '=');
  }
  return text;
}

Result<Bytes> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) {
    return fail(ErrorCode::kMalformed, "base64: length is not a multiple of four",
                static_cast<std::int64_t>(text.size()));
  }
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  Bytes bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size() - padding; ++i) {
    const std::int8_t value = kBase64Values[static_cast<std::uint8_t>(text[i])];
    if (value < 0) {
      return fail(ErrorCode::kMalformed, "base64: not a character of its alphabet",
                  static_cast<std::int64_t>(i));
    }
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    // Of every four characters the last three each complete one byte.
    if (i % 4 != 0) {
      bytes.push_back(static_cast<std::uint8_t>(bits >> (6 - 2 * (i % 4))));
    }
  }
  const std::uint32_t unused = padding == 2 ? 0x0f : padding == 1 ? 0x03 : 0;
  if ((bits & unused) != 0) {
    return fail(ErrorCode::kMalformed, "base64: the bits left over are not zero");
  }
  return bytes;
}

}  // namespace bastion::crypto
