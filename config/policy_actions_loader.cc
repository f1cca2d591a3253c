#include "base/glob.h"
#include "config/load_internal.h"
#include "config/suggest.h"

namespace bastion::config {
namespace {

constexpr std::size_t kGlobBytesMax = kGlobPatternBytesMax;

std::vector<std::string> action_names() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kActionCount; ++i) {
    names.emplace_back(action_name(static_cast<Action>(i)));
  }
  names.emplace_back("sftp");
  return names;
}

std::optional<proto::ForwardPattern> parse_forward(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos || colon == 0 || colon > kGlobBytesMax) {
    return std::nullopt;
  }
  proto::ForwardPattern pattern;
  pattern.host = folded(text.substr(0, colon));
  // "[::1]:80": the brackets only keep address and port apart.
  if (pattern.host.size() > 2 && pattern.host.front() == '[' && pattern.host.back() == ']') {
    pattern.host = pattern.host.substr(1, pattern.host.size() - 2);
  } else if (pattern.host.find(':') != std::string::npos) {
    return std::nullopt;
  }
  const bool good_host = pattern.host.find_first_not_of(
                             "abcdefghijklmnopqrstuvwxyz0123456789._-:*?") == std::string::npos;
  const std::string_view ports = text.substr(colon + 1);
  if (ports == "*") {
    return good_host ? std::optional(pattern) : std::nullopt;
  }
  const std::size_t dash = ports.find('-');
  const auto min = parse_port(ports.substr(0, dash));
  const auto max = dash == ports.npos ? min : parse_port(ports.substr(dash + 1));
  if (!good_host || !min || !max || *max < *min) {
    return std::nullopt;
  }
  pattern.port_min = *min;
  pattern.port_max = *max;
  return pattern;
}

void read_parameters(Fields& fields, const YamlNode& list, Allowance& out) {
  FileContext& file = fields.file();
  const std::string label =
      "\"" + std::string(action_name(out.action)) + "\" in " + fields.label("allow");
  if (!list.is_list() || list.items.empty()) {
    file.expected(list, label, "a list");
    return;
  }
  for (const YamlNode* item : text_items(file, list, label, "text")) {
    const std::string& text = item->text;
    if (out.action == Action::kForwardLocal || out.action == Action::kForwardRemote) {
      if (auto pattern = parse_forward(text)) {
        out.forwards.push_back(std::move(*pattern));
      } else {
        file.expected(*item, label, "HOST:PORT, such as \"localhost:5432\" or \"*.internal:*\"");
      }
    } else if (out.action == Action::kSubsystem) {
      if (text.size() > 64 || is_glob(text)) {
        file.expected(*item, label, "a subsystem's name");
      }
      out.names.push_back(text);
    } else {
      if (text.size() > kGlobBytesMax || (text.front() != '/' && text.front() != '*')) {
        file.expected(*item, label, "a socket's path, or a glob such as /run/user/*/agent");
      }
      out.names.push_back(text);
    }
  }
}

/// read_allowance reads one item of `allow`: a name, or {name: [parameters]}.
void read_allowance(PolicyLoader& loader, Fields& fields, const YamlNode& item, Rule& rule) {
  FileContext& file = loader.file;
  const bool with_parameters = item.is_map() && item.members.size() == 1;
  if (!item.is_scalar() && !with_parameters) {
    file.expected(item, fields.label("allow"), "an action, or {action: [parameters]}");
    return;
  }
  const YamlNode& name = with_parameters ? item.members.front().key : item;
  const auto action =
      name.text.find(':') == name.text.npos ? parse_action(name.text) : std::nullopt;
  if (!action) {
    const bool is_pty = name.text == "pty";
    file.error(name, fields.label("allow") + ": unknown action " + in_quotes(name.text) +
                         (is_pty ? " (a pty comes with shell and exec; \"pty: false\" in the rule "
                                   "withholds it)"
                                 : did_you_mean(name.text, action_names())));
    return;
  }
  Allowance allowance;
  allowance.action = action->action;
  if (!with_parameters) {
    allowance.every = action->parameter.empty();
    if (!allowance.every) {
      allowance.names.push_back(action->parameter);  // sftp
    }
  } else if (action->parameter.empty() &&
             (allowance.action == Action::kSubsystem ||
              (allowance.action >= Action::kForwardLocal && allowance.action < Action::kJump))) {
    read_parameters(fields, item.members.front().value, allowance);
  } else {
    file.error(name, fields.label("allow") + ": " + in_quotes(name.text) + " takes no parameters" +
                         (allowance.action == Action::kExec
                              ? " in this version: a list of commands would not be kept"
                              : ""));
    return;
  }
  rule.allow.push_back(std::move(allowance));
}

}  // namespace

bool is_word(const YamlNode* node, std::string_view word) {
  return node != nullptr && node->is_scalar() && node->text == word;
}

void read_allow(PolicyLoader& loader, Fields& fields, Rule& rule) {
  const YamlNode* node = fields.get("allow");
  if (is_word(node, "all")) {
    for (std::size_t i = 0; i < kActionCount; ++i) {
      if (const auto action = static_cast<Action>(i); action != Action::kJump) {
        Allowance allowance;
        allowance.action = action;
        allowance.every = true;
        rule.allow.push_back(std::move(allowance));
      }
    }
    return;
  }
  if (!node->is_list() || node->items.empty()) {
    loader.file.expected(*node, fields.label("allow"),
                         "all (which is all but jump), or a list of actions");
    return;
  }
  for (const YamlNode& item : node->items) {
    read_allowance(loader, fields, item, rule);
  }
}

void read_deny(PolicyLoader& loader, Fields& fields, Rule& rule) {
  FileContext& file = loader.file;
  const YamlNode* node = fields.get("deny");
  const std::string label = fields.label("deny");
  if (!node->is_list()) {
    const auto deny = boolean_of(file, *node, label);
    if (deny && !*deny) {
      file.error(*node, label + ": false says nothing; leave the key out");
    }
    for (std::size_t i = 0; i < kActionCount; ++i) {
      rule.denied.add(static_cast<Action>(i));
    }
    return;
  }
  if (node->items.empty()) {
    file.expected(*node, label, "true, or at least one action");
  }
  for (const YamlNode* item : text_items(file, *node, label, "actions")) {
    const auto action = parse_action(item->text);
    if (action && action->parameter.empty()) {
      rule.denied.add(action->action);
    } else if (action && item->text == "sftp") {
      file.error(*item, label +
                            ": sftp cannot be denied by itself; deny subsystem, which is all "
                            "of them, and know that exec moves files, too");
    } else {
      file.error(*item, label + ": unknown action " + in_quotes(item->text) +
                            did_you_mean(item->text, action_names()));
    }
  }
}

}  // namespace bastion::config
