#pragma once

#include <algorithm>
#include <memory>

#include "crypto/packet_cipher.h"
#include "crypto/secret_array.h"

// What the files of the packet ciphers share; of no use outside crypto/packet_cipher*.cc.
namespace bastion::crypto::impl {

/// add_be adds to a big-endian counter of any length, modulo its size.
inline void add_be(MutBytes counter, std::uint64_t n) {
  for (std::size_t i = counter.size(); i-- > 0 && n != 0;) {
    n += counter[i];
    counter[i] = static_cast<std::uint8_t>(n);
    n >>= 8;
  }
}

/// The makers take keys whose lengths make_sealer and make_opener have checked; they return nullptr
/// where BoringSSL refuses the key.
std::unique_ptr<PacketSealer> make_gcm_sealer(const PacketKeys& keys);
std::unique_ptr<PacketOpener> make_gcm_opener(const PacketKeys& keys);
std::unique_ptr<PacketSealer> make_chacha_sealer(const PacketKeys& keys);
std::unique_ptr<PacketOpener> make_chacha_opener(const PacketKeys& keys);
std::unique_ptr<PacketSealer> make_ctr_sealer(const PacketKeys& keys);
std::unique_ptr<PacketOpener> make_ctr_opener(const PacketKeys& keys);

}  // namespace bastion::crypto::impl
