#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/algorithms.h"

namespace bastion::proto {

/// Markers among the kex names (RFC 8308 2.1, OpenSSH PROTOCOL 1.10). They are never negotiated.
inline constexpr std::string_view kExtInfoClient = "ext-info-c";
inline constexpr std::string_view kExtInfoServer = "ext-info-s";
inline constexpr std::string_view kStrictKexClient = "kex-strict-c-v00@openssh.com";
inline constexpr std::string_view kStrictKexServer = "kex-strict-s-v00@openssh.com";

/// KexInit is an SSH_MSG_KEXINIT payload (RFC 4253 7.1), its name-lists as they stand there: views
/// into the payload that was parsed. The two language lists are checked and left out.
struct KexInit {
  ByteView cookie;
  std::string_view kex;
  std::string_view host_keys;
  std::string_view ciphers_to_server;
  std::string_view ciphers_to_client;
  std::string_view macs_to_server;
  std::string_view macs_to_client;
  std::string_view compression_to_server;
  std::string_view compression_to_client;
  bool first_kex_packet_follows = false;
};

/// parse_kexinit checks form: at most limits::kKexInitBytesMax in all, names of 1 to 64 printable
/// ASCII characters, a reserved field of 0 (the RFC reserves it, so whoever sets it speaks
/// something else), nothing behind it. Any non-zero first_kex_packet_follows is true, as RFC 4251 5
/// demands.
[[nodiscard]] Result<KexInit> parse_kexinit(ByteView payload);

/// encode_kexinit writes the payload that offers `lists` both ways, with "none" for compression.
/// `host_keys` replaces lists.host_keys (a server's own); `markers` follow the kex names.
Bytes encode_kexinit(ByteView cookie, const AlgorithmLists& lists,
                     std::span<const std::string_view> host_keys,
                     std::span<const std::string_view> markers);

}  // namespace bastion::proto
