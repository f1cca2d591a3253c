#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include "config/suggest.h"
#include "config/yaml_node.h"

namespace bastion::config {
namespace {

/// Refused leaves the parser with what we do not accept; it is caught in parse_yaml.
struct Refused {
  int line;
  int column;
  std::string message;
};

/// TreeBuilder makes nodes of the parser's events. Working on events, and not on yaml-cpp's own
/// tree, we see an alias before anything is made of it and have a place for every value.
class TreeBuilder final : public YAML::EventHandler {
 public:
  YamlNode take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) {
      refuse(mark, "a second document begins here; a configuration file is one document");
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check(mark, "?", anchor);
    place(make(mark, YamlNode::Kind::kNull));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    refuse(mark, "aliases (*name) are not accepted: write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check(mark, tag, anchor);
    if (value.size() > kYamlScalarBytesMax) {
      refuse(mark, "a value of " + std::to_string(value.size()) + " bytes; at most " +
                       std::to_string(kYamlScalarBytesMax) + " are accepted");
    }
    if (value.find('\0') != std::string::npos) {
      refuse(mark, "a NUL byte inside a value");
    }
    YamlNode node = make(mark, YamlNode::Kind::kScalar);
    node.plain = tag == "?";
    node.text = value;
    place(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    check(mark, tag, anchor);
    open(make(mark, YamlNode::Kind::kList));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    check(mark, tag, anchor);
    open(make(mark, YamlNode::Kind::kMap));
  }
  void OnMapEnd() override { close(); }

 private:
  /// Open is a list or map whose end has not come.
  struct Open {
    YamlNode node;
    std::optional<YamlNode> key;  // of a map, when its value is still to come
    std::unordered_map<std::string, int> lines_of_keys;
  };

  [[noreturn]] static void refuse(const YAML::Mark& mark, std::string message) {
    throw Refused{mark.line + 1, mark.column + 1, std::move(message)};
  }

  static void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      refuse(mark, "anchors (&name) are not accepted");
    }
    // "?" and "!" are what the parser says of plain and of quoted values without a tag.
    if (!tag.empty() && tag != "?" && tag != "!") {
      refuse(mark, "tags (!name) are not accepted");
    }
  }

  YamlNode make(const YAML::Mark& mark, YamlNode::Kind kind) {
    if (++num_nodes_ > kYamlNodesMax) {
      refuse(mark, "more than " + std::to_string(kYamlNodesMax) + " values");
    }
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    return node;
  }

  void open(YamlNode node) {
    if (open_.size() >= kYamlDepthMax) {
      throw Refused{node.line, node.column,
                    "lists and maps more than " + std::to_string(kYamlDepthMax) + " deep"};
    }
    open_.push_back({std::move(node), std::nullopt, {}});
  }

  void close() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    place(std::move(node));
  }

  void place(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.is_list()) {
      parent.node.items.push_back(std::move(node));
    } else if (parent.key) {
      parent.node.members.push_back({std::move(*parent.key), std::move(node)});
      parent.key.reset();
    } else {
      note_key(parent, node);
      parent.key = std::move(node);
    }
  }

  static void note_key(Open& map, const YamlNode& key) {
    if (!key.is_scalar()) {
      throw Refused{key.line, key.column, "a key has to be text"};
    }
    if (key.plain && key.text == "<<") {
      throw Refused{key.line, key.column, "merge keys (<<) are not accepted"};
    }
    const auto [first, is_new] = map.lines_of_keys.emplace(key.text, key.line);
    if (!is_new) {
      throw Refused{key.line, key.column,
                    "the key " + in_quotes(key.text) + " stands twice; first in line " +
                        std::to_string(first->second)};
    }
  }

  YamlNode root_;
  std::vector<Open> open_;
  std::size_t num_nodes_ = 0;
  int documents_ = 0;
};

