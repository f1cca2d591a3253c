#include "base/ip.h"

#include <gtest/gtest.h>

#include <array>

namespace bastion {
namespace {

TEST(IpAddress, TakesWhatInetPtonTakesAndNothingElse) {
  for (const std::string_view good : {"0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "::1",
                                      "2001:db8::1", "fe80::1", "::ffff:10.0.0.1"}) {
    EXPECT_TRUE(IpAddress::parse(good).has_value()) << good;
  }
  for (const std::string_view bad :
       {"", " ", "10.0.0", "10.0.0.256", "010.0.0.1", "0x0a.0.0.1", "1", "10.0.0.1 ", " 10.0.0.1",
        "10.0.0.1/8", "[::1]", "::1%eth0", "fe80::1%1", "::g", "1:2:3:4:5:6:7:8:9", "localhost",
        "10.0.0.1:22", "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"}) {
    EXPECT_FALSE(IpAddress::parse(bad).has_value()) << bad;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("10.0.0.1\0", 9)).has_value());
}

TEST(IpAddress, V4AndItsMappedFormAreOne) {
  const auto v4 = *IpAddress::parse("10.0.0.1");
  EXPECT_EQ(v4, *IpAddress::parse("::ffff:10.0.0.1"));
  EXPECT_EQ(v4, *IpAddress::parse("::ffff:a00:1"));
  EXPECT_EQ(v4.text(), "10.0.0.1");
  EXPECT_TRUE(v4.is_v4());
  EXPECT_EQ(v4.octets().size(), 4U);
  EXPECT_EQ(*IpAddress::from_octets(v4.octets()), v4);
  EXPECT_EQ(*IpAddress::from_octets(v4.mapped_octets()), v4);
}

TEST(IpAddress, IsWrittenInItsCanonicalForm) {
  EXPECT_EQ(IpAddress::parse("2001:0DB8:0:0::0001")->text(), "2001:db8::1");
  EXPECT_EQ(IpAddress().text(), "::");
}

TEST(IpAddress, OctetsAreFourOrSixteen) {
  const std::array<std::uint8_t, 17> octets{};
  for (std::size_t n = 0; n <= octets.size(); ++n) {
    EXPECT_EQ(IpAddress::from_octets(ByteView(octets).first(n)).has_value(), n == 4 || n == 16);
  }
}

TEST(IpAddress, SourcesAreCountedByAddressOrBySlash64) {
  const auto key = [](std::string_view text) { return IpAddress::parse(text)->source_key(); };
  EXPECT_EQ(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2::"));
  EXPECT_NE(key("2001:db8:1:2::"), key("2001:db8:1:3::"));
  EXPECT_EQ(key("10.0.0.1"), *IpAddress::parse("10.0.0.1"));
  EXPECT_NE(key("10.0.0.1"), key("10.0.0.2"));
}

TEST(Cidr, ContainsWhatSharesItsPrefix) {
  const auto contains = [](std::string_view block, std::string_view address) {
    return Cidr::parse(block)->contains(*IpAddress::parse(address));
  };
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.255.255"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(contains("10.0.0.0/9", "10.127.0.0"));
  EXPECT_FALSE(contains("10.0.0.0/9", "10.128.0.0"));
  EXPECT_TRUE(contains("10.0.0.1", "10.0.0.1"));
  EXPECT_FALSE(contains("10.0.0.1", "10.0.0.2"));
  EXPECT_TRUE(contains("0.0.0.0/0", "192.0.2.1"));
  EXPECT_FALSE(contains("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(contains("::/0", "2001:db8::1"));
  EXPECT_FALSE(contains("::/0", "192.0.2.1")) << "an IPv6 block holds no IPv4 address";
  EXPECT_TRUE(contains("10.0.0.0/8", "::ffff:10.1.1.1"));
  EXPECT_TRUE(contains("2001:db8::/33", "2001:db8:7fff::"));
  EXPECT_FALSE(contains("2001:db8::/33", "2001:db8:8000::"));
}

TEST(Cidr, AgreesWithBitByBitComparison) {
  const auto base = *IpAddress::parse("172.16.0.0");
  for (unsigned bits = 12; bits <= 32; ++bits) {
    const auto block = Cidr::parse("172.16.0.0/" + std::to_string(bits));
    ASSERT_TRUE(block.has_value());
    for (unsigned flipped = 0; flipped < 32; ++flipped) {
      std::array<std::uint8_t, 4> octets{};
      std::copy(base.octets().begin(), base.octets().end(), octets.begin());
      octets[flipped / 8] = static_cast<std::uint8_t>(octets[flipped / 8] ^ 0x80 >> flipped % 8);
      EXPECT_EQ(block->contains(*IpAddress::from_octets(octets)), flipped >= bits);
    }
  }
}

TEST(Cidr, RefusesWhatIsNotOneBlock) {
  for (const std::string_view bad :
       {"", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.1/8", "10.0.0/8",
        "2001:db8::1/64", "::/129", "::ffff:10.0.0.0/104", "10.0.0.0/8/8", "10.0.0.0/8 ",
        "10.0.0.0 /8", "any"}) {
    EXPECT_FALSE(Cidr::parse(bad).has_value()) << bad;
  }
  EXPECT_EQ(Cidr::parse("10.0.0.0/8")->text(), "10.0.0.0/8");
  EXPECT_EQ(Cidr::parse("10.0.0.1")->text(), "10.0.0.1/32");
  EXPECT_EQ(Cidr::parse("2001:db8::/32")->text(), "2001:db8::/32");
}

TEST(Endpoint, IsAnAddressAndAPort) {
  for (const std::string_view text :
       {"0.0.0.0:22", "[::]:22", "127.0.0.1:0", "[2001:db8::1]:65535"}) {
    ASSERT_TRUE(Endpoint::parse(text).has_value()) << text;
    EXPECT_EQ(Endpoint::parse(text)->text(), text);
  }
  for (const std::string_view bad :
       {"", ":22", "22", "0.0.0.0", "0.0.0.0:", "0.0.0.0:65536", "0.0.0.0:022", "::1:22", "[::1]",
        "[0.0.0.0]:22", "localhost:22", "[::1%lo]:22", "*:22"}) {
    EXPECT_FALSE(Endpoint::parse(bad).has_value()) << bad;
  }
}

TEST(IpAddress, SpecialAddressesAreThoseOfNoOtherHost) {
  for (const std::string_view special :
       {"0.1.2.3", "127.0.0.1", "169.254.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "febf::1", "ff02::1", "64:ff9b::7f00:1", "2002:7f00:1::1",
        "::127.0.0.1"}) {
    EXPECT_TRUE(IpAddress::parse(special)->is_special()) << special;
  }
  for (const std::string_view ordinary :
       {"10.0.0.1", "100.64.0.1", "192.168.1.1", "223.255.255.255", "1.0.0.0", "2001:db8::1",
        "fd00::1", "64:ff9b::a00:1", "2002:a00:1::1"}) {
    EXPECT_FALSE(IpAddress::parse(ordinary)->is_special()) << ordinary;
  }
}

}  // namespace
}  // namespace bastion
