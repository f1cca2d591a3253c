#include <algorithm>
#include <array>

#include "config/load_internal.h"
#include "config/suggest.h"
#include "config/user_name.h"
#include "config/values.h"
#include "crypto/kex.h"
#include "crypto/packet_cipher.h"
#include "crypto/recipient.h"

namespace bastion::config {
namespace {

constexpr std::int64_t kSecondMs = 1000;
constexpr std::int64_t kHourMs = 3600 * kSecondMs;
constexpr std::int64_t kDayMs = 24 * kHourMs;
/// sun_path of sockaddr_un is 108 bytes with its NUL.
constexpr std::size_t kSocketPathBytesMax = 107;
constexpr std::uint32_t kProcessesMax = 256;

std::optional<Endpoint> read_endpoint(FileContext& file, const YamlNode& node,
                                      std::string_view label) {
  const auto endpoint = node.is_scalar() ? Endpoint::parse(node.text) : std::nullopt;
  if (!endpoint) {
    file.expected(node, label,
                  "an address and a port, such as \"0.0.0.0:22\" or \"[::]:22\" (no host names)");
  }
  return endpoint;
}

void read_listen(Fields& fields, ServiceConfig& out) {
  const YamlNode* node = fields.get("listen");
  if (node == nullptr) {
    out.listen = {*Endpoint::parse("0.0.0.0:22"), *Endpoint::parse("[::]:22")};
    return;
  }
  for (const YamlNode* item :
       text_items(fields.file(), *node, fields.label("listen"), "addresses with ports")) {
    const auto endpoint = read_endpoint(fields.file(), *item, fields.label("listen"));
    if (!endpoint) {
      continue;
    }
    if (endpoint->port != 0 &&
        std::find(out.listen.begin(), out.listen.end(), *endpoint) != out.listen.end()) {
      fields.file().error(*item,
                          fields.label("listen") + ": " + in_quotes(item->text) + " stands twice");
      continue;
    }
    out.listen.push_back(*endpoint);
  }
  if (node->is_list() && node->items.empty()) {
    fields.file().expected(*node, fields.label("listen"), "at least one address with a port");
  }
}

void read_host_keys(Fields& fields, const FileSource& files, ServiceConfig& out,
                    ServiceKeys& keys) {
  const YamlNode* node = fields.require("host_keys", "a list of private key files");
  if (node == nullptr) {
    return;
  }
  FileContext& file = fields.file();
  const std::string label = fields.label("host_keys");
  for (const YamlNode* item : text_items(file, *node, label, "private key files")) {
    auto named = read_named(file, files, *item, label, FileKind::kPrivateKey);
    if (!named) {
      continue;
    }
    auto key = crypto::PrivateKey::parse_openssh(named->contents);
    if (!key) {
      file.error(*item, label + ": " + named->path + ": " + std::string(key.error().text));
      continue;
    }
    const auto same = [&](const HostKeyPair& pair) {
      return pair.key.public_key() == key->public_key();
    };
    if (std::any_of(keys.host_keys.begin(), keys.host_keys.end(), same)) {
      file.error(*item, label + ": the key in " + named->path + " stands twice");
      continue;
    }
    out.host_keys.push_back(named->path);
    keys.host_keys.push_back({named->path, std::move(*key), {}});
  }
  if (node->is_list() && node->items.empty()) {
    file.expected(*node, label, "at least one private key file");
  }
}

/// certificate_blob takes the second word of "TYPE BASE64 comment".
Result<Bytes> certificate_blob(std::string_view text) {
  const std::size_t from = std::min(text.find(' '), text.size());
  const std::string_view rest = text.substr(std::min(from + 1, text.size()));
  return crypto::base64_decode(rest.substr(0, rest.find_first_of(" \r\n")));
}

/// certificate_problem: why a certificate is none of ours; empty: it is.
std::string_view host_certificate_problem(const crypto::Certificate& certificate) {
  if (certificate.type != crypto::CertificateType::kHost) {
    return "is a user certificate, expected a host certificate";
  }
  if (certificate.principals.empty()) {
    return "names no host, so clients would not accept it";
  }
  if (!certificate.verify_signature()) {
    return "has a wrong signature";
  }
  return {};
}

void read_host_certificates(Fields& fields, const FileSource& files, ServiceConfig& out,
                            ServiceKeys& keys) {
  FileContext& file = fields.file();
  const std::string label = fields.label("host_certificates");
  for (const YamlNode* item : fields.texts("host_certificates", "certificate files")) {
    const auto named = read_named(file, files, *item, label, FileKind::kPublicKey);
    if (!named) {
      continue;
    }
    const auto blob = certificate_blob(as_text(named->contents));
    const auto certificate = blob ? crypto::Certificate::parse(*blob)
                                  : Result<crypto::Certificate>(std::unexpected(blob.error()));
    if (!certificate) {
      file.error(*item, label + ": " + named->path +
                            " is not a certificate: " + std::string(certificate.error().text));
      continue;
    }
    if (const auto problem = host_certificate_problem(*certificate); !problem.empty()) {
      file.error(*item, label + ": " + named->path + " " + std::string(problem));
      continue;
    }
    const auto owner = std::find_if(
        keys.host_keys.begin(), keys.host_keys.end(),
        [&](const HostKeyPair& pair) { return pair.key.public_key() == certificate->key; });
    if (owner == keys.host_keys.end()) {
      file.error(*item, label + ": " + named->path + " belongs to none of host_keys");
      continue;
    }
    out.host_certificates.push_back(named->path);
    owner->certificates.push_back(*blob);
  }
}

void read_user_ca(Fields& fields, const FileSource& files, ServiceConfig& out, ServiceKeys& keys) {
  const YamlNode* node = fields.get("user_ca");
  if (node == nullptr) {
    return;
  }
  FileContext& file = fields.file();
  // Kept though the file may be wrong, so that the policy is not blamed for a CA that is missing.
  out.user_ca = node->text;
  const auto named = read_named(file, files, *node, fields.label("user_ca"), FileKind::kPrivateKey);
  if (!named) {
    return;
  }
  auto key = crypto::PrivateKey::parse_openssh(named->contents);
  if (!key) {
    file.error(*node,
               fields.label("user_ca") + ": " + named->path + ": " + std::string(key.error().text));
    return;
  }
  out.user_ca = named->path;
  keys.user_ca = std::move(*key);
}

void read_processes(Fields& fields, std::string_view key, std::uint32_t& out) {
  const YamlNode* node = fields.get(key);
  if (node == nullptr || (node->is_scalar() && node->text == "auto")) {
    return;
  }
  const auto count = node->is_scalar() ? parse_count(node->text) : std::nullopt;
  if (!count || *count == 0 || *count > kProcessesMax) {
    fields.file().expected(*node, fields.label(key),
                           "auto, or a number from 1 to " + std::to_string(kProcessesMax));
    return;
  }
  out = static_cast<std::uint32_t>(*count);
}

bool is_known_kex(std::string_view name) {
  return crypto::find_kex(name) != nullptr && !name.ends_with("-sha1");
}
bool is_known_cipher(std::string_view name) { return crypto::find_cipher(name) != nullptr; }
bool is_known_mac(std::string_view name) { return crypto::find_mac(name) != nullptr; }
bool is_known_signature(std::string_view name) {
  const auto* algorithm = crypto::find_signature_algorithm(name);
  return algorithm != nullptr && !algorithm->legacy;
}

void read_algorithm_list(Fields& fields, std::string_view key, bool (*is_known)(std::string_view),
                         std::vector<std::string>& out) {
  const YamlNode* node = fields.get(key);
  if (node == nullptr) {
    return;
  }
  FileContext& file = fields.file();
  for (const YamlNode* item : text_items(file, *node, fields.label(key), "algorithm names")) {
    if (!is_known(item->text)) {
      std::string meant;
      for (const std::string_view owner : {"@openssh.com", "@libssh.org"}) {
        if (const std::string whole = item->text + std::string(owner); is_known(whole)) {
          meant = " (did you mean \"" + whole + "\"?)";
        }
      }
      file.error(*item, fields.label(key) + ": " + in_quotes(item->text) +
                            " is not an algorithm of this version" + meant);
    } else if (std::find(out.begin(), out.end(), item->text) != out.end()) {
      file.error(*item, fields.label(key) + ": " + in_quotes(item->text) + " stands twice");
    } else {
      out.push_back(item->text);
    }
  }
  if (node->is_list() && node->items.empty()) {
    file.expected(*node, fields.label(key), "at least one algorithm");
  }
}

std::optional<AlgorithmPreset> preset_of(std::string_view name) {
  if (name == "standard") {
    return AlgorithmPreset::kStandard;
  }
  return name == "compatible" ? std::optional(AlgorithmPreset::kCompatible) : std::nullopt;
}

void read_algorithms(Fields& fields, Algorithms& out) {
  const YamlNode* node = fields.get("algorithms");
  if (node == nullptr) {
    return;
  }
  const auto read_preset = [&](const YamlNode& value, const std::string& label,
                               std::string_view what) {
    const auto preset = value.is_scalar() ? preset_of(value.text) : std::nullopt;
    if (!preset) {
      fields.file().expected(value, label, what);
    }
    out.preset = preset.value_or(out.preset);
  };
  if (!node->is_map()) {
    read_preset(*node, fields.label("algorithms"), "standard, compatible, or lists of names");
    return;
  }
  Fields lists(fields.file(), *node, "algorithms");
  if (const YamlNode* preset = lists.get("preset"); preset != nullptr) {
    read_preset(*preset, lists.label("preset"), "standard or compatible");
  }
  read_algorithm_list(lists, "kex", is_known_kex, out.kex);
  read_algorithm_list(lists, "ciphers", is_known_cipher, out.ciphers);
  read_algorithm_list(lists, "macs", is_known_mac, out.macs);
  read_algorithm_list(lists, "host_keys", is_known_signature, out.host_keys);
  read_algorithm_list(lists, "public_keys", is_known_signature, out.public_keys);
  lists.finish();
}

void read_limits(Fields& fields, ServiceLimits& out) {
  const YamlNode* node = fields.get("limits");
  if (node == nullptr) {
    return;
  }
  Fields limits(fields.file(), *node, "limits");
  limits.duration("first_factor", out.first_factor_ms, kSecondMs, kHourMs);
  limits.duration("login_grace", out.login_grace_ms, kSecondMs, kHourMs);
  limits.count("unauthenticated", out.unauthenticated, 1, 1'000'000);
  limits.count("unauthenticated_per_source", out.unauthenticated_per_source, 1, 1'000'000);
  limits.count("auth_failures", out.auth_failures, 1, 100);
  limits.count("key_offers", out.key_offers, 1, 1000);
  limits.count("sessions_per_user", out.sessions_per_user, 1, 1'000'000);
  limits.count("channels_per_session", out.channels_per_session, 1,
               static_cast<std::uint32_t>(bastion::limits::kChannelsMax));
  limits.count("session_channels_per_session", out.session_channels_per_session, 1,
               static_cast<std::uint32_t>(bastion::limits::kChannelsMax));
  limits.duration("connect", out.connect_ms, 100, 10 * 60 * kSecondMs);
  limits.duration("handshake", out.handshake_ms, 100, 10 * 60 * kSecondMs);
  limits.duration("keepalive", out.keepalive_ms, kSecondMs, kDayMs, true);
  limits.count("keepalive_missed", out.keepalive_missed, 1, 100);
  limits.duration("shutdown", out.shutdown_ms, 0, kHourMs);
  limits.finish();
  if (out.first_factor_ms > out.login_grace_ms) {
    fields.file().error(*node, "\"first_factor\" of limits (" + duration_text(out.first_factor_ms) +
                                   ") is longer than \"login_grace\" (" +
                                   duration_text(out.login_grace_ms) +
                                   "), which is the time for all factors");
  }
  if (out.session_channels_per_session > out.channels_per_session) {
    fields.file().error(*node,
                        "\"session_channels_per_session\" of limits is more than "
                        "\"channels_per_session\", which counts them, too");
  }
}

void read_control(Fields& fields, ControlConfig& out) {
  const YamlNode* node = fields.get("control");
  if (node == nullptr) {
    return;
  }
  Fields control(fields.file(), *node, "control");
  control.text("socket", out.socket);
  control.text("admin_group", out.admin_group);
  control.text("viewer_group", out.viewer_group);
  control.finish();
  out.socket = resolve_path(fields.file().path, out.socket);
  if (out.socket.size() > kSocketPathBytesMax) {
    fields.file().error(*node, control.label("socket") + ": a socket's path has at most " +
                                   std::to_string(kSocketPathBytesMax) + " bytes");
  }
}

/// read_audit_key reads the key that signs the heads of recordings and of the audit log.
void read_audit_key(Fields& fields, const FileSource& files, ServiceConfig& out,
                    ServiceKeys& keys) {
  const YamlNode* node = fields.get("audit_key");
  if (node == nullptr) {
    return;
  }
  FileContext& file = fields.file();
  const auto named =
      read_named(file, files, *node, fields.label("audit_key"), FileKind::kPrivateKey);
  if (!named) {
    return;
  }
  auto key = crypto::PrivateKey::parse_openssh(named->contents);
  if (!key) {
    file.error(*node, fields.label("audit_key") + ": " + named->path + ": " +
                          std::string(key.error().text));
    return;
  }
  if (key->public_key().type() != crypto::KeyType::kEd25519) {
    file.error(*node,
               fields.label("audit_key") + ": " + named->path +
                   " is not an Ed25519 key; make one with: ssh-keygen -q -t ed25519 -N '' -f " +
                   named->path);
    return;
  }
  out.audit_key = named->path;
  keys.audit_key = std::move(*key);
}

/// read_recording: sessions are recorded where the file says where or how.
void read_recording(Fields& fields, ServiceConfig& out) {
  FileContext& file = fields.file();
  if (fields.has("state_dir")) {
    fields.text("state_dir", out.state_dir);
    out.state_dir = resolve_path(file.path, out.state_dir);
    out.recording.enabled = true;
  }
  const YamlNode* notice = fields.get("recording_notice");
  if (notice != nullptr && !is_word(notice, "on") && !is_word(notice, "off")) {
    file.expected(*notice, fields.label("recording_notice"), "on or off");
  }
  out.recording.notice = !is_word(notice, "off");
  const YamlNode* node = fields.get("recording");
  if (node == nullptr) {
    return;
  }
  out.recording.enabled = !is_word(node, "off");
  if (!out.recording.enabled) {
    return;
  }
  if (!node->is_map()) {
    file.expected(*node, fields.label("recording"),
                  "off, or keys and values such as {reserve: 1GiB}");
    return;
  }
  Fields recording(file, *node, "recording");
  for (const YamlNode* item : recording.texts("recipients", "public keys of who may read them")) {
    if (const auto key = crypto::parse_recipient(item->text); !key) {
      file.error(*item, "recipients: " + std::string(key.error().text));
    } else if (out.recording.recipients.size() == crypto::kRecipientsMax) {
      file.error(*item, "recipients: more than " + std::to_string(crypto::kRecipientsMax));
      break;
    } else {
      out.recording.recipients.push_back(item->text);
    }
  }
  recording.size("reserve", out.recording.reserve_bytes, 0, std::uint64_t{1} << 50);
  if (const YamlNode* kept = recording.get("retention"); kept != nullptr) {
    Fields retention(file, *kept, "\"retention\" of recording");
    retention.duration("age", out.recording.retention_age_ms, kHourMs, 3650 * kDayMs);
    retention.size("size", out.recording.retention_bytes, std::uint64_t{1} << 20,
                   std::uint64_t{1} << 50);
    retention.finish();
  }
  recording.finish();
}

void read_on_failure(Fields& fields, bool& out_drops) {
  const YamlNode* node = fields.get("on_failure");
  if (node != nullptr && !is_word(node, "stop") && !is_word(node, "drop")) {
    fields.file().expected(*node, fields.label("on_failure"), "stop or drop");
  } else if (node != nullptr) {
    out_drops = is_word(node, "drop");
  }
}

/// read_journald takes true, false, or a map with on_failure.
void read_journald(Fields& audit, AuditConfig& out) {
  const YamlNode* node = audit.get("journald");
  if (node == nullptr) {
    return;
  }
  AuditSinkConfig sink;
  sink.kind = AuditSinkConfig::Kind::kJournald;
  sink.path = "/run/systemd/journal/socket";
  if (node->is_map()) {
    Fields fields(audit.file(), *node, audit.label("journald"));
    fields.text("socket", sink.path);
    read_on_failure(fields, sink.drops);
    fields.finish();
  } else if (!boolean_of(audit.file(), *node, audit.label("journald")).value_or(false)) {
    return;
  }
  out.sinks.push_back(std::move(sink));
}

void read_syslog(Fields& audit, AuditConfig& out) {
  const YamlNode* node = audit.get("syslog");
  if (node == nullptr) {
    return;
  }
  FileContext& file = audit.file();
  Fields fields(file, *node, audit.label("syslog"));
  AuditSinkConfig sink;
  int places = 0;
  const auto place = [&](std::string_view key, AuditSinkConfig::Kind kind) -> const YamlNode* {
    const YamlNode* at = fields.get(key);
    if (at != nullptr) {
      sink.kind = kind;
      ++places;
    }
    return at;
  };
  if (const YamlNode* at = place("unix", AuditSinkConfig::Kind::kUnix); at != nullptr) {
    fields.text("unix", sink.path);
    sink.path = resolve_path(file.path, sink.path);
    if (sink.path.size() > kSocketPathBytesMax) {
      file.error(*at, fields.label("unix") + ": a socket's path has at most " +
                          std::to_string(kSocketPathBytesMax) + " bytes");
    }
  }
  for (const auto& [key, kind] : {std::pair("udp", AuditSinkConfig::Kind::kUdp),
                                  std::pair("tcp", AuditSinkConfig::Kind::kTcp)}) {
    if (const YamlNode* at = place(key, kind); at != nullptr) {
      sink.endpoint = read_endpoint(file, *at, fields.label(key));
      if (sink.endpoint && sink.endpoint->port == 0) {
        file.expected(*at, fields.label(key), "an address with a port that is not 0");
      }
    }
  }
  read_on_failure(fields, sink.drops);
  fields.finish();
  if (places != 1 && node->is_map()) {
    file.expected(*node, audit.label("syslog"),
                  "one of unix (a socket), udp and tcp (an address with a port)");
    return;
  }
  out.sinks.push_back(std::move(sink));
}

void read_audit(Fields& fields, AuditConfig& out) {
  const YamlNode* node = fields.get("audit");
  if (node == nullptr) {
    return;
  }
  FileContext& file = fields.file();
  Fields audit(file, *node, "audit");
  if (audit.require("file", "the file of the audit log, in which its chain is kept") != nullptr) {
    audit.text("file", out.file);
    out.file = resolve_path(file.path, out.file);
    if (out.file.ends_with('/')) {
      file.expected(*audit.get("file"), audit.label("file"), "a file's name");
    }
  }
  read_on_failure(audit, out.drops);
  if (const YamlNode* rotate = audit.get("rotate"); rotate != nullptr) {
    Fields rotation(file, *rotate, audit.label("rotate"));
    rotation.size("size", out.rotate_bytes, 64 * 1024, std::uint64_t{1} << 40);
    rotation.duration("age", out.rotate_age_ms, 60 * kSecondMs, 366 * kDayMs);
    rotation.finish();
  }
  read_journald(audit, out);
  read_syslog(audit, out);
  audit.finish();
}

/// read_idle reads the keys whose features this version does not have: checked, so that the file
/// stays good, and warned of, so that nobody relies on them.
void read_idle(Fields& fields, ServiceConfig& out) {
  FileContext& file = fields.file();
  const auto warn = [&](std::string_view key, const YamlNode& node) {
    file.warning(node, "\"" + std::string(key) + "\" has no effect in this version");
  };
  if (const YamlNode* node = fields.get("metrics"); node != nullptr) {
    Fields metrics(file, *node, "metrics");
    if (const YamlNode* listen = metrics.get("listen"); listen != nullptr) {
      if (const auto endpoint = read_endpoint(file, *listen, metrics.label("listen"))) {
        out.metrics_listen = {*endpoint};
      }
    }
    metrics.finish();
    warn("metrics", *node);
  }
}

void read_log_level(Fields& fields, LogLevel& out) {
  const YamlNode* node = fields.get("log_level");
  if (node == nullptr) {
    return;
  }
  constexpr std::array<std::string_view, 4> kNames = {"error", "warning", "info", "debug"};
  const auto* found = std::find(kNames.begin(), kNames.end(), std::string_view(node->text));
  if (!node->is_scalar() || found == kNames.end()) {
    fields.file().expected(*node, fields.label("log_level"), "error, warning, info or debug");
    return;
  }
  out = static_cast<LogLevel>(found - kNames.begin());
}

}  // namespace

void load_service(FileContext& file, const FileSource& files, const YamlNode& root,
                  ServiceConfig& out, ServiceKeys& keys) {
  Fields fields(file, root, "");
  out.path = file.path;
  if (const YamlNode* node = fields.get("name"); node != nullptr) {
    if (node->is_scalar() && (is_dns_name(node->text) || IpAddress::parse(node->text))) {
      out.name = node->text;
    } else {
      file.expected(*node, fields.label("name"), "the host name that users type");
    }
  }
  read_listen(fields, out);
  read_host_keys(fields, files, out, keys);
  read_host_certificates(fields, files, out, keys);
  read_user_ca(fields, files, out, keys);
  for (const YamlNode* item : fields.texts("cert_source_address", "addresses")) {
    if (const auto address = IpAddress::parse(item->text)) {
      out.cert_source_address.push_back(*address);
    } else {
      file.expected(*item, fields.label("cert_source_address"), "an address");
    }
  }
  out.policy = "policy.yaml";
  fields.text("policy", out.policy);
  out.policy = resolve_path(file.path, out.policy);
  read_processes(fields, "workers", out.workers);
  read_processes(fields, "gates", out.gates);
  read_algorithms(fields, out.algorithms);
  read_limits(fields, out.limits);
  if (const YamlNode* node = fields.get("rekey"); node != nullptr) {
    Fields rekey(file, *node, "rekey");
    rekey.size("bytes", out.rekey.bytes, 16 * 1024, std::uint64_t{64} << 30);
    std::int64_t time_ms = out.rekey.seconds * kSecondMs;
    rekey.duration("time", time_ms, kSecondMs, kDayMs);
    out.rekey.seconds = time_ms / kSecondMs;
    rekey.finish();
  }
  if (fields.has("env")) {
    out.env.clear();
  }
  for (std::string& name : read_env(fields, "env")) {
    out.env.push_back(std::move(name));
  }
  read_control(fields, out.control);
  read_log_level(fields, out.log_level);
  read_recording(fields, out);
  read_audit_key(fields, files, out, keys);
  read_audit(fields, out.audit);
  read_idle(fields, out);
  fields.finish();
}

}  // namespace bastion::config
