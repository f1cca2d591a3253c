#include <gtest/gtest.h>

#include "daemon/bastionctl/table.h"

namespace bastion::ctl {
namespace {

TEST(CtlNumbers, AreShort) {
  EXPECT_EQ(human_bytes(0), "0");
  EXPECT_EQ(human_bytes(999), "999");
  EXPECT_EQ(human_bytes(1024), "1.0K");
  EXPECT_EQ(human_bytes(12 * 1024), "12K");
  EXPECT_EQ(human_bytes(1'900'000), "1.8M");
  EXPECT_EQ(human_bytes(UINT64_MAX), "16E");
  EXPECT_EQ(grouped(7), "7");
  EXPECT_EQ(grouped(2311), "2,311");
  EXPECT_EQ(grouped(1234567), "1,234,567");
}

TEST(CtlTimes, AreShort) {
  EXPECT_EQ(human_seconds(0), "now");
  EXPECT_EQ(human_seconds(59), "59s");
  EXPECT_EQ(human_seconds(60), "1m");
  EXPECT_EQ(human_seconds(3600), "1h");
  EXPECT_EQ(human_seconds(7800), "2h 10m");
  EXPECT_EQ(human_seconds(12 * 86'400 + 4 * 3600), "12d 4h");
}

TEST(CtlTable, FitsTheTerminal) {
  Table table({{"ID"}, {"USER"}, {"BYTES", true}});
  table.add({"7q2m", "a-very-long-user-name-indeed", "12K"});
  table.add({"7q2n", "bob", "1.1G"});
  EXPECT_EQ(table.text(0, false),
            "ID    USER                          BYTES\n"
            "7q2m  a-very-long-user-name-indeed    12K\n"
            "7q2n  bob                            1.1G\n");
  EXPECT_EQ(table.text(24, false),
            "ID    USER         BYTES\n"
            "7q2m  a-very-lon~    12K\n"
            "7q2n  bob           1.1G\n");
}

TEST(CtlTable, PrintsNothingThatATerminalWouldObey) {
  Table table({{"USER"}});
  table.add({"x\x1b[2J\ny\x9b"});
  EXPECT_EQ(table.text(0, false), "USER\nx?[2J?y?\n");
}

}  // namespace
}  // namespace bastion::ctl
