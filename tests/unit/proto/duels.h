#pragma once

#include <gtest/gtest.h>

#include "tests/support/raw_peer.h"

namespace bastion::test {

inline constexpr proto::Role kBothRoles[] = {proto::Role::kServer, proto::Role::kClient};

/// expect_refused: our side ended the connection with that error, and passed nothing on.
inline void expect_refused(const Duel& duel, ErrorCode code = ErrorCode::kProtocol) {
  ASSERT_TRUE(duel.leg.error.has_value());
  EXPECT_EQ(duel.leg.error->code, code) << duel.leg.error->text;
  EXPECT_TRUE(duel.leg.delivered.empty());
}

}  // namespace bastion::test
