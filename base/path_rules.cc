#include "base/path_rules.h"

#include <algorithm>
#include <bitset>
#include <vector>

namespace bastion {
namespace {

/// Matcher runs all ways through a pattern at once. A position is how much of it is used up.
class Matcher {
 public:
  explicit Matcher(std::string_view pattern) : pattern_(pattern) {
    at_[0] = true;
    skip_stars();
  }

  void step(char c) {
    std::bitset<kPathPatternBytesMax + 1> next;
    for (std::size_t i = 0; i < pattern_.size(); ++i) {
      if (!at_[i]) {
        continue;
      }
      if (pattern_[i] == '*') {
        const bool any = is_double(i);
        if (any || c != '/') {
          next[i] = true;  // it takes this byte, and may take more
        }
      } else if (pattern_[i] == c || (pattern_[i] == '?' && c != '/')) {
        next[i + 1] = true;
      }
    }
    at_ = next;
    skip_stars();
  }
  bool done() const { return at_[pattern_.size()]; }
  /// alive: more bytes could make it match.
  bool alive() const {
    for (std::size_t i = 0; i < pattern_.size(); ++i) {
      if (at_[i]) {
        return true;
      }
    }
    return false;
  }
  bool dead() const { return at_.none(); }

 private:
  bool is_double(std::size_t i) const { return i + 1 < pattern_.size() && pattern_[i + 1] == '*'; }
  void skip_stars() {
    for (std::size_t i = 0; i < pattern_.size(); ++i) {
      if (at_[i] && pattern_[i] == '*') {
        at_[i + (is_double(i) ? 2 : 1)] = true;
      }
    }
  }

  std::string_view pattern_;
  std::bitset<kPathPatternBytesMax + 1> at_;
};

bool matches_all(std::string_view pattern, std::string_view path) {
  Matcher matcher(pattern);
  for (const char c : path) {
    matcher.step(c);
    if (matcher.dead()) {
      return false;
    }
  }
  return matcher.done();
}

bool comparable(std::string_view pattern, std::string_view path) {
  return pattern.size() <= kPathPatternBytesMax && path.size() <= 2 * kFilePathBytesMax + 2;
}

}  // namespace

std::string normalise_path(std::string_view path, std::string_view home) {
  std::string joined;
  if (!path.starts_with('/') && home.starts_with('/')) {
    joined = std::string(home) + "/" + std::string(path);
    path = joined;
  }
  const bool absolute = path.starts_with('/');
  std::vector<std::string_view> names;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (name.empty() || name == ".") {
      continue;
    }
    if (name != "..") {
      names.push_back(name);
    } else if (!names.empty() && names.back() != "..") {
      names.pop_back();
    } else if (!absolute) {
      names.push_back(name);
    }
  }
  std::string out = absolute ? "" : "~";
  for (const std::string_view name : names) {
    out += '/';
    out += name;
  }
  return out.empty() ? "/" : out;
}

bool path_matches(std::string_view pattern, std::string_view path) {
  if (!comparable(pattern, path)) {
    return false;
  }
  if (pattern.ends_with("/**") && matches_all(pattern.substr(0, pattern.size() - 3), path)) {
    return true;
  }
  return matches_all(pattern, path);
}

bool path_may_contain(std::string_view pattern, std::string_view path) {
  if (!comparable(pattern, path)) {
    return false;
  }
  Matcher matcher(pattern);
  for (const char c : path == "/" ? std::string_view() : path) {
    matcher.step(c);
  }
  matcher.step('/');
  return matcher.alive();
}

}  // namespace bastion
