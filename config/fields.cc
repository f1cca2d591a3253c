#include "config/fields.h"

#include <algorithm>

#include "config/suggest.h"
#include "config/values.h"

namespace bastion::config {

void FileContext::error(const YamlNode& at, std::string message) {
  problems.errors.push_back({path, at.line, at.column, std::move(message)});
}

void FileContext::warning(const YamlNode& at, std::string message) {
  problems.warnings.push_back({path, at.line, at.column, std::move(message)});
}

void FileContext::expected(const YamlNode& at, std::string_view label, std::string_view what) {
  error(at, std::string(label) + ": expected " + std::string(what) + ", found " + found_text(at));
}

std::string found_text(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull: return "nothing";
    case YamlNode::Kind::kScalar: return in_quotes(node.text);
    case YamlNode::Kind::kList: return "a list";
    case YamlNode::Kind::kMap: return "keys and values";
  }
  return "something else";
}

std::optional<std::string> text_of(FileContext& file, const YamlNode& node, std::string_view label,
                                   std::string_view what) {
  if (!node.is_scalar() || node.text.empty()) {
    file.expected(node, label, what);
    return std::nullopt;
  }
  return node.text;
}

std::vector<const YamlNode*> text_items(FileContext& file, const YamlNode& node,
                                        std::string_view label, std::string_view what) {
  std::vector<const YamlNode*> items;
  if (!node.is_list()) {
    file.expected(node, label, "a list of " + std::string(what));
    return items;
  }
  for (const YamlNode& item : node.items) {
    if (item.is_scalar() && !item.text.empty()) {
      items.push_back(&item);
    } else {
      file.expected(item, label, what);
    }
  }
  return items;
}

std::optional<bool> boolean_of(FileContext& file, const YamlNode& node, std::string_view label) {
  if (node.is_scalar() && node.plain && (node.text == "true" || node.text == "false")) {
    return node.text == "true";
  }
  file.expected(node, label, "true or false");
  return std::nullopt;
}

std::optional<std::uint64_t> count_of(FileContext& file, const YamlNode& node,
                                      std::string_view label, std::uint64_t min,
                                      std::uint64_t max) {
  const auto value = node.is_scalar() ? parse_count(node.text) : std::nullopt;
  if (!value || *value < min || *value > max) {
    file.expected(node, label,
                  "a number from " + std::to_string(min) + " to " + std::to_string(max));
    return std::nullopt;
  }
  return value;
}

Fields::Fields(FileContext& file, const YamlNode& node, std::string where)
    : file_(file), node_(node), where_(std::move(where)) {
  if (!node.is_map()) {
    file_.expected(node, where_, "keys and values");
  }
}

std::string Fields::label(std::string_view key) const {
  return "\"" + std::string(key) + "\"" + (where_.empty() ? "" : " of " + where_);
}

const YamlNode* Fields::get(std::string_view key) {
  known_.emplace_back(key);
  const auto found = std::find_if(node_.members.begin(), node_.members.end(),
                                  [&](const auto& member) { return member.key.text == key; });
  return found == node_.members.end() ? nullptr : &found->value;
}

bool Fields::has(std::string_view key) const {
  return std::any_of(node_.members.begin(), node_.members.end(),
                     [&](const auto& member) { return member.key.text == key; });
}

const YamlNode* Fields::require(std::string_view key, std::string_view what) {
  const YamlNode* value = get(key);
  if (value == nullptr && node_.is_map()) {
    file_.error(node_, (where_.empty() ? "" : where_ + ": ") + "the key \"" + std::string(key) +
                           "\" is missing; expected " + std::string(what));
  }
  return value;
}

void Fields::later(std::string_view key, std::string_view why) {
  later_.emplace_back(key);
  const auto found = std::find_if(node_.members.begin(), node_.members.end(),
                                  [&](const auto& member) { return member.key.text == key; });
  if (found != node_.members.end()) {
    file_.error(found->key, label(key) + " is not supported by this version: " + std::string(why));
  }
}

void Fields::text(std::string_view key, std::string& out) {
  if (const YamlNode* value = get(key); value != nullptr) {
    if (auto text = text_of(file_, *value, label(key), "text")) {
      out = std::move(*text);
    }
  }
}

void Fields::boolean(std::string_view key, bool& out) {
  if (const YamlNode* value = get(key); value != nullptr) {
    out = boolean_of(file_, *value, label(key)).value_or(out);
  }
}

void Fields::duration(std::string_view key, std::int64_t& out_ms, std::int64_t min_ms,
                      std::int64_t max_ms, bool zero_means_none) {
  const YamlNode* value = get(key);
  if (value == nullptr) {
    return;
  }
  const auto ms = value->is_scalar() ? parse_duration(value->text) : std::nullopt;
  if (!ms || ((*ms < min_ms || *ms > max_ms) && !(zero_means_none && *ms == 0))) {
    file_.expected(*value, label(key),
                   "a time from " + duration_text(min_ms) + " to " + duration_text(max_ms) +
                       (zero_means_none ? ", or 0 for none" : "") + " (such as 500ms, 30s, 2m)");
    return;
  }
  out_ms = *ms;
}

void Fields::size(std::string_view key, std::uint64_t& out_bytes, std::uint64_t min,
                  std::uint64_t max) {
  const YamlNode* value = get(key);
  if (value == nullptr) {
    return;
  }
  const auto bytes = value->is_scalar() ? parse_size(value->text) : std::nullopt;
  if (!bytes || *bytes < min || *bytes > max) {
    file_.expected(
        *value, label(key),
        "a size from " + size_text(min) + " to " + size_text(max) + " (such as 64KiB, 1GiB)");
    return;
  }
  out_bytes = *bytes;
}

void Fields::count(std::string_view key, std::uint32_t& out, std::uint32_t min, std::uint32_t max) {
  if (const YamlNode* value = get(key); value != nullptr) {
    if (const auto number = count_of(file_, *value, label(key), min, max)) {
      out = static_cast<std::uint32_t>(*number);
    }
  }
}

std::vector<const YamlNode*> Fields::texts(std::string_view key, std::string_view what) {
  const YamlNode* value = get(key);
  return value == nullptr ? std::vector<const YamlNode*>()
                          : text_items(file_, *value, label(key), what);
}

void Fields::finish() {
  for (const auto& [key, value] : node_.members) {
    const auto lists = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), key.text) != names.end();
    };
    if (!lists(known_) && !lists(later_)) {
      file_.error(key, "unknown key " + in_quotes(key.text) +
                           (where_.empty() ? "" : " in " + where_) +
                           did_you_mean(key.text, known_));
    }
  }
}

}  // namespace bastion::config
