#pragma once

#include <cstdlib>
#include <filesystem>
#include <string_view>

namespace bastion::test {

// test_data gives the path of a file under tests/, such as "vectors/aes_gcm.txt". It looks for
// tests/ upwards from the running program, since build trees lie inside the source tree, unless
// BASTION_TESTS names the folder.
[[nodiscard]] inline std::filesystem::path test_data(std::string_view name) {
  if (const char* tests = std::getenv("BASTION_TESTS"); tests != nullptr) {
    return std::filesystem::path(tests) / name;
  }
  for (auto dir = std::filesystem::read_symlink("/proc/self/exe").parent_path();
       dir.has_relative_path(); dir = dir.parent_path()) {
    if (auto found = dir / "tests" / name; std::filesystem::exists(found)) {
      return found;
    }
  }
  return name;
}

}  // namespace bastion::test
