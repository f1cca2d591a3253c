#include "crypto/hash.h"

#include <gtest/gtest.h>

namespace bastion::crypto {
namespace {

TEST(Hash, IsFips180sAbc) {
  EXPECT_EQ(base64_encode(hash(HashAlgorithm::kSha256, as_bytes("abc")).view()),
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

}  // namespace
}  // namespace bastion::crypto
