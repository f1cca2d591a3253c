#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "config/load.h"
#include "config/values.h"

namespace bastion::config {
namespace {

/// escaped writes a control character as YAML's double-quoted texts have it.
std::string escaped(std::uint8_t code) {
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  return std::string("\\x") + kHexDigits[code >> 4] + kHexDigits[code & 15];
}

/// scalar writes text so that any reader of YAML takes it as text.
std::string scalar(std::string_view text) {
  const bool plain =
      !text.empty() && text != "true" && text != "false" && text != "null" &&
      text.find_first_not_of(
          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-") == text.npos &&
      ((text.front() >= 'a' && text.front() <= 'z') || text.front() == '/' ||
       (text.front() >= 'A' && text.front() <= 'Z'));
  if (plain) {
    return std::string(text);
  }
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    const auto next = static_cast<std::uint8_t>(i + 1 < text.size() ? text[i + 1] : 0);
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[i];
    } else if (byte < 0x20 || byte == 0x7f) {
      out += escaped(byte);
    } else if (byte == 0xc2 && next < 0xa0) {  // U+0080 to U+009F, which terminals obey
      out += escaped(next);
      ++i;
    } else {
      out += text[i];
    }
  }
  return out + "\"";
}

template <typename List, typename Text>
std::string list(const List& items, Text text) {
  std::string out = "[";
  for (const auto& item : items) {
    out += (out.size() == 1 ? "" : ", ") + text(item);
  }
  return out + "]";
}

std::string texts(const std::vector<std::string>& items) {
  return list(items, [](const std::string& item) { return scalar(item); });
}
std::string blocks(const std::vector<Cidr>& items) {
  return list(items, [](const Cidr& item) { return scalar(item.text()); });
}
std::string keys(const std::vector<crypto::PublicKey>& items) {
  return list(items, [](const crypto::PublicKey& item) { return scalar(item.line()); });
}
std::string labels(const std::map<std::string, std::string, std::less<>>& items) {
  std::string out = "{";
  for (const auto& [key, value] : items) {
    out += (out.size() == 1 ? "" : ", ") + scalar(key) + ": " + scalar(value);
  }
  return out + "}";
}

std::string processes(std::uint32_t count) { return count == 0 ? "auto" : std::to_string(count); }

/// Printer writes keys and values at a depth.
class Printer {
 public:
  void line(int depth, std::string_view text) {
    out_ += std::string(static_cast<std::size_t>(depth) * 2, ' ') + std::string(text) + "\n";
  }
  void pair(int depth, std::string_view key, std::string_view value) {
    line(depth, std::string(key) + ": " + std::string(value));
  }
  /// pair_if leaves out what is empty: "[]", "{}" and "\"\"".
  void pair_if(int depth, std::string_view key, std::string_view value) {
    if (value != "[]" && value != "{}" && value != "\"\"") {
      pair(depth, key, value);
    }
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

void print_algorithms(Printer& out, const Algorithms& algorithms) {
  const std::string_view preset =
      algorithms.preset == AlgorithmPreset::kStandard ? "standard" : "compatible";
  Algorithms only_preset;
  only_preset.preset = algorithms.preset;
  if (algorithms == only_preset) {
    out.pair(0, "algorithms", preset);
    return;
  }
  out.line(0, "algorithms:");
  out.pair(1, "preset", preset);
  out.pair_if(1, "kex", texts(algorithms.kex));
  out.pair_if(1, "ciphers", texts(algorithms.ciphers));
  out.pair_if(1, "macs", texts(algorithms.macs));
  out.pair_if(1, "host_keys", texts(algorithms.host_keys));
  out.pair_if(1, "public_keys", texts(algorithms.public_keys));
}

void print_limits(Printer& out, const ServiceLimits& limits) {
  out.line(0, "limits:");
  out.pair(1, "first_factor", duration_text(limits.first_factor_ms));
  out.pair(1, "login_grace", duration_text(limits.login_grace_ms));
  out.pair(1, "unauthenticated", std::to_string(limits.unauthenticated));
  out.pair(1, "unauthenticated_per_source", std::to_string(limits.unauthenticated_per_source));
  out.pair(1, "auth_failures", std::to_string(limits.auth_failures));
  out.pair(1, "key_offers", std::to_string(limits.key_offers));
  out.pair(1, "sessions_per_user", std::to_string(limits.sessions_per_user));
  out.pair(1, "channels_per_session", std::to_string(limits.channels_per_session));
  out.pair(1, "session_channels_per_session", std::to_string(limits.session_channels_per_session));
  out.pair(1, "connect", duration_text(limits.connect_ms));
  out.pair(1, "handshake", duration_text(limits.handshake_ms));
  out.pair(1, "keepalive", duration_text(limits.keepalive_ms));
  out.pair(1, "keepalive_missed", std::to_string(limits.keepalive_missed));
  out.pair(1, "shutdown", duration_text(limits.shutdown_ms));
}

void print_audit(Printer& out, const ServiceConfig& service) {
  out.pair_if(0, "audit_key", scalar(service.audit_key));
  const AuditConfig& audit = service.audit;
  if (audit.file.empty()) {
    return;
  }
  const auto policy = [](bool drops) { return drops ? "drop" : "stop"; };
  out.line(0, "audit:");
  out.pair(1, "file", scalar(audit.file));
  out.pair(1, "on_failure", policy(audit.drops));
  if (audit.rotate_bytes != 0 || audit.rotate_age_ms != 0) {
    out.line(1, "rotate:");
    if (audit.rotate_bytes != 0) {
      out.pair(2, "size", size_text(audit.rotate_bytes));
    }
    if (audit.rotate_age_ms != 0) {
      out.pair(2, "age", duration_text(audit.rotate_age_ms));
    }
  }
  for (const AuditSinkConfig& sink : audit.sinks) {
    const bool journald = sink.kind == AuditSinkConfig::Kind::kJournald;
    out.line(1, journald ? "journald:" : "syslog:");
    if (journald) {
      out.pair(2, "socket", scalar(sink.path));
    } else if (sink.kind == AuditSinkConfig::Kind::kUnix) {
      out.pair(2, "unix", scalar(sink.path));
    } else if (sink.endpoint) {
      out.pair(2, sink.kind == AuditSinkConfig::Kind::kUdp ? "udp" : "tcp",
               scalar(sink.endpoint->text()));
    }
    out.pair(2, "on_failure", policy(sink.drops));
  }
}

void print_service(Printer& out, const ServiceConfig& service) {
  constexpr std::array<std::string_view, 4> kLevels = {"error", "warning", "info", "debug"};
  out.line(0, "# " + service.path);
  out.pair_if(0, "name", scalar(service.name));
  out.pair(0, "listen",
           list(service.listen, [](const Endpoint& item) { return scalar(item.text()); }));
  out.pair(0, "host_keys", texts(service.host_keys));
  out.pair(0, "host_certificates", texts(service.host_certificates));
  out.pair_if(0, "user_ca", scalar(service.user_ca));
  out.pair(0, "cert_source_address", list(service.cert_source_address, [](const IpAddress& item) {
             return scalar(item.text());
           }));
  out.pair(0, "policy", scalar(service.policy));
  out.pair(0, "workers", processes(service.workers));
  out.pair(0, "gates", processes(service.gates));
  print_algorithms(out, service.algorithms);
  print_limits(out, service.limits);
  out.line(0, "rekey:");
  out.pair(1, "bytes", size_text(service.rekey.bytes));
  out.pair(1, "time", duration_text(service.rekey.seconds * 1000));
  out.pair(0, "env", texts(service.env));
  out.line(0, "control:");
  out.pair(1, "socket", scalar(service.control.socket));
  out.pair(1, "admin_group", scalar(service.control.admin_group));
  out.pair(1, "viewer_group", scalar(service.control.viewer_group));
  print_audit(out, service);
  if (service.recording.enabled) {
    const RecordingConfig& recording = service.recording;
    out.pair(0, "state_dir", scalar(service.state_dir));
    out.line(0, "recording:");
    out.pair(1, "recipients", texts(recording.recipients));
    out.pair(1, "reserve", size_text(recording.reserve_bytes));
    if (recording.retention_age_ms != 0 || recording.retention_bytes != 0) {
      out.line(1, "retention:");
      if (recording.retention_age_ms != 0) {
        out.pair(2, "age", duration_text(recording.retention_age_ms));
      }
      if (recording.retention_bytes != 0) {
        out.pair(2, "size", size_text(recording.retention_bytes));
      }
    }
    out.pair(0, "recording_notice", recording.notice ? "on" : "off");
  } else {
    out.pair(0, "recording", "off");
  }
  out.pair(0, "log_level", kLevels[static_cast<std::size_t>(service.log_level)]);
}

void print_user(Printer& out, const User& user) {
  out.line(1, scalar(user.name) + ":");
  out.line(2, user.keys.empty() ? "keys: []" : "keys:");
  for (const UserKey& key : user.keys) {
    if (key.touch_required && !key.verify_required && key.from.empty()) {
      out.line(3, "- " + scalar(key.key.line()));
      continue;
    }
    out.line(3, "- key: " + scalar(key.key.line()));
    if (!key.touch_required) {
      out.pair(4, "touch_required", "false");
    }
    if (key.verify_required) {
      out.pair(4, "verify_required", "true");
    }
    out.pair_if(4, "from", blocks(key.from));
  }
  out.pair(2, "groups", texts(user.groups));
}

void print_target(Printer& out, const Target& target) {
  out.line(1, scalar(target.name) + ":");
  out.pair(2, "address", scalar(target.address));
  out.pair(2, "port", std::to_string(target.port));
  out.pair_if(2, "ports", list(target.ports, [](const PortRange& range) {
                return range.min == range.max
                           ? std::to_string(range.min)
                           : std::to_string(range.min) + "-" + std::to_string(range.max);
              }));
  out.pair_if(2, "labels", labels(target.labels));
  out.pair(2, "credential",
           target.credential.kind == Credential::Kind::kCertificate
               ? "certificate"
               : "{key_file: " + scalar(target.credential.key_file) + "}");
  out.pair_if(2, "host_keys", keys(target.host_keys.pins));
  out.pair_if(2, "host_ca", keys(target.host_keys.cas));
  if (target.host_keys.known_hosts != nullptr) {
    out.pair(2, "known_hosts", scalar(target.known_hosts_file));
  }
  out.pair_if(2, "legacy", texts(target.legacy));
}

std::string allowance_text(const Allowance& allowance) {
  const std::string name(action_name(allowance.action));
  if (allowance.every) {
    return name;
  }
  std::vector<std::string> parameters = allowance.names;
  for (const proto::ForwardPattern& pattern : allowance.forwards) {
    parameters.push_back(forward_text(pattern));
  }
  return "{" + name + ": " + texts(parameters) + "}";
}

std::string selector_text(const TargetSelector& selector) {
  switch (selector.kind) {
    case TargetSelector::Kind::kAll: return "all";
    case TargetSelector::Kind::kNames: return texts(selector.names);
    case TargetSelector::Kind::kLabels: break;
  }
  std::string out = "{";
  for (const auto& [key, values] : selector.labels) {
    out += (out.size() == 1 ? "" : ", ") + scalar(key) + ": " + texts(values);
  }
  return out + "}";
}

std::string files_text(const proto::FileRules& files) {
  using Command = proto::FileRules::Command;
  std::vector<std::string> allowed;
  if (files.download) {
    allowed.emplace_back("download");
  }
  if (files.upload) {
    allowed.emplace_back("upload");
  }
  std::string out = "{allow: " + texts(allowed);
  if (!files.paths.empty()) {
    out += ", paths: " + texts(files.paths);
  }
  if (!files.deny_paths.empty()) {
    out += ", deny_paths: " + texts(files.deny_paths);
  }
  if (files.size_max != 0) {
    out += ", size: " + size_text(files.size_max);
  }
  out += std::string(", digest: ") + (files.digest ? "sha256" : "none");
  for (const auto& [key, command] :
       {std::pair("scp", files.scp), std::pair("rsync", files.rsync)}) {
    if (command != Command::kAsExec) {
      out += std::string(", ") + key + (command == Command::kAllowed ? ": allow" : ": deny");
    }
  }
  return out + "}";
}

void print_rule(Printer& out, const Rule& rule) {
  out.line(1, "- name: " + scalar(rule.name));
  if (rule.deny) {
    std::vector<std::string> denied;
    for (std::size_t i = 0; i < kActionCount; ++i) {
      if (rule.denied.has(static_cast<Action>(i))) {
        denied.emplace_back(action_name(static_cast<Action>(i)));
      }
    }
    out.pair(2, "deny", denied.size() == kActionCount ? "true" : texts(denied));
  }
  std::vector<std::string> who = rule.users;
  for (const std::string& group : rule.groups) {
    who.push_back("group:" + group);
  }
  out.pair(2, "who", rule.who_all ? "all" : texts(who));
  out.pair(2, "targets", selector_text(rule.targets));
  if (rule.logins_all || !rule.logins.empty()) {
    out.pair(2, "logins", rule.logins_all ? "all" : texts(rule.logins));
  }
  if (!rule.from.empty()) {
    out.pair(2, "when", "{from: " + blocks(rule.from) + "}");
  }
  if (!rule.deny) {
    out.pair(2, "allow", list(rule.allow, allowance_text));
  }
  if (!rule.pty) {
    out.pair(2, "pty", "false");
  }
  out.pair_if(2, "env", texts(rule.env));
  if (rule.has_files) {
    out.pair(2, "files", files_text(rule.files));
  }
  if (!rule.deny && std::any_of(rule.allow.begin(), rule.allow.end(), [](const Allowance& item) {
        return item.action != Action::kJump;
      })) {
    constexpr std::array<std::string_view, 3> kModes = {"none", "metadata", "full"};
    out.pair(2, "record", kModes[static_cast<std::size_t>(rule.record.mode)]);
    if (rule.record.input) {
      out.pair(2, "record_input", "true");
    }
    if (rule.record.file_content) {
      out.pair(2, "record_file_content", "true");
    }
    if (rule.record.bytes_max != proto::RecordTerms().bytes_max) {
      out.pair(2, "exec_bytes", size_text(rule.record.bytes_max));
    }
  }
}

void print_user_ca(Printer& out, const UserCa& ca) {
  out.line(1, scalar(ca.name) + ":");
  out.pair(2, "key", scalar(ca.key.line()));
  out.pair(2, "principals_are", ca.principals_are_users ? "users" : labels(ca.principals));
}

void print_policy(Printer& out, const Policy& policy) {
  const PolicyData& data = policy.data();
  out.line(0, "# " + data.path + ", policy " + policy.id());
  const auto section = [&](std::string_view key, const auto& items, auto print,
                           std::string_view none = "{}") {
    out.line(0, std::string(key) + ":" + (items.empty() ? " " + std::string(none) : ""));
    for (const auto& item : items) {
      print(out, item);
    }
  };
  section("users", data.users, print_user);
  if (!data.user_cas.empty()) {
    section("user_cas", data.user_cas, print_user_ca);
  }
  if (data.revoked && !data.revoked->empty()) {
    const auto& revoked = data.revoked->fingerprints();
    out.pair(0, "revoked_keys", texts({revoked.begin(), revoked.end()}));
  }
  section("targets", data.targets, print_target);
  section("rules", data.rules, print_rule, "[]");
}

}  // namespace

std::string print_config(const Configuration& configuration) {
  Printer out;
  print_service(out, configuration.service);
  out.line(0, "---");
  print_policy(out, *configuration.policy);
  return out.take();
}

}  // namespace bastion::config
