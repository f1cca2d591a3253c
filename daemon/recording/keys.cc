#include "daemon/recording/keys.h"

#include <algorithm>

#include "crypto/hash.h"
#include "crypto/recipient.h"
#include "daemon/recording/format.h"

namespace bastion::recording {
namespace {

static_assert(kRecipientsMax == crypto::kRecipientsMax);
constexpr std::string_view kIdentityType = "bastion-identity-x25519";
constexpr std::string_view kBlank = " \t\r";

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlank));
  line.remove_prefix(word.size());
  return word;
}

Bytes info_of(std::string_view session_id) {
  Bytes info = to_bytes("bastiond recording v1");
  info.push_back(0);
  info.insert(info.end(), session_id.begin(), session_id.end());
  return info;
}

}  // namespace

Result<Recipient> Recipient::parse(std::string_view line) {
  const Result<crypto::HpkePublicKey> key = crypto::parse_recipient(line);
  if (!key) {
    return std::unexpected(key.error());
  }
  return Recipient{*key};
}

std::string Recipient::line() const { return crypto::recipient_line(key); }

Identity Identity::generate() { return {crypto::HpkePrivateKey::generate()}; }

Result<Identity> Identity::parse(std::string_view file) {
  std::optional<Identity> found;
  while (!file.empty()) {
    std::string_view line = file.substr(0, file.find('\n'));
    file.remove_prefix(std::min(line.size() + 1, file.size()));
    const std::string_view type = next_word(line);
    if (type.empty() || type.front() == '#') {
      continue;
    }
    if (type != kIdentityType || found) {
      return fail(ErrorCode::kUnsupported,
                  "an identity file has one line \"bastion-identity-x25519 BASE64\"");
    }
    Result<Bytes> bytes = crypto::base64_decode(next_word(line));
    if (!bytes || bytes->size() != crypto::kHpkeKeyLen || !next_word(line).empty()) {
      return fail(ErrorCode::kMalformed, "an identity's key is 32 bytes in base64");
    }
    found = Identity{*crypto::HpkePrivateKey::from_bytes(*bytes)};
    wipe(*bytes);
  }
  if (!found) {
    return fail(ErrorCode::kMalformed, "there is no identity in this file");
  }
  return *found;
}

SecretBytes Identity::file() const {
  SecretBytes out;
  const auto append = [&](std::string_view text) {
    out.insert(out.end(), text.begin(), text.end());
  };
  std::string secret = crypto::base64_encode(key.bytes());
  append("# Reads the recordings that are encrypted to:\n# ");
  append(recipient().line());
  append("\n");
  append(kIdentityType);
  append(" ");
  append(secret);
  append("\n");
  wipe({reinterpret_cast<std::uint8_t*>(secret.data()), secret.size()});
  return out;
}

Recipient Identity::recipient() const { return {key.public_key()}; }

Result<std::vector<SealedKey>> seal_file_key(ByteView file_key,
                                             std::span<const Recipient> recipients,
                                             std::string_view session_id) {
  if (recipients.size() > kRecipientsMax) {
    return fail(ErrorCode::kLimit, "too many recipients",
                static_cast<std::int64_t>(recipients.size()));
  }
  std::vector<SealedKey> keys;
  const Bytes info = info_of(session_id);
  for (const Recipient& recipient : recipients) {
    Result<Bytes> sealed = crypto::hpke_seal(recipient.key, info, {}, file_key);
    if (!sealed) {
      return std::unexpected(sealed.error());
    }
    keys.push_back({recipient.line(), *std::move(sealed)});
  }
  return keys;
}

std::expected<void, ProblemKind> open_file_key(const Metadata& metadata,
                                               std::span<const Identity> identities,
                                               MutBytes out_key) {
  if (identities.empty()) {
    return std::unexpected(ProblemKind::kNoIdentity);
  }
  const Bytes info = info_of(metadata.session);
  for (const Identity& identity : identities) {
    const std::string recipient = identity.recipient().line();
    for (const SealedKey& key : metadata.keys) {
      if (key.recipient != recipient) {
        continue;
      }
      const Result<SecretBytes> opened = crypto::hpke_open(identity.key, info, {}, key.sealed);
      if (!opened || opened->size() != out_key.size()) {
        return std::unexpected(ProblemKind::kDecrypt);
      }
      std::ranges::copy(*opened, out_key.begin());
      return {};
    }
  }
  return std::unexpected(ProblemKind::kOtherIdentity);
}

}  // namespace bastion::recording
