#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/file_source.h"
#include "config/policy.h"
#include "config/problem.h"
#include "config/schema.h"
#include "crypto/keys.h"

namespace bastion::config {

/// HostKeyPair is one of our host keys, and its certificates where there are any.
struct HostKeyPair {
  std::string path;
  crypto::PrivateKey key;
  std::vector<Bytes> certificates;  // blobs
};

/// ServiceKeys are the private keys that bastiond.yaml names. Only the warden keeps them.
struct ServiceKeys {
  std::vector<HostKeyPair> host_keys;  // in the order of the file
  std::optional<crypto::PrivateKey> user_ca;
  std::optional<crypto::PrivateKey> audit_key;
};

struct Configuration {
  ServiceConfig service;
  ServiceKeys keys;
  std::shared_ptr<const Policy> policy;
};

/// Loaded is a value, or the errors that refused it; and warnings in both cases.
template <typename T>
struct Loaded {
  std::optional<T> value;
  Problems problems;
  explicit operator bool() const { return value.has_value(); }
};

/// load_configuration reads bastiond.yaml, policy.yaml and every file that they name, and checks
/// all of it, `tests:` included. Nothing is opened but through `files`; no exception leaves it. To
/// collect the files for another process give it CollectingFiles.
Loaded<Configuration> load_configuration(const FileSource& files, const std::string& path);

/// load_policy does the same for a policy alone, for a service that is configured as `service`.
Loaded<std::shared_ptr<const Policy>> load_policy(const FileSource& files, const std::string& path,
                                                  const ServiceConfig& service);

/// CheckReport is what `bastiond --check` prints. `ok` decides the exit status.
struct CheckReport {
  bool ok = false;
  std::string text;
};
CheckReport check_configuration(const FileSource& files, const std::string& path);

/// print_config is what `bastiond --print-config` prints: both files as they are in force, as YAML,
/// every default filled in, and no secret.
std::string print_config(const Configuration& configuration);

/// summary is one line: "2 users, 2 targets, 3 rules, 2 tests passed".
std::string summary(const Policy& policy);

}  // namespace bastion::config
