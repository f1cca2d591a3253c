#include "crypto/aes_gcm.h"

#include <openssl/aead.h>

#include <array>
#include <atomic>

#include "crypto/ipsec_mb.h"

namespace bastion::crypto {
namespace {

// A Slot holds one expanded key: libipsec-mb's, or BoringSSL's context.
struct Slot {
  union {
    IpsecMb::GcmKey ipsec_mb;
    EVP_AEAD_CTX boringssl;
  };
  std::uint64_t owner = 0;  // the AesGcm's id; 0 for none
  bool uses_ipsec_mb = false;

  Slot() {}

  void clear() {
    if (owner != 0 && !uses_ipsec_mb) {
      EVP_AEAD_CTX_cleanup(&boringssl);
    }
    owner = 0;
    wipe(ipsec_mb.bytes);  // the larger of the two
  }
};
static_assert(sizeof(EVP_AEAD_CTX) <= sizeof(IpsecMb::GcmKey));

// 64 slots are 84 KiB. The keys of one session have neighbouring ids and so slots of their own.
constexpr std::size_t kSlots = 64;

class Slots {
 public:
  Slots() = default;
  ~Slots() {
    for (Slot& slot : slots_) {
      slot.clear();
    }
  }
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  // of gives the one place where the key with this id may be.
  static Slot& of(std::uint64_t id) {
    thread_local Slots of_thread;
    return of_thread.slots_[id % kSlots];
  }

 private:
  std::array<Slot, kSlots> slots_;
};

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

// expanded finds the key's slot, or fills it.
Slot& expanded(std::uint64_t id, ByteView key, IpsecMb* ipsec_mb) {
  Slot& slot = Slots::of(id);
  if (slot.owner == id) {
    return slot;
  }
  slot.clear();
  slot.uses_ipsec_mb = ipsec_mb != nullptr;
  if (ipsec_mb != nullptr) {
    ipsec_mb->gcm_expand(key, slot.ipsec_mb);
  } else {
    const EVP_AEAD* aead = key.size() == 16 ? EVP_aead_aes_128_gcm() : EVP_aead_aes_256_gcm();
    EVP_AEAD_CTX_zero(&slot.boringssl);
    must(EVP_AEAD_CTX_init(&slot.boringssl, aead, key.data(), key.size(), AesGcm::kTagLen,
                           nullptr) == 1);
  }
  slot.owner = id;
  return slot;
}

}  // namespace

AesGcm::AesGcm(ByteView key, Backend backend) : id_(next_id()), key_(key), backend_(backend) {
  must(key.size() == 16 || key.size() == 32);
}

AesGcm::~AesGcm() {
  Slot& slot = Slots::of(id_);
  if (slot.owner == id_) {
    slot.clear();
  }
}

void AesGcm::seal(ByteView nonce, ByteView aad, ByteView text, std::uint8_t* out_text,
                  std::uint8_t* out_tag) const {
  must(nonce.size() == kNonceLen);
  IpsecMb* ipsec_mb = backend_ == Backend::kFastest ? IpsecMb::of_this_thread() : nullptr;
  const Slot& slot = expanded(id_, key_.view(), ipsec_mb);
  if (ipsec_mb != nullptr) {
    ipsec_mb->gcm_seal(slot.ipsec_mb, key_.view().size(), nonce, aad, text, out_text, out_tag);
    return;
  }
  std::size_t tag_len = 0;
  const int sealed = EVP_AEAD_CTX_seal_scatter(&slot.boringssl, out_text, out_tag, &tag_len,
                                               kTagLen, nonce.data(), nonce.size(), text.data(),
                                               text.size(), nullptr, 0, aad.data(), aad.size());
  must(sealed == 1 && tag_len == kTagLen);
}

bool AesGcm::open(ByteView nonce, ByteView aad, MutBytes text, ByteView tag) const {
  must(nonce.size() == kNonceLen && tag.size() == kTagLen);
  IpsecMb* ipsec_mb = backend_ == Backend::kFastest ? IpsecMb::of_this_thread() : nullptr;
  const Slot& slot = expanded(id_, key_.view(), ipsec_mb);
  if (ipsec_mb != nullptr) {
    std::uint8_t right_tag[kTagLen];
    ipsec_mb->gcm_open(slot.ipsec_mb, key_.view().size(), nonce, aad, text, text.data(), right_tag);
    if (equal_secret(right_tag, tag)) {
      return true;
    }
    wipe(text);
    return false;
  }
  return EVP_AEAD_CTX_open_gather(&slot.boringssl, text.data(), nonce.data(), nonce.size(),
                                  text.data(), text.size(), tag.data(), tag.size(), aad.data(),
                                  aad.size()) == 1;
}

}  // namespace bastion::crypto
