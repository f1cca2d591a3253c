#include <algorithm>
#include <unordered_map>

#include "base/glob.h"
#include "config/load_internal.h"
#include "config/suggest.h"
#include "config/user_name.h"

namespace bastion::config {
namespace {

constexpr std::string_view kGroupPrefix = "group:";

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void read_who(PolicyLoader& loader, Fields& fields, Rule& rule) {
  FileContext& file = loader.file;
  const YamlNode* node = fields.require("who", "all, or a list of users and group:NAME");
  if (node == nullptr) {
    return;
  }
  if (is_word(node, "all")) {
    rule.who_all = true;
    return;
  }
  if (!node->is_list() || node->items.empty()) {
    file.expected(*node, fields.label("who"), "all, or a list of users and group:NAME");
    return;
  }
  for (const YamlNode* item : text_items(file, *node, fields.label("who"), "users and groups")) {
    const std::string& name = item->text;
    if (!name.starts_with(kGroupPrefix)) {
      if (!contains(loader.user_names, name)) {
        std::vector<std::string> known = loader.user_names;
        if (contains(loader.group_names, name)) {
          known = {std::string(kGroupPrefix) + name};
        }
        file.error(*item, fields.where() + ": there is no user " + in_quotes(name) +
                              (known.size() == 1 && known.front().starts_with(kGroupPrefix)
                                   ? " (did you mean \"" + known.front() + "\"?)"
                                   : did_you_mean(name, known)));
      }
      rule.users.push_back(name);
      continue;
    }
    const std::string group = name.substr(kGroupPrefix.size());
    if (!contains(loader.group_names, group)) {
      file.error(*item, fields.where() + ": no user is in group " + in_quotes(group) +
                            did_you_mean(group, loader.group_names));
    }
    rule.groups.push_back(group);
  }
  std::sort(rule.users.begin(), rule.users.end());
  std::sort(rule.groups.begin(), rule.groups.end());
}

/// names_a_target: some target can have a name that the rule's name or glob covers.
bool names_a_target(const PolicyLoader& loader, const std::string& name) {
  return std::any_of(loader.data.targets.begin(), loader.data.targets.end(),
                     [&](const Target& target) { return globs_overlap(name, target.folded); });
}

void read_target_labels(PolicyLoader& loader, Fields& fields, const YamlNode& node, Rule& rule) {
  rule.targets.kind = TargetSelector::Kind::kLabels;
  const std::string label = fields.label("targets");
  for (const auto& [key, value] : node.members) {
    std::vector<std::string> values;
    if (value.is_list()) {
      for (const YamlNode* item : text_items(loader.file, value, label, "values of a label")) {
        values.push_back(item->text);
      }
      if (value.items.empty()) {
        loader.file.expected(value, label, "at least one value of the label");
      }
    } else if (auto text = text_of(loader.file, value, label, "a value of the label, or a list")) {
      values.push_back(std::move(*text));
    }
    rule.targets.labels.emplace_back(key.text, std::move(values));
  }
  if (node.members.empty()) {
    loader.file.expected(node, label, "all, names, or at least one label");
  }
}

void read_targets(PolicyLoader& loader, Fields& fields, Rule& rule) {
  FileContext& file = loader.file;
  constexpr std::string_view kWhat = "all, a list of names, or labels such as {env: prod}";
  const YamlNode* node = fields.require("targets", kWhat);
  if (node == nullptr || is_word(node, "all")) {
    return;
  }
  if (node->is_map()) {
    const std::size_t num_errors = file.problems.errors.size();
    read_target_labels(loader, fields, *node, rule);
    const auto covered = [&](const Target& target) {
      return rule.targets.covers(target, target.folded);
    };
    if (file.problems.errors.size() == num_errors &&
        std::none_of(loader.data.targets.begin(), loader.data.targets.end(), covered)) {
      file.warning(*node, fields.where() + ": no target has these labels");
    }
    return;
  }
  rule.targets.kind = TargetSelector::Kind::kNames;
  if (!node->is_list() || node->items.empty()) {
    file.expected(*node, fields.label("targets"), kWhat);
    return;
  }
  for (const YamlNode* item : text_items(file, *node, fields.label("targets"), "target names")) {
    const std::string name = folded(item->text);
    if (!names_a_target(loader, name)) {
      file.error(*item, fields.where() + ": there is no target " + in_quotes(item->text) +
                            did_you_mean(item->text, loader.target_names));
    }
    rule.targets.names.push_back(name);
  }
}

/// read_logins: an allow rule for routed sessions has to say them; a deny rule without means all.
void read_logins(PolicyLoader& loader, Fields& fields, Rule& rule) {
  const YamlNode* node = fields.get("logins");
  if (node == nullptr) {
    rule.logins_all = rule.deny;
    return;
  }
  if (is_word(node, "all")) {
    rule.logins_all = true;
    return;
  }
  constexpr std::string_view kWhat = "all, or a list of logins";
  if (!node->is_list() || node->items.empty()) {
    loader.file.expected(*node, fields.label("logins"), kWhat);
    return;
  }
  for (const YamlNode* item : text_items(loader.file, *node, fields.label("logins"), "logins")) {
    if (item->text != "{user}" && !is_account_name(item->text)) {
      loader.file.expected(*item, fields.label("logins"),
                           "letters, digits, '.', '_' and '-'; or {user} for the user's own name");
      continue;
    }
    rule.logins.push_back(item->text);
  }
}

void read_when(Fields& fields, Rule& rule) {
  const YamlNode* node = fields.get("when");
  if (node == nullptr) {
    return;
  }
  Fields when(fields.file(), *node, "\"when\" of " + fields.where());
  constexpr std::string_view kWhy = "a rule that asks for a time would hold at all times";
  when.later("hours", kWhy);
  when.later("days", kWhy);
  when.later("zone", kWhy);
  rule.from = read_blocks(when, "from");
  when.finish();
  if (node->is_map() && node->members.empty()) {
    fields.file().expected(*node, fields.label("when"), "a condition such as {from: [10.0.0.0/8]}");
  }
}

/// read_record reads how what the rule allows is recorded. What the file does not say is `full`
/// where the service records at all.
void read_record(const PolicyLoader& loader, Fields& fields, Rule& rule) {
  using proto::RecordMode;
  FileContext& file = fields.file();
  const bool possible = loader.service.recording.enabled;
  rule.record.mode = possible && !rule.deny ? RecordMode::kFull : RecordMode::kNone;
  if (const YamlNode* node = fields.get("record"); node != nullptr) {
    if (is_word(node, "none")) {
      rule.record.mode = RecordMode::kNone;
    } else if (is_word(node, "metadata")) {
      rule.record.mode = RecordMode::kMetadata;
    } else if (is_word(node, "full")) {
      rule.record.mode = RecordMode::kFull;
    } else {
      file.expected(*node, fields.label("record"), "full, metadata or none");
    }
    if (!possible && rule.record.mode != RecordMode::kNone) {
      file.error(*node, fields.label("record") +
                            ": nothing is recorded by this service; give bastiond.yaml a "
                            "\"state_dir\" or \"recording\"");
    }
  }
  fields.boolean("record_input", rule.record.input);
  fields.boolean("record_file_content", rule.record.file_content);
  fields.size("exec_bytes", rule.record.bytes_max, 0, std::uint64_t{1} << 50);
  if (rule.deny) {
    for (const std::string_view key :
         {"record", "record_input", "record_file_content", "exec_bytes"}) {
      if (fields.has(key)) {
        file.error(fields.node(),
                   fields.where() + ": \"" + std::string(key) + "\" has no meaning in a deny rule");
      }
    }
  }
}

/// read_later reads what only its trivial value is kept of in this version.
void read_later(Fields& fields) {
  FileContext& file = fields.file();
  for (const YamlNode* item : fields.texts("require", "factors")) {
    if (item->text != "key") {
      file.error(*item, fields.label("require") +
                            ": only \"key\" is available in this version, "
                            "found " +
                            in_quotes(item->text));
    }
  }
  fields.later("force_command", "a user certificate's force-command is honoured");
  fields.later("commands", "allow exec as a whole, or not at all");
  fields.later("paths", "write files: {paths: […]}");
}

/// check_jump: nothing that looks inside a session can hold in a tunnel.
void check_jump(Fields& fields, const Rule& rule) {
  const auto grants = [&](Action action) {
    return std::any_of(rule.allow.begin(), rule.allow.end(),
                       [&](const Allowance& allowance) { return allowance.action == action; });
  };
  if (!grants(Action::kJump)) {
    return;
  }
  constexpr std::string_view kOpaque =
      "jump is an opaque tunnel to the target, in which we see neither login nor commands";
  for (const std::string_view key : {"logins", "record", "record_input", "record_file_content",
                                     "exec_bytes", "env", "pty", "commands", "paths", "files"}) {
    if (fields.has(key)) {
      fields.file().error(fields.node(), fields.where() + ": a rule with \"" + std::string(key) +
                                             "\" cannot allow jump: " + std::string(kOpaque) +
                                             "; give jump a rule of its own");
      return;
    }
  }
  if (rule.allow.size() > 1) {
    fields.file().error(fields.node(), fields.where() +
                                           ": jump cannot stand beside other actions: " +
                                           std::string(kOpaque) + "; give jump a rule of its own");
  }
}

void load_rule(PolicyLoader& loader, const YamlNode& node, std::size_t number,
               std::unordered_map<std::string, int>& lines) {
  FileContext& file = loader.file;
  Rule rule;
  rule.line = node.line;
  rule.name = "#" + std::to_string(number);
  if (node.is_map()) {
    const auto name =
        std::find_if(node.members.begin(), node.members.end(), [](const auto& member) {
          return member.key.text == "name" && is_account_name(member.value.text);
        });
    rule.name = name == node.members.end() ? rule.name : name->value.text;
  }
  Fields fields(file, node, "rule " + in_quotes(rule.name));
  if (const YamlNode* name = fields.require("name", "a name")) {
    if (!name->is_scalar() || !is_account_name(name->text)) {
      file.expected(*name, fields.label("name"), "letters, digits, '.', '_' and '-'");
    } else if (const auto [first, is_new] = lines.emplace(name->text, name->line); !is_new) {
      file.error(*name, "a rule " + in_quotes(name->text) + " is in line " +
                            std::to_string(first->second) + " already");
    }
  }
  rule.deny = fields.has("deny");
  if (node.is_map() && rule.deny == fields.has("allow")) {
    file.error(node, fields.where() + (rule.deny ? ": it has both \"allow\" and \"deny\""
                                                 : ": expected \"allow\" or \"deny\""));
  }
  read_who(loader, fields, rule);
  read_targets(loader, fields, rule);
  read_logins(loader, fields, rule);
  const std::size_t num_errors = file.problems.errors.size();
  if (fields.get("deny") != nullptr) {
    read_deny(loader, fields, rule);
  }
  if (fields.get("allow") != nullptr) {
    read_allow(loader, fields, rule);
  }
  const bool actions_are_good = file.problems.errors.size() == num_errors;
  read_when(fields, rule);
  read_record(loader, fields, rule);
  read_later(fields);
  fields.boolean("pty", rule.pty);
  rule.env = read_env(fields, "env");
  read_files(fields, rule);
  fields.finish();
  check_jump(fields, rule);
  const bool routed = std::any_of(rule.allow.begin(), rule.allow.end(), [](const auto& allowance) {
    return allowance.action != Action::kJump;
  });
  if (!rule.deny && routed && actions_are_good && !fields.has("logins")) {
    file.error(node, fields.where() +
                         ": the key \"logins\" is missing; expected a list of logins, or all");
  }
  if (rule.deny && (fields.has("env") || fields.has("pty"))) {
    file.error(node, fields.where() + ": \"env\" and \"pty\" have no meaning in a deny rule");
  }
  loader.data.rules.push_back(std::move(rule));
}

}  // namespace

void load_rules(PolicyLoader& loader, const YamlNode& node) {
  if (!node.is_list()) {
    loader.file.expected(node, "\"rules\"", "a list of rules");
  }
  std::unordered_map<std::string, int> lines;
  std::size_t number = 0;
  for (const YamlNode& item : node.items) {
    load_rule(loader, item, ++number, lines);
  }
}

void load_tests(PolicyLoader& loader, const YamlNode& node) {
  FileContext& file = loader.file;
  if (!node.is_list()) {
    file.expected(node, "\"tests\"", "a list of tests");
  }
  std::size_t number = 0;
  for (const YamlNode& item : node.items) {
    Fields fields(file, item, "test #" + std::to_string(++number));
    PolicyTest test;
    test.line = item.line;
    test.column = item.column;
    fields.text("user", test.user);
    fields.text("as", test.login);
    fields.text("target", test.target);
    if (item.is_map() && !contains(loader.user_names, test.user)) {
      file.error(item, fields.where() + ": there is no user " + in_quotes(test.user) +
                           did_you_mean(test.user, loader.user_names));
    }
    if (const YamlNode* action = fields.require("do", "an action")) {
      const auto parsed = action->is_scalar() ? parse_action(action->text) : std::nullopt;
      if (parsed) {
        test.action = *parsed;
      } else {
        file.expected(*action, fields.label("do"),
                      "an action, such as shell or forward_local:localhost:5432");
      }
    }
    if (const YamlNode* from = fields.get("from"); from != nullptr) {
      const auto address = from->is_scalar() ? IpAddress::parse(from->text) : std::nullopt;
      if (!address) {
        file.expected(*from, fields.label("from"), "an address");
      }
      test.from = address.value_or(IpAddress());
    }
    if (const YamlNode* expect = fields.require("expect", "allow or deny")) {
      if (!is_word(expect, "allow") && !is_word(expect, "deny")) {
        file.expected(*expect, fields.label("expect"), "allow or deny");
      }
      test.expect_allow = is_word(expect, "allow");
    }
    fields.finish();
    loader.data.tests.push_back(std::move(test));
  }
}

}  // namespace bastion::config
