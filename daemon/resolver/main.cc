#include <cstdio>

#include "base/version.h"

int main() {
  std::printf("bastiond-resolver %s (%s)\n", bastion::kVersion.data(), bastion::kRevision.data());
  return 0;
}
