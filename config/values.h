#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bastion::config {

/// parse_duration takes a whole number and a unit: "500ms", "30s", "2m", "1h", "1d"; and "0".
/// The value is in milliseconds, at most 10 years.
std::optional<std::int64_t> parse_duration(std::string_view text);
/// duration_text is the shortest such text.
std::string duration_text(std::int64_t ms);

/// parse_size takes a whole number and a unit: "512B", "64KiB", "1MiB", "1GiB".
std::optional<std::uint64_t> parse_size(std::string_view text);
std::string size_text(std::uint64_t bytes);

/// parse_count takes decimal digits without a sign or a leading zero.
std::optional<std::uint64_t> parse_count(std::string_view text);

/// is_dns_name: letters, digits, '-', '_' and '.'; labels of 1 to 63, 253 bytes in all; and not a
/// spelling that a resolver takes for an IPv4 address ("127.1", "0x7f000001").
bool is_dns_name(std::string_view text);

}  // namespace bastion::config
