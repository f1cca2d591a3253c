#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"

namespace bastion::config {

/// KnownHosts is a known_hosts file as sshd(8) "SSH_KNOWN_HOSTS FILE FORMAT" describes it: plain,
/// wildcard and negated names, `[host]:port`, hashed names, @cert-authority and @revoked.
/// Immutable once parsed, but for what it remembers of earlier look-ups: a hashed name costs an
/// HMAC for each line, and the warden asks for the same few hosts again and again. So one thread
/// only.
class KnownHosts {
 public:
  enum class Marker : std::uint8_t { kNone, kCertAuthority, kRevoked };

  struct Entry {
    Marker marker = Marker::kNone;
    std::string key_type;  // "ssh-ed25519"; possibly one that we do not speak
    Bytes key_blob;        // decoded, its own type name equals key_type; otherwise unchecked
    int line = 0;
  };

  struct ParseError {
    int line = 0;
    std::string message;
  };

  /// parse takes a whole file. A line that cannot be understood refuses the file, since it may be
  /// the @revoked line that mattered; `parse` gives all such lines. Empty files are fine: they know
  /// nobody.
  static std::expected<KnownHosts, std::vector<ParseError>> parse(std::string_view text);

  /// matches gives the entries with `marker` whose names cover `host` at `port`, in file order.
  /// `host` is a name or an address as a person would type it. As in OpenSSH, a port other than 22
  /// is looked up as "[host]:port" only, but @cert-authority and @revoked lines also as "host".
  std::vector<const Entry*> matches(std::string_view host, std::uint16_t port, Marker marker) const;

  std::size_t size() const { return lines_.size(); }
  /// digest covers what the lines say, and neither comments nor blanks.
  Bytes digest() const;

 private:
  struct HashedName {
    Bytes salt;
    Bytes hash;  // HMAC-SHA1 of the name
  };
  struct Line {
    Entry entry;
    std::vector<std::string> patterns;  // lower case; negated ones begin with '!'
    std::vector<HashedName> hashed;     // one at most
  };
  static std::expected<Line, std::string> parse_line(std::string_view text);
  static bool covers(const Line& line, const std::string& name);
  const std::vector<std::size_t>& lines_for(const std::string& name) const;

  std::vector<Line> lines_;
  mutable std::unordered_map<std::string, std::vector<std::size_t>> remembered_;
};

/// known_hosts_line is the line to add for a host: "web1 ssh-ed25519 AAAA…", "[web1]:2222 …".
std::string known_hosts_line(std::string_view host, std::uint16_t port, ByteView key_blob);

/// key_blob_type is the type name at the start of a key or certificate blob; empty if there is
/// none.
std::string_view key_blob_type(ByteView key_blob);
/// key_fingerprint: "SHA256:…" of any blob, as ssh-keygen -l prints.
std::string key_fingerprint(ByteView key_blob);

}  // namespace bastion::config
