#include "daemon/bastionctl/audit.h"

#include <gtest/gtest.h>

#include "daemon/audit/event.h"
#include "tests/support/program.h"
#include "tests/unit/audit/support.h"

namespace bastion::ctl {
namespace {

using audit::Event;
using audit::Key;
using audit::Name;

std::string line_of(Event event) {
  event.time_us = audit::test::kTimeUs;
  audit::Head head;
  return audit::append_line(head, audit::body_of(event));
}

std::string request() {
  Event event(Name::kRequest);
  event.text(Key::kSession, "7q2mxxxxx").text(Key::kUser, "alice").text(Key::kTarget, "web1");
  event.number(Key::kChannel, 0U).text(Key::kRequest, "exec").text(Key::kDetail, "a\x1b[2J \\ b");
  return line_of(std::move(event));
}

TEST(AuditFilter, MatchesWhatItNames) {
  const std::string line = request();
  EXPECT_TRUE(AuditFilter().matches(line));
  EXPECT_TRUE((AuditFilter{.session = "7q2m"}.matches(line)));
  EXPECT_FALSE((AuditFilter{.session = "q2m"}.matches(line)));
  EXPECT_TRUE((AuditFilter{.user = "alice", .target = "web1", .event = "request"}.matches(line)));
  EXPECT_FALSE((AuditFilter{.user = "ali"}.matches(line)));
  EXPECT_FALSE((AuditFilter{.event = "req"}.matches(line)));
  EXPECT_TRUE((AuditFilter{.event = "channel"}.matches(line_of(Event(Name::kChannelOpen)))));
  EXPECT_TRUE((AuditFilter{.since_us = audit::test::kTimeUs}.matches(line)));
  EXPECT_FALSE((AuditFilter{.since_us = audit::test::kTimeUs + 1}.matches(line)));
  EXPECT_FALSE((AuditFilter{.until_us = audit::test::kTimeUs - 1}.matches(line)));
  EXPECT_FALSE(AuditFilter().matches("not an event"));
}

TEST(ParseMoment, TakesTimesAndSpans) {
  const std::uint64_t now = audit::test::kTimeUs;
  EXPECT_EQ(parse_moment("2026-03-01T09:14:02.000123Z", now), now);
  EXPECT_EQ(parse_moment("2026-03-01T09:14:02Z", now), now - 123);
  EXPECT_EQ(audit::time_text(*parse_moment("2026-03-01", now)), "2026-03-01T00:00:00.000000Z");
  EXPECT_EQ(parse_moment("30m", now), now - 1'800'000'000);
  EXPECT_EQ(parse_moment("7d", now), now - 7ULL * 86'400'000'000);
  for (const std::string_view bad :
       {"", "yesterday", "7", "d", "-7d", "7w", "2026-13-01", "1.5h"}) {
    EXPECT_FALSE(parse_moment(bad, now)) << bad;
  }
}

TEST(LineText, ShowsOneEventInOneLine) {
  EXPECT_EQ(line_text(request(), 0),
            "2026-03-01T09:14:02  request           7q2mxxx~  alice       target=web1 channel=0 "
            "request=exec detail=a\\x1b[2J \\\\ b");
  EXPECT_EQ(line_text(request(), 40).size(), 40u);
}

TEST(LineText, SendsNoControlByteOfAForgedLog) {
  // Valid JSON can hold a C1 control, and escapes of the others.
  const std::string forged =
      "{\"time\":\"\\u001b[2J\",\"event\":\"\xc2\x9b"
      "2J\",\"\\u0007\":\"\\u001b]0;x\\u0007\"}";
  for (const std::string& line : {forged, std::string("\x1b[2J not json")}) {
    for (const char c : line_text(line, 0)) {
      EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    }
    EXPECT_EQ(line_text(line, 0).find("\xc2\x9b"), std::string::npos);
  }
}

TEST(LogFiles, AreInTheOrderOfTheirLines) {
  const bastion::test::TempDir dir;
  audit::Head head;
  std::vector<std::string> lines;
  for (int i = 0; i < 3; ++i) {
    lines.push_back(audit::append_line(head, audit::body_of(Event(Name::kServiceStart))) + "\n");
  }
  dir.write("audit.jsonl.z", as_bytes(lines[0]));
  dir.write("audit.jsonl.a", as_bytes(lines[1]));
  dir.write("audit.jsonl", as_bytes(lines[2]));
  dir.write("audit.jsonl.chain", as_bytes(lines[2]));
  dir.write("audit.jsonl.notes", as_bytes("hello\n"));
  dir.write("other.jsonl.1", as_bytes(lines[0]));
  EXPECT_EQ(log_files(dir.file("audit.jsonl")),
            (std::vector<std::string>{dir.file("audit.jsonl.z"), dir.file("audit.jsonl.a"),
                                      dir.file("audit.jsonl")}));
}

}  // namespace
}  // namespace bastion::ctl
