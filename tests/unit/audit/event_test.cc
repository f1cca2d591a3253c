#include "daemon/audit/event.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "daemon/audit/chain.h"
#include "daemon/ipc/codec.h"
#include "tests/support/random.h"
#include "tests/unit/audit/support.h"

namespace bastion::audit {
namespace {

using Json = nlohmann::json;

Json parse(const Event& event) { return Json::parse("{" + body_of(event) + "}"); }

TEST(TimeText, IsRfc3339InUtcWithMicroseconds) {
  EXPECT_EQ(time_text(test::kTimeUs), "2026-03-01T09:14:02.000123Z");
  EXPECT_EQ(time_text(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(time_text(UINT64_MAX).substr(0, 5), "9999-") << "four digits of a year, whatever comes";
}

TEST(ParseTime, TakesTimeTextAndNothingElse) {
  EXPECT_EQ(parse_time("2026-03-01T09:14:02.000123Z"), test::kTimeUs);
  EXPECT_EQ(parse_time(time_text(0)), 0u);
  for (const std::string_view bad :
       {"", "2026-03-01", "2026-03-01T09:14:02Z", "2026-03-01T09:14:02.000123",
        "2026-06-31T09:14:02.000123Z", "2026-3-1T09:14:02.000123Z", "1969-12-31T23:59:59.000000Z",
        "2026-03-01T09:14:02.000123Z ", "+026-03-01T09:14:02.000123Z"}) {
    EXPECT_FALSE(parse_time(bad)) << bad;
  }
}

TEST(Event, RendersItsFieldsInTheirOrder) {
  Event event(Name::kChannelClose);
  event.time_us = test::kTimeUs;
  event.text(Key::kSession, "7q2m").number(Key::kChannel, 3U).number(Key::kBytesUp, UINT64_MAX);
  event.text(Key::kReason, "");
  EXPECT_EQ(body_of(event),
            R"("time":"2026-03-01T09:14:02.000123Z","event":"channel.close","session":"7q2m",)"
            R"("channel":3,"bytes_up":18446744073709551615)");
}

TEST(Event, RendersFlagsAndLists) {
  Event event(Name::kRequest);
  event.flag(Key::kForced, true);
  EXPECT_EQ(parse(event)["forced"], true);
  Event heads(Name::kAuditRecordings);
  heads.list(Key::kHeads, {"a", "b\n"});
  EXPECT_EQ(parse(heads)["heads"], Json({"a", "b\\x0a"}));
}

TEST(Event, EveryOctetInEveryFieldIsValidJsonAndComesBack) {
  std::string every;
  for (int octet = 0; octet < 256; ++octet) {
    every += static_cast<char>(octet);
  }
  every += "\xe2\x80\xae\xed\xa0\x80\xf0\x9f\x99\x82 \"quoted\" \\x41";
  for (std::size_t name = 0; name < kNumNames; ++name) {
    for (const Key key : info(static_cast<Name>(name)).keys) {
      if (info(key).kind != Kind::kText) {
        continue;
      }
      Event event(static_cast<Name>(name));
      event.text(key, every);
      ASSERT_TRUE(event.check());
      for (const char c : body_of(event)) {
        ASSERT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
      }
      const std::string shown = parse(event)[std::string(info(key).name)];
      EXPECT_EQ(unescaped(shown), every);
    }
  }
}

TEST(Event, RandomBytesComeBack) {
  bastion::test::SeededRandom random(4);
  for (int i = 0; i < 2000; ++i) {
    const Bytes bytes = random.bytes(random.next() % 64);
    Event event(Name::kRequest);
    event.text(Key::kDetail, as_text(bytes));
    const Json json = parse(event);
    ASSERT_EQ(unescaped(json.value("detail", "")), std::string(as_text(bytes)));
  }
}

TEST(Event, SaysWhatWasCut) {
  Event event(Name::kRequest);
  event.text(Key::kRequest, "exec").text(Key::kDetail, std::string(5000, 'x'));
  EXPECT_TRUE(event.check());
  const Json json = parse(event);
  EXPECT_EQ(json["detail"].get<std::string>().size(), kTextBytesMax);
  EXPECT_EQ(json["cut"], Json({"detail 5000"}));
}

TEST(Event, TheWorstOfAllFitsIntoOneLine) {
  Event event(Name::kFile);
  for (const Key key : {Key::kPath, Key::kOtherPath, Key::kName, Key::kReason, Key::kAttributes}) {
    event.text(key, std::string(kTextBytesMax, '\x01'));
  }
  ASSERT_TRUE(event.check());
  Head head{UINT64_MAX - 2, no_hash()};
  EXPECT_LE(append_line(head, body_of(event)).size(), kLineBytesMax);
}

TEST(EventCheck, RefusesWhatIsNotInTheSchema) {
  Event wrong_key(Name::kServiceStop);
  wrong_key.text(Key::kPath, "/etc/passwd");
  EXPECT_FALSE(wrong_key.check());

  Event twice(Name::kServiceStop);
  twice.text(Key::kReason, "a").text(Key::kReason, "b");
  EXPECT_FALSE(twice.check());

  Event wrong_kind(Name::kServiceStop);
  wrong_kind.values.push_back({.key = Key::kReason, .number = 1, .text = {}, .list = {}});
  EXPECT_FALSE(wrong_kind.check());

  Event no_flag(Name::kRequest);
  no_flag.number(Key::kForced, 2U);
  EXPECT_FALSE(no_flag.check());

  Event long_text(Name::kServiceStop);
  long_text.values.push_back(
      {.key = Key::kReason, .text = std::string(kTextBytesMax + 1, 'x'), .list = {}});
  EXPECT_FALSE(long_text.check());

  Event long_list(Name::kAuditRecordings);
  long_list.list(Key::kHeads, std::vector<std::string>(kListMax, std::string(100, 'x')));
  EXPECT_FALSE(long_list.check());
}

TEST(Event, GoesBetweenProcesses) {
  for (std::size_t name = 0; name < kNumNames; ++name) {
    const Event event = test::every_value(static_cast<Name>(name), "text");
    ASSERT_TRUE(event.check());
    SecretBytes out;
    daemon::ipc::Encoder encoder(out);
    encoder(event);
    Event back;
    daemon::ipc::Decoder decoder(out);
    decoder(back);
    ASSERT_TRUE(decoder.done());
    EXPECT_EQ(body_of(back), body_of(event));
  }
}

TEST(Schema, NamesAreFoundAndDistinct) {
  for (std::size_t name = 0; name < kNumNames; ++name) {
    EXPECT_EQ(find_name(info(static_cast<Name>(name)).name), static_cast<Name>(name));
  }
  EXPECT_FALSE(find_name("session"));
  EXPECT_FALSE(find_name(""));
}

}  // namespace
}  // namespace bastion::audit
