#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/escape.h"
#include "daemon/audit/chain.h"
#include "daemon/bastionctl/audit.h"

namespace bastion::ctl {
namespace {

// In the order of the line.
using Json = nlohmann::ordered_json;

/// safe shows a text of a line: what our own log holds stays as it is.
std::string safe(std::string_view text) {
  const auto bytes = unescaped(text);
  return bytes && escaped(*bytes, SIZE_MAX) == text ? std::string(text) : escaped(text, SIZE_MAX);
}

std::string text_of(const Json& json, std::string_view key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? safe(at->get<std::string>()) : std::string();
}

std::string value_text(const Json& value) {
  if (value.is_string()) {
    return safe(value.get<std::string>());
  }
  if (value.is_array()) {
    std::string out;
    for (const Json& element : value) {
      out += (out.empty() ? "" : ",") + value_text(element);
    }
    return out;
  }
  return safe(value.dump(-1, ' ', true, Json::error_handler_t::replace));
}

/// cut leaves `width` columns of a text: one for each code point that is not ASCII, which is more
/// than it may take for none of the scripts that names are written in.
std::string cut(const std::string& text, std::size_t width) {
  std::size_t columns = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    if (begins && ++columns > width) {
      return text.substr(0, i - 1) + "~";
    }
  }
  return text;
}

std::string column(std::string text, std::size_t width) {
  text = cut(text, width);
  text.resize(std::max(text.size(), width), ' ');
  return text + "  ";
}

}  // namespace

bool AuditFilter::matches(std::string_view line) const {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) {
    return false;
  }
  const std::string name = text_of(json, "event");
  const auto time = audit::parse_time(text_of(json, "time"));
  const bool named = event.empty() || name == event || name.starts_with(event + ".");
  const auto same = [&](const std::string& wanted, std::string_view key) {
    return wanted.empty() || text_of(json, key) == wanted;
  };
  return named && time && *time >= since_us && *time <= until_us && same(user, "user") &&
         same(target, "target") &&
         (session.empty() || text_of(json, "session").starts_with(session));
}

std::optional<std::uint64_t> parse_moment(std::string_view text, std::uint64_t now_us) {
  const std::string whole(text);
  if (const auto exact = audit::parse_time(whole)) {
    return exact;
  }
  if (text.size() == 20 && text.back() == 'Z') {
    return audit::parse_time(whole.substr(0, 19) + ".000000Z");
  }
  if (text.size() == 10 && text.find('-') == 4) {
    return audit::parse_time(whole + "T00:00:00.000000Z");
  }
  constexpr std::pair<char, std::uint64_t> kUnits[] = {
      {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}};
  if (text.size() < 2 || text.size() > 8 ||
      text.find_first_not_of("0123456789") != text.size() - 1) {
    return std::nullopt;
  }
  for (const auto& [letter, seconds] : kUnits) {
    if (text.back() == letter) {
      const std::uint64_t ago = std::stoull(whole) * seconds * 1'000'000;
      return now_us - std::min(now_us, ago);
    }
  }
  return std::nullopt;
}

std::string line_text(std::string_view line, std::size_t width) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) {
    return cut("not an event: " + escaped(line, 512), width == 0 ? SIZE_MAX : width);
  }
  std::string out = text_of(json, "time").substr(0, 19) + "  " +
                    column(text_of(json, "event"), 16) + column(text_of(json, "session"), 8) +
                    column(text_of(json, "user"), 10);
  for (const auto& [key, value] : json.items()) {
    if (key != "v" && key != "seq" && key != "time" && key != "event" && key != "session" &&
        key != "user" && key != "prev") {
      out += safe(key) + "=" + value_text(value) + " ";
    }
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return cut(out, width == 0 ? SIZE_MAX : width);
}

}  // namespace bastion::ctl
