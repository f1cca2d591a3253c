#pragma once

#include <cstddef>
#include <string_view>

namespace bastion {

/// A glob is text in which `*` stands for any bytes, also none, and `?` for any one byte. There are
/// no classes and no escapes. The whole text has to match.
///
/// Matching never backtracks over more than one `*`, and both sides are bounded: a pattern over
/// kGlobPatternBytesMax or a text over kGlobTextBytesMax (PATH_MAX: no name, host or path of use is
/// longer) matches nothing. So the worst case is 256 × 4096 steps, about a millisecond, and the
/// usual one is linear.
inline constexpr std::size_t kGlobPatternBytesMax = 256;
inline constexpr std::size_t kGlobTextBytesMax = 4096;

bool glob_match(std::string_view pattern, std::string_view text);

/// glob_match_nocase takes ASCII letters as equal in both cases: for host names.
bool glob_match_nocase(std::string_view pattern, std::string_view text);

/// is_glob: whether the text has a `*` or `?` in it.
inline bool is_glob(std::string_view text) { return text.find_first_of("*?") != text.npos; }

/// globs_overlap: whether some text matches both.
bool globs_overlap(std::string_view a, std::string_view b);

/// ascii_lower folds A-Z only; other bytes, UTF-8 among them, stay as they are.
constexpr char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace bastion
