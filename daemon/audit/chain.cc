#include "daemon/audit/chain.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/wire.h"
#include "crypto/hash.h"

namespace bastion::audit {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kHeadDomain = "bastiond audit head v1";

bool is_hash(std::string_view text) {
  return text.size() == kHashTextLen && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::uint8_t digit(char c) { return static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); }

const crypto::SignatureAlgorithm* ed25519() {
  return crypto::find_signature_algorithm("ssh-ed25519");
}

/// take reads a member that must be there as text, or as a number.
bool take(const Json& json, const char* name, std::string& out) {
  const auto at = json.find(name);
  if (at == json.end() || !at->is_string()) {
    return false;
  }
  out = at->get_ref<const std::string&>();
  return true;
}
bool take(const Json& json, const char* name, std::uint64_t& out) {
  const auto at = json.find(name);
  if (at == json.end() || !at->is_number_unsigned()) {
    return false;
  }
  out = at->get<std::uint64_t>();
  return true;
}

}  // namespace

std::string hex_of(ByteView octets) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t octet : octets) {
    out += kDigits[octet >> 4];
    out += kDigits[octet & 15];
  }
  return out;
}

Result<std::array<std::uint8_t, 32>> hash_bytes(std::string_view hash) {
  if (!is_hash(hash)) {
    return fail(ErrorCode::kMalformed, "not a hash");
  }
  std::array<std::uint8_t, 32> out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::uint8_t>(digit(hash[2 * i]) << 4 | digit(hash[2 * i + 1]));
  }
  return out;
}

HashText hash_text(std::string_view bytes) {
  return hex_of(crypto::hash(crypto::HashAlgorithm::kSha256, as_bytes(bytes)).view());
}

HashText no_hash() { return HashText(kHashTextLen, '0'); }

std::string append_line(Head& head, std::string_view body) {
  std::string line =
      "{\"v\":" + std::to_string(kSchemaVersion) + ",\"seq\":" + std::to_string(head.seq + 1) + ",";
  line += body;
  line += ",\"prev\":\"" + head.hash + "\"}";
  ++head.seq;
  head.hash = hash_text(line);
  return line;
}

Result<Bytes> signed_head(const Head& head) {
  const auto hash = hash_bytes(head.hash);
  if (!hash) {
    return std::unexpected(hash.error());
  }
  Writer out;
  out.bytes(as_bytes(kHeadDomain)).u8(0).u64(head.seq).bytes(*hash);
  return out.take();
}

Result<Bytes> sign_head(const crypto::PrivateKey& key, const Head& head) {
  const auto bytes = signed_head(head);
  if (!bytes) {
    return std::unexpected(bytes.error());
  }
  return key.sign(*ed25519(), *bytes);
}

Status verify_head(const crypto::PublicKey& key, const Head& head, std::string_view base64) {
  const auto bytes = signed_head(head);
  if (!bytes) {
    return std::unexpected(bytes.error());
  }
  const auto blob = crypto::base64_decode(base64);
  if (!blob) {
    return std::unexpected(blob.error());
  }
  return key.verify(*ed25519(), *bytes, *blob);
}

Result<Line> parse_line(std::string_view line) {
  if (line.size() > kLineBytesMax) {
    return fail(ErrorCode::kLimit, "the line is too long", static_cast<std::int64_t>(line.size()));
  }
  const Json json = Json::parse(line, nullptr, false);
  Line out;
  std::uint64_t version = 0;
  std::string time;
  if (!json.is_object() || !take(json, "v", version) || !take(json, "seq", out.seq) ||
      !take(json, "time", time) || !take(json, "event", out.event) ||
      !take(json, "prev", out.prev)) {
    return fail(ErrorCode::kMalformed, "the line is not an audit event");
  }
  if (version != kSchemaVersion) {
    return fail(ErrorCode::kUnsupported, "the line is of another version");
  }
  if (!is_hash(out.prev) || out.seq == 0 || out.seq == UINT64_MAX) {
    return fail(ErrorCode::kMalformed, "the line has no place in a chain");
  }
  if (out.event == info(Name::kAuditHead).name &&
      (!take(json, "head_seq", out.signed_head.seq) ||
       !take(json, "head_hash", out.signed_head.hash) || !take(json, "key", out.key) ||
       !take(json, "signature", out.signature))) {
    return fail(ErrorCode::kMalformed, "the line signs nothing");
  }
  if (out.event == info(Name::kAuditTorn).name && !take(json, "torn_hash", out.torn_hash)) {
    return fail(ErrorCode::kMalformed, "the line tells of a torn line, but not which");
  }
  return out;
}

}  // namespace bastion::audit
