#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <tuple>

#include "daemon/ipc/channel.h"
#include "daemon/supervisor/configuration.h"
#include "daemon/supervisor/spawn.h"
#include "tests/evil/attack.h"

/// The real warden, started as the supervisor starts it, in its sandbox: what an evil gate and an
/// evil worker get from it over their real channels.
namespace bastion::test {
namespace {

namespace ipc = daemon::ipc;
using daemon::PeerId;
using daemon::UniqueFd;

constexpr int kPatienceMs = 20'000;

/// Answer is one message, owned.
struct Answer {
  ipc::Header header;
  SecretBytes body;
  UniqueFd fd;
  bool closed = false;
};

/// End is the far end of one of the warden's channels.
class End {
 public:
  explicit End(UniqueFd fd) : channel_(std::move(fd)) {}

  template <typename Message>
  void send(std::uint32_t request, ipc::SessionId session, const Message& message, int fd = -1) {
    send_packet(ipc::encode(ipc::Header{.request = request, .session = session}, message), fd);
  }
  void send_packet(SecretBytes packet, int fd = -1) {
    // A warden that has ended us does not read on: that is seen by what it tells the supervisor.
    (void)channel_.send_packet(std::move(packet),
                               fd < 0 ? std::span<const int>() : std::span<const int>(&fd, 1));
  }
  Answer receive() {
    while (true) {
      auto received = channel_.receive();
      if (!received || received->state == ipc::Received::State::kClosed) {
        Answer closed;
        closed.closed = true;
        return closed;
      }
      if (received->state == ipc::Received::State::kMessage) {
        Answer answer;
        answer.header = received->header;
        answer.body = to_secret(received->body);
        answer.fd = std::move(received->fds[0]);
        return answer;
      }
      pollfd ready{channel_.fd(), POLLIN, 0};
      if (poll(&ready, 1, kPatienceMs) != 1) {
        throw std::runtime_error("the warden says nothing");
      }
    }
  }
  /// until skips what is not of this type.
  Answer until(ipc::Type type) {
    while (true) {
      Answer answer = receive();
      if (answer.closed || answer.header.type == type) {
        return answer;
      }
    }
  }
  /// flush sends what had to wait for room.
  void flush() {
    while (channel_.wants_writable()) {
      pollfd ready{channel_.fd(), POLLOUT, 0};
      if (poll(&ready, 1, kPatienceMs) != 1 || !channel_.on_writable()) {
        throw std::runtime_error("the warden reads nothing");
      }
    }
  }
  int fd() const { return channel_.fd(); }

 private:
  ipc::Channel channel_;
};

/// listen_somewhere gives a listening socket on loopback and its port.
std::pair<UniqueFd, std::uint16_t> listen_somewhere(int backlog) {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(listener.get(), generic, length), 0);
  EXPECT_EQ(listen(listener.get(), backlog), 0);
  EXPECT_EQ(getsockname(listener.get(), generic, &length), 0);
  return {std::move(listener), ntohs(address.sin_port)};
}

/// FilesLimit holds the soft limit on open files down for processes that are started meanwhile.
class FilesLimit {
 public:
  explicit FilesLimit(rlim_t files_max) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lowered{files_max == 0 ? before_.rlim_cur : files_max, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &lowered);
  }
  ~FilesLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  FilesLimit(const FilesLimit&) = delete;
  FilesLimit& operator=(const FilesLimit&) = delete;

 private:
  rlimit before_{};
};

class WardenProcess : public ::testing::Test {
 protected:
  explicit WardenProcess(rlim_t files_max = 0) {
    // A target that listens, so that a granted connection can be told from none, and one that takes
    // a connection or two and leaves the others waiting.
    std::uint16_t port = 0;
    std::tie(listener_, port) = listen_somewhere(16);
    std::tie(hole_, hole_port_) = listen_somewhere(0);
    std::string policy = World::default_policy();
    policy.replace(policy.find("10.0.1.11"), 9, "127.0.0.1\n    port: " + std::to_string(port));
    policy.replace(policy.find("10.0.9.1"), 8,
                   "127.0.0.1\n    port: " + std::to_string(hole_port_));

    auto pair = *ipc::socket_pair();
    daemon::Programs programs;
    const auto own = std::filesystem::read_symlink("/proc/self/exe");
    const auto bastiond = own.parent_path().parent_path().parent_path() / "daemon" / "bastiond";
    programs.bastiond.reset(open(bastiond.c_str(), O_PATH | O_CLOEXEC));
    daemon::ChildSpec spec;
    spec.role = ipc::Role::kWarden;
    spec.supervisor_end = pair[1].get();
    spec.log_level = daemon::LogLevel::kError;
    {
      const FilesLimit limit(files_max);
      pid_ = *daemon::spawn(programs, spec);
    }
    pair[1].reset();
    supervisor_.emplace(std::move(pair[0]));

    const auto memory = *daemon::sealed_memory(bundle_of(policy).serialise());
    supervisor_->send(1, 0, ipc::Configuration{kServicePath, "start"}, memory.get());
    const Answer answer = supervisor_->until(ipc::Type::kConfigurationResult);
    const auto result = ipc::decode<ipc::ConfigurationResult>(answer.body);
    EXPECT_TRUE(result && result->ok) << (result ? result->text : "");
    add(kGate0, gate_);
    add(kWorker0, worker_);
  }
  ~WardenProcess() override {
    supervisor_.reset();  // its end of file is the order to go
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }

