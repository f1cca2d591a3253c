#include "crypto/backend.h"

#include <gtest/gtest.h>

namespace bastion::crypto {
namespace {

// Debian 12's own android-libboringssl is older than 17 and lacks what the key exchange needs.
TEST(Backend, IsRecentEnough) { EXPECT_GE(backend_api_version(), 17); }

}  // namespace
}  // namespace bastion::crypto
