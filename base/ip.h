#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace bastion {

/// IpAddress is an IPv4 or IPv6 address. It is kept as 16 octets in network order, IPv4 in its
/// v4-mapped form (RFC 4291 2.5.5.2): so 10.0.0.1 and ::ffff:10.0.0.1, which reach the same host,
/// are one value, and no rule about one can be passed by writing the other. The default is `::`.
class IpAddress {
 public:
  IpAddress() = default;

  /// parse takes exactly what inet_pton takes: "10.0.0.1" (four decimal numbers), "fe80::1". No
  /// brackets, no zone ("%eth0"), no octal, hexadecimal or shortened IPv4.
  static std::optional<IpAddress> parse(std::string_view text);
  /// from_octets takes 4 or 16 octets in network order; anything else gives nothing.
  static std::optional<IpAddress> from_octets(ByteView octets);

  bool is_v4() const;
  /// octets: 4 for IPv4, else 16; they live as long as this object.
  ByteView octets() const;
  const std::array<std::uint8_t, 16>& mapped_octets() const { return octets_; }
  /// text is the canonical form (RFC 5952): "10.0.0.1", "2001:db8::1".
  std::string text() const;
  /// source_key is what limits per source count by: an IPv4 address itself, an IPv6 address's /64.
  IpAddress source_key() const;
  /// is_loopback: 127.0.0.0/8 or ::1.
  bool is_loopback() const;
  /// is_special: no host of a network has it, or only the machine itself and its hypervisor have:
  /// unspecified, loopback, link-local (169.254.169.254 among them), multicast, reserved; and the
  /// IPv6 forms that carry such an IPv4 address (NAT64, 6to4, v4-compatible).
  bool is_special() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  std::array<std::uint8_t, 16> octets_{};
};

/// Cidr is a block of addresses: "10.0.0.0/8", "2001:db8::/32", or one address.
class Cidr {
 public:
  /// parse refuses blocks whose host bits are not zero ("10.0.0.1/8"): they are misunderstandings.
  static std::optional<Cidr> parse(std::string_view text);
  /// An IPv4 block never contains IPv6 addresses; "::/0" contains every IPv6 one and no IPv4 one.
  bool contains(const IpAddress& address) const;
  std::string text() const;

  friend bool operator==(const Cidr&, const Cidr&) = default;

 private:
  IpAddress network_;
  std::uint8_t prefix_bits_ = 128;  // of the 16-octet form: an IPv4 /8 is 104
};

/// Endpoint is an address and a TCP port: "0.0.0.0:22", "[::]:22".
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  static std::optional<Endpoint> parse(std::string_view text);
  std::string text() const;

  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// parse_port takes 1 to 5 decimal digits without a leading zero, 0 to 65535.
std::optional<std::uint16_t> parse_port(std::string_view text);

}  // namespace bastion

template <>
struct std::hash<bastion::IpAddress> {
  std::size_t operator()(const bastion::IpAddress& address) const noexcept {
    return std::hash<std::string_view>{}(bastion::as_text(address.mapped_octets()));
  }
};
