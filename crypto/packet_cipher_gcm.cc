// aes128-gcm@openssh.com and aes256-gcm@openssh.com (RFC 5647 as changed by OpenSSH PROTOCOL 1.6):
// packet_length is additional data in clear, the rest is encrypted, the tag follows. The nonce is a
// fixed field of 4 bytes and an invocation counter of 8 that goes up by one for each packet.

#include "crypto/aes_gcm.h"
#include "crypto/packet_cipher_impl.h"

namespace bastion::crypto::impl {
namespace {

constexpr std::size_t kLengthLen = 4;
constexpr std::size_t kFixedLen = 4;
constexpr std::size_t kBlockLen = 16;
constexpr std::size_t kTagLen = AesGcm::kTagLen;

// Gcm is what both directions have: the key, and the nonce of the next packet.
class Gcm {
 public:
  explicit Gcm(const PacketKeys& keys) : cipher_(keys.cipher), aes_(keys.key), nonce_(keys.iv) {}

  void seal(ByteView clear, MutBytes out) {
    must(clear.size() >= kLengthLen && out.size() == clear.size() + kTagLen);
    std::copy_n(clear.begin(), kLengthLen, out.begin());
    aes_.seal(nonce_.view(), out.first(kLengthLen), clear.subspan(kLengthLen),
              out.data() + kLengthLen, out.data() + clear.size());
    count();
  }

  Status open(MutBytes packet) {
    if (packet.size() < kLengthLen + kTagLen) {
      return fail(ErrorCode::kMac, "packet shorter than its tag");
    }
    const MutBytes text = packet.subspan(kLengthLen, packet.size() - kLengthLen - kTagLen);
    if (!aes_.open(nonce_.view(), packet.first(kLengthLen), text, packet.last(kTagLen))) {
      return fail(ErrorCode::kMac, "packet does not authenticate");
    }
    count();
    return {};
  }

  PacketKeys export_keys() const {
    return {cipher_, nullptr, to_secret(aes_.key()), to_secret(nonce_.view()), {}};
  }

 private:
  // Callers rekey long before 2^64 packets, so that the counter never comes round (RFC 5647 7.1).
  void count() { add_be(nonce_.bytes().subspan(kFixedLen), 1); }

  const CipherInfo* cipher_;
  AesGcm aes_;
  SecretArray<AesGcm::kNonceLen> nonce_;
};

class GcmSealer final : public PacketSealer {
 public:
  explicit GcmSealer(const PacketKeys& keys)
      : PacketSealer(kBlockLen, kTagLen, kLengthLen), gcm_(keys) {}
  void seal(std::uint32_t /*seq*/, ByteView clear, MutBytes out) override { gcm_.seal(clear, out); }
  PacketKeys export_keys() const override { return gcm_.export_keys(); }

 private:
  Gcm gcm_;
};

class GcmOpener final : public PacketOpener {
 public:
  explicit GcmOpener(const PacketKeys& keys)
      : PacketOpener(kBlockLen, kTagLen, kLengthLen), gcm_(keys) {}
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
  return std::make_unique<GcmSealer>(keys);
}

std::unique_ptr<PacketOpener> make_gcm_opener(const PacketKeys& keys) {
  return std::make_unique<GcmOpener>(keys);
}

}  // namespace bastion::crypto::impl
