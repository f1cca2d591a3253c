#include "config/suggest.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/glob.h"

namespace bastion::config {
namespace {

constexpr std::size_t kWordBytesMax = 64;

/// WordDistance counts the edits from one word to others: Levenshtein's distance with a swap of
/// neighbours as one edit, a column of the usual table at a time, each difference between its rows
/// one bit of a number (H. Hyyro, "A Bit-Vector Algorithm for Computing Levenshtein and Damerau
/// Edit Distances", 2003). Case counts as nothing.
class WordDistance {
 public:
  /// `word` has 1 to 64 bytes.
  explicit WordDistance(std::string_view word) : size_(word.size()) {
    for (std::size_t i = 0; i < word.size(); ++i) {
      places_[index_of(word[i])] |= std::uint64_t{1} << i;
    }
  }

  std::size_t operator()(std::string_view text) const {
    const std::uint64_t last = std::uint64_t{1} << (size_ - 1);
    std::uint64_t up = ~std::uint64_t{0};  // rows one above the row before,
    std::uint64_t down = 0;                // one below
    std::uint64_t free = 0;                // and those reached from the left above for nothing
    std::uint64_t same_before = 0;
    std::size_t distance = size_;
    for (const char c : text) {
      const std::uint64_t same = places_[index_of(c)];
      const std::uint64_t swapped = ((~free & same) << 1) & same_before;
      free = (((same & up) + up) ^ up) | same | down | swapped;
      const std::uint64_t more = down | ~(free | up);
      const std::uint64_t less = free & up;
      distance += (more & last) != 0 ? 1 : 0;
      distance -= (less & last) != 0 ? 1 : 0;
      up = (less << 1) | ~(free | (more << 1 | 1));
      down = (more << 1 | 1) & free;
      same_before = same;
    }
    return distance;
  }

 private:
  static std::uint8_t index_of(char c) { return static_cast<std::uint8_t>(ascii_lower(c)); }

  std::array<std::uint64_t, 256> places_{};  // where a byte stands in the word
  std::size_t size_;
};

}  // namespace

std::vector<std::size_t> nearest(std::string_view word, std::span<const std::string> candidates,
                                 std::size_t num_max) {
  if (word.empty() || word.size() > kWordBytesMax || num_max == 0) {
    return {};
  }
  struct Near {
    std::size_t distance;
    std::size_t index;
  };
  const WordDistance distance_to(word);
  std::size_t distance_max = std::max<std::size_t>(1, (word.size() + 2) / 3);
  std::vector<Near> near;  // the best so far
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const std::string& candidate = candidates[i];
    if (candidate.size() > word.size() + distance_max ||
        candidate.size() + distance_max < word.size()) {
      continue;
    }
    const std::size_t distance = distance_to(candidate);
    // A word of which every letter differs is not misspelt.
    if (distance > distance_max || distance >= std::max(word.size(), candidate.size()) ||
        std::ranges::any_of(
            near, [&](const Near& other) { return candidates[other.index] == candidate; })) {
      continue;
    }
    near.insert(std::ranges::upper_bound(near, distance, {}, &Near::distance), {distance, i});
    if (near.size() > num_max) {
      near.pop_back();
    }
    if (near.size() == num_max) {
      if (near.back().distance == 0) {
        break;
      }
      distance_max = near.back().distance - 1;  // later ones have to be better
    }
  }
  std::vector<std::size_t> out;
  for (const Near& one : near) {
    out.push_back(one.index);
  }
  return out;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const auto near = nearest(word, candidates);
  return near.empty() ? "" : " (did you mean \"" + candidates[near.front()] + "\"?)";
}

std::string join(std::span<const std::string> words, std::string_view last,
                 std::string_view quote) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) {
      out += i + 1 == words.size() ? last : std::string_view(", ");
    }
    out.append(quote).append(words[i]).append(quote);
  }
  return out;
}

std::string folded(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), ascii_lower);
  return out;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kWordBytesMax)) {
    out += c >= 0x20 && c < 0x7f && c != '"' ? c : '?';
  }
  return out + (text.size() > kWordBytesMax ? "...\"" : "\"");
}

}  // namespace bastion::config
