#include "daemon/recording/entries.h"

#include <gtest/gtest.h>

#include <limits>

namespace bastion::recording {
namespace {

TEST(Varint, KeepsEveryLength) {
  for (int bits = 0; bits <= 64; ++bits) {
    for (const std::uint64_t step : {0U, 1U}) {
      const std::uint64_t value = (bits == 64 ? 0 : std::uint64_t{1} << bits) - step;
      Bytes out;
      append_varint(out, value);
      ByteView rest = out;
      EXPECT_EQ(read_varint(rest), value);
      EXPECT_TRUE(rest.empty());
      for (std::size_t cut = 0; cut < out.size(); ++cut) {
        ByteView part = ByteView(out).first(cut);
        EXPECT_EQ(read_varint(part), std::nullopt);
      }
    }
  }
}

TEST(Varint, RefusesLongerThanNeededAndTooLarge) {
  for (const Bytes& bytes :
       {Bytes{0x80, 0x00}, Bytes{0xff, 0x80, 0x00},
        Bytes{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, Bytes(11, 0x80)}) {
    ByteView rest = bytes;
    EXPECT_EQ(read_varint(rest), std::nullopt);
  }
}

TEST(Zigzag, KeepsSigns) {
  for (const std::int64_t value :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1},
        std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(unzigzag(zigzag(value)), value);
  }
  EXPECT_EQ(zigzag(-1), 1U);
  EXPECT_EQ(zigzag(1), 2U);
}

TEST(Entries, TypedContentsComeBack) {
  const Bytes pty_bytes = encode(Pty{{132, 43}, "vt220"});
  const auto pty = parse_pty(pty_bytes);
  ASSERT_TRUE(pty);
  EXPECT_EQ(pty->size.columns, 132U);
  EXPECT_EQ(pty->size.rows, 43U);
  const Bytes start_bytes = encode(Start{StartKind::kExec, "uname -a"});
  const auto start = parse_start(start_bytes);
  ASSERT_TRUE(start);
  EXPECT_EQ(start->kind, StartKind::kExec);
  EXPECT_EQ(start->command, "uname -a");
  const Bytes env_bytes = encode(Env{"LANG", "C"});
  const auto env = parse_env(env_bytes);
  ASSERT_TRUE(env);
  EXPECT_EQ(env->name, "LANG");
  EXPECT_EQ(env->value, "C");
  const Bytes signal_bytes = encode(ExitSignal{"TERM", true, "killed"});
  const auto signal = parse_exit_signal(signal_bytes);
  ASSERT_TRUE(signal);
  EXPECT_EQ(signal->name, "TERM");
  EXPECT_TRUE(signal->core_dumped);
  const auto cap = parse_cap(encode(Cap{EntryKind::kStdin, 10 << 20}));
  ASSERT_TRUE(cap);
  EXPECT_EQ(cap->stream, EntryKind::kStdin);
  EXPECT_EQ(cap->limit_bytes, std::uint64_t{10} << 20);
  EXPECT_EQ(parse_eof(encode_eof(EntryKind::kStderr)), EntryKind::kStderr);
  EXPECT_EQ(parse_number(encode_number(255)), 255U);
}

TEST(Entries, RefusesWhatEncodeDoesNotWrite) {
  EXPECT_FALSE(parse_pty(Bytes{80, 24}));          // no TERM
  EXPECT_FALSE(parse_pty(Bytes{80, 24, 5, 'x'}));  // a longer TERM than there is
  EXPECT_FALSE(parse_size(Bytes{80}));
  EXPECT_FALSE(parse_size(Bytes{80, 24, 0}));  // something trails
  EXPECT_FALSE(parse_start(Bytes{}));
  EXPECT_FALSE(parse_start(Bytes{4, 'x'}));
  EXPECT_FALSE(parse_cap(Bytes{3, 1}));  // no stream
  EXPECT_FALSE(parse_eof(Bytes{7, 7}));
  EXPECT_FALSE(parse_exit_signal(Bytes{1, 'T', 2, 0}));
  EXPECT_FALSE(parse_number(Bytes{}));
}

TEST(EntryCursor, WalksWhatWasAppended) {
  Bytes raw;
  append_entry(raw, 100, {100, 0, EntryKind::kNotice, as_bytes("hello")});
  append_entry(raw, 100, {90, 4'000'000'000U, EntryKind::kStdout, {}});
  EntryCursor cursor(raw, 100);
  auto first = cursor.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->time_us, 100U);
  EXPECT_EQ(as_text(first->bytes), "hello");
  auto second = cursor.next();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->time_us, 90U);
  EXPECT_EQ(second->channel, 4'000'000'000U);
  EXPECT_TRUE(cursor.done());
}

TEST(EntryCursor, StopsAtACutAtAnyByte) {
  Bytes raw;
  append_entry(raw, 0, {1'000'000, 300, EntryKind::kStdout, as_bytes("some output")});
  for (std::size_t cut = 1; cut < raw.size(); ++cut) {
    EntryCursor cursor(ByteView(raw).first(cut), 0);
    EXPECT_FALSE(cursor.next()) << cut;
    EXPECT_FALSE(cursor.done());
  }
}

TEST(EntryCursor, RefusesKindsThatAreNone) {
  for (const std::uint8_t kind : Bytes{0, 18, 255}) {
    const Bytes raw{0, 1, kind, 0};
    EXPECT_FALSE(EntryCursor(raw, 0).next());
  }
}

TEST(Entries, EachKindHasItsName) {
  EXPECT_EQ(entry_kind_name(EntryKind::kChannelOpen), "channel-open");
  EXPECT_EQ(entry_kind_name(EntryKind::kStdin), "stdin");
  EXPECT_EQ(entry_kind_name(EntryKind::kForward), "forward");
}

}  // namespace
}  // namespace bastion::recording