/// utf8_len gives the length of the well-formed UTF-8 character at the front (RFC 3629 4), 0 if
/// there is none.
std::size_t utf8_len(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  const std::size_t len = first >= 0xc2 && first <= 0xdf   ? 2
                          : first >= 0xe0 && first <= 0xef ? 3
                          : first >= 0xf0 && first <= 0xf4 ? 4
                                                           : 0;
  if (len == 0 || text.size() < len) {
    return 0;
  }
  for (std::size_t i = 1; i < len; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return 0;
    }
  }
  const std::uint8_t second = byte(1);
  const bool bad_second = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                          (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return bad_second ? 0 : len;
}

/// check_bytes refuses what is not text: yaml-cpp would take UTF-16 and mend what is broken.
void check_bytes(std::string_view text) {
  int line = 1;
  int column = 1;
  while (!text.empty()) {
    const std::size_t len = utf8_len(text);
    const char c = text.front();
    const bool control = static_cast<std::uint8_t>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t';
    if (len == 0 || control || c == 0x7f) {
      throw Refused{line, column, len == 0 ? "a byte that is not UTF-8" : "a control character"};
    }
    column = c == '\n' ? 1 : column + 1;
    line += c == '\n' ? 1 : 0;
    text = text.substr(len);
  }
}

YamlNode parse_document(std::string_view text) {
  check_bytes(text);
  std::istringstream in{std::string(text)};
  YAML::Parser parser(in);
  TreeBuilder builder;
  if (!parser.HandleNextDocument(builder)) {
    throw Refused{0, 0, "the file is empty"};
  }
  YamlNode root = builder.take_root();
  if (parser.HandleNextDocument(builder)) {
    throw Refused{0, 0, "more than one document"};
  }
  if (root.kind == YamlNode::Kind::kNull) {
    throw Refused{0, 0, "the file is empty"};
  }
  if (!root.is_map()) {
    throw Refused{root.line, root.column, "expected keys and values, such as \"listen: [...]\""};
  }
  return root;
}

struct Place {
  int line = 0;  // 0: nowhere
  int column = 0;
};

/// indented_by_tab finds the first tab in the indentation of a line up to `last`. YAML allows some,
/// so it is asked only where something is wrong.
Place indented_by_tab(std::string_view text, int last) {
  for (int line = 1; line <= last && !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view whole = text.substr(0, end);
    const std::size_t tab = whole.find('\t');
    if (tab != whole.npos && whole.find_first_not_of(" \t") > tab) {
      return {line, static_cast<int>(tab) + 1};
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

/// as_a_rule says what the parser's words mean for whoever wrote the file: it stumbles over what
/// comes after the mistake.
std::string_view as_a_rule(std::string_view message) {
  if (message == "end of map not found" || message == "end of sequence not found") {
    return "; here or in a line before it a quote is left open or the indentation differs";
  }
  if (message == "end of map flow not found" || message == "end of sequence flow not found") {
    return "; here or in a line before it a comma, a bracket or a closing quote is missing";
  }
  if (message == "illegal EOF in scalar") {
    return "; a quote is left open";
  }
  if (message == "illegal map value") {
    return "; the indentation differs from the line before, or a text with \": \" wants quotes";
  }
  return "";
}

}  // namespace

std::optional<YamlNode> parse_yaml(std::string_view text, const std::string& file,
                                   Problems& problems) {
  try {
    return parse_document(text);
  } catch (const Refused& refused) {
    problems.errors.push_back({file, refused.line, refused.column, refused.message});
  } catch (const YAML::Exception& error) {
    const int line = error.mark.line + 1;
    if (const Place tab = indented_by_tab(text, line); tab.line > 0) {
      problems.errors.push_back(
          {file, tab.line, tab.column, "a tab; YAML takes only spaces for indentation"});
    } else {
      problems.errors.push_back({file, line, error.mark.column + 1,
                                 "not YAML: " + error.msg + std::string(as_a_rule(error.msg))});
    }
  } catch (const std::exception& error) {
    problems.errors.push_back({file, 0, 0, std::string("cannot be parsed: ") + error.what()});
  }
  return std::nullopt;
}

}  // namespace bastion::config
