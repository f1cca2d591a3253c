#include <algorithm>

#include "base/path_rules.h"
#include "config/load_internal.h"
#include "config/suggest.h"

namespace bastion::config {
namespace {

using Command = proto::FileRules::Command;

constexpr std::uint64_t kSizeMax = std::uint64_t{1} << 60;

void read_directions(Fields& files, proto::FileRules& out) {
  const YamlNode* node = files.get("allow");
  if (node == nullptr) {
    return;
  }
  out.download = out.upload = false;
  if (!node->is_list() || node->items.empty()) {
    files.file().expected(*node, files.label("allow"), "a list of download and upload");
    return;
  }
  for (const YamlNode* item : text_items(files.file(), *node, files.label("allow"), "directions")) {
    if (item->text == "download") {
      out.download = true;
    } else if (item->text == "upload") {
      out.upload = true;
    } else {
      files.file().error(
          *item, files.label("allow") + ": expected download or upload, found " +
                     in_quotes(item->text) +
                     did_you_mean(item->text, std::vector<std::string>{"download", "upload"}));
    }
  }
}

void read_patterns(Fields& files, std::string_view key, std::vector<std::string>& out) {
  constexpr std::string_view kWhat =
      "a path from / or ~/, such as /srv/upload/** or ~/public/*.csv";
  const YamlNode* node = files.get(key);
  if (node == nullptr) {
    return;
  }
  if (!node->is_list() || node->items.empty()) {
    files.file().expected(*node, files.label(key), "a list of paths");
    return;
  }
  for (const YamlNode* item : text_items(files.file(), *node, files.label(key), "paths")) {
    const std::string& text = item->text;
    const bool at_home = text.starts_with("~/");
    const std::string normal = normalise_path(at_home ? text.substr(2) : text, {});
    if ((!at_home && !text.starts_with('/')) || text.size() > kPathPatternBytesMax) {
      files.file().expected(*item, files.label(key), kWhat);
    } else if (normal != text) {
      // It would never match, since what clients ask for is compared without these.
      files.file().error(*item, files.label(key) + ": " + in_quotes(text) +
                                    " has a \".\", a \"..\" or an empty name in it; write " +
                                    in_quotes(normal));
    } else {
      out.push_back(text);
    }
  }
}

void read_command(Fields& files, std::string_view key, Command& out) {
  const YamlNode* node = files.get(key);
  if (node == nullptr) {
    return;
  }
  if (is_word(node, "allow")) {
    out = Command::kAllowed;
  } else if (is_word(node, "deny")) {
    out = Command::kRefused;
  } else {
    files.file().expected(*node, files.label(key), "allow or deny");
  }
}

bool grants(const Rule& rule, Action action, std::string_view parameter) {
  return std::ranges::any_of(
      rule.allow, [&](const Allowance& allowance) { return allowance.covers(action, parameter); });
}

void check_actions(Fields& fields, const YamlNode& node, const Rule& rule) {
  const bool shell = grants(rule, Action::kShell, "");
  const bool exec = grants(rule, Action::kExec, "");
  if (!exec && !grants(rule, Action::kSubsystem, "sftp")) {
    fields.file().error(node,
                        fields.where() + ": \"files\" has a meaning beside sftp, exec or all only");
  } else if ((shell || exec) && rule.files.restricts()) {
    fields.file().warning(
        node, fields.where() + ": its \"files\" hold for sftp" + (exec ? ", scp and rsync" : "") +
                  "; a " + (shell ? "shell" : "command") + " moves files, too, which no rule sees");
  }
}

}  // namespace

void read_files(Fields& fields, Rule& rule) {
  const YamlNode* node = fields.get("files");
  if (node == nullptr) {
    return;
  }
  Fields files(fields.file(), *node, "\"files\" of " + fields.where());
  proto::FileRules& out = rule.files;
  read_directions(files, out);
  bool read_only = false;
  files.boolean("read_only", read_only);
  if (read_only && files.has("allow") && (out.upload || !out.download)) {
    fields.file().error(*node, files.label("read_only") +
                                   " and \"allow\" contradict each other; read_only is the same "
                                   "as allow: [download]");
  }
  out.upload = out.upload && !read_only;
  read_patterns(files, "paths", out.paths);
  read_patterns(files, "deny_paths", out.deny_paths);
  files.size("size", out.size_max, 1, kSizeMax);
  if (const YamlNode* digest = files.get("digest"); digest != nullptr) {
    if (!is_word(digest, "sha256") && !is_word(digest, "none")) {
      fields.file().expected(*digest, files.label("digest"), "sha256 or none");
    }
    out.digest = is_word(digest, "sha256");
  }
  // Neither names its paths and sizes in a way that a rule could be held against.
  if (out.has_paths() || out.size_max != 0) {
    out.scp = out.rsync = Command::kRefused;
  }
  read_command(files, "scp", out.scp);
  read_command(files, "rsync", out.rsync);
  files.finish();
  rule.has_files = true;
  if (rule.deny) {
    fields.file().error(*node, fields.where() + ": \"files\" has no meaning in a deny rule");
  } else {
    check_actions(fields, *node, rule);
  }
}

}  // namespace bastion::config