  void add(PeerId peer, std::optional<End>& out) {
    auto pair = *ipc::socket_pair();
    supervisor_->send(0, 0, ipc::AddPeer{peer.role, peer.index, ++last_pid_}, pair[1].get());
    out.emplace(std::move(pair[0]));
    EXPECT_EQ(out->receive().header.type, ipc::Type::kSettings);
  }

  /// expect_ended: the supervisor is told to kill this peer, whose channel ends; then it gets a
  /// successor.
  void expect_ended(PeerId peer, std::optional<End>& end) {
    const Answer told = supervisor_->until(ipc::Type::kEndPeer);
    const auto message = ipc::decode<ipc::EndPeer>(told.body);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->role, peer.role);
    EXPECT_EQ(message->index, peer.index);
    EXPECT_NE(message->why, "");
    while (!end->receive().closed) {
    }
    supervisor_->send(0, 0, ipc::PeerGone{message->role, message->index, message->pid});
    add(peer, end);
  }

  Connection connect(const crypto::PrivateKey& host = Keys::get().host,
                     std::string_view algorithm = "ssh-ed25519") {
    Connection out;
    gate_->send(++request_, 0, ipc::TakeCookies{1});
    const auto cookies = *ipc::decode<ipc::Cookies>(gate_->until(ipc::Type::kCookies).body);
    out.exchange = world_.exchange(cookies.cookies.at(0), host, algorithm);
    out.hash = hash_of(out.exchange);
    auto [near, far] = tcp_pair();
    out.user_end = std::move(near);
    gate_->send(++request_, 0, ipc::SignFirstExchange{out.exchange}, far.get());
    const Answer answer = gate_->receive();
    EXPECT_EQ(answer.header.type, ipc::Type::kExchangeSigned);
    out.session = answer.header.session;
    return out;
  }
  bool log_in(const Connection& connection, const std::string& name) {
    gate_->send(++request_, connection.session,
                world_.signed_request(connection, name, Keys::get().alice));
    const Answer answer = gate_->until(ipc::Type::kVerdict);
    const auto verdict = ipc::decode<ipc::Verdict>(answer.body);
    return verdict && verdict->success;
  }
  Connection adopted(const std::string& name) {
    Connection connection = connect();
    EXPECT_TRUE(log_in(connection, name));
    gate_->send(0, connection.session, ipc::HandOver{SecretBytes(4), SecretBytes()});
    const Answer adopt = worker_->until(ipc::Type::kAdopt);
    EXPECT_EQ(adopt.header.session, connection.session);
    EXPECT_TRUE(adopt.fd);
    return connection;
  }
  bool was_dialled() {
    const UniqueFd accepted(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    return static_cast<bool>(accepted);
  }
  /// lives: an honest login still works, from the first exchange to credentials for the target.
  void expect_lives() {
    const Connection connection = adopted("deploy@web1");
    const Answer connected = worker_->until(ipc::Type::kTargetConnected);
    ASSERT_TRUE(connected.fd);
    int nodelay = 0;
    socklen_t length = sizeof nodelay;
    EXPECT_EQ(getsockopt(connected.fd.get(), IPPROTO_TCP, TCP_NODELAY, &nodelay, &length), 0);
    EXPECT_NE(nodelay, 0);
    EXPECT_TRUE(was_dialled());
    const TargetExchange target = world_.target_exchange();
    worker_->send(++request_, connection.session,
                  ipc::TargetVerify{target.exchange, target.signature});
    const Answer verified = worker_->receive();
    EXPECT_EQ(verified.header.type, ipc::Type::kTargetVerified);
    worker_->send(0, connection.session, ipc::SessionEnded{"logout", 0, 0});
  }
  std::string status() {
    supervisor_->send(99, 0, ipc::ControlRequest{true, "uid 0", R"({"command":"status"})"});
    return ipc::decode<ipc::ControlReply>(supervisor_->until(ipc::Type::kControlReply).body)->json;
  }

  World world_;  // for its users and targets only
  UniqueFd listener_, hole_;
  std::uint16_t hole_port_ = 0;
  pid_t pid_ = -1;
  std::uint32_t last_pid_ = 1000;
  std::uint32_t request_ = 0;
  std::optional<End> supervisor_, gate_, worker_;
};

