#include "proto/channel.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "proto/agent_filter.h"
#include "proto/bounded_queue.h"
#include "proto/channel_open.h"
#include "proto/channel_permits.h"
#include "proto/requests.h"
#include "proto/slot_table.h"
#include "proto/user_text.h"
#include "tests/unit/proto/connection_support.h"

namespace bastion::proto {
namespace {

using namespace connection_test;  // NOLINT: the messages of these tests

// --- SlotTable ---

TEST(SlotTable, GivesNumbersThatAreNeverSeenAgain) {
  SlotTable<int> table;
  const ChannelNumber first = *table.insert();
  *table.find(first) = 5;
  table.erase(first);
  EXPECT_EQ(table.find(first), nullptr);
  EXPECT_TRUE(table.is_stale(first));
  const ChannelNumber second = *table.insert();
  EXPECT_NE(first, second);
  EXPECT_EQ(*table.find(second), 0) << "nothing is left of its predecessor";
  EXPECT_EQ(table.find(first), nullptr);
  EXPECT_TRUE(table.is_stale(first));
  EXPECT_FALSE(table.is_stale(second));
}

TEST(SlotTable, CallsNoNumberStaleThatWasNeverGiven) {
  SlotTable<int> table;
  EXPECT_FALSE(table.is_stale(0));
  const ChannelNumber number = *table.insert();
  for (const ChannelNumber other_number : {number + 1, number + 256, UINT32_MAX, 0x80000000U}) {
    EXPECT_FALSE(table.is_stale(other_number));
    EXPECT_EQ(table.find(other_number), nullptr);
  }
  table.erase(number);
  EXPECT_FALSE(table.is_stale(number + 256));
  EXPECT_FALSE(table.is_stale(0xffffff00U + number)) << "a generation before the first";
}

TEST(SlotTable, TakesTheLowestPlaceAndNoMoreThanThereAre) {
  SlotTable<int> table;
  std::vector<ChannelNumber> numbers;
  while (const auto number = table.insert()) {
    numbers.push_back(*number);
  }
  EXPECT_EQ(numbers.size(), limits::kChannelsMax);
  EXPECT_EQ(table.size(), limits::kChannelsMax);
  table.erase(numbers[77]);
  table.erase(numbers[12]);
  EXPECT_EQ(*table.insert() & 0xff, 12U);
  EXPECT_EQ(*table.insert() & 0xff, 77U);
  EXPECT_FALSE(table.insert());
}

TEST(SlotTable, LetsForEachErase) {
  SlotTable<int> table;
  for (int i = 0; i < 5; ++i) {
    (void)table.insert();
  }
  int seen = 0;
  table.for_each([&](ChannelNumber number, int&) {
    ++seen;
    table.erase(number);
  });
  EXPECT_EQ(seen, 5);
  EXPECT_EQ(table.size(), 0U);
}

TEST(BoundedQueue, IsFirstInFirstOutAndBounded) {
  BoundedQueue<int, 3> queue;
  for (int round = 0; round < 100; ++round) {
    EXPECT_TRUE(queue.push(round));
    EXPECT_TRUE(queue.push(round + 1));
    EXPECT_EQ(queue.front(), round);
    queue.pop();
    EXPECT_TRUE(queue.push(round + 2));
    EXPECT_TRUE(queue.push(round + 3));
    EXPECT_FALSE(queue.push(99));
    EXPECT_TRUE(queue.full());
    for (int i = 1; i <= 3; ++i) {
      EXPECT_EQ(queue.front(), round + i);
      queue.pop();
    }
    EXPECT_TRUE(queue.empty());
  }
}

// --- permits ---

TEST(ChannelPermits, AllowExactlyWhatIsListed) {
  using enum PeerChannel;
  const std::vector<std::pair<PeerChannel, std::vector<int>>> handled = {
      {kNone, {}},
      {kStale, {}},
      {kAsking, {}},
      {kAsked, {91, 92}},
      {kOpen, {93, 94, 95, 96, 97, 98, 99, 100}},
      {kEof, {93, 97, 98, 99, 100}},
      {kClosed, {}},
  };
  const std::vector<std::pair<PeerChannel, std::vector<int>>> dropped = {
      {kStale, {93, 99, 100}}, {kEof, {96}}, {kClosed, {93, 99, 100}}};
  ASSERT_EQ(handled.size(), kNumPeerChannels);
  const auto lists = [](const auto& table, PeerChannel state, int message) {
    for (const auto& [listed, messages] : table) {
      if (listed == state &&
          std::find(messages.begin(), messages.end(), message) != messages.end()) {
        return true;
      }
    }
    return false;
  };
  for (std::uint8_t state = 0; state < kNumPeerChannels; ++state) {
    for (int message = 0; message < 256; ++message) {
      const auto peer = static_cast<PeerChannel>(state);
      const ChannelVerdict expected = lists(handled, peer, message)   ? ChannelVerdict::kHandled
                                      : lists(dropped, peer, message) ? ChannelVerdict::kDropped
                                                                      : ChannelVerdict::kRefused;
      EXPECT_EQ(channel_permitted(peer, static_cast<std::uint8_t>(message)), expected)
          << int{state} << " " << message;
    }
  }
}

// --- parsers ---

TEST(ParseChannelOpen, ReadsEveryType) {
  const Bytes message = open_tcpip("direct-tcpip", 1, "db", 5432, 2, 3);
  const auto open = parse_channel_open(message);
  ASSERT_TRUE(open);
  EXPECT_EQ(open->type, ChannelType::kDirectTcpip);
  EXPECT_EQ(open->sender, 1U);
  EXPECT_EQ(open->window, 2U);
  EXPECT_EQ(open->max_packet, 3U);
  EXPECT_EQ(open->host_or_path, "db");
  EXPECT_EQ(open->port, 5432U);
  EXPECT_EQ(open->originator_host, "10.0.0.9");
  EXPECT_EQ(open->originator_port, 50000U);
  EXPECT_EQ(describe_destination(*open), "db:5432");
  EXPECT_EQ(parse_channel_open(open_message("session", 1, 2, 3))->type, ChannelType::kSession);
  EXPECT_EQ(parse_channel_open(open_message("auth-agent", 1, 2, 3))->type, ChannelType::kAgent);
}

TEST(ParseChannelOpen, DescribesIpv6AndCutsLongNames) {
  EXPECT_EQ(describe_destination(*parse_channel_open(open_tcpip("direct-tcpip", 1, "::1", 22))),
            "[::1]:22");
  const Bytes message = open_tcpip("direct-tcpip", 1, std::string(9999, 'x'), 1);
  const auto open = parse_channel_open(message);
  EXPECT_LE(describe_destination(*open).size(), kDetailBytesMax);
}

TEST(ParseChannelOpen, RefusesEveryLengthThatLies) {
  const Bytes message = open_tcpip("direct-tcpip", 1, "db", 5432);
  for (const std::size_t at : {1UL, 1 + 4 + 12 + 12UL, 1 + 4 + 12 + 12 + 4 + 2 + 4UL}) {
    for (const std::uint32_t len :
         {0xffffffffU, 0x10000000U, 0x7fffffffU, load_u32(message.data() + at) + 1}) {
      Bytes lies = message;
      store_u32(lies.data() + at, len);
      const auto open = parse_channel_open(lies);
      // A longer type may make it a type that we do not know, of which only the start is read.
      EXPECT_TRUE(!open || open->type == ChannelType::kUnknown) << at << " " << len;
    }
  }
}

TEST(ParseChannelData, RefusesEveryLengthThatLies) {
  for (const std::uint32_t len : {0U, 2U, 4U, 0x10000000U, 0xffffffffU}) {
    Bytes message = data(1, "abc");
    store_u32(message.data() + 5, len);
    EXPECT_FALSE(parse_channel_data(message));
    message = extended(1, 1, "abc");
    store_u32(message.data() + 9, len);
    EXPECT_FALSE(parse_channel_data(message));
  }
}

TEST(SetWantReply, ChangesThatByteAlone) {
  Bytes message = exec(9, "id", false);
  set_want_reply(message, true);
  EXPECT_EQ(message, exec(9, "id", true));
  message = tcpip_forward("localhost", 80, true);
  set_want_reply(message, false);
  EXPECT_EQ(message, tcpip_forward("localhost", 80, false));
}

// --- AgentFilter ---

std::string frame(std::uint8_t type, std::size_t body) {
  Writer writer;
  writer.u32(static_cast<std::uint32_t>(body + 1)).u8(type);
  return std::string(as_text(writer.view())) + std::string(body, 'b');
}

std::string extension(std::string_view name) {
  Writer writer;
  writer.u32(static_cast<std::uint32_t>(1 + 4 + name.size() + 3)).u8(27).text(name);
  return std::string(as_text(writer.view())) + "key";
}

TEST(AgentFilter, sec_070_PassesListingSigningAndSessionBindOnly) {
  for (int type = 0; type < 256; ++type) {
    AgentFilter filter;
    const bool allowed = type == 11 || type == 13;
    EXPECT_EQ(filter.pass(as_bytes(frame(static_cast<std::uint8_t>(type), 10))), allowed) << type;
  }
}

TEST(AgentFilter, sec_070_PassesNoOtherExtension) {
  EXPECT_TRUE(AgentFilter().pass(as_bytes(extension("session-bind@openssh.com"))));
  for (const std::string_view name :
       {"", "query", "session-bind@openssh.co", "session-bind@openssh.comm",
        "session-bind@openssh.cop", "restrict@example.org"}) {
    AgentFilter filter;
    EXPECT_FALSE(filter.pass(as_bytes(extension(name)))) << name;
  }
  // A name that is cut by the end of its frame does not go on in the next one.
  EXPECT_FALSE(AgentFilter().pass(as_bytes(frame(27, 0))));
  EXPECT_FALSE(AgentFilter().pass(as_bytes(frame(27, 27))));
}

TEST(AgentFilter, SeesThroughEverySplit) {
  const std::string good =
      frame(11, 0) + frame(13, 300) + extension("session-bind@openssh.com") + frame(11, 0);
  const std::string bad = good + frame(17, 5);
  for (std::size_t cut = 0; cut <= good.size(); ++cut) {
    AgentFilter filter;
    EXPECT_TRUE(filter.pass(as_bytes(good.substr(0, cut))));
    EXPECT_TRUE(filter.pass(as_bytes(good.substr(cut))));
  }
  for (std::size_t cut = 0; cut <= bad.size(); ++cut) {
    AgentFilter filter;
    EXPECT_FALSE(filter.pass(as_bytes(bad.substr(0, cut))) &&
                 filter.pass(as_bytes(bad.substr(cut))))
        << cut;
  }
  AgentFilter filter;
  for (std::size_t i = 0; i < good.size(); ++i) {
    ASSERT_TRUE(filter.pass(as_bytes(good.substr(i, 1))));
  }
}

TEST(AgentFilter, RefusesFramesThatAreEmptyOrTooLong) {
  AgentFilter longest;
  EXPECT_TRUE(longest.pass(as_bytes(frame(13, AgentFilter::kFrameBytesMax - 1))));
  EXPECT_FALSE(AgentFilter().pass(as_bytes(frame(13, AgentFilter::kFrameBytesMax))));
  EXPECT_FALSE(AgentFilter().pass(as_bytes(std::string("\0\0\0\0\x0b", 5))));
  EXPECT_FALSE(AgentFilter().pass(as_bytes(std::string("\xff\xff\xff\xff\x0b", 5))));
}

// --- texts ---

TEST(Printable, sec_084_LeavesNoControlCharacterAndNoChangeOfDirection) {
  std::string all;
  for (int c = 0; c < 256; ++c) {
    all += static_cast<char>(c);
  }
  for (const char c : printable(all)) {
    EXPECT_TRUE(c >= 0x20 && c < 0x7f) << static_cast<int>(c);
  }
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b\xc2\x9b"
                      "c\xe2\x81\xa6\x7f"),
            "a?b?c??");
}

TEST(Printable, KeepsTextOfOtherLanguages) {
  EXPECT_EQ(printable("zürich 東京 🙂"), "zürich 東京 🙂");
}

TEST(Printable, RefusesWhatIsNotUtf8) {
  EXPECT_EQ(printable("\xc0\xaf|\xed\xa0\x80|\xf5\x80\x80\x80|\xe2\x82"), "??|???|????|??");
}

TEST(Printable, CutsLongTexts) {
  EXPECT_EQ(printable(std::string(100'000, 'x')).size(), kUserTextBytesMax);
}

TEST(ShortName, IsOneWordForEachKind) {
  ChannelInfo info{.type = ChannelType::kSession, .detail = "sftp", .origin = {}};
  EXPECT_EQ(short_name(info), "session");
  info.use = ChannelUse::kShell;
  EXPECT_EQ(short_name(info), "shell");
  info.use = ChannelUse::kExec;
  EXPECT_EQ(short_name(info), "exec");
  info.use = ChannelUse::kSubsystem;
  EXPECT_EQ(short_name(info), "sftp");
  info.type = ChannelType::kForwardedTcpip;
  EXPECT_EQ(short_name(info), "tcp-back");
}

}  // namespace
}  // namespace bastion::proto
