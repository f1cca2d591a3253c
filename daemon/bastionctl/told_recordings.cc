#include "daemon/bastionctl/told_recordings.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "daemon/audit/chain.h"
#include "daemon/bastionctl/audit.h"

namespace bastion::ctl {
namespace {

using Json = nlohmann::json;
using recording::Head;

std::string text_of(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::optional<Head> head_of(std::uint64_t seq, std::string_view hash) {
  const auto bytes = audit::hash_bytes(hash);
  return bytes ? std::optional(Head{.seq = seq, .hash = *bytes}) : std::nullopt;
}

/// day_of_name: "2026-11-25/ID.rec" of that session. What a log that somebody made up has instead
/// is nothing.
std::string day_of_name(std::string_view name, std::string_view session) {
  constexpr std::size_t kDayLen = 10;
  const std::string_view day = name.substr(0, kDayLen);
  const bool good = name == std::string(day) + "/" + std::string(session) + ".rec" &&
                    day.find_first_not_of("0123456789-") == std::string_view::npos;
  return good ? std::string(day) : std::string();
}

}  // namespace

std::expected<ToldRecordings, std::string> ToldRecordings::read(
    const std::string& path, std::vector<crypto::PublicKey> keys) {
  ToldRecordings told;
  audit::Verifier verifier(std::move(keys));
  for (const std::string& file : log_files(path)) {
    std::ifstream in(file, std::ios::binary);
    if (!in) {
      return std::unexpected("cannot read the audit log " + file + ": " + std::strerror(errno));
    }
    verifier.begin_file(file);
    for (std::string line; std::getline(in, line);) {
      // The last line of a log that is being written may not be whole yet.
      if (in.eof()) {
        verifier.feed(line);
        break;
      }
      told.take(line);
      line += '\n';
      verifier.feed(line);
    }
    verifier.end_file();
  }
  told.report_ = verifier.finish();
  return told;
}

void ToldRecordings::take(std::string_view line) {
  // A quotation mark within a text is escaped, so only the name itself can read so.
  const bool tells = line.find(R"("event":"recording.)") != std::string_view::npos ||
                     line.find(R"("event":"audit.recordings")") != std::string_view::npos;
  if (!tells && first_us_) {
    return;
  }
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) {
    return;
  }
  if (!first_us_) {
    first_us_ = audit::parse_time(text_of(json, "time"));
  }
  const std::string event = text_of(json, "event");
  if (event == "audit.recordings" && json.contains("heads") && json["heads"].is_array()) {
    for (const Json& each : json["heads"]) {
      // "SESSION BLOCK HASH"
      const std::string text = each.is_string() ? each.get<std::string>() : std::string();
      const std::size_t first = text.find(' ');
      const std::size_t second = text.find(' ', first + 1);
      if (first == std::string::npos || second == std::string::npos) {
        continue;
      }
      std::uint64_t seq = 0;
      std::from_chars(text.data() + first + 1, text.data() + second, seq);
      const std::string session = text.substr(0, first);
      const auto head = head_of(seq, std::string_view(text).substr(second + 1));
      if (head && recording::is_session_id(session)) {
        sessions_[session].last = head;
      }
    }
    return;
  }
  const std::string session = text_of(json, "session");
  if (!event.starts_with("recording.") || !recording::is_session_id(session)) {
    return;
  }
  if (event == "recording.failed" && !sessions_.contains(session)) {
    return;  // it never came to be
  }
  Told& told = sessions_[session];
  if (std::string day = day_of_name(text_of(json, "recording"), session); !day.empty()) {
    told.day = std::move(day);
  }
  told.removed = told.removed || event == "recording.removed";
  if (event == "recording.close" && json.contains("blocks") &&
      json["blocks"].is_number_unsigned()) {
    told.end = head_of(json["blocks"], text_of(json, "head"));
  }
}

const Told* ToldRecordings::find(const std::string& session) const {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : &found->second;
}

}  // namespace bastion::ctl
