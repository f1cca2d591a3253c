#include "config/known_hosts.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "tests/unit/config/support.h"

namespace bastion::config {
namespace {

using Marker = KnownHosts::Marker;

KnownHosts parse(const std::string& text) {
  auto hosts = KnownHosts::parse(expand(text));
  if (!hosts) {
    throw std::runtime_error(hosts.error().front().message);
  }
  return *hosts;
}

/// numbers gives the numbers of the keys (see key_blob) that are on record for a host.
std::vector<int> numbers(const KnownHosts& hosts, std::string_view host, std::uint16_t port = 22,
                         Marker marker = Marker::kNone) {
  std::vector<int> found;
  for (const KnownHosts::Entry* entry : hosts.matches(host, port, marker)) {
    found.push_back(entry->key_blob.back());
  }
  return found;
}

std::string hashed(std::string_view name) {
  const Bytes salt(20, 7);
  return "|1|" + crypto::base64_encode(salt) + "|" +
         crypto::base64_encode(
             crypto::hmac(crypto::HashAlgorithm::kSha1, salt, as_bytes(name)).view());
}

TEST(KnownHosts, FindsPlainNamesAndAddresses) {
  const auto hosts = parse("web1,10.0.0.1 KEY1 a comment here\nweb2 KEY2\n2001:db8::1 KEY3\n");
  EXPECT_EQ(numbers(hosts, "web1"), std::vector<int>{1});
  EXPECT_EQ(numbers(hosts, "WEB1"), std::vector<int>{1});
  EXPECT_EQ(numbers(hosts, "10.0.0.1"), std::vector<int>{1});
  EXPECT_EQ(numbers(hosts, "web2"), std::vector<int>{2});
  EXPECT_EQ(numbers(hosts, "2001:db8::1"), std::vector<int>{3});
  EXPECT_TRUE(numbers(hosts, "web").empty());
  EXPECT_TRUE(numbers(hosts, "web1,10.0.0.1").empty());
  EXPECT_TRUE(numbers(hosts, "").empty());
}

TEST(KnownHosts, WildcardsAndNegatedNames) {
  const auto hosts = parse("*.corp,!bad.corp,web? KEY1\n!only.corp KEY2\n* KEY3\n");
  EXPECT_EQ(numbers(hosts, "a.corp"), (std::vector<int>{1, 3}));
  EXPECT_EQ(numbers(hosts, "bad.corp"), (std::vector<int>{3}));
  EXPECT_EQ(numbers(hosts, "web1"), (std::vector<int>{1, 3}));
  EXPECT_EQ(numbers(hosts, "only.corp"), (std::vector<int>{1, 3}));
  EXPECT_EQ(numbers(hosts, "other"), (std::vector<int>{3})) << "a lone negation covers nobody";
}

TEST(KnownHosts, APortOtherThan22IsPartOfTheName) {
  const auto hosts = parse("[web1]:2222 KEY1\nweb1 KEY2\n[web2]:22 KEY3\n");
  EXPECT_EQ(numbers(hosts, "web1", 2222), std::vector<int>{1});
  EXPECT_EQ(numbers(hosts, "web1", 22), std::vector<int>{2});
  EXPECT_TRUE(numbers(hosts, "web1", 2223).empty());
  EXPECT_TRUE(numbers(hosts, "web2", 22).empty()) << "as in OpenSSH, which never writes [host]:22";
}

TEST(KnownHosts, HashedNames) {
  const auto hosts = parse(hashed("web1") + " KEY1\n" + hashed("[web1]:2222") + " KEY2\n");
  EXPECT_EQ(numbers(hosts, "web1"), std::vector<int>{1});
  EXPECT_EQ(numbers(hosts, "Web1"), std::vector<int>{1});
  EXPECT_EQ(numbers(hosts, "web1", 2222), std::vector<int>{2});
  EXPECT_TRUE(numbers(hosts, "web2").empty());
}

TEST(KnownHosts, NamesHashedBySshKeygen) {
  const auto hosts = parse(
      "|1|pIDBgcuf0Xe3h0DFDVkIwKWPHEw=|nLCpKHtyFW8/eZ4mnWBy8swOisU= KEY1\n"
      "|1|BBkpVYhv2wQJhbMj2yh5VhSfzsE=|KNf56oPms7n1bYSkXFQjjISOPq4= KEY2\n");
  EXPECT_EQ(numbers(hosts, "web1"), std::vector<int>{1});
  EXPECT_EQ(numbers(hosts, "web1", 2222), std::vector<int>{2});
  EXPECT_TRUE(numbers(hosts, "web1", 2223).empty());
}

TEST(KnownHosts, AnswersTheSameTheSecondTimeAndAfterManyOthers) {
  const auto hosts = parse(hashed("web1") + " KEY1\nweb1 KEY2\n@revoked [web1]:2222,web1 KEY3\n");
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(numbers(hosts, "web1"), (std::vector<int>{1, 2}));
    EXPECT_EQ(numbers(hosts, "web1", 2222, Marker::kRevoked), std::vector<int>{3}) << "once";
    for (int i = 0; i < 5000; ++i) {
      EXPECT_TRUE(numbers(hosts, "other" + std::to_string(i)).empty());
    }
  }
}

TEST(KnownHosts, MarkersAreKeptApart) {
  const auto hosts = parse("@cert-authority *.corp KEY1\n@revoked * KEY2\nweb1.corp KEY2\n");
  EXPECT_EQ(numbers(hosts, "web1.corp"), std::vector<int>{2});
  EXPECT_EQ(numbers(hosts, "web1.corp", 22, Marker::kCertAuthority), std::vector<int>{1});
  EXPECT_EQ(numbers(hosts, "web1.corp", 22, Marker::kRevoked), std::vector<int>{2});
  EXPECT_TRUE(numbers(hosts, "web1", 22, Marker::kCertAuthority).empty());
  // A CA or a revocation for the plain name holds on every port.
  EXPECT_EQ(numbers(hosts, "web1.corp", 2222, Marker::kCertAuthority), std::vector<int>{1});
  EXPECT_EQ(numbers(hosts, "web1.corp", 2222, Marker::kRevoked), std::vector<int>{2});
}

TEST(KnownHosts, BlanksCommentsAndLineEnds) {
  const auto hosts = parse("# comment\n\n   \t\n  web1\t \tKEY1\r\n\t# web2 KEY2\nweb3 KEY3");
  EXPECT_EQ(hosts.size(), 2U);
  EXPECT_EQ(numbers(hosts, "web1"), std::vector<int>{1});
  EXPECT_EQ(numbers(hosts, "web3"), std::vector<int>{3});
  EXPECT_EQ(hosts.matches("web3", 22, Marker::kNone).front()->line, 6);
}

TEST(sec_082_KnownHosts, EmptyFilesKnowNobody) {
  for (const std::string text : {"", "\n", "# web1 KEY1\n", " \t\r\n#\n"}) {
    EXPECT_EQ(parse(text).size(), 0U);
    EXPECT_TRUE(numbers(parse(text), "web1").empty());
  }
}

TEST(KnownHosts, KeysOfTypesThatWeDoNotSpeakAreKept) {
  Writer blob;
  blob.text("ssh-dss").mpint(Bytes(20, 1));
  const auto hosts = parse("@revoked * ssh-dss " + crypto::base64_encode(blob.view()) + "\n");
  ASSERT_EQ(hosts.size(), 1U);
  EXPECT_EQ(hosts.matches("x", 22, Marker::kRevoked).front()->key_type, "ssh-dss");
}

TEST(sec_082_KnownHosts, ALineThatCannotBeReadRefusesTheFile) {
  const std::string good = key_line(1);
  const std::string base64 = good.substr(good.find(' ') + 1);
  for (const std::string& bad :
       std::vector<std::string>{"web1",
                                "web1 ssh-ed25519",
                                "web1 " + base64,
                                "web1 ssh-rsa " + base64,
                                "web1 ssh-ed25519 " + base64.substr(1),
                                "web1 ssh-ed25519 !!!!",
                                "web1 ssh-ed25519 AAAA",
                                "@revoked",
                                "@revoked web1",
                                "@Revoked * " + good,
                                "@revoked @cert-authority * " + good,
                                "@unknown * " + good,
                                ",web1 " + good,
                                "web1,,web2 " + good,
                                "! " + good,
                                "|1|AAAA|AAAA " + good,
                                "|1| " + good,
                                "|1|" + std::string(28, 'A') + " " + good,
                                "|2|x|y|z" + std::string(300, 'x') + " " + good,
                                std::string("web1\0 ", 6) + good,
                                "ssh-ed25519 " + base64}) {
    const auto hosts = KnownHosts::parse("web0 " + good + "\n" + bad + "\n");
    ASSERT_FALSE(hosts.has_value()) << bad;
    ASSERT_EQ(hosts.error().size(), 1U) << bad;
    EXPECT_EQ(hosts.error().front().line, 2) << bad;
  }
}

TEST(KnownHosts, AllBadLinesAreNamed) {
  const auto hosts = KnownHosts::parse("x\n\ny\nz");
  ASSERT_FALSE(hosts.has_value());
  ASSERT_EQ(hosts.error().size(), 3U);
  EXPECT_EQ(hosts.error()[1].line, 3);
  EXPECT_EQ(hosts.error()[2].line, 4);
}

TEST(KnownHosts, TheLineToAddFindsTheHost) {
  for (const std::uint16_t port : {std::uint16_t{22}, std::uint16_t{2222}}) {
    const auto hosts = parse(known_hosts_line("Web1", port, key_blob(4)) + "\n");
    EXPECT_EQ(numbers(hosts, "web1", port), std::vector<int>{4});
  }
}

TEST(KnownHosts, DigestCoversWhatTheLinesSay) {
  const auto digest = [](const std::string& text) { return parse(text).digest(); };
  EXPECT_EQ(digest("web1 KEY1 comment\n"), digest("# x\n  web1   KEY1\n"));
  EXPECT_NE(digest("web1 KEY1\n"), digest("web1 KEY2\n"));
  EXPECT_NE(digest("web1 KEY1\n"), digest("web2 KEY1\n"));
  EXPECT_NE(digest("web1 KEY1\n"), digest("@revoked web1 KEY1\n"));
  EXPECT_NE(digest("a,b KEY1\n"), digest("a KEY1\nb KEY1\n"));
}

}  // namespace
}  // namespace bastion::config
