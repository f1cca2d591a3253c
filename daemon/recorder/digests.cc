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

bool Digests::make_room() {
  while (digests_.size() >= kMax && !ended_.empty()) {
    forget(Name(ended_.front()));
  }
  return digests_.size() < kMax;
}

void Digests::take(std::uint32_t worker, std::uint32_t generation, const record::Frame& frame) {
  DigestHeader about;
  if (frame.payload.size() < sizeof about) {
    return;
  }
  std::memcpy(&about, frame.payload.data(), sizeof about);
  const ByteView content = frame.payload.subspan(sizeof about);
  const Name name{worker, frame.header.session, about.digest};
  auto found = digests_.find(name);
  if (found == digests_.end()) {
    // One that was begun before our time lacks its beginning.
    if (about.step != DigestHeader::kContent || about.offset != 0 || !make_room()) {
      return;
    }
    found = digests_.try_emplace(name).first;
    found->second.generation = generation;
  }
  Digest& digest = found->second;
  if (about.step == DigestHeader::kDrop || about.offset != digest.bytes || !digest.value.empty()) {
    digests_.erase(found);
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
  ended_.push_back(name);
}

std::optional<std::string> Digests::find(const Name& name) const {
  const auto found = digests_.find(name);
  return found == digests_.end() || found->second.value.empty()
             ? std::nullopt
             : std::optional(found->second.value);
}

void Digests::forget(const Name& name) {
  digests_.erase(name);
  while (!ended_.empty() && !digests_.contains(ended_.front())) {
    ended_.pop_front();
  }
}

void Digests::ring_gone(std::uint32_t generation) {
  std::erase_if(digests_, [generation](const auto& entry) {
    return entry.second.generation == generation && entry.second.value.empty();
  });
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
