#pragma once

#include <string>

namespace bastion::config {

struct PolicyData;

/// policy_hash is the SHA-256 in hexadecimal of everything in a policy that decides: not of its
/// tests, its path, nor anything of the file's layout.
std::string policy_hash(const PolicyData& data);

}  // namespace bastion::config
