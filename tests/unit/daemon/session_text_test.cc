#include "daemon/worker/session_text.h"

#include <gtest/gtest.h>

namespace bastion::daemon {
namespace {

using proto::ChannelType;

TEST(SessionText, AReasonToDisconnectIsPartOfASentence) {
  EXPECT_EQ(disconnected_text("too many sessions"), "disconnected: too many sessions");
  EXPECT_EQ(disconnected_text("Bye now.\r\n"), "disconnected: Bye now");
  EXPECT_EQ(disconnected_text("\x1b[2J"), "disconnected: \\x1b[2J");
  for (const char* nothing : {"", ".", " . \n"}) {
    EXPECT_EQ(disconnected_text(nothing), "disconnected");
  }
}

TEST(SessionText, RefusedChannelsAreNamedAsOneWouldSayIt) {
  EXPECT_EQ(refused_channel_text(ChannelType::kDirectTcpip, "10.0.0.1:80", "no"),
            "refused a direct-tcpip channel to \"10.0.0.1:80\": no");
  EXPECT_EQ(refused_channel_text(ChannelType::kX11, "", "no"), "refused an x11 channel: no");
  EXPECT_EQ(refused_channel_text(ChannelType::kAgent, "", "no"),
            "refused an auth-agent@openssh.com channel: no");
  EXPECT_EQ(refused_channel_text(ChannelType::kSession, "", "no"), "refused a session channel: no");
  EXPECT_EQ(refused_channel_text(ChannelType::kUnknown, "", "unknown channel type"),
            "refused a channel of an unknown type: unknown channel type");
  EXPECT_EQ(refused_channel_text(ChannelType::kDirectTcpip, "a\nb:1", "\x1b"),
            "refused a direct-tcpip channel to \"a\\x0ab:1\": \\x1b");
}

TEST(SessionText, SocketsHaveNoPort) {
  EXPECT_EQ(forward_text({"tcpip-forward", "localhost", 8080, false, false}),
            "refused tcpip-forward localhost:8080");
  EXPECT_EQ(forward_text({"tcpip-forward", "localhost", 8080, true, true}),
            "established tcpip-forward localhost:8080");
  EXPECT_EQ(forward_text({"streamlocal-forward@openssh.com", "/run/x", 0, true, false}),
            "allowed streamlocal-forward@openssh.com /run/x");
}

}  // namespace
}  // namespace bastion::daemon
