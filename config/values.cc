#include "config/values.h"

#include <algorithm>
#include <array>
#include <utility>

namespace bastion::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// From the largest to the smallest, so that the first that divides a value is its shortest text.
constexpr std::array<Unit, 5> kDurations = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<Unit, 4> kSizes = {
    {{"GiB", std::uint64_t{1} << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}};
constexpr std::uint64_t kDurationMsMax = std::uint64_t{3650} * 86'400'000;
constexpr std::uint64_t kSizeBytesMax = std::uint64_t{1} << 50;

template <std::size_t N>
std::optional<std::uint64_t> parse_with_unit(std::string_view text,
                                             const std::array<Unit, N>& units,
                                             std::uint64_t value_max) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto count = parse_count(text.substr(0, digits));
  const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& candidate) {
    return candidate.name == text.substr(digits);
  });
  if (!count || unit == units.end() || *count > value_max / unit->factor) {
    return std::nullopt;
  }
  return *count * unit->factor;
}

template <std::size_t N>
std::string text_with_unit(std::uint64_t value, const std::array<Unit, N>& units) {
  for (const Unit& unit : units) {
    if (value % unit.factor == 0) {
      return std::to_string(value / unit.factor) + std::string(unit.name);
    }
  }
  return std::to_string(value);
}

}  // namespace

std::optional<std::int64_t> parse_duration(std::string_view text) {
  if (text == "0") {
    return 0;
  }
  const auto ms = parse_with_unit(text, kDurations, kDurationMsMax);
  return ms ? std::optional(static_cast<std::int64_t>(*ms)) : std::nullopt;
}

std::string duration_text(std::int64_t ms) {
  return ms == 0 ? "0" : text_with_unit(static_cast<std::uint64_t>(ms), kDurations);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  return parse_with_unit(text, kSizes, kSizeBytesMax);
}

std::string size_text(std::uint64_t bytes) { return text_with_unit(bytes, kSizes); }

std::optional<std::uint64_t> parse_count(std::string_view text) {
  constexpr std::size_t kDigitsMax = 18;
  if (text.empty() || text.size() > kDigitsMax || (text.size() > 1 && text.front() == '0')) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

bool is_dns_name(std::string_view text) {
  if (text.ends_with('.')) {
    text.remove_suffix(1);
  }
  if (text.empty() || text.size() > 253) {
    return false;
  }
  std::size_t label_len = 0;
  char before = '.';
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    const bool digit = c >= '0' && c <= '9';
    if (c == '.') {
      if (label_len == 0 || before == '-') {
        return false;
      }
      label_len = 0;
    } else if ((!letter && !digit && c != '-') || (c == '-' && label_len == 0) ||
               ++label_len > 63) {
      return false;
    }
    before = c;
  }
  const std::string_view last = text.substr(text.rfind('.') + 1);
  const bool numeric = last.find_first_not_of("0123456789") == last.npos ||
                       last.starts_with("0x") || last.starts_with("0X");
  return label_len > 0 && before != '-' && !numeric;
}

}  // namespace bastion::config
