#include "base/ip.h"

#include <arpa/inet.h>

#include <algorithm>

namespace bastion {
namespace {

constexpr std::size_t kMappedPrefixBytes = 12;
constexpr std::array<std::uint8_t, kMappedPrefixBytes> kMappedPrefix = {0, 0, 0, 0, 0,    0,
                                                                        0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedPrefixBits = 8 * kMappedPrefixBytes;

/// c_string copies a view that is short enough for inet_pton; texts with a NUL inside are refused,
/// since inet_pton would see only what stands before it.
bool c_string(std::string_view text, std::array<char, INET6_ADDRSTRLEN>& out) {
  if (text.size() >= out.size() || text.find('\0') != text.npos) {
    return false;
  }
  std::copy(text.begin(), text.end(), out.begin());
  out[text.size()] = '\0';
  return true;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (!c_string(text, buffer)) {
    return std::nullopt;
  }
  IpAddress address;
  if (inet_pton(AF_INET6, buffer.data(), address.octets_.data()) == 1) {
    return address;
  }
  std::array<std::uint8_t, 4> v4{};
  if (inet_pton(AF_INET, buffer.data(), v4.data()) == 1) {
    return from_octets(v4);
  }
  return std::nullopt;
}

std::optional<IpAddress> IpAddress::from_octets(ByteView octets) {
  IpAddress address;
  if (octets.size() == 4) {
    std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.octets_.begin());
    std::copy(octets.begin(), octets.end(), address.octets_.begin() + kMappedPrefixBytes);
    return address;
  }
  if (octets.size() == 16) {
    std::copy(octets.begin(), octets.end(), address.octets_.begin());
    return address;
  }
  return std::nullopt;
}

bool IpAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), octets_.begin());
}

ByteView IpAddress::octets() const {
  const ByteView all(octets_);
  return is_v4() ? all.subspan(kMappedPrefixBytes) : all;
}

std::string IpAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (inet_ntop(is_v4() ? AF_INET : AF_INET6, octets().data(), buffer.data(), buffer.size()) ==
      nullptr) {
    return "?";
  }
  return buffer.data();
}

IpAddress IpAddress::source_key() const {
  IpAddress key = *this;
  if (!is_v4()) {
    std::fill(key.octets_.begin() + 8, key.octets_.end(), std::uint8_t{0});
  }
  return key;
}

bool IpAddress::is_loopback() const {
  if (is_v4()) {
    return octets_[12] == 127;
  }
  return octets_[15] == 1 && std::all_of(octets_.begin(), octets_.end() - 1,
                                         [](std::uint8_t octet) { return octet == 0; });
}

bool IpAddress::is_special() const {
  const ByteView all(octets_);
  const auto carries_special = [&](std::size_t at) {
    return from_octets(all.subspan(at, 4))->is_special();
  };
  if (is_v4()) {
    const ByteView v4 = octets();
    return v4[0] == 0 || v4[0] == 127 || (v4[0] == 169 && v4[1] == 254) || v4[0] >= 224;
  }
  constexpr std::array<std::uint8_t, 12> kNat64 = {0, 0x64, 0xff, 0x9b};            // RFC 6052
  constexpr std::array<std::uint8_t, 6> kLocalNat64 = {0, 0x64, 0xff, 0x9b, 0, 1};  // RFC 8215
  constexpr std::array<std::uint8_t, 12> kV4Compatible = {};  // `::` and ::1, too
  if (equal(all.first(12), kNat64) || equal(all.first(12), kV4Compatible)) {
    return carries_special(12);
  }
  if (equal(all.first(6), kLocalNat64)) {
    return true;
  }
  if (all[0] == 0x20 && all[1] == 0x02) {  // 6to4, RFC 3056
    return carries_special(2);
  }
  const bool link_local = all[0] == 0xfe && (all[1] & 0xc0) == 0x80;
  return link_local || all[0] == 0xff;
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) {
    return std::nullopt;
  }
  Cidr block;
  block.network_ = *address;
  // "::ffff:10.0.0.0/104" would be a second spelling of an IPv4 block; only the plain one is taken.
  const bool written_as_v4 = text.substr(0, slash).find(':') == text.npos;
  if (address->is_v4() && !written_as_v4) {
    return std::nullopt;
  }
  if (slash != text.npos) {
    const auto bits = parse_port(text.substr(slash + 1));
    const unsigned bits_max = address->is_v4() ? 32 : 128;
    if (!bits || *bits > bits_max) {
      return std::nullopt;
    }
    block.prefix_bits_ =
        static_cast<std::uint8_t>(*bits + (address->is_v4() ? kMappedPrefixBits : 0));
  }
  for (unsigned bit = block.prefix_bits_; bit < 128; ++bit) {
    if ((address->mapped_octets()[bit / 8] >> (7 - bit % 8) & 1) != 0) {
      return std::nullopt;
    }
  }
  return block;
}

bool Cidr::contains(const IpAddress& address) const {
  if (address.is_v4() != network_.is_v4()) {
    return false;
  }
  const auto& a = address.mapped_octets();
  const auto& b = network_.mapped_octets();
  const unsigned whole = prefix_bits_ / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) {
    return false;
  }
  const unsigned rest = prefix_bits_ % 8;
  return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

std::string Cidr::text() const {
  const unsigned offset = network_.is_v4() ? kMappedPrefixBits : 0;
  return network_.text() + "/" + std::to_string(prefix_bits_ - offset);
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) {
    return std::nullopt;
  }
  std::string_view host = text.substr(0, colon);
  const auto port = parse_port(text.substr(colon + 1));
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) {
    host = host.substr(1, host.size() - 2);
  }
  const auto address = IpAddress::parse(host);
  // "::1:22" is an address, not an address and a port: IPv6 needs its brackets, IPv4 has none.
  if (!port || !address || bracketed != (host.find(':') != host.npos)) {
    return std::nullopt;
  }
  return Endpoint{*address, *port};
}

std::string Endpoint::text() const {
  const std::string host = address.text();
  return (address.is_v4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text.front() == '0')) {
    return std::nullopt;
  }
  std::uint32_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    value = value * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (value > 65535) {
    return std::nullopt;
  }
  return static_cast<std::uint16_t>(value);
}

}  // namespace bastion
