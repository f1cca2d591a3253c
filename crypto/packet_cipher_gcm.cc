// aes128-gcm@openssh.com and aes256-gcm@openssh.com (RFC 5647 as changed by OpenSSH PROTOCOL 1.6):
// packet_length is additional data in clear, the rest is encrypted, the tag follows. The nonce is a
// fixed field of 4 bytes and an invocation counter of 8 that goes up by one for each packet.

#include <openssl/aead.h>

#include "crypto/packet_cipher_impl.h"

namespace bastion::crypto::impl {
namespace {

constexpr std::size_t kLengthLen = 4;
constexpr std::size_t kNonceLen = 12;
constexpr std::size_t kFixedLen = 4;
constexpr std::size_t kBlockLen = 16;
constexpr std::size_t kTagLen = 16;

// Gcm is what both directions have: the expanded key inside the object, the key for export_keys,
// and the nonce of the next packet.
class Gcm {
 public:
  explicit Gcm(const PacketKeys& keys) : cipher_(keys.cipher), key_(keys.key), nonce_(keys.iv) {
    EVP_AEAD_CTX_zero(&context_);
  }
  ~Gcm() {
    EVP_AEAD_CTX_cleanup(&context_);
    wipe({reinterpret_cast<std::uint8_t*>(&context_), sizeof context_});
  }
  Gcm(const Gcm&) = delete;
  Gcm& operator=(const Gcm&) = delete;

  bool init() {
    const EVP_AEAD* aead =
        key_.view().size() == 16 ? EVP_aead_aes_128_gcm() : EVP_aead_aes_256_gcm();
    return EVP_AEAD_CTX_init(&context_, aead, key_.view().data(), key_.view().size(), kTagLen,
                             nullptr) == 1;
  }

  void seal(ByteView clear, MutBytes out) {
    must(clear.size() >= kLengthLen && out.size() == clear.size() + kTagLen);
    const std::size_t text_len = clear.size() - kLengthLen;
    std::copy_n(clear.begin(), kLengthLen, out.begin());
    std::size_t tag_len = 0;
    const int sealed = EVP_AEAD_CTX_seal_scatter(
        &context_, out.data() + kLengthLen, out.data() + clear.size(), &tag_len, kTagLen,
        nonce_.view().data(), kNonceLen, clear.data() + kLengthLen, text_len, nullptr, 0,
        out.data(), kLengthLen);
    must(sealed == 1 && tag_len == kTagLen);
    count();
  }

  Status open(MutBytes packet) {
    if (packet.size() < kLengthLen + kTagLen) {
      return fail(ErrorCode::kMac, "packet shorter than its tag");
    }
    const std::size_t text_len = packet.size() - kLengthLen - kTagLen;
    std::uint8_t* text = packet.data() + kLengthLen;
    const int opened =
        EVP_AEAD_CTX_open_gather(&context_, text, nonce_.view().data(), kNonceLen, text, text_len,
                                 text + text_len, kTagLen, packet.data(), kLengthLen);
    if (opened != 1) {
      return fail(ErrorCode::kMac, "packet does not authenticate");
    }
    count();
    return {};
  }

  PacketKeys export_keys() const {
    return {cipher_, nullptr, to_secret(key_.view()), to_secret(nonce_.view()), {}};
  }

 private:
  // Callers rekey long before 2^64 packets, so that the counter never comes round (RFC 5647 7.1).
  void count() { add_be(nonce_.bytes().subspan(kFixedLen), 1); }

  const CipherInfo* cipher_;
  EVP_AEAD_CTX context_;
  SecretArray<32> key_;
  SecretArray<kNonceLen> nonce_;
};

class GcmSealer final : public PacketSealer {
 public:
  explicit GcmSealer(const PacketKeys& keys)
      : PacketSealer(kBlockLen, kTagLen, kLengthLen), gcm_(keys) {}
  bool init() { return gcm_.init(); }
  void seal(std::uint32_t /*seq*/, ByteView clear, MutBytes out) override { gcm_.seal(clear, out); }
  PacketKeys export_keys() const override { return gcm_.export_keys(); }

 private:
  Gcm gcm_;
};

class GcmOpener final : public PacketOpener {
 public:
  explicit GcmOpener(const PacketKeys& keys)
      : PacketOpener(kBlockLen, kTagLen, kLengthLen), gcm_(keys) {}
  bool init() { return gcm_.init(); }
  std::size_t length_prefix_len() const override { return kLengthLen; }
  std::uint32_t packet_length(std::uint32_t /*seq*/, ByteView prefix) override {
    must(prefix.size() >= kLengthLen);
    return load_u32(prefix.data());
  }
  Status open(std::uint32_t /*seq*/, MutBytes packet) override { return gcm_.open(packet); }
  PacketKeys export_keys() const override { return gcm_.export_keys(); }

 private:
  Gcm gcm_;
};

}  // namespace

std::unique_ptr<PacketSealer> make_gcm_sealer(const PacketKeys& keys) {
  auto sealer = std::make_unique<GcmSealer>(keys);
  return sealer->init() ? std::move(sealer) : nullptr;
}

std::unique_ptr<PacketOpener> make_gcm_opener(const PacketKeys& keys) {
  auto opener = std::make_unique<GcmOpener>(keys);
  return opener->init() ? std::move(opener) : nullptr;
}

}  // namespace bastion::crypto::impl
