#pragma once

#include <array>

#include "crypto/aes_gcm.h"
#include "daemon/recording/format.h"
#include "daemon/recording/little_endian.h"

namespace bastion::recording {

/// block_nonce is the writer's number and the block's, little-endian. A successor has a number of
/// its own, so the nonce is never used twice with one key even where it makes a block anew.
inline std::array<std::uint8_t, crypto::AesGcm::kNonceLen> block_nonce(const BlockHeader& header) {
  std::array<std::uint8_t, crypto::AesGcm::kNonceLen> nonce;
  store_le32(nonce.data(), header.writer);
  store_le64(nonce.data() + 4, header.seq);
  return nonce;
}

}  // namespace bastion::recording