TEST_F(WardenProcess, ServesAnHonestLogin) {
  expect_lives();
  EXPECT_NE(status().find(R"("ok":1)"), std::string::npos);
}

TEST_F(WardenProcess, AForgedSessionGetsNothing) {
  const Connection real = connect();
  gate_->send(++request_, real.session ^ (std::uint64_t{7} << 32),
              world_.signed_request(real, "deploy@web1", Keys::get().alice));
  EXPECT_EQ(gate_->receive().header.type, ipc::Type::kRefused);
  worker_->send(++request_, real.session, ipc::AskListing{});
  expect_ended(kWorker0, worker_);
  EXPECT_FALSE(was_dialled());
  EXPECT_TRUE(log_in(real, "alice")) << "the gate did no wrong";
  expect_lives();
}

TEST_F(WardenProcess, AReplayedExchangeEndsTheGate) {
  const Connection connection = connect();
  const UniqueFd again = tcp_pair().second;
  gate_->send(++request_, 0, ipc::SignFirstExchange{connection.exchange}, again.get());
  expect_ended(kGate0, gate_);
  expect_lives();
}

TEST_F(WardenProcess, SignaturesByStrangersDialNothing) {
  const Connection connection = connect();
  for (int i = 0; i < 3; ++i) {
    gate_->send(++request_, connection.session,
                world_.signed_request(connection, "deploy@web1", Keys::get().mallory));
    const auto verdict = ipc::decode<ipc::Verdict>(gate_->until(ipc::Type::kVerdict).body);
    ASSERT_TRUE(verdict);
    EXPECT_FALSE(verdict->success);
  }
  gate_->send(0, connection.session, ipc::HandOver{});
  expect_ended(kGate0, gate_);
  EXPECT_FALSE(was_dialled());
  expect_lives();
}

TEST_F(WardenProcess, ATunnelThatIsNotGranted) {
  const Connection menu = adopted("alice");
  for (const char* host : {"127.0.0.1", "web1", "localhost", "10.0.9.2"}) {
    worker_->send(++request_, menu.session, ipc::OpenTunnel{1, host, 22});
    EXPECT_EQ(worker_->receive().header.type, ipc::Type::kRefused) << host;
  }
  EXPECT_FALSE(was_dialled());
  const Connection routed = adopted("root@web1");
  worker_->send(++request_, routed.session, ipc::OpenTunnel{1, "lab1", 22});
  expect_ended(kWorker0, worker_);
  expect_lives();
}

TEST_F(WardenProcess, AWrongTargetGetsNoCredential) {
  const Connection connection = adopted("deploy@web1");
  worker_->until(ipc::Type::kTargetConnected);
  EXPECT_TRUE(was_dialled());
  const TargetExchange target = world_.target_exchange(Keys::get().mallory);
  worker_->send(++request_, connection.session,
                ipc::TargetVerify{target.exchange, target.signature});
  EXPECT_EQ(worker_->receive().header.type, ipc::Type::kRefused);
  worker_->send(++request_, connection.session, ipc::TargetSign{0, "ssh-ed25519"});
  expect_ended(kWorker0, worker_);
  expect_lives();
}

TEST_F(WardenProcess, FloodsOfBytesEndTheirSenderOnly) {
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 50; ++i) {
      SecretBytes packet(1 + world_.random.below(300));
      world_.random.fill(packet);
      if (packet.size() > 2 && i % 2 == 0) {
        packet[0] = ipc::kVersion;
        packet[1] = static_cast<std::uint8_t>(kTypes[world_.random.below(kTypes.size())]);
      }
      (round % 2 == 0 ? gate_ : worker_)->send_packet(std::move(packet));
    }
    expect_ended(round % 2 == 0 ? kGate0 : kWorker0, round % 2 == 0 ? gate_ : worker_);
  }
  expect_lives();
  EXPECT_FALSE(was_dialled());
}

