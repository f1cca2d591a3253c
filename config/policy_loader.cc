#include <algorithm>
#include <unordered_map>

#include "config/load_internal.h"
#include "config/suggest.h"
#include "config/user_name.h"

namespace bastion::config {
namespace {

/// note_key refuses a key that somebody has already: whose it is would depend on the order.
class KeyRegister {
 public:
  void note(FileContext& file, const YamlNode& node, const std::string& owner,
            const crypto::PublicKey& key) {
    const auto [found, is_new] =
        owners_.emplace(std::string(as_text(key.blob())), Owner{owner, node.line});
    if (!is_new) {
      file.error(node,
                 "the key " + key.fingerprint() + " of " + owner + " is already " +
                     (found->second.name == owner ? "there" : "a key of " + found->second.name) +
                     " (line " + std::to_string(found->second.line) + ")");
    }
  }

 private:
  struct Owner {
    std::string name;
    int line;
  };
  std::unordered_map<std::string, Owner> owners_;
};

std::optional<UserKey> read_user_key(FileContext& file, const YamlNode& node,
                                     const std::string& label) {
  UserKey out;
  if (!node.is_map()) {
    auto key = read_public_key(file, node, label);
    if (!key) {
      return std::nullopt;
    }
    out.key = std::move(*key);
    return out;
  }
  Fields fields(file, node, label);
  const YamlNode* line = fields.require("key", "a public key");
  auto key = line == nullptr ? std::nullopt : read_public_key(file, *line, fields.label("key"));
  fields.boolean("touch_required", out.touch_required);
  fields.boolean("verify_required", out.verify_required);
  out.from = read_blocks(fields, "from");
  fields.finish();
  if (!key) {
    return std::nullopt;
  }
  const bool is_sk =
      key->type() == crypto::KeyType::kSkEd25519 || key->type() == crypto::KeyType::kSkEcdsaP256;
  if (!is_sk && (fields.has("touch_required") || fields.has("verify_required"))) {
    file.error(node, label + ": only security keys (sk-...) can ask for a touch or verification");
  }
  out.key = std::move(*key);
  return out;
}

void load_user(PolicyLoader& loader, const YamlNode& name, const YamlNode& node,
               KeyRegister& keys) {
  FileContext& file = loader.file;
  loader.user_names.push_back(name.text);
  if (!is_account_name(name.text)) {
    file.expected(name, "a user's name", "letters, digits, '.', '_' and '-'");
  }
  User user;
  user.name = name.text;
  const std::string where = "user " + in_quotes(name.text);
  Fields fields(file, node, where);
  if (const YamlNode* list = fields.get("keys"); list != nullptr) {
    if (!list->is_list()) {
      file.expected(*list, fields.label("keys"), "a list of public keys");
    }
    for (const YamlNode& item : list->items) {
      if (auto key = read_user_key(file, item, fields.label("keys"))) {
        keys.note(file, item, where, key->key);
        user.keys.push_back(std::move(*key));
      }
    }
  }
  for (const YamlNode* group : fields.texts("groups", "group names")) {
    if (!is_account_name(group->text)) {
      file.expected(*group, fields.label("groups"), "letters, digits, '.', '_' and '-'");
    }
    user.groups.push_back(group->text);
    loader.group_names.push_back(group->text);
  }
  std::sort(user.groups.begin(), user.groups.end());
  fields.finish();
  loader.data.users.push_back(std::move(user));
}

void read_principals(PolicyLoader& loader, Fields& fields, UserCa& out) {
  const YamlNode* node = fields.get("principals_are");
  if (node == nullptr || (node->is_scalar() && node->text == "users")) {
    return;
  }
  if (!node->is_map()) {
    loader.file.expected(*node, fields.label("principals_are"),
                         "users, or a map of principals to users");
    return;
  }
  out.principals_are_users = false;
  for (const auto& [principal, user] : node->members) {
    const auto name = text_of(loader.file, user, fields.label("principals_are"), "a user's name");
    if (!name) {
      continue;
    }
    if (std::find(loader.user_names.begin(), loader.user_names.end(), *name) ==
        loader.user_names.end()) {
      loader.file.error(user, fields.label("principals_are") + ": there is no user " +
                                  in_quotes(*name) + did_you_mean(*name, loader.user_names));
    }
    out.principals.emplace(principal.text, *name);
  }
}

void load_revoked(PolicyLoader& loader, Fields& fields) {
  auto revoked = std::make_shared<RevokedKeys>();
  constexpr std::size_t kFingerprintBytes = 50;  // "SHA256:" and 43 of base64
  for (const YamlNode* item : fields.texts("revoked_keys", "keys or fingerprints")) {
    if (item->text.starts_with("SHA256:")) {
      if (item->text.size() != kFingerprintBytes ||
          !crypto::base64_decode(item->text.substr(7) + "=")) {
        loader.file.expected(*item, fields.label("revoked_keys"),
                             "a fingerprint as ssh-keygen -l prints it");
      }
      revoked->add_fingerprint(item->text);
    } else if (const auto key = read_public_key(loader.file, *item, fields.label("revoked_keys"))) {
      revoked->add_fingerprint(key->fingerprint());
    }
  }
  loader.data.revoked = std::move(revoked);
}

/// members_of gives a map's members; anything but a map or nothing is complained of.
const std::vector<YamlMember>& members_of(PolicyLoader& loader, const YamlNode& node,
                                          std::string_view label) {
  if (!node.is_map()) {
    loader.file.expected(node, label, "keys and values");
  }
  return node.members;
}

}  // namespace

std::optional<crypto::PublicKey> read_public_key(FileContext& file, const YamlNode& node,
                                                 std::string_view label) {
  const auto line = text_of(file, node, label, "a public key");
  if (!line) {
    return std::nullopt;
  }
  auto key = crypto::PublicKey::parse_line(*line);
  if (!key) {
    file.error(node, std::string(label) + ": expected a public key as in a .pub file, found " +
                         in_quotes(*line) + ": " + std::string(key.error().text));
    return std::nullopt;
  }
  return std::move(*key);
}

std::vector<Cidr> read_blocks(Fields& fields, std::string_view key) {
  std::vector<Cidr> blocks;
  const YamlNode* node = fields.get(key);
  if (node == nullptr) {
    return blocks;
  }
  constexpr std::string_view kWhat = "address blocks such as 10.0.0.0/8";
  for (const YamlNode* item : text_items(fields.file(), *node, fields.label(key), kWhat)) {
    if (const auto block = Cidr::parse(item->text)) {
      blocks.push_back(*block);
    } else {
      fields.file().expected(*item, fields.label(key),
                             "an address block such as 10.0.0.0/8, with no bit set beyond it");
    }
  }
  if (node->is_list() && node->items.empty()) {
    // "From nowhere" and "from anywhere" are both likely to be meant.
    fields.file().expected(*node, fields.label(key), "at least one address block");
  }
  return blocks;
}

std::vector<std::string> read_env(Fields& fields, std::string_view key) {
  std::vector<std::string> names;
  for (const YamlNode* item : fields.texts(key, "names of variables")) {
    const std::string& name = item->text;
    constexpr std::size_t kNameBytesMax = 64;
    if (name.size() > kNameBytesMax ||
        name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_*?") != name.npos) {
      fields.file().expected(*item, fields.label(key),
                             "a variable's name of A-Z, 0-9 and _, or a glob such as LC_*");
      continue;
    }
    // Such variables make programs load code or read other files; they never pass (SSH_* would let
    // a user pretend another connection).
    const std::string_view literal = std::string_view(name).substr(0, name.find_first_of("*?"));
    const bool open_ended = literal.size() < name.size();
    for (const std::string_view forbidden : {"LD_", "GIT_", "SSH_"}) {
      if (literal.starts_with(forbidden) || (open_ended && forbidden.starts_with(literal))) {
        fields.file().error(*item, fields.label(key) + ": " + in_quotes(name) + " would pass " +
                                       std::string(forbidden) + "..., which never passes");
        break;
      }
    }
    names.push_back(name);
  }
  return names;
}

void load_users(PolicyLoader& loader, const YamlNode& node) {
  KeyRegister keys;
  for (const auto& [name, user] : members_of(loader, node, "\"users\"")) {
    load_user(loader, name, user, keys);
  }
}

void load_user_cas(PolicyLoader& loader, const YamlNode& node) {
  KeyRegister keys;
  for (const auto& [name, value] : members_of(loader, node, "\"user_cas\"")) {
    UserCa ca;
    ca.name = name.text;
    const std::string where = "user CA " + in_quotes(name.text);
    if (!is_account_name(name.text)) {
      loader.file.expected(name, "a user CA's name", "letters, digits, '.', '_' and '-'");
    }
    Fields fields(loader.file, value, where);
    const YamlNode* line = fields.require("key", "the CA's public key");
    auto key =
        line == nullptr ? std::nullopt : read_public_key(loader.file, *line, fields.label("key"));
    read_principals(loader, fields, ca);
    fields.finish();
    if (key) {
      keys.note(loader.file, *line, where, *key);
      ca.key = std::move(*key);
      loader.data.user_cas.push_back(std::move(ca));
    }
  }
}

void PolicyLoader::load(const YamlNode& root) {
  data.path = file.path;
  data.env = service.env;
  data.channels_max = service.limits.channels_per_session;
  data.session_channels_max = service.limits.session_channels_per_session;
  Fields fields(file, root, "");
  if (const YamlNode* node = fields.require("users", "the people and their keys")) {
    load_users(*this, *node);
  }
  if (const YamlNode* node = fields.get("user_cas"); node != nullptr) {
    load_user_cas(*this, *node);
  }
  load_revoked(*this, fields);
  const YamlNode* defaults = fields.get("target_defaults");
  load_targets(*this, defaults, fields.require("targets", "the servers"));
  if (const YamlNode* node = fields.require("rules", "who may do what where")) {
    load_rules(*this, *node);
  }
  if (const YamlNode* node = fields.get("tests"); node != nullptr) {
    load_tests(*this, *node);
  }
  fields.finish();
}

}  // namespace bastion::config
