#pragma once

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/wire.h"
#include "config/load.h"
#include "crypto/hash.h"
#include "crypto/keys.h"

namespace bastion::config {

/// key_blob makes an Ed25519 public key blob from a number: no key pair, but always the same.
inline Bytes key_blob(int number) {
  Bytes point(32, static_cast<std::uint8_t>(number));
  Writer out;
  out.text("ssh-ed25519").string(point);
  return out.take();
}
inline crypto::PublicKey public_key(int number) {
  return *crypto::PublicKey::parse(key_blob(number));
}
inline std::string key_line(int number) {
  return "ssh-ed25519 " + crypto::base64_encode(key_blob(number));
}

/// private_key_file is a fresh key in OpenSSH's format.
inline SecretBytes private_key_file(const crypto::PrivateKey& key) {
  return key.to_openssh("test");
}

inline SecretBytes secret_text(std::string_view text) { return to_secret(as_bytes(text)); }

/// expand replaces KEY1 … KEY99 by the lines of key_line.
inline std::string expand(std::string text) {
  for (std::size_t at = text.find("KEY"); at != std::string::npos; at = text.find("KEY", at + 1)) {
    const std::size_t end = std::min(text.find_first_not_of("0123456789", at + 3), text.size());
    if (end > at + 3) {
      text.replace(at, end - at, key_line(std::stoi(text.substr(at + 3, end - at - 3))));
    }
  }
  return text;
}

/// load_policy_text loads a policy for a service that has a user CA.
inline Loaded<std::shared_ptr<const Policy>> load_policy_text(const std::string& text) {
  FileBundle files;
  files.add("/etc/bastiond/policy.yaml", secret_text(expand(text)));
  files.add("/etc/bastiond/known_hosts", secret_text(expand("web9 KEY90\n")));
  files.add("/etc/bastiond/empty_hosts", secret_text("# nobody\n\n"));
  files.add("/etc/bastiond/bad_hosts", secret_text("web1 ssh-ed25519 AAAA\n"));
  ServiceConfig service;
  service.user_ca = "/etc/bastiond/user_ca";
  return load_policy(files, "/etc/bastiond/policy.yaml", service);
}

/// must_load is a policy that has no errors, or says them and ends the test program.
inline std::shared_ptr<const Policy> must_load(const std::string& text) {
  auto loaded = load_policy_text(text);
  if (!loaded) {
    throw std::runtime_error(loaded.problems.text());
  }
  return *loaded.value;
}

/// company is a policy as the documents show it.
inline constexpr std::string_view kCompany = R"(users:
  alice:
    keys: ["KEY1 alice@laptop"]
    groups: [developers]
  bob:
    keys: ["KEY2"]
    groups: [sre]
  carol:
    keys: ["KEY3"]
user_cas:
  corp: {key: "KEY50", principals_are: users}
target_defaults:
  host_ca: "KEY60"
targets:
  web1: {address: 10.0.1.11, labels: {env: prod, role: web}}
  web2: {address: 10.0.1.12, labels: {env: prod, role: web}}
  "db-*": {address: "{name}.db.internal", labels: {env: prod, role: db}}
  lab1: {address: lab1.corp.example, port: 2222, labels: {env: lab, role: web}}
  legacy1: {address: 10.9.0.3, ports: [2222, 2300-2310], host_keys: ["KEY61"]}
rules:
  - name: no-agent-on-databases
    deny: [agent, x11]
    who: all
    targets: {role: db}
  - name: developers-on-web
    who: [group:developers]
    targets: {role: web}
    logins: [deploy]
    allow: [shell, exec, sftp, {forward_local: ["localhost:5432", "*.cache.internal:6379"]}]
  - name: sre-everywhere
    who: [group:sre]
    targets: all
    logins: [root, deploy, "{user}"]
    allow: all
    when: {from: [10.0.0.0/8]}
  - name: sre-tunnels
    who: [group:sre]
    targets: {env: lab}
    allow: [jump]
)";

inline IpAddress ip(std::string_view text) { return *IpAddress::parse(text); }

}  // namespace bastion::config
