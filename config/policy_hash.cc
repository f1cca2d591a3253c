#include "config/policy_hash.h"

#include "base/wire.h"
#include "config/policy.h"
#include "crypto/hash.h"

namespace bastion::config {
namespace {

// Every list is preceded by its length and every text by its own, so that no two policies give the
// same bytes.
template <typename List, typename Put>
void put_list(Writer& out, const List& list, Put put) {
  out.u32(static_cast<std::uint32_t>(list.size()));
  for (const auto& item : list) {
    put(item);
  }
}

void put_texts(Writer& out, const std::vector<std::string>& texts) {
  put_list(out, texts, [&](const std::string& text) { out.text(text); });
}

void put_blocks(Writer& out, const std::vector<Cidr>& blocks) {
  put_list(out, blocks, [&](const Cidr& block) { out.text(block.text()); });
}

void put(Writer& out, const User& user) {
  out.text(user.name);
  put_list(out, user.keys, [&](const UserKey& key) {
    out.string(key.key.blob()).boolean(key.touch_required).boolean(key.verify_required);
    put_blocks(out, key.from);
  });
  put_texts(out, user.groups);
}

void put(Writer& out, const UserCa& ca) {
  out.text(ca.name).string(ca.key.blob()).boolean(ca.principals_are_users);
  put_list(out, ca.principals,
           [&](const auto& mapped) { out.text(mapped.first).text(mapped.second); });
}

void put_known_hosts(Writer& out, const std::shared_ptr<const KnownHosts>& hosts) {
  out.boolean(hosts != nullptr);
  if (hosts != nullptr) {
    out.string(hosts->digest());
  }
}

void put(Writer& out, const Target& target) {
  out.text(target.folded).text(target.address).u32(target.port);
  put_list(out, target.ports, [&](const PortRange& range) { out.u32(range.min).u32(range.max); });
  put_list(out, target.labels,
           [&](const auto& label) { out.text(label.first).text(label.second); });
  out.u8(static_cast<std::uint8_t>(target.credential.kind));
  if (target.credential.key) {
    out.string(target.credential.key->public_key().blob());
  }
  const auto put_key = [&](const crypto::PublicKey& key) { out.string(key.blob()); };
  put_list(out, target.host_keys.pins, put_key);
  put_list(out, target.host_keys.cas, put_key);
  put_known_hosts(out, target.host_keys.known_hosts);
  put_known_hosts(out, target.host_keys.also_revoked_by);
  put_texts(out, target.legacy);
}

void put(Writer& out, const Rule& rule) {
  out.text(rule.name).boolean(rule.deny);
  for (std::size_t i = 0; i < kActionCount; ++i) {
    out.boolean(rule.denied.has(static_cast<Action>(i)));
  }
  out.boolean(rule.who_all);
  put_texts(out, rule.users);
  put_texts(out, rule.groups);
  out.u8(static_cast<std::uint8_t>(rule.targets.kind));
  put_texts(out, rule.targets.names);
  put_list(out, rule.targets.labels, [&](const auto& label) {
    out.text(label.first);
    put_texts(out, label.second);
  });
  out.boolean(rule.logins_all);
  put_texts(out, rule.logins);
  put_blocks(out, rule.from);
  put_list(out, rule.allow, [&](const Allowance& allowance) {
    out.u8(static_cast<std::uint8_t>(allowance.action)).boolean(allowance.every);
    put_texts(out, allowance.names);
    put_list(out, allowance.forwards, [&](const proto::ForwardPattern& pattern) {
      out.text(pattern.host).u32(pattern.port_min).u32(pattern.port_max);
    });
  });
  out.boolean(rule.pty);
  const proto::FileRules& files = rule.files;
  out.boolean(files.download).boolean(files.upload).boolean(files.digest).u64(files.size_max);
  put_texts(out, files.paths);
  put_texts(out, files.deny_paths);
  out.u8(static_cast<std::uint8_t>(files.scp)).u8(static_cast<std::uint8_t>(files.rsync));
  out.u8(static_cast<std::uint8_t>(rule.record.mode)).boolean(rule.record.input);
  out.u64(rule.record.bytes_max).boolean(rule.record.file_content);
  put_texts(out, rule.env);
}

}  // namespace

std::string policy_hash(const PolicyData& data) {
  Writer out;
  const auto put_item = [&](const auto& item) { put(out, item); };
  put_list(out, data.users, put_item);
  put_list(out, data.user_cas, put_item);
  put_list(out, data.targets, put_item);
  put_list(out, data.rules, put_item);
  put_list(out, data.revoked ? data.revoked->fingerprints() : std::set<std::string>(),
           [&](const std::string& fingerprint) { out.text(fingerprint); });
  put_texts(out, data.env);
  out.u32(data.channels_max).u32(data.session_channels_max);

  constexpr std::string_view kHexDigits = "0123456789abcdef";
  std::string hex;
  const crypto::Digest digest = crypto::hash(crypto::HashAlgorithm::kSha256, out.view());
  for (const std::uint8_t octet : digest.view()) {
    hex += kHexDigits[octet >> 4];
    hex += kHexDigits[octet & 15];
  }
  return hex;
}

}  // namespace bastion::config
