#include <algorithm>
#include <unordered_map>

#include "base/glob.h"
#include "config/load_internal.h"
#include "config/suggest.h"
#include "config/user_name.h"
#include "config/values.h"
#include "crypto/kex.h"
#include "crypto/packet_cipher.h"

namespace bastion::config {
namespace {

constexpr std::string_view kNamePlace = "{name}";
constexpr std::size_t kTargetNameBytesMax = 64;

/// Defaults is `target_defaults`: what a target has that says nothing else.
struct Defaults {
  std::uint16_t port = 22;
  std::vector<PortRange> ports;
  std::map<std::string, std::string, std::less<>> labels;
  Credential credential;
  HostKeyPolicy host_keys;
  std::string known_hosts_file;
};

bool is_target_pattern(std::string_view text) {
  return is_glob(text) && text.size() <= kTargetNameBytesMax &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-*?") == text.npos;
}

/// read_address takes an IP address or a DNS name; for patterns a DNS name with "{name}" in it.
std::string read_address(FileContext& file, Fields& fields, const Target& target) {
  const YamlNode* node = fields.require("address", "an IP address or a DNS name");
  if (node == nullptr) {
    return {};
  }
  const std::string label = fields.label("address");
  const std::string address = node->is_scalar() ? folded(node->text) : "";
  const std::size_t place = address.find(kNamePlace);
  if (!target.pattern) {
    if (place != address.npos) {
      file.error(*node, label + ": {name} stands for a part of a pattern's name, and " +
                            in_quotes(target.name) + " is no pattern");
    } else if (!IpAddress::parse(address) && !is_dns_name(address)) {
      const bool has_port = std::ranges::count(address, ':') == 1;
      file.expected(*node, label,
                    std::string("an IP address or a DNS name") +
                        (has_port ? " (a port is written as `port:` beside it)" : ""));
    }
    return address;
  }
  std::string example = address;
  if (place != address.npos) {
    example.replace(place, kNamePlace.size(), "x");
  }
  if (place == address.npos || !is_dns_name(example)) {
    file.expected(*node, label,
                  "a DNS name with {name} in it, such as \"{name}.db.internal\"; every name of a "
                  "pattern has its own address");
  } else if (address == kNamePlace && target.name.find_first_not_of("*?") == target.name.npos) {
    file.error(*node, label + ": the pattern " + in_quotes(target.name) +
                          " with this address would reach every host that anybody names");
  } else if (example.find('.') == example.npos && target.name.find('.') == target.name.npos) {
    file.error(*node, label +
                          ": what a user names is looked up as it stands, and a name of one "
                          "word is none in the DNS: write the domain, such as " +
                          in_quotes(address + ".example.com"));
  }
  return address;
}

void read_ports(Fields& fields, std::vector<PortRange>& out) {
  const YamlNode* node = fields.get("ports");
  if (node == nullptr) {
    return;
  }
  out.clear();
  for (const YamlNode* item :
       text_items(fields.file(), *node, fields.label("ports"), "ports or ranges of ports")) {
    const std::size_t dash = item->text.find('-');
    const auto min = parse_port(std::string_view(item->text).substr(0, dash));
    const auto max =
        dash == std::string::npos ? min : parse_port(std::string_view(item->text).substr(dash + 1));
    if (!min || !max || *min == 0 || *max < *min) {
      fields.file().expected(*item, fields.label("ports"), "a port, or a range such as 2200-2299");
      continue;
    }
    out.push_back({*min, *max});
  }
}

void read_labels(Fields& fields, std::map<std::string, std::string, std::less<>>& out) {
  const YamlNode* node = fields.get("labels");
  if (node == nullptr) {
    return;
  }
  if (!node->is_map()) {
    fields.file().expected(*node, fields.label("labels"), "keys and values");
  }
  for (const auto& [key, value] : node->members) {
    if (auto text = text_of(fields.file(), value, fields.label("labels"), "text")) {
      out[key.text] = std::move(*text);
    }
  }
}

void read_credential(PolicyLoader& loader, Fields& fields, Credential& out) {
  const YamlNode* node = fields.get("credential");
  if (node == nullptr) {
    return;
  }
  FileContext& file = loader.file;
  const std::string label = fields.label("credential");
  if (node->is_scalar() && node->text == "certificate") {
    out = {};
    return;
  }
  if (!node->is_map()) {
    file.expected(*node, label, "certificate, or {key_file: FILE}");
    return;
  }
  Fields choice(file, *node, label);
  choice.later("password_file", "use a key file or certificates");
  const YamlNode* path = choice.get("key_file");
  choice.finish();
  if (path == nullptr) {
    if (!choice.has("password_file")) {
      file.expected(*node, label, "certificate, or {key_file: FILE}");
    }
    return;
  }
  const auto named = read_named(file, loader.files, *path, label, FileKind::kPrivateKey);
  if (!named) {
    return;
  }
  auto key = crypto::PrivateKey::parse_openssh(named->contents);
  if (!key) {
    file.error(*path, label + ": " + named->path + ": " + std::string(key.error().text));
    return;
  }
  out.kind = Credential::Kind::kKeyFile;
  out.key_file = named->path;
  out.key = std::move(*key);
}

std::shared_ptr<const KnownHosts> read_known_hosts(PolicyLoader& loader, Fields& fields,
                                                   std::string& out_path) {
  const YamlNode* node = fields.get("known_hosts");
  if (node == nullptr) {
    return nullptr;
  }
  const std::string label = fields.label("known_hosts");
  const auto named = read_named(loader.file, loader.files, *node, label, FileKind::kText);
  if (!named) {
    return nullptr;
  }
  auto parsed = KnownHosts::parse(as_text(named->contents));
  if (!parsed) {
    for (const KnownHosts::ParseError& error : parsed.error()) {
      loader.file.problems.errors.push_back({named->path, error.line, 0, error.message});
    }
    return nullptr;
  }
  if (parsed->size() == 0) {
    loader.file.warning(
        *node, label + ": " + named->path + " knows no host, so no connection will be made by it");
  }
  out_path = named->path;
  return std::make_shared<const KnownHosts>(std::move(*parsed));
}

/// read_host_keys: a target that names host keys, a CA or a file of its own uses those only.
/// What the default file revokes stays revoked.
void read_host_keys(PolicyLoader& loader, Fields& fields, Defaults& target) {
  HostKeyPolicy& out = target.host_keys;
  FileContext& file = loader.file;
  if (fields.has("host_keys") || fields.has("host_ca") || fields.has("known_hosts")) {
    HostKeyPolicy own;
    own.also_revoked_by = out.known_hosts;
    own.revoked = out.revoked;
    out = std::move(own);
  }
  for (const YamlNode* item : fields.texts("host_keys", "public keys")) {
    if (auto key = read_public_key(file, *item, fields.label("host_keys"))) {
      out.pins.push_back(std::move(*key));
    }
  }
  if (const YamlNode* node = fields.get("host_ca"); node != nullptr) {
    const auto add = [&](const YamlNode& item) {
      if (auto key = read_public_key(file, item, fields.label("host_ca"))) {
        out.cas.push_back(std::move(*key));
      }
    };
    if (node->is_list()) {
      std::for_each(node->items.begin(), node->items.end(), add);
    } else {
      add(*node);
    }
  }
  if (auto hosts = read_known_hosts(loader, fields, target.known_hosts_file)) {
    out.known_hosts = std::move(hosts);
  }
}

bool is_algorithm(std::string_view name) {
  return crypto::find_kex(name) != nullptr || crypto::find_cipher(name) != nullptr ||
         crypto::find_mac(name) != nullptr || crypto::find_signature_algorithm(name) != nullptr;
}

void read_common(PolicyLoader& loader, Fields& fields, Defaults& out) {
  if (const YamlNode* node = fields.get("port"); node != nullptr) {
    const auto port = count_of(loader.file, *node, fields.label("port"), 1, 65535);
    out.port = port ? static_cast<std::uint16_t>(*port) : out.port;
  }
  read_ports(fields, out.ports);
  read_labels(fields, out.labels);
  read_credential(loader, fields, out.credential);
  read_host_keys(loader, fields, out);
}

void check_target_name(PolicyLoader& loader, const YamlNode& name) {
  const bool digits = name.text.find_first_not_of("0123456789") == name.text.npos;
  if (is_glob(name.text) ? !is_target_pattern(name.text) : !is_target_name(name.text)) {
    loader.file.expected(name, "a target's name",
                         "at most 64 letters, digits, '.', '_' and '-', or a glob of them");
  } else if (digits) {
    loader.file.error(name, "a target's name of digits alone (" + in_quotes(name.text) +
                                ") would be read as a port");
  }
}

void load_target(PolicyLoader& loader, const Defaults& defaults, const YamlNode& name,
                 const YamlNode& node) {
  FileContext& file = loader.file;
  loader.target_names.push_back(name.text);
  check_target_name(loader, name);
  Target target;
  target.name = name.text;
  target.folded = folded(name.text);
  target.pattern = is_glob(name.text);
  Fields fields(file, node, "target " + in_quotes(name.text));
  target.address = read_address(file, fields, target);
  Defaults own = defaults;
  const std::size_t num_errors = file.problems.errors.size();
  read_common(loader, fields, own);
  const bool common_is_good = file.problems.errors.size() == num_errors;
  target.port = own.port;
  target.ports = std::move(own.ports);
  target.labels = std::move(own.labels);
  target.credential = std::move(own.credential);
  target.host_keys = std::move(own.host_keys);
  target.known_hosts_file = std::move(own.known_hosts_file);
  for (const YamlNode* item : fields.texts("legacy", "algorithm names")) {
    if (!is_algorithm(item->text)) {
      file.error(*item, fields.label("legacy") + ": " + in_quotes(item->text) +
                            " is not an algorithm of this version");
    }
    target.legacy.push_back(item->text);
  }
  fields.finish();
  if (common_is_good && target.host_keys.empty()) {
    file.error(name, "target " + in_quotes(name.text) +
                         " has nothing to know its host by: give it host_keys, host_ca or "
                         "known_hosts, or put one into target_defaults");
  }
  if (common_is_good && target.credential.kind == Credential::Kind::kCertificate &&
      loader.service.user_ca.empty()) {
    file.error(name, "target " + in_quotes(name.text) +
                         " is logged in to by certificate, and the service has no user_ca to sign "
                         "it; set user_ca, or give the target a key_file");
  }
  loader.data.targets.push_back(std::move(target));
}

}  // namespace

void load_targets(PolicyLoader& loader, const YamlNode* defaults_node, const YamlNode* targets) {
  Defaults defaults;
  defaults.host_keys.revoked = loader.data.revoked;
  if (defaults_node != nullptr) {
    Fields fields(loader.file, *defaults_node, "target_defaults");
    read_common(loader, fields, defaults);
    fields.finish();
    // A default is not yet an override: nothing is left to revoke beside its own file.
    defaults.host_keys.also_revoked_by = nullptr;
  }
  if (targets == nullptr) {
    return;
  }
  if (!targets->is_map()) {
    loader.file.expected(*targets, "\"targets\"", "names with their addresses");
  }
  std::unordered_map<std::string, int> lines;
  for (const auto& [name, node] : targets->members) {
    const auto [first, is_new] = lines.emplace(folded(name.text), name.line);
    if (!is_new) {
      loader.file.error(name, "target " + in_quotes(name.text) +
                                  " differs only in case from the one in line " +
                                  std::to_string(first->second));
    }
    load_target(loader, defaults, name, node);
  }
}

}  // namespace bastion::config
