#include "base/version.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bastion {
namespace {

TEST(Version, IsThreeNumbers) {
  EXPECT_EQ(std::count(kVersion.begin(), kVersion.end(), '.'), 2);
  EXPECT_EQ(kVersion.find_first_not_of("0123456789."), std::string_view::npos);
}

TEST(Version, RevisionIsFilledIn) {
  EXPECT_FALSE(kRevision.empty());
  EXPECT_EQ(kRevision.find('@'), std::string_view::npos);
}

}  // namespace
}  // namespace bastion
