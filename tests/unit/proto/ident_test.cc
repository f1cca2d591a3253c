#include "proto/ident.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace bastion::proto {
namespace {

Result<IdentScan> scan(Role role, std::string_view text) {
  std::size_t pre_lines = 0;
  return scan_ident(role, as_bytes(text), pre_lines);
}

void expect_ident(Role role, std::string_view text, std::string_view ident) {
  const auto found = scan(role, text);
  ASSERT_TRUE(found.has_value()) << found.error().text;
  EXPECT_TRUE(found->complete);
  EXPECT_EQ(found->ident, ident);
}

void expect_refused(Role role, std::string_view text, ErrorCode code) {
  const auto found = scan(role, text);
  ASSERT_FALSE(found.has_value()) << text;
  EXPECT_EQ(found.error().code, code);
}

TEST(Ident, TakesWhatPeersSay) {
  for (const Role role : {Role::kServer, Role::kClient}) {
    expect_ident(role, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
                 "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3");
    expect_ident(role, "SSH-2.0-dropbear\n", "SSH-2.0-dropbear");
    expect_ident(role, "SSH-1.99-Cisco-1.25\r\n", "SSH-1.99-Cisco-1.25");
    expect_ident(role, "SSH-2.0--odd\r\n", "SSH-2.0--odd");
  }
}

TEST(Ident, LeavesWhatFollows) {
  const auto found = scan(Role::kServer, "SSH-2.0-x\r\nSSH-2.0-y\r\n");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->consumed, 11u);
  EXPECT_EQ(found->ident, "SSH-2.0-x");
}

TEST(Ident, NeedsMoreUntilTheLineEnds) {
  const std::string_view line = "SSH-2.0-OpenSSH_9.2\r\n";
  for (const Role role : {Role::kServer, Role::kClient}) {
    for (std::size_t len = 0; len < line.size(); ++len) {
      const auto found = scan(role, line.substr(0, len));
      ASSERT_TRUE(found.has_value()) << len;
      EXPECT_FALSE(found->complete);
      EXPECT_EQ(found->consumed, 0u);
    }
  }
}

TEST(Ident, sec_048_AServerTakesNothingElse) {
  for (const char* text : {"GET / HTTP/1.1\r\n", "G", "\x16\x03\x01", "\r\n", "\n", "SSX",
                           "ssh-2.0-x", "hello\r\nSSH-2.0-x\r\n", "SSH\r\n", "SSH\n"}) {
    expect_refused(Role::kServer, text, ErrorCode::kProtocol);
  }
}

TEST(Ident, sec_048_AServerRefusesAtTheFirstWrongOctet) {
  EXPECT_TRUE(scan(Role::kServer, "SSH").has_value());
  expect_refused(Role::kServer, "SSI", ErrorCode::kProtocol);
  expect_refused(Role::kServer, std::string_view("\0", 1), ErrorCode::kProtocol);
}

TEST(Ident, sec_048_RefusesMoreThan255Bytes) {
  const std::string most = "SSH-2.0-" + std::string(255 - 8 - 2, 'x') + "\r\n";
  ASSERT_EQ(most.size(), limits::kIdentLineMax);
  for (const Role role : {Role::kServer, Role::kClient}) {
    EXPECT_TRUE(scan(role, most).has_value());
    EXPECT_TRUE(scan(role, most)->complete);
    expect_refused(role, "SSH-2.0-" + std::string(255 - 8, 'x'), ErrorCode::kLimit);
    expect_refused(role, "SSH-2.0-" + std::string(255 - 8 - 1, 'x') + "\r\n", ErrorCode::kLimit);
  }
}

TEST(Ident, RefusesNulAndControlCharacters) {
  for (const Role role : {Role::kServer, Role::kClient}) {
    expect_refused(role, std::string_view("SSH-2.0-a\0", 10), ErrorCode::kProtocol);
    expect_refused(role, std::string_view("SSH-2.0-a\0b\r\n", 13), ErrorCode::kProtocol);
    expect_refused(role, "SSH-2.0-a\x1b[2J\r\n", ErrorCode::kProtocol);
    expect_refused(role, "SSH-2.0-a\rb\r\n", ErrorCode::kProtocol);
    expect_refused(role, "SSH-2.0-a\x7f\r\n", ErrorCode::kProtocol);
  }
  expect_refused(Role::kClient, std::string_view("hello\0\r\nSSH-2.0-a\r\n", 19),
                 ErrorCode::kProtocol);
}

TEST(Ident, RefusesOtherVersions) {
  for (const Role role : {Role::kServer, Role::kClient}) {
    for (const char* text : {"SSH-1.5-old\r\n", "SSH-2.1-x\r\n", "SSH-3.0-x\r\n", "SSH--x\r\n",
                             "SSH-2.00-x\r\n", "SSH-1.98-x\r\n"}) {
      expect_refused(role, text, ErrorCode::kUnsupported);
    }
    for (const char* text : {"SSH-2.0\r\n", "SSH-2.0-\r\n", "SSH-\r\n"}) {
      expect_refused(role, text, ErrorCode::kProtocol);
    }
  }
}

TEST(Ident, AClientPassesOverLinesBefore) {
  expect_ident(Role::kClient, "Welcome\r\n\r\nSSH\nSSH2\r\nSSH-2.0-x\r\n", "SSH-2.0-x");
  const auto part = scan(Role::kClient, "Welcome\r\nand more");
  ASSERT_TRUE(part.has_value());
  EXPECT_EQ(part->consumed, 9u);
  EXPECT_FALSE(part->complete);
}

TEST(Ident, sec_048_AClientTakesABoundedNumberOfLines) {
  std::size_t pre_lines = 0;
  for (std::size_t i = 0; i < limits::kPreIdentLinesMax; ++i) {
    const auto found = scan_ident(Role::kClient, as_bytes("line\r\n"), pre_lines);
    ASSERT_TRUE(found.has_value()) << i;
    EXPECT_EQ(found->consumed, 6u);
  }
  auto last = pre_lines;
  EXPECT_TRUE(scan_ident(Role::kClient, as_bytes("SSH-2.0-x\r\n"), last)->complete);
  EXPECT_FALSE(scan_ident(Role::kClient, as_bytes("line\r\n"), pre_lines).has_value());
}

TEST(Ident, sec_048_AClientTakesLinesOfABoundedLength) {
  const std::string most(limits::kPreIdentLineBytesMax - 1, 'x');
  EXPECT_TRUE(scan(Role::kClient, most).has_value());
  EXPECT_TRUE(scan(Role::kClient, most + "\n").has_value());
  expect_refused(Role::kClient, most + "x", ErrorCode::kLimit);
}

}  // namespace
}  // namespace bastion::proto