TEST_F(WardenProcess, StrayDescriptorsAreClosedAndTooManyEndTheirSender) {
  const Connection connection = connect();
  auto [near, far] = tcp_pair();
  gate_->send(++request_, connection.session,
              ipc::KeyQuery{"alice", "ssh-ed25519", Keys::get().alice.public_key().blob()},
              far.get());
  EXPECT_EQ(gate_->receive().header.type, ipc::Type::kKeyAnswer);
  far.reset();
  pollfd gone{near.get(), POLLIN, 0};
  EXPECT_EQ(poll(&gone, 1, kPatienceMs), 1) << "the warden has closed its copy";

  // Our channel sends two at most; by hand it goes.
  const SecretBytes packet = ipc::encode(ipc::Header{.request = ++request_}, ipc::TakeCookies{1});
  iovec iov{const_cast<std::uint8_t*>(packet.data()), packet.size()};
  std::array<int, 20> fds;
  fds.fill(near.get());
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fds);
  std::memcpy(CMSG_DATA(header), fds.data(), sizeof fds);
  ASSERT_GT(sendmsg(gate_->fd(), &message, MSG_NOSIGNAL), 0);
  expect_ended(kGate0, gate_);
  expect_lives();
}

TEST_F(WardenProcess, AFloodOfRsaRekeysKeepsNobodyFromLoggingIn) {
  constexpr std::size_t kFlood = 2000;  // four times what one worker may have under way
  const Connection menu = adopted("alice");
  const ipc::Exchange rekey = world_.exchange({}, Keys::get().host_rsa, "rsa-sha2-512");
  for (std::size_t i = 0; i < kFlood; ++i) {
    worker_->send(++request_, menu.session, ipc::SignRekey{rekey});
  }
  worker_->flush();
  const Connection by_rsa = connect(Keys::get().host_rsa, "rsa-sha2-512");
  EXPECT_TRUE(log_in(by_rsa, "alice"));
  std::size_t num_signed = 0;
  std::size_t num_refused = 0;
  while (num_signed + num_refused < kFlood) {
    const Answer answer = worker_->receive();
    ASSERT_FALSE(answer.closed);
    num_signed += answer.header.type == ipc::Type::kExchangeSigned ? 1 : 0;
    num_refused += answer.header.type == ipc::Type::kRefused ? 1 : 0;
  }
  EXPECT_GE(num_signed, daemon::SlowPool::kJobsOfPeerMax);
  expect_lives();
}

/// A warden that may have so few files open that one gate or worker could fill its table.
class SmallWardenProcess : public WardenProcess {
 protected:
  static constexpr std::size_t kFilesMax = 160;
  SmallWardenProcess() : WardenProcess(kFilesMax) {}
};

TEST_F(SmallWardenProcess, SocketsOfOneGateWithoutEndKeepNobodyOfAnotherFromLoggingIn) {
  std::optional<End> other;
  add(kGate1, other);
  std::vector<Connection> held;
  std::size_t num_refused = 0;
  for (std::size_t i = 0; i < 2 * kFilesMax; ++i) {
    gate_->send(++request_, 0, ipc::TakeCookies{1});
    const auto cookies = *ipc::decode<ipc::Cookies>(gate_->until(ipc::Type::kCookies).body);
    auto [near, far] = tcp_pair();
    gate_->send(++request_, 0, ipc::SignFirstExchange{world_.exchange(cookies.cookies.at(0))},
                far.get());
    const Answer answer = gate_->receive();
    ASSERT_FALSE(answer.closed);
    num_refused += answer.header.type == ipc::Type::kRefused ? 1 : 0;
    held.emplace_back().user_end = std::move(near);
  }
  EXPECT_GT(num_refused, kFilesMax);
  std::swap(gate_, other);
  expect_lives();
}

TEST_F(SmallWardenProcess, TunnelsOfOneWorkerWithoutEndKeepNobodyFromLoggingIn) {
  std::optional<End> other;
  const Connection menus[] = {adopted("alice"), adopted("alice"), adopted("alice")};
  add(kWorker1, other);
  for (const Connection& menu : menus) {
    for (std::uint32_t channel = 0; channel < 60; ++channel) {
      worker_->send(++request_, menu.session, ipc::OpenTunnel{channel, "lab1", hole_port_});
    }
  }
  // All are refused but those that wait for the hole, and the few that it took.
  std::size_t num_refused = 0;
  while (num_refused < 180 - kFilesMax / 2) {
    const Answer answer = worker_->receive();
    ASSERT_FALSE(answer.closed);
    num_refused += answer.header.type == ipc::Type::kRefused ? 1 : 0;
  }
  std::swap(worker_, other);
  expect_lives();
}

TEST_F(WardenProcess, AHandOverOfAnySizeEndsNoWorker) {
  const Connection connection = connect();
  ASSERT_TRUE(log_in(connection, "deploy@web1"));
  gate_->send(0, connection.session,
              ipc::HandOver{SecretBytes(ipc::kMessageBytesMax - 100), SecretBytes()});
  expect_ended(kGate0, gate_);
  EXPECT_TRUE(was_dialled()) << "which the login had earned";
  expect_lives();
}

}  // namespace
}  // namespace bastion::test
