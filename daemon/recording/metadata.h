#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "daemon/recording/problem.h"

namespace bastion::recording {

/// SealedKey is the file's key, sealed to one recipient.
struct SealedKey {
  std::string recipient;  // "bastion-recipient-x25519 BASE64"
  Bytes sealed;           // HPKE: 32 bytes of encapsulated key, then the sealed file key and tag

  friend bool operator==(const SealedKey&, const SealedKey&) = default;
};

/// Metadata is what the first block says of the session.
struct Metadata {
  std::string session;  // long id, 26 letters and digits
  std::string user;     // as the policy names them
  std::string login;    // the account on the target
  std::string target;
  std::string address;  // of the target
  std::string rule;
  std::string mode;  // "routed", "menu"
  std::string from;  // the user's address
  std::string host;  // the bastion's name
  std::uint64_t start_us = 0;
  bool records_input = false;
  std::vector<SealedKey> keys;  // none: not encrypted

  bool encrypted() const { return !keys.empty(); }
  friend bool operator==(const Metadata&, const Metadata&) = default;
};

enum class EndState : std::uint8_t {
  kComplete,     // the session ended and all of it is here
  kInterrupted,  // the worker, the recorder or the machine died; what was accepted is here
  kFailed,       // recording became impossible, and the session was ended for it
};
std::string_view end_state_name(EndState state);

/// Totals are counted by the writer. After a crash of the machine only those of the blocks are
/// known.
struct Totals {
  std::uint64_t entries = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t stdout_bytes = 0;
  std::uint64_t stderr_bytes = 0;
  std::uint64_t stdin_bytes = 0;
  std::uint64_t channels = 0;

  friend bool operator==(const Totals&, const Totals&) = default;
};

/// End is what the end block says.
struct End {
  EndState state = EndState::kComplete;
  std::string reason;  // empty where it is complete
  std::uint64_t end_us = 0;
  bool streams_counted = true;  // false: of the totals only entries and raw_bytes are known
  Totals totals;

  friend bool operator==(const End&, const End&) = default;
};

/// Signature is what the signature block says: over head_to_sign of the block before.
struct Signature {
  std::string key;  // "ssh-ed25519 BASE64"
  Bytes blob;       // RFC 8709 6: string "ssh-ed25519", string signature

  friend bool operator==(const Signature&, const Signature&) = default;
};

/// to_json writes one line of JSON; what is not UTF-8 becomes U+FFFD. parse_* ignore members that
/// they do not know and refuse what they need and do not find, or find of another type.
std::string to_json(const Metadata& metadata);
std::string to_json(const End& end);
std::string to_json(const Signature& signature);
std::expected<Metadata, ProblemKind> parse_metadata(ByteView json);
std::expected<End, ProblemKind> parse_end(ByteView json);
std::expected<Signature, ProblemKind> parse_signature(ByteView json);

}  // namespace bastion::recording
