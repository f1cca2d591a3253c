#include "daemon/recorder/digests.h"

#include <algorithm>
#include <cstring>

#include "daemon/audit/chain.h"
#include "daemon/ipc/recorder_messages.h"

namespace bastion::daemon::recorder {
namespace {

using record::DigestHeader;

constexpr std::string_view kLost = "the recorder was replaced meanwhile";

}  // namespace

bool Digests::Share::make_room() {
  while (digests.size() >= kPerWorkerMax && !ended.empty()) {
    erase(digests.find(ended.front()));
  }
  return digests.size() < kPerWorkerMax;
}

void Digests::Share::erase(std::map<Key, Digest>::iterator at) {
  if (!at->second.value.empty()) {
    ended.erase(at->second.ended_at);
  }
  digests.erase(at);
}

std::size_t Digests::size() const {
  std::size_t count = 0;
  for (const auto& [worker, share] : shares_) {
    count += share.digests.size();
  }
  return count;
}

void Digests::take(std::uint32_t worker, std::uint32_t generation, const record::Frame& frame) {
  DigestHeader about;
  if (frame.payload.size() < sizeof about) {
    return;
  }
  std::memcpy(&about, frame.payload.data(), sizeof about);
  const ByteView content = frame.payload.subspan(sizeof about);
  const Key key{frame.header.session, about.digest};
  Share& share = shares_[worker];
  auto found = share.digests.find(key);
  if (found == share.digests.end()) {
    // One that was begun before our time lacks its beginning.
    if (about.step != DigestHeader::kContent || about.offset != 0 || !share.make_room()) {
      return;
    }
    found = share.digests.try_emplace(key).first;
    found->second.generation = generation;
  }
  Digest& digest = found->second;
  if (about.step == DigestHeader::kDrop || about.offset != digest.bytes || !digest.value.empty()) {
    share.erase(found);
    return;
  }
  if (about.step == DigestHeader::kContent) {
    digest.hash.update(content);
    digest.bytes += content.size();
    return;
  }
  std::array<std::uint8_t, 32> value{};
  std::ranges::copy(digest.hash.finish().view(), value.begin());
  digest.value = "sha256:" + audit::hex_of(value);
  digest.ended_at = share.ended.insert(share.ended.end(), key);
}

std::optional<std::string> Digests::find(const Name& name) const {
  const auto share = shares_.find(name.worker);
  if (share == shares_.end()) {
    return std::nullopt;
  }
  const auto found = share->second.digests.find({name.session, name.digest});
  return found == share->second.digests.end() || found->second.value.empty()
             ? std::nullopt
             : std::optional(found->second.value);
}

void Digests::forget(const Name& name) {
  const auto share = shares_.find(name.worker);
  if (share == shares_.end()) {
    return;
  }
  const auto found = share->second.digests.find({name.session, name.digest});
  if (found != share->second.digests.end()) {
    share->second.erase(found);
  }
}

void Digests::ring_gone(std::uint32_t generation) {
  for (auto& [worker, share] : shares_) {
    std::erase_if(share.digests, [generation](const auto& entry) {
      return entry.second.generation == generation && entry.second.value.empty();
    });
  }
}

Bytes Digests::complete(std::uint32_t worker, const record::Frame& frame) const {
  const Bytes copy(frame.payload.begin(), frame.payload.end());
  record::DigestRefs refs;
  std::size_t end = copy.size();
  if (copy.size() < sizeof refs + 2 || copy.back() != '}') {
    return {};
  }
  std::memcpy(&refs, copy.data(), sizeof refs);
  for (--end; end > sizeof refs && copy[end - 1] == ' '; --end) {
  }
  std::string json(as_text(ByteView(copy).subspan(sizeof refs, end - sizeof refs)));
  const auto add = [&](std::uint32_t digest, std::string_view name) {
    if (digest == 0) {
      return true;
    }
    const auto value = find({worker, frame.header.session, digest});
    if (value) {
      json.append(",\"").append(name).append("\":\"").append(*value).append("\"");
    }
    return value.has_value();
  };
  const bool all = add(refs.read, "digest_read") && add(refs.written, "digest_written");
  if (!all) {
    json.append(",\"no_digest\":\"").append(kLost).append("\"");
  }
  json += '}';
  return json.size() <= copy.size() ? to_bytes(json) : Bytes();
}

void Digests::complete(ipc::AuditEvent& message) const {
  bool all = true;
  const auto add = [&](std::uint32_t digest, audit::Key key) {
    if (digest != 0) {
      const auto value = find({message.worker, message.session_number, digest});
      message.event.text(key, value.value_or(""));
      all = all && value;
    }
  };
  add(message.digest_read, audit::Key::kDigestRead);
  add(message.digest_written, audit::Key::kDigestWritten);
  if (!all && message.event.find(audit::Key::kNoDigest) == nullptr) {
    message.event.text(audit::Key::kNoDigest, kLost);
  }
}

}  // namespace bastion::daemon::recorder
