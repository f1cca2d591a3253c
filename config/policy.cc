#include "config/policy.h"

#include <algorithm>

#include "base/glob.h"
#include "base/wire.h"
#include "config/policy_hash.h"
#include "config/suggest.h"

namespace bastion::config {
namespace {

constexpr std::string_view kNamePlace = "{name}";
constexpr std::size_t kShortHashDigits = 6;
constexpr std::size_t kDnsNameBytesMax = 253;

/// looks_numeric: a resolver may read it as an IPv4 address in one of inet_aton's spellings (127.1,
/// 2130706433, 0x7f.1): its last label begins like a number.
bool looks_numeric(std::string_view name) {
  if (name.ends_with('.')) {
    name.remove_suffix(1);
  }
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return last.empty() || last.starts_with("0x") ||
         last.find_first_not_of("0123456789") == last.npos;
}

std::string canonical_address(std::string_view address) {
  const auto ip = IpAddress::parse(address);
  std::string text = ip ? ip->text() : folded(address);
  if (text.ends_with('.')) {
    text.pop_back();
  }
  return text;
}

/// name_in_address inverts a pattern's address: what "{name}" stands for in `address`, or nothing.
std::string_view name_in_address(std::string_view form, std::string_view address) {
  const std::size_t at = form.find(kNamePlace);
  if (at == form.npos) {
    return {};
  }
  const std::string_view head = form.substr(0, at);
  const std::string_view tail = form.substr(at + kNamePlace.size());
  if (address.size() <= head.size() + tail.size() || !address.starts_with(head) ||
      !address.ends_with(tail)) {
    return {};
  }
  return address.substr(head.size(), address.size() - head.size() - tail.size());
}

}  // namespace

bool may_dial(const ResolvedTarget& target, const IpAddress& address) {
  if (target.ip) {
    return address == *target.ip;
  }
  if (address.is_loopback()) {
    return target.address == "localhost";
  }
  return !address.is_special();
}

Policy::Policy(PolicyData data) : data_(std::move(data)) {
  for (const User& user : data_.users) {
    users_.emplace(user.name, &user);
    for (const UserKey& key : user.keys) {
      keys_.emplace(std::string(as_text(key.key.blob())), KeyOwner{&user, &key});
    }
  }
  for (const Target& target : data_.targets) {
    if (target.pattern) {
      patterns_.push_back(&target);
    } else {
      targets_.emplace(target.folded, &target);
      addresses_[canonical_address(target.address)].push_back(&target);
    }
  }
  for (const Rule& rule : data_.rules) {
    (rule.deny ? deny_rules_ : allow_rules_).push_back(&rule);
  }
  list_targets();
  hash_ = policy_hash(data_);
  id_ = hash_.substr(0, kShortHashDigits);
}

void Policy::list_targets() {
  std::unordered_map<std::string, bool> seen;
  const auto list = [&](const std::string& name, const Target& target) {
    if (seen.emplace(folded(name), true).second) {
      listed_.push_back({name, folded(name), &target});
    }
  };
  for (const Target& target : data_.targets) {
    list(target.name, target);
  }
  // A rule may name a part of a pattern only: "db-7" or "db-1*" of "db-*".
  for (const Rule* rule : allow_rules_) {
    for (const std::string& name : rule->targets.names) {
      if (!is_glob(name)) {
        if (const auto target = find_target(name)) {
          list(name, *target->entry);
        }
        continue;
      }
      for (const Target* pattern : patterns_) {
        if (!glob_match(name, pattern->folded) && globs_overlap(name, pattern->folded)) {
          list(name, *pattern);
          break;
        }
      }
    }
  }
  for (std::size_t i = 0; i < listed_.size(); ++i) {
    if (is_target_name(listed_[i].name)) {  // a pattern is no name to type
      typeable_.push_back(listed_[i].name);
      typeable_at_.push_back(i);
    }
  }
}

const User* Policy::find_user(std::string_view name) const {
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : found->second;
}

const User* Policy::user_by_key(ByteView plain_key_blob) const {
  const auto found = keys_.find(as_text(plain_key_blob));
  if (found == keys_.end() || (data_.revoked && data_.revoked->contains(plain_key_blob))) {
    return nullptr;
  }
  return found->second.user;
}

Result<Admission> Policy::admit_key(ByteView plain_key_blob, const IpAddress& peer) const {
  const User* user = user_by_key(plain_key_blob);
  if (user == nullptr) {
    return fail(ErrorCode::kAuth, "the key is nobody's");
  }
  const UserKey& key = *keys_.find(as_text(plain_key_blob))->second.key;
  if (!key.from.empty() && std::none_of(key.from.begin(), key.from.end(),
                                        [&](const Cidr& block) { return block.contains(peer); })) {
    return fail(ErrorCode::kAuth, "the key may not be used from there");
  }
  Admission admission;
  admission.user = user;
  admission.restrictions.touch_required = key.touch_required;
  admission.restrictions.verify_required = key.verify_required;
  return admission;
}

bool Policy::user_name_fits(const UserName& name, const User& user) const {
  if (!name.identity.empty()) {
    return name.identity == user.name;
  }
  return name.has_target() || name.login == user.name || find_user(name.login) == nullptr;
}

std::optional<ResolvedTarget> Policy::find_target(std::string_view name, std::uint16_t port) const {
  if (!is_target_name(name)) {
    return std::nullopt;
  }
  const std::string lower = folded(name);
  if (const auto found = targets_.find(lower); found != targets_.end()) {
    return resolve(*found->second, lower, port);
  }
  for (const Target* pattern : patterns_) {
    if (glob_match(pattern->folded, lower)) {
      return resolve(*pattern, lower, port);
    }
  }
  return std::nullopt;
}

std::optional<ResolvedTarget> Policy::resolve(const Target& target, std::string_view folded_name,
                                              std::uint16_t port) const {
  ResolvedTarget resolved;
  resolved.entry = &target;
  resolved.name = target.pattern ? std::string(folded_name) : target.name;
  resolved.address = target.address;
  if (const std::size_t at = resolved.address.find(kNamePlace); at != std::string::npos) {
    resolved.address.replace(at, kNamePlace.size(), folded_name);
    // What a user types must not become an address in any spelling, only a name in the DNS.
    if (looks_numeric(resolved.address) || resolved.address.size() > kDnsNameBytesMax) {
      return std::nullopt;
    }
  }
  resolved.ip = IpAddress::parse(resolved.address);
  resolved.port = port != 0 ? port : target.port;
  resolved.host_names.push_back(std::string(folded_name));
  if (const std::string address = canonical_address(resolved.address); address != folded_name) {
    resolved.host_names.push_back(address);
  }
  return resolved;
}

std::vector<ResolvedTarget> Policy::targets_at(std::string_view text) const {
  std::vector<ResolvedTarget> found;
  const std::string address = canonical_address(text);
  if (const auto exact = addresses_.find(address); exact != addresses_.end()) {
    for (const Target* target : exact->second) {
      if (auto resolved = resolve(*target, target->folded, 0)) {
        found.push_back(std::move(*resolved));
      }
    }
  }
  for (const Target* pattern : patterns_) {
    const std::string_view name = name_in_address(pattern->address, address);
    if (name.empty() || !is_target_name(name) || !glob_match(pattern->folded, name)) {
      continue;
    }
    // Another target may stand before the pattern for that name.
    if (auto resolved = find_target(name); resolved && resolved->entry == pattern) {
      found.push_back(std::move(*resolved));
    }
  }
  return found;
}

/// targets_called: what a client of ProxyJump may call a target. The whole address of a pattern's
/// member may itself match the pattern ("db-3.db.internal" and "db-*"): it means the address.
std::vector<ResolvedTarget> Policy::targets_called(std::string_view host) const {
  std::vector<ResolvedTarget> found;
  auto named = find_target(host);
  if (!named || named->entry->pattern) {
    found = targets_at(host);
  }
  if (found.empty() && named) {
    found.push_back(std::move(*named));
  }
  return found;
}

}  // namespace bastion::config
