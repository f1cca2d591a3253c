#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/keys.h"
#include "daemon/audit/event.h"

/// The chain of an audit log. A line is one JSON object: `{"v":1,"seq":N,BODY,"prev":"HEX"}`, where
/// HEX is the SHA-256 of the line before it without its line end; before the first line of all it
/// is kNoHash. Now and then an `audit.head` line carries the warden's signature over the number and
/// the hash of the line before it. docs/audit-events.md says the same for people.
namespace bastion::audit {

/// A SHA-256 in 64 lowercase hexadecimal digits.
using HashText = std::string;
inline constexpr std::size_t kHashTextLen = 64;
HashText hash_text(std::string_view bytes);
/// hex_of writes octets as a HashText does; hash_bytes is its inverse for what is a hash.
std::string hex_of(ByteView octets);
Result<std::array<std::uint8_t, 32>> hash_bytes(std::string_view hash);
/// no_hash is what stands before the first line: 64 zeros.
HashText no_hash();

/// Head is the end of a chain: the last line's number and hash. seq 0 and no_hash(): no line yet.
struct Head {
  std::uint64_t seq = 0;
  HashText hash = no_hash();
  friend bool operator==(const Head&, const Head&) = default;
};

/// append_line makes the line of `body`, without its line end, and moves the head on to it.
std::string append_line(Head& head, std::string_view body);

/// signed_head gives the bytes that the warden signs: "bastiond audit head v1", a NUL, the number
/// as 8 octets (most significant first) and the 32 octets of the hash. kMalformed for a hash that
/// is none.
Result<Bytes> signed_head(const Head& head);
/// sign_head gives an Ed25519 signature blob over signed_head; a line has it in base64.
Result<Bytes> sign_head(const crypto::PrivateKey& key, const Head& head);
[[nodiscard]] Status verify_head(const crypto::PublicKey& key, const Head& head,
                                 std::string_view base64);

/// Line is what a reader takes from one line.
struct Line {
  std::uint64_t seq = 0;
  HashText prev;
  std::string event;
  // audit.head
  Head signed_head;
  std::string key;
  std::string signature;
  // audit.torn
  HashText torn_hash;
};
/// parse_line reads a line of version 1; kMalformed for anything else.
Result<Line> parse_line(std::string_view line);

}  // namespace bastion::audit
