#include "crypto/ipsec_mb.h"

#include "crypto/secret_array.h"

#if BASTION_HAVE_IPSEC_MB

#include <intel-ipsec-mb.h>

#include <optional>

namespace bastion::crypto {
namespace {

static_assert(sizeof(gcm_key_data) <= sizeof(IpsecMb::GcmKey) &&
              alignof(gcm_key_data) <= alignof(IpsecMb::GcmKey));

IMB_MGR* in(const std::unique_ptr<void, void (*)(void*)>& manager) {
  return static_cast<IMB_MGR*>(manager.get());
}
gcm_key_data* in(IpsecMb::GcmKey& key) { return reinterpret_cast<gcm_key_data*>(key.bytes.data()); }
const gcm_key_data* in(const IpsecMb::GcmKey& key) {
  return reinterpret_cast<const gcm_key_data*>(key.bytes.data());
}

// submit runs a job of a kind that the library always completes at once.
bool submit(IMB_MGR* manager, const IMB_JOB& prepared) {
  IMB_JOB* job = IMB_GET_NEXT_JOB(manager);
  *job = prepared;
  job = IMB_SUBMIT_JOB(manager);
  return job != nullptr && job->status == IMB_STATUS_COMPLETED;
}

}  // namespace

IpsecMb::Manager IpsecMb::make_manager(std::uint64_t flags, void (*init)(void*),
                                       std::uint64_t needed) {
  Manager manager(alloc_mb_mgr(flags), [](void* p) { free_mb_mgr(static_cast<IMB_MGR*>(p)); });
  if (manager == nullptr) {
    return manager;
  }
  // To start a variant that the processor cannot run would be a crash.
  if ((in(manager)->features & needed) != needed) {
    manager.reset();
    return manager;
  }
  init(manager.get());
  needed |= IMB_FEATURE_SELF_TEST_PASS;
  if (imb_get_errno(in(manager)) != 0 || (in(manager)->features & needed) != needed) {
    manager.reset();
  }
  return manager;
}

IpsecMb* IpsecMb::of_this_thread() {
  thread_local std::optional<IpsecMb> object = [] {
    Manager manager = make_manager(
        0,
        [](void* p) {
          IMB_ARCH arch = IMB_ARCH_NONE;
          init_mb_mgr_auto(static_cast<IMB_MGR*>(p), &arch);
        },
        IMB_FEATURE_VAES);
    return manager != nullptr ? std::optional(IpsecMb(std::move(manager))) : std::nullopt;
  }();
  return object ? &*object : nullptr;
}

std::unique_ptr<IpsecMb> IpsecMb::make(Variant variant, bool without_extras) {
  const std::uint64_t flags = without_extras ? IMB_FLAG_SHANI_OFF | IMB_FLAG_GFNI_OFF : 0;
  Manager manager(nullptr, [](void*) {});
  switch (variant) {
    case Variant::kSse:
      manager = make_manager(
          flags, [](void* p) { init_mb_mgr_sse(static_cast<IMB_MGR*>(p)); }, IMB_CPUFLAGS_SSE);
      break;
    case Variant::kAvx2:
      manager = make_manager(
          flags, [](void* p) { init_mb_mgr_avx2(static_cast<IMB_MGR*>(p)); }, IMB_CPUFLAGS_AVX2);
      break;
    case Variant::kAvx512:
      manager = make_manager(
          flags, [](void* p) { init_mb_mgr_avx512(static_cast<IMB_MGR*>(p)); },
          IMB_CPUFLAGS_AVX512);
      break;
  }
  return manager != nullptr ? std::unique_ptr<IpsecMb>(new IpsecMb(std::move(manager))) : nullptr;
}

void IpsecMb::gcm_expand(ByteView key, GcmKey& out) {
  must(key.size() == 16 || key.size() == 32);
  if (key.size() == 16) {
    IMB_AES128_GCM_PRE(in(manager_), key.data(), in(out));
  } else {
    IMB_AES256_GCM_PRE(in(manager_), key.data(), in(out));
  }
}

void IpsecMb::gcm_seal(const GcmKey& key, std::size_t key_len, ByteView nonce, ByteView aad,
                       ByteView text, std::uint8_t* out_text, std::uint8_t* out_tag) {
  gcm_context_data context;
  const auto run = key_len == 16 ? in(manager_)->gcm128_enc : in(manager_)->gcm256_enc;
  run(in(key), &context, out_text, text.data(), text.size(), nonce.data(), aad.data(), aad.size(),
      out_tag, 16);
}

void IpsecMb::gcm_open(const GcmKey& key, std::size_t key_len, ByteView nonce, ByteView aad,
                       ByteView text, std::uint8_t* out_text, std::uint8_t* out_tag) {
  gcm_context_data context;
  const auto run = key_len == 16 ? in(manager_)->gcm128_dec : in(manager_)->gcm256_dec;
  run(in(key), &context, out_text, text.data(), text.size(), nonce.data(), aad.data(), aad.size(),
      out_tag, 16);
}

bool IpsecMb::chacha20(const std::uint8_t* key, const std::uint8_t* nonce, ByteView bytes,
                       std::uint8_t* out) {
  if (bytes.empty()) {
    return true;
  }
  IMB_JOB job{};
  job.cipher_mode = IMB_CIPHER_CHACHA20;
  job.cipher_direction = IMB_DIR_ENCRYPT;
  job.hash_alg = IMB_AUTH_NULL;
  job.chain_order = IMB_ORDER_CIPHER_HASH;
  job.enc_keys = key;
  job.dec_keys = key;
  job.key_len_in_bytes = 32;
  job.iv = nonce;
  job.iv_len_in_bytes = 12;
  job.src = bytes.data();
  job.dst = out;
  job.msg_len_to_cipher_in_bytes = bytes.size();
  return submit(in(manager_), job);
}

bool IpsecMb::poly1305(const std::uint8_t* key, ByteView bytes, std::uint8_t* out_tag) {
  IMB_JOB job{};
  job.cipher_mode = IMB_CIPHER_NULL;
  job.cipher_direction = IMB_DIR_ENCRYPT;
  job.hash_alg = IMB_AUTH_POLY1305;
  job.chain_order = IMB_ORDER_HASH_CIPHER;
  job.src = bytes.data();
  job.msg_len_to_hash_in_bytes = bytes.size();
  job.auth_tag_output = out_tag;
  job.auth_tag_output_len_in_bytes = 16;
  job.u.POLY1305._key = key;
  return submit(in(manager_), job);
}

}  // namespace bastion::crypto

