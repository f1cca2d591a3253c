#include "crypto/packet_cipher.h"

#include <cstring>

#include "crypto/packet_cipher_impl.h"

namespace bastion::crypto {
namespace {

constexpr CipherInfo kCiphers[] = {
    {"aes128-gcm@openssh.com", 16, 12, 16, 16, true},
    {"aes256-gcm@openssh.com", 32, 12, 16, 16, true},
    {"chacha20-poly1305@openssh.com", 64, 0, 8, 16, true},
    {"aes128-ctr", 16, 16, 16, 0, false},
    {"aes192-ctr", 24, 16, 16, 0, false},
    {"aes256-ctr", 32, 16, 16, 0, false},
};

constexpr MacInfo kMacs[] = {
    {"hmac-sha2-256-etm@openssh.com", 32, 32, true},
    {"hmac-sha2-512-etm@openssh.com", 64, 64, true},
    {"hmac-sha2-256", 32, 32, false},
    {"hmac-sha2-512", 64, 64, false},
};

// family tells the three constructions apart: GCM has an IV and no MAC, ChaCha20 neither.
enum class Family { kGcm, kChaCha, kCtr };
Family family(const CipherInfo& cipher) {
  if (!cipher.aead) {
    return Family::kCtr;
  }
  return cipher.iv_len != 0 ? Family::kGcm : Family::kChaCha;
}

Status check(const PacketKeys& keys) {
  if (keys.cipher == nullptr) {
    return fail(ErrorCode::kInternal, "packet keys without a cipher");
  }
  const CipherInfo& cipher = *keys.cipher;
  if (keys.key.size() != cipher.key_len) {
    return fail(ErrorCode::kInternal, "packet key of the wrong length",
                static_cast<std::int64_t>(keys.key.size()));
  }
  if (keys.iv.size() != cipher.iv_len) {
    return fail(ErrorCode::kInternal, "packet IV of the wrong length",
                static_cast<std::int64_t>(keys.iv.size()));
  }
  if (cipher.aead != (keys.mac == nullptr)) {
    return fail(ErrorCode::kInternal, "a MAC with an AEAD mode, or no MAC with another");
  }
  if (keys.mac_key.size() != (keys.mac == nullptr ? 0 : keys.mac->key_len)) {
    return fail(ErrorCode::kInternal, "MAC key of the wrong length",
                static_cast<std::int64_t>(keys.mac_key.size()));
  }
  return {};
}

template <typename T>
Result<std::unique_ptr<T>> made(std::unique_ptr<T> object) {
  if (object == nullptr) {
    return fail(ErrorCode::kInternal, "BoringSSL refused a packet key");
  }
  return object;
}

// Before the first NEWKEYS packets are in clear (RFC 4253 6: padding to 8).
class NullSealer final : public PacketSealer {
 public:
  NullSealer() : PacketSealer(8, 0, 0) {}
  void seal(std::uint32_t /*seq*/, ByteView clear, MutBytes out) override {
    must(out.size() == clear.size());
    if (out.data() != clear.data()) {
      std::memcpy(out.data(), clear.data(), clear.size());
    }
  }
  PacketKeys export_keys() const override { return {}; }
};

class NullOpener final : public PacketOpener {
 public:
  NullOpener() : PacketOpener(8, 0, 0) {}
  std::size_t length_prefix_len() const override { return 4; }
  std::uint32_t packet_length(std::uint32_t /*seq*/, ByteView prefix) override {
    must(prefix.size() >= 4);
    return load_u32(prefix.data());
  }
  Status open(std::uint32_t /*seq*/, MutBytes /*packet*/) override { return {}; }
  PacketKeys export_keys() const override { return {}; }
};

}  // namespace

const CipherInfo* find_cipher(std::string_view name) {
  const auto* found = std::ranges::find(kCiphers, name, &CipherInfo::name);
  return found != std::end(kCiphers) ? found : nullptr;
}

const MacInfo* find_mac(std::string_view name) {
  const auto* found = std::ranges::find(kMacs, name, &MacInfo::name);
  return found != std::end(kMacs) ? found : nullptr;
}

Result<std::unique_ptr<PacketSealer>> make_sealer(const PacketKeys& keys) {
  BASTION_TRY(check(keys));
  switch (family(*keys.cipher)) {
    case Family::kGcm: return made(impl::make_gcm_sealer(keys));
    case Family::kChaCha: return made(impl::make_chacha_sealer(keys));
    case Family::kCtr: return made(impl::make_ctr_sealer(keys));
  }
  return fail(ErrorCode::kInternal, "a cipher of no family");
}

Result<std::unique_ptr<PacketOpener>> make_opener(const PacketKeys& keys) {
  BASTION_TRY(check(keys));
  switch (family(*keys.cipher)) {
    case Family::kGcm: return made(impl::make_gcm_opener(keys));
    case Family::kChaCha: return made(impl::make_chacha_opener(keys));
    case Family::kCtr: return made(impl::make_ctr_opener(keys));
  }
  return fail(ErrorCode::kInternal, "a cipher of no family");
}

std::unique_ptr<PacketSealer> make_null_sealer() { return std::make_unique<NullSealer>(); }
std::unique_ptr<PacketOpener> make_null_opener() { return std::make_unique<NullOpener>(); }

}  // namespace bastion::crypto
