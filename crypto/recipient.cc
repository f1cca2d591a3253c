#include "crypto/recipient.h"

#include <algorithm>

#include "crypto/hash.h"

namespace bastion::crypto {
namespace {

constexpr std::string_view kType = "bastion-recipient-x25519";
constexpr std::string_view kBlank = " \t\r";

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlank));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

Result<HpkePublicKey> parse_recipient(std::string_view line) {
  if (next_word(line) != kType) {
    return fail(ErrorCode::kUnsupported,
                "a recipient is \"bastion-recipient-x25519 BASE64\", as keygen prints it");
  }
  const Result<Bytes> bytes = base64_decode(next_word(line));
  if (!bytes || bytes->size() != kHpkeKeyLen) {
    return fail(ErrorCode::kMalformed, "a recipient's key is 32 bytes in base64");
  }
  HpkePublicKey key;
  std::ranges::copy(*bytes, key.begin());
  if (!hpke_seal(key, {}, {}, {})) {
    return fail(ErrorCode::kMalformed, "this recipient's key is not usable");
  }
  return key;
}

std::string recipient_line(const HpkePublicKey& key) {
  return std::string(kType) + " " + base64_encode(key);
}

}  // namespace bastion::crypto
