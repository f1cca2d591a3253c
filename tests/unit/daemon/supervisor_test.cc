#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <string>

#include "daemon/supervisor/children.h"
#include "daemon/supervisor/configuration.h"
#include "daemon/supervisor/identity.h"
#include "daemon/supervisor/listen.h"
#include "daemon/supervisor/notify.h"

namespace bastion::daemon {
namespace {

Endpoint endpoint(std::string_view text) { return *Endpoint::parse(text); }

int option_of(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  EXPECT_EQ(getsockopt(fd, level, name, &value, &length), 0);
  return value;
}

TEST(ListenOn, GivesASocketWhoseConnectionsAreReadyForUs) {
  const auto listener = listen_on(endpoint("127.0.0.1:0"));
  ASSERT_TRUE(listener.has_value()) << listener.error();
  EXPECT_NE(listener->bound.port, 0);
  const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ASSERT_EQ(getsockname(listener->fd.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  const UniqueFd accepted(accept(listener->fd.get(), nullptr, nullptr));
  EXPECT_EQ(option_of(accepted.get(), IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option_of(accepted.get(), SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(fcntl(accepted.get(), F_GETFL) & O_NONBLOCK, 0) << "the ring wants blocking sockets";
  EXPECT_EQ(peer_address(accepted.get()).text(), "127.0.0.1");
}

TEST(ListenOn, TakesIpv6WithoutIpv4) {
  const auto six = listen_on(endpoint("[::1]:0"));
  ASSERT_TRUE(six.has_value()) << six.error();
  EXPECT_EQ(option_of(six->fd.get(), IPPROTO_IPV6, IPV6_V6ONLY), 1);
}

TEST(ListenOn, SaysWhatToDoAboutATakenPort) {
  const auto first = listen_on(endpoint("127.0.0.1:0"));
  ASSERT_TRUE(first.has_value());
  const auto second = listen_on(first->bound);
  ASSERT_FALSE(second.has_value());
  EXPECT_NE(second.error().find("another program has that port"), std::string::npos);
  EXPECT_NE(second.error().find(std::to_string(first->bound.port)), std::string::npos);
  EXPECT_EQ(second.error().find('\n'), std::string::npos);
}

TEST(ListenOn, SaysThatAnAddressIsNotHere) {
  const auto listener = listen_on(endpoint("192.0.2.1:0"));
  ASSERT_FALSE(listener.has_value());
  EXPECT_NE(listener.error().find("no interface"), std::string::npos);
}

TEST(PeerAddress, OfASocketThatIsGoneIsNobodys) {
  const UniqueFd lone(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(peer_address(lone.get()), IpAddress());
}

TEST(RestartDelay, DoublesUpToItsLongestAndIsForgottenAfterAHealthyLife) {
  RestartDelay delay;
  EXPECT_EQ(delay.next_ms(50), 100);
  EXPECT_EQ(delay.next_ms(50), 200);
  EXPECT_EQ(delay.next_ms(50), 400);
  for (int i = 0; i < 100; ++i) {
    EXPECT_LE(delay.next_ms(50), RestartDelay::kLongestMs);
  }
  EXPECT_EQ(delay.next_ms(50), RestartDelay::kLongestMs);
  EXPECT_EQ(delay.next_ms(RestartDelay::kHealthyMs), 0);
  EXPECT_EQ(delay.next_ms(50), 100);
}

TEST(HowItEnded, IsSaidInWords) {
  EXPECT_EQ(how_it_ended(3 << 8), "with exit status 3");
  EXPECT_EQ(how_it_ended(SIGKILL), "by signal 9 (Killed)");
  EXPECT_NE(how_it_ended(SIGSYS).find("its sandbox forbids"), std::string::npos);
}

/// Receiver is systemd's end of NOTIFY_SOCKET, at an abstract address.
class Receiver {
 public:
  Receiver() : fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    name_ = "@bastiond-notify-" + std::to_string(getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name_.data() + 1, name_.size() - 1);
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size())),
              0);
  }
  const char* name() const { return name_.c_str(); }
  std::string next() {
    char buffer[512];
    const ssize_t n = recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    return n < 0 ? "" : std::string(buffer, static_cast<std::size_t>(n));
  }

 private:
  UniqueFd fd_;
  std::string name_;
};

TEST(Notifier, SpeaksSystemdsProtocol) {
  Receiver systemd;
  Notifier notifier(systemd.name());
  notifier.ready("ready: 2 users");
  EXPECT_EQ(systemd.next(), "READY=1\nSTATUS=ready: 2 users\n");
  notifier.reloading();
  const std::string reloading = systemd.next();
  EXPECT_TRUE(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC=")) << reloading;
  notifier.stopping("ending sessions");
  EXPECT_EQ(systemd.next(), "STOPPING=1\nSTATUS=ending sessions\n");
}

TEST(Notifier, IsSilentWithoutSystemdAndWithANonsenseAddress) {
  const std::string long_path = "/" + std::string(300, 'x');
  for (const char* address :
       {static_cast<const char*>(nullptr), "", "relative", "/nowhere/at/all", long_path.c_str()}) {
    Notifier notifier(address);
    notifier.ready("x");
  }
}

TEST(SealedMemory, CannotBeChangedByWhoeverGetsIt) {
  const auto memory = sealed_memory(as_bytes("host key"));
  ASSERT_TRUE(memory.has_value());
  char buffer[16];
  EXPECT_EQ(pread(memory->get(), buffer, sizeof buffer, 0), 8);
  EXPECT_EQ(std::string(buffer, 8), "host key");
  EXPECT_EQ(pwrite(memory->get(), "x", 1, 0), -1);
  EXPECT_EQ(ftruncate(memory->get(), 0), -1);
  EXPECT_NE(fcntl(memory->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(Identities, AreOneUnprivilegedUidOrOurOwn) {
  const auto identities = find_identities(true);
  ASSERT_TRUE(identities.has_value());
  EXPECT_TRUE(identities->same_uid);
  EXPECT_EQ(identities->change, geteuid() == 0);
  for (const auto& [role, identity] : identities->roles) {
    EXPECT_NE(identity.uid, 0u);
    EXPECT_NE(identity.gid, 0u);
  }
}

TEST(Groups, AreFoundByName) {
  EXPECT_EQ(group_id("root"), gid_t{0});
  EXPECT_FALSE(group_id("no-such-group-here").has_value());
}

}  // namespace
}  // namespace bastion::daemon
