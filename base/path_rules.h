#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// Paths of a target as a rule sees them: by their letters alone. Symbolic links cannot be seen.
namespace bastion {

/// kFilePathBytesMax is PATH_MAX; kPathPatternBytesMax bounds a pattern, so that the worst match
/// costs 4096 × 256 steps.
inline constexpr std::size_t kFilePathBytesMax = 4096;
inline constexpr std::size_t kPathPatternBytesMax = 256;

/// normalise_path folds "//", "." and "..". The result is absolute ("/srv/a", "/"), or begins with
/// "~" where the path was relative ("~/a", "~"), since only the target knows where it starts; with
/// a `home` that the target has told, it is joined to that. A ".." that leads out of an unknown
/// home is kept ("~/../b"), so it matches no pattern that is written without one.
std::string normalise_path(std::string_view path, std::string_view home);

/// path_matches: in a pattern `*` stands for any bytes of one name, `?` for one byte of it, `**`
/// for any bytes at all; a pattern that ends with "/**" also means the folder itself. Both are
/// normalised already. Too long ones match nothing.
bool path_matches(std::string_view pattern, std::string_view path);

/// path_may_contain: whether something below the folder `path` could match the pattern.
bool path_may_contain(std::string_view pattern, std::string_view path);

}  // namespace bastion
