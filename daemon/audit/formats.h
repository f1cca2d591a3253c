#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/audit/event.h"

/// The forms in which audit lines go to others than the file.
namespace bastion::audit {

/// SyslogIdentity is what each message says of its sender.
struct SyslogIdentity {
  std::string host;  // RFC 5424 HOSTNAME; "-" where it is not known
  std::uint32_t pid = 0;
  std::uint8_t facility = 13;  // "log audit"
};

/// syslog_message makes an RFC 5424 message of one audit line: PRI by the event's level, TIMESTAMP
/// from the event, APP-NAME bastiond, MSGID the event's name, no structured data, and as MSG the
/// line itself behind a byte order mark, as the RFC asks of UTF-8.
std::string syslog_message(const SyslogIdentity& identity, const Event& event,
                           std::string_view line);
/// syslog_frame counts the octets of a message for a stream (RFC 6587 3.4.1): "LEN MSG".
std::string syslog_frame(std::string_view message);

/// journald_datagram makes one entry of journald's native protocol: MESSAGE (a short sentence),
/// PRIORITY, SYSLOG_IDENTIFIER, the whole line as BASTIOND_LINE, and each field as BASTIOND_ and
/// its name in capitals.
std::string journald_datagram(const Event& event, std::string_view line);

/// summary_of is one line for people: the event's name and `field=value` of all it has, escaped.
std::string summary_of(const Event& event);

}  // namespace bastion::audit
