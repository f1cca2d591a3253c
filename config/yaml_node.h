#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.h"

namespace bastion::config {

struct YamlMember;

/// YamlNode is one value of a file with its place. Scalars are kept as they are written, so that
/// `no`, `off`, `0x10` and `1.10` stay what the person typed and each key says what it makes of
/// them. Lines and columns count from 1.
struct YamlNode {
  enum class Kind : std::uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;
  int column = 0;
  bool plain = false;               // a scalar without quotes
  std::string text;                 // of a scalar
  std::vector<YamlNode> items;      // of a list
  std::vector<YamlMember> members;  // of a map, in file order

  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_map() const { return kind == Kind::kMap; }
};

/// YamlMember is one key of a map, which is a scalar, with its value.
struct YamlMember {
  YamlNode key;
  YamlNode value;
};

/// The limits of a file, beside its size (file_bytes_max).
inline constexpr std::size_t kYamlScalarBytesMax = 64 * 1024;
inline constexpr std::size_t kYamlDepthMax = 32;
inline constexpr std::size_t kYamlNodesMax = 1'000'000;

/// parse_yaml reads the one document of a file, which must be a map at its top. Refused, each with
/// its place: what is not YAML or not UTF-8, several documents, duplicate keys, keys that are no
/// scalars, anchors and aliases (a few of which can stand for gigabytes), merge keys, tags, and
/// what is beyond the limits above. It stops at the first such problem. No exception leaves it.
std::optional<YamlNode> parse_yaml(std::string_view text, const std::string& file,
                                   Problems& problems);

}  // namespace bastion::config
