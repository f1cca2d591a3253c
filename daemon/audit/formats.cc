#include "daemon/audit/formats.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/escape.h"

namespace bastion::audit {
namespace {

/// HOSTNAME is printable US-ASCII without spaces, at most 255 (RFC 5424 6.2.4).
std::string host_field(std::string_view host) {
  std::string out(host.substr(0, 255));
  std::erase_if(out, [](char c) { return c <= 0x20 || c >= 0x7f; });
  return out.empty() ? "-" : out;
}

std::string value_text(const Value& value) {
  switch (info(value.key).kind) {
    case Kind::kText: return escaped(value.text, SIZE_MAX);
    case Kind::kNumber: return std::to_string(value.number);
    case Kind::kFlag: return value.number != 0 ? "true" : "false";
    case Kind::kList: break;
  }
  std::string out;
  for (const std::string& element : value.list) {
    out += (out.empty() ? "" : " ") + escaped(element, SIZE_MAX);
  }
  return out;
}

/// append_field writes a field of the journal's: as NAME=VALUE where the value has no line end, and
/// no value of ours has one (they are escaped), but the length form costs nothing to have right.
void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  if (value.find('\n') == std::string_view::npos) {
    out += '=';
  } else {
    out += '\n';
    for (unsigned shift = 0; shift < 64; shift += 8) {
      out += static_cast<char>(value.size() >> shift & 0xff);
    }
  }
  out += value;
  out += '\n';
}

}  // namespace

std::string syslog_message(const SyslogIdentity& identity, const Event& event,
                           std::string_view line) {
  const NameInfo& what = info(event.name);
  const unsigned priority = identity.facility * 8U + static_cast<unsigned>(what.level);
  std::string out = "<" + std::to_string(priority) + ">1 " + time_text(event.time_us) + " " +
                    host_field(identity.host) + " bastiond " + std::to_string(identity.pid) + " ";
  out += what.name;
  out += " - \xef\xbb\xbf";
  out += line;
  return out;
}

std::string syslog_frame(std::string_view message) {
  std::string out = std::to_string(message.size()) + " ";
  out += message;
  return out;
}

std::string summary_of(const Event& event) {
  std::string out(info(event.name).name);
  for (const Value& value : event.values) {
    const std::string text = value_text(value);
    out += ' ';
    out += info(value.key).name;
    out += '=';
    if (text.find_first_of(" \"") == std::string::npos && !text.empty()) {
      out += text;
      continue;
    }
    out += '"';
    for (const char c : text) {
      if (c == '"') {
        out += '\\';
      }
      out += c;
    }
    out += '"';
  }
  return out;
}

std::string journald_datagram(const Event& event, std::string_view line) {
  std::string out;
  append_field(out, "MESSAGE", summary_of(event));
  append_field(out, "PRIORITY", std::to_string(static_cast<unsigned>(info(event.name).level)));
  append_field(out, "SYSLOG_IDENTIFIER", "bastiond");
  append_field(out, "BASTIOND_EVENT", info(event.name).name);
  append_field(out, "BASTIOND_LINE", line);
  for (const Value& value : event.values) {
    std::string name = "BASTIOND_";
    for (const char c : info(value.key).name) {
      name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    append_field(out, name, value_text(value));
  }
  return out;
}

}  // namespace bastion::audit
