#include "daemon/recording/metadata.h"

#include <array>
#include <nlohmann/json.hpp>

#include "crypto/hash.h"
#include "daemon/recording/format.h"

namespace bastion::recording {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, 3> kStates = {"complete", "interrupted", "failed"};

std::string line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Members takes a JSON object apart; the first member that is missing or of another type sticks.
class Members {
 public:
  explicit Members(ByteView text)
      : json_(text.size() > kJsonBytesMax || !shallow(text)
                  ? Json(Json::value_t::discarded)
                  : Json::parse(text.begin(), text.end(), nullptr, false)),
        ok_(json_.is_object()) {}
  explicit Members(const Json& json) : json_(json), ok_(json_.is_object()) {}

  std::string text(const char* key) {
    const Json* found = find(key);
    return found != nullptr && take(found->is_string()) ? found->get<std::string>() : "";
  }
  std::uint64_t number(const char* key) {
    const Json* found = find(key);
    return found != nullptr && take(found->is_number_unsigned()) ? found->get<std::uint64_t>() : 0;
  }
  bool boolean(const char* key) {
    const Json* found = find(key);
    return found != nullptr && take(found->is_boolean()) && found->get<bool>();
  }
  Bytes base64(const char* key) {
    Result<Bytes> bytes = crypto::base64_decode(text(key));
    return take(bytes.has_value()) ? *std::move(bytes) : Bytes();
  }
  const Json* find(const char* key) {
    if (!ok_) {
      return nullptr;
    }
    const auto at = json_.find(key);
    return take(at != json_.end()) ? &*at : nullptr;
  }
  bool take(bool holds) { return ok_ = ok_ && holds; }
  bool ok() const { return ok_; }

 private:
  /// nlohmann's parser keeps a stack of its own for nesting, but its values are freed by recursion.
  static bool shallow(ByteView text) {
    constexpr int kDepthMax = 16;
    int depth = 0;
    for (const std::uint8_t c :
         text) {  // braces in strings count, too: nothing of ours has so many
      depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
      if (depth > kDepthMax) {
        return false;
      }
    }
    return true;
  }

  Json json_;
  bool ok_;
};

template <typename T>
std::expected<T, ProblemKind> when_ok(const Members& members, T value) {
  if (!members.ok()) {
    return std::unexpected(ProblemKind::kMetadata);
  }
  return value;
}

}  // namespace

std::string_view end_state_name(EndState state) { return kStates[static_cast<std::size_t>(state)]; }

std::string to_json(const Metadata& metadata) {
  Json json = {{"session", metadata.session},
               {"user", metadata.user},
               {"login", metadata.login},
               {"target", metadata.target},
               {"address", metadata.address},
               {"rule", metadata.rule},
               {"mode", metadata.mode},
               {"from", metadata.from},
               {"host", metadata.host},
               {"start_us", metadata.start_us},
               {"records_input", metadata.records_input}};
  json["keys"] = Json::array();
  for (const SealedKey& key : metadata.keys) {
    json["keys"].push_back(
        {{"recipient", key.recipient}, {"sealed", crypto::base64_encode(key.sealed)}});
  }
  return line(json);
}

std::string to_json(const End& end) {
  Json json = {{"state", end_state_name(end.state)},
               {"reason", end.reason},
               {"end_us", end.end_us},
               {"entries", end.totals.entries},
               {"raw_bytes", end.totals.raw_bytes}};
  if (end.streams_counted) {
    json["stdout_bytes"] = end.totals.stdout_bytes;
    json["stderr_bytes"] = end.totals.stderr_bytes;
    json["stdin_bytes"] = end.totals.stdin_bytes;
    json["channels"] = end.totals.channels;
  }
  return line(json);
}

std::string to_json(const Signature& signature) {
  return line({{"key", signature.key}, {"signature", crypto::base64_encode(signature.blob)}});
}

std::expected<Metadata, ProblemKind> parse_metadata(ByteView json) {
  Members members(json);
  Metadata metadata;
  metadata.session = members.text("session");
  metadata.user = members.text("user");
  metadata.login = members.text("login");
  metadata.target = members.text("target");
  metadata.address = members.text("address");
  metadata.rule = members.text("rule");
  metadata.mode = members.text("mode");
  metadata.from = members.text("from");
  metadata.host = members.text("host");
  metadata.start_us = members.number("start_us");
  metadata.records_input = members.boolean("records_input");
  members.take(is_session_id(metadata.session));
  if (const Json* keys = members.find("keys");
      keys != nullptr && members.take(keys->is_array() && keys->size() <= kRecipientsMax)) {
    for (const Json& key : *keys) {
      Members of_key(key);
      SealedKey sealed;
      sealed.recipient = of_key.text("recipient");
      sealed.sealed = of_key.base64("sealed");
      members.take(of_key.ok());
      metadata.keys.push_back(std::move(sealed));
    }
  }
  return when_ok(members, std::move(metadata));
}

std::expected<End, ProblemKind> parse_end(ByteView json) {
  Members members(json);
  End end;
  const std::string state = members.text("state");
  const auto at = std::ranges::find(kStates, state);
  if (members.take(at != kStates.end())) {
    end.state = static_cast<EndState>(at - kStates.begin());
  }
  end.reason = members.text("reason");
  end.end_us = members.number("end_us");
  end.totals.entries = members.number("entries");
  end.totals.raw_bytes = members.number("raw_bytes");
  Members streams = members;
  streams.find("stdout_bytes");
  end.streams_counted = streams.ok();
  if (end.streams_counted) {
    end.totals.stdout_bytes = members.number("stdout_bytes");
    end.totals.stderr_bytes = members.number("stderr_bytes");
    end.totals.stdin_bytes = members.number("stdin_bytes");
    end.totals.channels = members.number("channels");
  }
  return when_ok(members, std::move(end));
}

std::expected<Signature, ProblemKind> parse_signature(ByteView json) {
  Members members(json);
  Signature signature;
  signature.key = members.text("key");
  signature.blob = members.base64("signature");
  return when_ok(members, std::move(signature));
}

}  // namespace bastion::recording
