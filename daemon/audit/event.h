#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "daemon/audit/schema.h"

namespace bastion::audit {

/// Bytes of one text that an event keeps; more are cut, and the field `cut` says how many there
/// were. Four times the longest name that a file may have, and most commands.
inline constexpr std::size_t kTextBytesMax = 4096;
/// Elements of a list, and bytes of all texts of one event together: with the worst escaping
/// (`\\xNN` in JSON, five octets for one) a line stays below kLineBytesMax.
inline constexpr std::size_t kListMax = 256;
inline constexpr std::size_t kEventBytesMax = 24 * 1024;
/// The longest line of an audit log, its line end not counted.
inline constexpr std::size_t kLineBytesMax = 128 * 1024;

constexpr Name last_of(Name) { return Name::kAuditRecovered; }
constexpr SinkKind last_of(SinkKind) { return SinkKind::kTcp; }
constexpr Key last_of(Key) { return Key::kCut; }

/// Value is one field of an event: which of the members counts is Key's kind.
struct Value {
  Key key{};
  std::uint64_t number = 0;       // kNumber; kFlag: 0 or 1
  std::string text;               // kText: any bytes
  std::vector<std::string> list;  // kList
  void fields(auto& f) {
    f(key);
    f(number);
    f(text);
    f(list);
  }
};

/// Event is what happened, with any peer's bytes as they are; they are escaped where the line is
/// made. Also a part of messages between our processes, hence `fields`.
class Event {
 public:
  Event() = default;
  explicit Event(Name event_name) : name(event_name) {}

  /// text, list: nothing is added where there is nothing to tell. One key is told once.
  Event& text(Key key, std::string_view bytes);
  Event& list(Key key, std::vector<std::string> elements);
  Event& number(Key key, std::unsigned_integral auto value) {
    values.push_back({.key = key, .number = value, .text = {}, .list = {}});
    return *this;
  }
  Event& flag(Key key, bool value) { return value ? number(key, std::uint64_t{1}) : *this; }

  /// find gives the value of a key, or nullptr.
  const Value* find(Key key) const;
  std::string_view text_of(Key key) const;

  /// check says whether the event is one of the schema: each key allowed for its name, once, and
  /// all within the limits. What another process sent is checked before it is used.
  [[nodiscard]] Status check() const;

  Name name{};
  std::uint64_t time_us = 0;  // since the Unix epoch
  std::vector<Value> values;
  void fields(auto& f) {
    f(name);
    f(time_us);
    f(values);
  }
};

/// time_text: RFC 3339 in UTC with microseconds, "2026-03-01T09:14:02.000123Z".
std::string time_text(std::uint64_t time_us);

/// parse_time is its inverse, exactly; nullopt for any other text.
std::optional<std::uint64_t> parse_time(std::string_view text);

/// body_of renders an event as the members of a JSON object, without the braces: `"time":…,
/// "event":…` and the fields in the order in which they were added. Texts are escaped as
/// bastion::escaped does, so that each is valid UTF-8 without a control character and unescaped()
/// gives the bytes back.
std::string body_of(const Event& event);

/// object_of is the same as a JSON object of its own, without the time: what a recording's entry
/// says, whose time and session are known.
std::string object_of(const Event& event);

/// append_json_string writes a JSON string (RFC 8259) of text that is valid UTF-8 without controls.
void append_json_string(std::string& out, std::string_view text);

}  // namespace bastion::audit
