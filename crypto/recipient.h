#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/hpke.h"

namespace bastion::crypto {

/// Recipients of one file at most.
inline constexpr std::size_t kRecipientsMax = 16;

/// parse_recipient reads the public key of somebody whom things are sealed to, as a line:
/// "bastion-recipient-x25519 BASE64 comment". Errors: kMalformed, also for a point of small order,
/// which cannot be sealed to; kUnsupported for another kind of key.
Result<HpkePublicKey> parse_recipient(std::string_view line);

/// recipient_line is that line without a comment.
std::string recipient_line(const HpkePublicKey& key);

}  // namespace bastion::crypto