#else

namespace bastion::crypto {

IpsecMb* IpsecMb::of_this_thread() { return nullptr; }
std::unique_ptr<IpsecMb> IpsecMb::make(Variant /*variant*/, bool /*without_extras*/) {
  return nullptr;
}

// Without the library there is no object to call these on.
void IpsecMb::gcm_expand(ByteView /*key*/, GcmKey& /*out*/) { must(false); }
void IpsecMb::gcm_seal(const GcmKey& /*key*/, std::size_t /*key_len*/, ByteView /*nonce*/,
                       ByteView /*aad*/, ByteView /*text*/, std::uint8_t* /*out_text*/,
                       std::uint8_t* /*out_tag*/) {
  must(false);
}
void IpsecMb::gcm_open(const GcmKey& /*key*/, std::size_t /*key_len*/, ByteView /*nonce*/,
                       ByteView /*aad*/, ByteView /*text*/, std::uint8_t* /*out_text*/,
                       std::uint8_t* /*out_tag*/) {
  must(false);
}
bool IpsecMb::chacha20(const std::uint8_t* /*key*/, const std::uint8_t* /*nonce*/,
                       ByteView /*bytes*/, std::uint8_t* /*out*/) {
  return false;
}
bool IpsecMb::poly1305(const std::uint8_t* /*key*/, ByteView /*bytes*/, std::uint8_t* /*out_tag*/) {
  return false;
}

}  // namespace bastion::crypto

#endif
