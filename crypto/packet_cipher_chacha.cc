// chacha20-poly1305@openssh.com (OpenSSH PROTOCOL.chacha20poly1305). Of the 64 key bytes the first
// half is K_2 for the payload, the second K_1 for packet_length. Both use the original ChaCha20
// with the sequence number as its 64-bit big-endian nonce; block 0 of K_2's stream keys Poly1305
// over the encrypted length and payload.

#include <openssl/chacha.h>
#include <openssl/poly1305.h>

#include "crypto/ipsec_mb.h"
#include "crypto/packet_cipher_impl.h"

namespace bastion::crypto::impl {
namespace {

constexpr std::size_t kLengthLen = 4;
constexpr std::size_t kKeyLen = 32;
constexpr std::size_t kBlockLen = 8;
constexpr std::size_t kTagLen = 16;

class ChaChaPoly {
 public:
  explicit ChaChaPoly(const PacketKeys& keys) : cipher_(keys.cipher), key_(keys.key) {}

  std::uint32_t packet_length(std::uint32_t seq, ByteView prefix) const {
    must(prefix.size() >= kLengthLen);
    std::uint8_t clear[kLengthLen];
    crypt_length(Nonce(seq), prefix.data(), clear);
    return load_u32(clear);
  }

  void seal(std::uint32_t seq, ByteView clear, MutBytes out) const {
    must(clear.size() >= kLengthLen && out.size() == clear.size() + kTagLen);
    const Nonce nonce(seq);
    crypt_length(nonce, clear.data(), out.data());
    crypt_payload(nonce, clear.subspan(kLengthLen), out.data() + kLengthLen);
    authenticate(nonce, out.first(clear.size()), out.data() + clear.size());
  }

  Status open(std::uint32_t seq, MutBytes packet) const {
    if (packet.size() < kLengthLen + kTagLen) {
      return fail(ErrorCode::kMac, "packet shorter than its tag");
    }
    const Nonce nonce(seq);
    const MutBytes sealed = packet.first(packet.size() - kTagLen);
    std::uint8_t tag[kTagLen];
    authenticate(nonce, sealed, tag);
    if (!equal_secret(tag, packet.last(kTagLen))) {
      return fail(ErrorCode::kMac, "packet does not authenticate");
    }
    crypt_length(nonce, sealed.data(), sealed.data());
    crypt_payload(nonce, sealed.subspan(kLengthLen), sealed.data() + kLengthLen);
    return {};
  }

  PacketKeys export_keys() const { return {cipher_, nullptr, to_secret(key_.view()), {}, {}}; }

 private:
  // BoringSSL's ChaCha20 is RFC 8439's: a 32-bit counter and 12 bytes of nonce in the place of the
  // original's 64-bit counter and 8. With 4 leading zero bytes they are the same for 2^32 blocks.
  struct Nonce {
    explicit Nonce(std::uint32_t seq) { store_u32(bytes + 8, seq); }
    std::uint8_t bytes[12] = {};
  };

  const std::uint8_t* payload_key() const { return key_.view().data(); }
  const std::uint8_t* length_key() const { return key_.view().data() + kKeyLen; }

  void crypt_length(const Nonce& nonce, const std::uint8_t* in, std::uint8_t* out) const {
    CRYPTO_chacha_20(out, in, kLengthLen, length_key(), nonce.bytes, 0);
  }
  void crypt_payload(const Nonce& nonce, ByteView in, std::uint8_t* out) const {
    IpsecMb* ipsec_mb = IpsecMb::of_this_thread();
    if (ipsec_mb != nullptr && ipsec_mb->chacha20(payload_key(), nonce.bytes, in, out)) {
      return;
    }
    CRYPTO_chacha_20(out, in.data(), in.size(), payload_key(), nonce.bytes, 1);
  }
  void authenticate(const Nonce& nonce, ByteView sealed, std::uint8_t* out_tag) const {
    SecretArray<kKeyLen> one_time;
    const MutBytes key = one_time.bytes();
    CRYPTO_chacha_20(key.data(), key.data(), key.size(), payload_key(), nonce.bytes, 0);
    IpsecMb* ipsec_mb = IpsecMb::of_this_thread();
    if (ipsec_mb != nullptr && ipsec_mb->poly1305(key.data(), sealed, out_tag)) {
      return;
    }
    poly1305_state state;
    CRYPTO_poly1305_init(&state, key.data());
    CRYPTO_poly1305_update(&state, sealed.data(), sealed.size());
    CRYPTO_poly1305_finish(&state, out_tag);
    wipe(state);
  }

  const CipherInfo* cipher_;
  SecretArray<2 * kKeyLen> key_;
};

class ChaChaSealer final : public PacketSealer {
 public:
  explicit ChaChaSealer(const PacketKeys& keys)
      : PacketSealer(kBlockLen, kTagLen, kLengthLen), cipher_(keys) {}
  void seal(std::uint32_t seq, ByteView clear, MutBytes out) override {
    cipher_.seal(seq, clear, out);
  }
  PacketKeys export_keys() const override { return cipher_.export_keys(); }

 private:
  ChaChaPoly cipher_;
};

class ChaChaOpener final : public PacketOpener {
 public:
  explicit ChaChaOpener(const PacketKeys& keys)
      : PacketOpener(kBlockLen, kTagLen, kLengthLen), cipher_(keys) {}
  std::size_t length_prefix_len() const override { return kLengthLen; }
  std::uint32_t packet_length(std::uint32_t seq, ByteView prefix) override {
    return cipher_.packet_length(seq, prefix);
  }
  Status open(std::uint32_t seq, MutBytes packet) override { return cipher_.open(seq, packet); }
  PacketKeys export_keys() const override { return cipher_.export_keys(); }

 private:
  ChaChaPoly cipher_;
};

}  // namespace

std::unique_ptr<PacketSealer> make_chacha_sealer(const PacketKeys& keys) {
  return std::make_unique<ChaChaSealer>(keys);
}

std::unique_ptr<PacketOpener> make_chacha_opener(const PacketKeys& keys) {
  return std::make_unique<ChaChaOpener>(keys);
}

}  // namespace bastion::crypto::impl
