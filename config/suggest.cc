#include "config/suggest.h"

#include <algorithm>
#include <utility>

#include "base/glob.h"

namespace bastion::config {
namespace {

constexpr std::size_t kWordBytesMax = 64;

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last;
  std::vector<std::size_t> last(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    last[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::vector<std::size_t> row(b.size() + 1);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    before_last = std::exchange(last, std::move(row));
  }
  return last[b.size()];
}

std::vector<std::string> nearest(std::string_view word, std::span<const std::string> candidates,
                                 std::size_t num_max) {
  if (word.size() > kWordBytesMax) {
    return {};
  }
  const std::size_t distance_max = std::max<std::size_t>(1, (word.size() + 2) / 3);
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > word.size() + distance_max ||
        candidate.size() + distance_max < word.size()) {
      continue;
    }
    const std::size_t distance = edit_distance(folded(word), folded(candidate));
    // A word of which every letter differs is not misspelt.
    if (distance <= distance_max && distance < std::max(word.size(), candidate.size())) {
      near.emplace_back(distance, candidate);
    }
  }
  std::stable_sort(near.begin(), near.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (auto& [distance, candidate] : near) {
    if (out.size() < num_max && std::find(out.begin(), out.end(), candidate) == out.end()) {
      out.push_back(std::move(candidate));
    }
  }
  return out;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const auto near = nearest(word, candidates);
  return near.empty() ? "" : " (did you mean \"" + near.front() + "\"?)";
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
