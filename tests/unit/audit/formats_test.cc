#include "daemon/audit/formats.h"

#include <gtest/gtest.h>

#include "tests/unit/audit/support.h"

namespace bastion::audit {
namespace {

Event refused() {
  Event event(Name::kTargetRefused);
  event.time_us = test::kTimeUs;
  event.text(Key::kSession, "7q2m").text(Key::kReason, "not the key\non record");
  return event;
}

TEST(SyslogMessage, IsRfc5424) {
  EXPECT_EQ(syslog_message({"bastion.corp", 412, 13}, refused(), "{\"v\":1}"),
            "<107>1 2026-03-01T09:14:02.000123Z bastion.corp bastiond 412 target.refused - "
            "\xef\xbb\xbf{\"v\":1}");
}

TEST(SyslogMessage, HasNoSpaceInItsHostName) {
  EXPECT_NE(syslog_message({"a b\n\xc3\xbc", 1, 13}, refused(), "x").find("Z ab bastiond"),
            std::string::npos);
  EXPECT_NE(syslog_message({"", 1, 13}, refused(), "x").find("Z - bastiond"), std::string::npos);
}

TEST(SyslogFrame, CountsTheOctets) { EXPECT_EQ(syslog_frame("gr\xc3\xbcn"), "5 gr\xc3\xbcn"); }

TEST(JournaldDatagram, HasAFieldForEachOfTheEvents) {
  EXPECT_EQ(journald_datagram(refused(), "{LINE}"),
            "MESSAGE=target.refused session=7q2m reason=\"not the key\\x0aon record\"\n"
            "PRIORITY=3\nSYSLOG_IDENTIFIER=bastiond\nBASTIOND_EVENT=target.refused\n"
            "BASTIOND_LINE={LINE}\nBASTIOND_SESSION=7q2m\n"
            "BASTIOND_REASON=not the key\\x0aon record\n");
}

TEST(JournaldDatagram, GivesTheLengthOfAValueWithALineEnd) {
  EXPECT_NE(journald_datagram(refused(), "a\nb")
                .find(std::string("BASTIOND_LINE\n\x03\0\0\0\0\0\0\0a\nb\n", 26)),
            std::string::npos);
}

TEST(JournaldDatagram, NoFieldNameIsLongerThanJournaldTakes) {
  for (std::size_t key = 0; key < kNumKeys; ++key) {
    EXPECT_LE(info(static_cast<Key>(key)).name.size() + 9, 64u);
  }
}

TEST(SummaryOf, QuotesWhatNeedsIt) {
  Event event(Name::kRequest);
  event.text(Key::kRequest, "exec").text(Key::kDetail, "say \"hi\"").flag(Key::kForced, true);
  EXPECT_EQ(summary_of(event), "request request=exec detail=\"say \\\"hi\\\"\" forced=true");
}

}  // namespace
}  // namespace bastion::audit
