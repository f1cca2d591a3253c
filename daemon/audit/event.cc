#include "daemon/audit/event.h"

#include <algorithm>
#include <bitset>
#include <cstdio>
#include <ctime>

#include "base/escape.h"

namespace bastion::audit {
namespace {

/// The worst case of all texts, with room for the names, the envelope and the numbers.
static_assert(kEventBytesMax * 5 + 8 * 1024 <= kLineBytesMax);

void append_text(std::string& out, std::string_view bytes) {
  append_json_string(out, escaped(bytes, SIZE_MAX));
}

void append_value(std::string& out, const Value& value) {
  switch (info(value.key).kind) {
    case Kind::kText: return append_text(out, value.text);
    case Kind::kNumber: out += std::to_string(value.number); return;
    case Kind::kFlag: out += value.number != 0 ? "true" : "false"; return;
    case Kind::kList:
      out += '[';
      for (const std::string& element : value.list) {
        if (&element != &value.list.front()) {
          out += ',';
        }
        append_text(out, element);
      }
      out += ']';
      return;
  }
}

void append_members(std::string& out, const Event& event) {
  out += "\"event\":\"";
  out += info(event.name).name;
  out += '"';
  for (const Value& value : event.values) {
    out += ",\"";
    out += info(value.key).name;
    out += "\":";
    append_value(out, value);
  }
}

}  // namespace

Event& Event::text(Key key, std::string_view bytes) {
  if (bytes.empty()) {
    return *this;
  }
  if (bytes.size() > kTextBytesMax) {
    const std::string note = std::string(info(key).name) + " " + std::to_string(bytes.size());
    const auto cut = std::ranges::find(values, Key::kCut, &Value::key);
    if (cut == values.end()) {
      values.push_back({.key = Key::kCut, .text = {}, .list = {note}});
    } else {
      cut->list.push_back(note);
    }
    bytes = bytes.substr(0, kTextBytesMax);
  }
  values.push_back({.key = key, .text = std::string(bytes), .list = {}});
  return *this;
}

Event& Event::list(Key key, std::vector<std::string> elements) {
  if (!elements.empty()) {
    values.push_back({.key = key, .text = {}, .list = std::move(elements)});
  }
  return *this;
}

const Value* Event::find(Key key) const {
  const auto found = std::ranges::find(values, key, &Value::key);
  return found == values.end() ? nullptr : &*found;
}

std::string_view Event::text_of(Key key) const {
  const Value* value = find(key);
  return value == nullptr ? std::string_view() : value->text;
}

Status Event::check() const {
  std::bitset<kNumKeys> seen;
  std::size_t bytes = 0;
  for (const Value& value : values) {
    const auto index = static_cast<std::size_t>(value.key);
    if (seen.test(index) || !may_have(name, value.key)) {
      return fail(ErrorCode::kMalformed, "an audit event has a field that it may not have",
                  static_cast<std::int64_t>(index));
    }
    seen.set(index);
    const Kind kind = info(value.key).kind;
    const bool fits = (kind == Kind::kText || value.text.empty()) &&
                      (kind == Kind::kList || value.list.empty()) &&
                      (kind == Kind::kNumber || value.number <= (kind == Kind::kFlag ? 1U : 0U));
    if (!fits || value.text.size() > kTextBytesMax || value.list.size() > kListMax) {
      return fail(ErrorCode::kMalformed, "an audit event's field is not of its kind");
    }
    bytes += value.text.size();
    for (const std::string& element : value.list) {
      bytes += element.size();
    }
  }
  if (bytes > kEventBytesMax) {
    return fail(ErrorCode::kLimit, "an audit event is too long", static_cast<std::int64_t>(bytes));
  }
  return {};
}

std::string time_text(std::uint64_t time_us) {
  // Nine thousand years: what strftime's four digits of a year hold.
  constexpr std::uint64_t kSecondsMax = 253'402'300'799;
  const auto seconds = static_cast<std::time_t>(std::min(time_us / 1'000'000, kSecondsMax));
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char date[32];
  const std::size_t length = std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%06uZ", static_cast<unsigned>(time_us % 1'000'000));
  return std::string(date, length) + fraction;
}

std::optional<std::uint64_t> parse_time(std::string_view text) {
  std::tm utc{};
  unsigned micro = 0;
  int used = 0;
  const std::string copy(text);
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%6uZ%n", &utc.tm_year, &utc.tm_mon,
                  &utc.tm_mday, &utc.tm_hour, &utc.tm_min, &utc.tm_sec, &micro, &used) != 7) {
    return std::nullopt;
  }
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  const std::time_t seconds = timegm(&utc);
  const auto time_us = static_cast<std::uint64_t>(seconds) * 1'000'000 + micro;
  // What is not the one spelling (a 31st of June, other widths, a sign) is another time's text.
  return seconds >= 0 && time_text(time_us) == text ? std::optional(time_us) : std::nullopt;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  out += '"';
}

std::string body_of(const Event& event) {
  std::string out = "\"time\":\"" + time_text(event.time_us) + "\",";
  append_members(out, event);
  return out;
}

std::string object_of(const Event& event) {
  std::string out = "{";
  append_members(out, event);
  return out + "}";
}

}  // namespace bastion::audit
