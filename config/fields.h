#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.h"
#include "config/yaml_node.h"

namespace bastion::config {

/// FileContext is one file that is being read: where its problems go.
struct FileContext {
  std::string path;
  Problems& problems;

  void error(const YamlNode& at, std::string message);
  void warning(const YamlNode& at, std::string message);
  /// expected says what was expected and what was found instead: `LABEL: expected WHAT, found "x"`.
  void expected(const YamlNode& at, std::string_view label, std::string_view what);
};

/// Fields reads the members of one map. Each getter marks its key as known; finish() complains of
/// the keys that nobody asked for, and names the nearest of those that somebody did.
/// A getter whose value is missing or wrong leaves `out` as it is, which is then the default.
class Fields {
 public:
  /// `where` is what the map describes, such as `target "web1"`; empty for the file itself.
  /// A `node` that is no map is complained of and read as an empty one.
  Fields(FileContext& file, const YamlNode& node, std::string where);

  FileContext& file() { return file_; }
  const YamlNode& node() const { return node_; }
  const std::string& where() const { return where_; }
  /// label: `"port" of target "web1"`.
  std::string label(std::string_view key) const;

  /// get gives the value, or null where the key is not there.
  const YamlNode* get(std::string_view key);
  /// require complains where the key is not there.
  const YamlNode* require(std::string_view key, std::string_view what);
  bool has(std::string_view key) const;
  /// later: a key of which people may have read, but which this version does not have. It is an
  /// error, since a rule that is not kept must not look as if it were.
  void later(std::string_view key, std::string_view why);

  void text(std::string_view key, std::string& out);
  void boolean(std::string_view key, bool& out);
  void duration(std::string_view key, std::int64_t& out_ms, std::int64_t min_ms,
                std::int64_t max_ms, bool zero_means_none = false);
  void size(std::string_view key, std::uint64_t& out_bytes, std::uint64_t min, std::uint64_t max);
  void count(std::string_view key, std::uint32_t& out, std::uint32_t min, std::uint32_t max);
  /// texts reads a list of texts and gives each with its place; `what` says what they are.
  std::vector<const YamlNode*> texts(std::string_view key, std::string_view what);

  void finish();

 private:
  FileContext& file_;
  const YamlNode& node_;
  std::string where_;
  std::vector<std::string> known_;  // asked for: what a misspelt key may have meant
  std::vector<std::string> later_;  // complained of already
};

/// found_text describes a value for "found …": `"abc"`, `a list`, `nothing`.
std::string found_text(const YamlNode& node);

/// text_of gives a scalar's text; anything else is complained of.
std::optional<std::string> text_of(FileContext& file, const YamlNode& node, std::string_view label,
                                   std::string_view what);
/// text_items gives the scalars of a list; anything else is complained of and left out.
std::vector<const YamlNode*> text_items(FileContext& file, const YamlNode& node,
                                        std::string_view label, std::string_view what);

/// count_of and boolean_of read one scalar. Only `true` and `false` without quotes are booleans:
/// yes, no, on, off, 0 and 1 mean different things to different readers of YAML.
std::optional<bool> boolean_of(FileContext& file, const YamlNode& node, std::string_view label);
std::optional<std::uint64_t> count_of(FileContext& file, const YamlNode& node,
                                      std::string_view label, std::uint64_t min, std::uint64_t max);

}  // namespace bastion::config
