#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bastion::config {

/// nearest gives the indexes of at most `num_max` of the candidates that look like a misspelt
/// `word`, best first, in their order where they are alike, each spelling once: at most a third of
/// its letters differ, rounded up. A swap of neighbours counts as one, and case as nothing. Words
/// over 64 bytes are like nothing. A candidate costs some ten instructions a byte and no memory, so
/// that asking about thousands of names is cheap for whoever can make us ask.
std::vector<std::size_t> nearest(std::string_view word, std::span<const std::string> candidates,
                                 std::size_t num_max = 1);

/// did_you_mean: ` (did you mean "credential"?)`, or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// join: "a, b and c" with the last separator given; each word between `quote`s.
std::string join(std::span<const std::string> words, std::string_view last = ", ",
                 std::string_view quote = "");

/// folded is the text with A-Z in lower case.
std::string folded(std::string_view text);

/// in_quotes puts text that a person or a peer wrote between quotes, cut at 64 bytes, with whatever
/// is not printable ASCII replaced by `?`: safe for terminals and logs.
std::string in_quotes(std::string_view text);

}  // namespace bastion::config
