// aes128-ctr, aes192-ctr and aes256-ctr (RFC 4344 4) with hmac-sha2-256 or -512 (RFC 6668), either
// as RFC 4253 6.4 has it (MAC over the clear packet, packet_length encrypted) or in the -etm form
// of OpenSSH PROTOCOL 1.1 (packet_length in clear, MAC over what is on the wire). The sequence
// number goes into the MAC before the packet. The counter runs on from packet to packet.

#include <openssl/aes.h>

#include "crypto/hash.h"
#include "crypto/packet_cipher_impl.h"

namespace bastion::crypto::impl {
namespace {

constexpr std::size_t kLengthLen = 4;
constexpr std::size_t kBlockLen = AES_BLOCK_SIZE;
constexpr std::size_t kKeyLenMax = 32;

HashAlgorithm mac_hash(const MacInfo& mac) {
  return mac.tag_len == 32 ? HashAlgorithm::kSha256 : HashAlgorithm::kSha512;
}

class CtrHmac {
 public:
  explicit CtrHmac(const PacketKeys& keys)
      : cipher_(keys.cipher),
        info_(keys.mac),
        key_(keys.key),
        counter_(keys.iv),
        mac_key_(keys.mac_key),
        mac_(mac_hash(*keys.mac), keys.mac_key) {}
  ~CtrHmac() { wipe({reinterpret_cast<std::uint8_t*>(&aes_), sizeof aes_}); }
  CtrHmac(const CtrHmac&) = delete;
  CtrHmac& operator=(const CtrHmac&) = delete;

  // init alone in this file has BoringSSL's low-level convention: 0 is success.
  bool init() {
    const ByteView key = key_.view();
    return AES_set_encrypt_key(key.data(), static_cast<unsigned>(key.size() * 8), &aes_) == 0;
  }

  std::size_t length_prefix_len() const { return info_->etm ? kLengthLen : kBlockLen; }

  std::uint32_t packet_length(ByteView prefix) const {
    must(prefix.size() >= length_prefix_len());
    if (info_->etm) {
      return load_u32(prefix.data());
    }
    // One block more of AES is cheaper than to keep a half-opened packet as state.
    std::uint8_t stream[kBlockLen];
    AES_encrypt(counter_.view().data(), stream, &aes_);
    return load_u32(prefix.data()) ^ load_u32(stream);
  }

  void seal(std::uint32_t seq, ByteView clear, MutBytes out) {
    must(clear.size() >= clear_len() && (clear.size() - clear_len()) % kBlockLen == 0 &&
         out.size() == clear.size() + info_->tag_len);
    const MutBytes sealed = out.first(clear.size());
    Digest tag;
    if (info_->etm) {
      std::copy_n(clear.begin(), kLengthLen, sealed.begin());
      crypt(clear.subspan(kLengthLen), sealed.data() + kLengthLen);
      tag = authenticate(seq, sealed);
    } else {
      tag = authenticate(seq, clear);
      crypt(clear, sealed.data());
    }
    std::copy_n(tag.data.begin(), info_->tag_len, out.begin() + static_cast<long>(clear.size()));
  }

  Status open(std::uint32_t seq, MutBytes packet) {
    if (packet.size() < clear_len() + info_->tag_len ||
        (packet.size() - clear_len() - info_->tag_len) % kBlockLen != 0) {
      return fail(ErrorCode::kMac, "packet is not whole blocks and a MAC");
    }
    const MutBytes sealed = packet.first(packet.size() - info_->tag_len);
    const ByteView tag = packet.last(info_->tag_len);
    if (!info_->etm) {
      crypt(sealed, sealed.data());
    }
    if (!equal_secret(authenticate(seq, sealed).view(), tag)) {
      return fail(ErrorCode::kMac, "packet does not authenticate");
    }
    if (info_->etm) {
      crypt(sealed.subspan(kLengthLen), sealed.data() + kLengthLen);
    }
    return {};
  }

  PacketKeys export_keys() const {
    return {cipher_, info_, to_secret(key_.view()), to_secret(counter_.view()),
            to_secret(mac_key_.view())};
  }

 private:
  std::size_t clear_len() const { return info_->etm ? kLengthLen : 0; }

  // crypt takes whole blocks, so that no rest of a block's stream is ever kept.
  void crypt(ByteView in, std::uint8_t* out) {
    std::uint8_t stream[kBlockLen];
    unsigned used = 0;
    AES_ctr128_encrypt(in.data(), out, in.size(), &aes_, counter_.bytes().data(), stream, &used);
  }

  Digest authenticate(std::uint32_t seq, ByteView packet) const {
    std::uint8_t number[4];
    store_u32(number, seq);
    Hash message = mac_.start();
    message.update(number);
    message.update(packet);
    return mac_.finish(message);
  }

  const CipherInfo* cipher_;
  const MacInfo* info_;
  AES_KEY aes_;
  SecretArray<kKeyLenMax> key_;
  SecretArray<kBlockLen> counter_;
  SecretArray<kHashBytesMax> mac_key_;
  Hmac mac_;
};

class CtrSealer final : public PacketSealer {
 public:
  explicit CtrSealer(const PacketKeys& keys)
      : PacketSealer(kBlockLen, keys.mac->tag_len, keys.mac->etm ? kLengthLen : 0), ctr_(keys) {}
  bool init() { return ctr_.init(); }
  void seal(std::uint32_t seq, ByteView clear, MutBytes out) override {
    ctr_.seal(seq, clear, out);
  }
  PacketKeys export_keys() const override { return ctr_.export_keys(); }

 private:
  CtrHmac ctr_;
};

class CtrOpener final : public PacketOpener {
 public:
  explicit CtrOpener(const PacketKeys& keys)
      : PacketOpener(kBlockLen, keys.mac->tag_len, keys.mac->etm ? kLengthLen : 0), ctr_(keys) {}
  bool init() { return ctr_.init(); }
  std::size_t length_prefix_len() const override { return ctr_.length_prefix_len(); }
  std::uint32_t packet_length(std::uint32_t /*seq*/, ByteView prefix) override {
    return ctr_.packet_length(prefix);
  }
  Status open(std::uint32_t seq, MutBytes packet) override { return ctr_.open(seq, packet); }
  PacketKeys export_keys() const override { return ctr_.export_keys(); }

 private:
  CtrHmac ctr_;
};

}  // namespace

std::unique_ptr<PacketSealer> make_ctr_sealer(const PacketKeys& keys) {
  auto sealer = std::make_unique<CtrSealer>(keys);
  return sealer->init() ? std::move(sealer) : nullptr;
}

std::unique_ptr<PacketOpener> make_ctr_opener(const PacketKeys& keys) {
  auto opener = std::make_unique<CtrOpener>(keys);
  return opener->init() ? std::move(opener) : nullptr;
}

}  // namespace bastion::crypto::impl
