#include "daemon/warden/warden_main.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>

#include "crypto/hash.h"
#include "daemon/ipc/channel.h"
#include "daemon/ipc/supervisor_messages.h"
#include "daemon/ring/ring.h"
#include "daemon/warden/warden.h"

namespace bastion::daemon {
namespace {

/// What a token of the warden's ring belongs to.
enum Kind : std::uint8_t { kSupervisor, kSupervisorWrite, kPeerRead, kPeerWrite, kConnect, kSlow };

/// Messages taken from one channel before the others have their turn.
constexpr int kMessagesPerTurn = 64;
/// RSA signatures run beside each other on so many threads, at a lower cost to logins by Ed25519.
constexpr std::size_t kSlowThreads = 2;

/// open_files_max is the soft limit: the supervisor has raised it as far as it goes.
std::size_t open_files_max() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(limit.rlim_cur) : 0;
}

/// read_bundle maps the supervisor's memfd and takes the files out of it.
Result<config::FileBundle> read_bundle(int fd) {
  const off_t size = lseek(fd, 0, SEEK_END);  // fstat would be a call on a path to the sandbox
  if (size <= 0) {
    return fail(ErrorCode::kIo, "the configuration's memory cannot be read", errno);
  }
  SecretBytes bytes(static_cast<std::size_t>(size));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (n <= 0) {
      return fail(ErrorCode::kIo, "the configuration's memory cannot be read", errno);
    }
    done += static_cast<std::size_t>(n);
  }
  return config::FileBundle::parse(bytes);
}

/// WardenProcess is the warden's event loop: it turns completions into calls of Warden and Warden's
/// wishes into messages and operations.
class WardenProcess final : public WardenIo {
 public:
  WardenProcess(ProcessContext& context, std::unique_ptr<Ring> ring, std::size_t descriptors_max)
      : context_(context),
        ring_(std::move(ring)),
        descriptors_max_(descriptors_max),
        slow_(kSlowThreads),
        supervisor_(std::move(context.supervisor)),
        warden_(*this, crypto::system_random()) {}

  int run();

  void send(PeerId to, SecretBytes packet, UniqueFd fd) override;
  void connect(ConnectToken token, const IpAddress& address, std::uint16_t port) override;
  void answer_control(std::uint32_t request, std::string whole) override;
  void cancel_connect(ConnectToken token) override;
  void end_peer(PeerId peer, std::string_view why) override;
  bool run_slow(PeerId owner, SlowPool::Job job, SlowPool::Done done) override {
    return slow_.submit(owner, std::move(job), std::move(done));
  }
  std::size_t descriptors_max() override { return descriptors_max_; }
  std::size_t queued_descriptors(PeerId peer) override {
    const auto slot = slot_of(peer);
    return slot ? links_[*slot].channel->queued_descriptors() : 0;
  }
  void log(LogLevel level, std::string_view text, std::initializer_list<Field> fields) override {
    context_.log.write(level, text, fields);
  }
  MonoTime now() override { return mono_now(); }
  WallTime wall_now() override { return bastion::wall_now(); }
  std::uint64_t wall_now_us() override;

 private:
  struct Link {
    PeerId peer;
    std::uint32_t pid = 0;
    std::optional<ipc::Channel> channel;  // none: a free slot
    std::uint32_t generation = 0;
    bool write_armed = false;
  };
  struct Connecting {
    ConnectToken token = 0;
    UniqueFd socket;
    std::uint32_t generation = 0;
  };

  void on_completion(const Completion& completion);
  void on_supervisor();
  void on_supervisor_message(ipc::Received& received);
  void on_peer_readable(std::uint32_t slot);
  void on_connect_done(const Completion& completion);
  void drop_link(std::uint32_t slot, std::string_view why);
  void bury(std::uint32_t slot) { dead_.emplace_back(slot, links_[slot].generation); }
  void drop_dead();
  void tell_failures();
  void arm_write(std::uint32_t slot);
  std::optional<std::uint32_t> slot_of(PeerId peer) const;
  void tell_supervisor(auto message, std::uint32_t request = 0);
  void lose_supervisor() { running_ = false; }

  ProcessContext& context_;
  std::unique_ptr<Ring> ring_;
  const std::size_t descriptors_max_;
  SlowPool slow_;
  ipc::Channel supervisor_;
  Warden warden_;
  std::vector<Link> links_;
  std::vector<Connecting> connecting_;
  std::vector<std::pair<ConnectToken, int>> failed_;
  /// Slot and generation of links that were found dead during a call of warden_'s, which is told
  /// afterwards. Never by PeerId: the successor of a dead process has the same one.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> dead_;
  bool running_ = true;
  bool drained_told_ = false;
  std::uint32_t shutdown_request_ = 0;
};

std::uint64_t WardenProcess::wall_now_us() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

int WardenProcess::run() {
  ring_->poll_in(supervisor_.fd(), {.kind = kSupervisor});
  ring_->poll_in(slow_.wake_fd(), {.kind = kSlow});
  std::array<Completion, 256> completions;
  while (running_) {
    const std::size_t n = ring_->wait(warden_.next_deadline(), completions);
    for (std::size_t i = 0; i < n; ++i) {
      on_completion(completions[i]);
    }
    warden_.on_time();
    tell_failures();
    drop_dead();
    if (warden_.drained() && !drained_told_) {
      drained_told_ = true;
      tell_supervisor(ipc::Drained{}, shutdown_request_);
    }
  }
  return 0;
}

void WardenProcess::on_completion(const Completion& completion) {
  const Token token = completion.token;
  switch (token.kind) {
    case kSupervisor: return on_supervisor();
    case kSupervisorWrite:
      if (!supervisor_.on_writable()) {
        return lose_supervisor();
      }
      if (supervisor_.wants_writable()) {
        ring_->poll_out(supervisor_.fd(), {.kind = kSupervisorWrite});
      }
      return;
    case kSlow: slow_.run_completed(); return ring_->poll_in(slow_.wake_fd(), {.kind = kSlow});
    case kConnect: return on_connect_done(completion);
    default: break;
  }
  if (token.index >= links_.size() || !links_[token.index].channel ||
      (links_[token.index].generation & Token::kGenerationMask) != token.generation) {
    return;
  }
  if (token.kind == kPeerRead) {
    return on_peer_readable(token.index);
  }
  Link& link = links_[token.index];
  link.write_armed = false;
  if (!link.channel->on_writable()) {
    return bury(token.index);
  }
  arm_write(token.index);
}

void WardenProcess::on_supervisor() {
  for (int i = 0; i < kMessagesPerTurn || supervisor_.has_fetched(); ++i) {
    auto received = supervisor_.receive();
    if (!received || received->state == ipc::Received::State::kClosed) {
      return lose_supervisor();
    }
    if (received->state == ipc::Received::State::kNothing) {
      break;
    }
    on_supervisor_message(*received);
  }
  ring_->poll_in(supervisor_.fd(), {.kind = kSupervisor});
}

void WardenProcess::on_supervisor_message(ipc::Received& received) {
  const std::uint32_t request = received.header.request;
  switch (received.header.type) {
    case ipc::Type::kConfiguration: {
      const auto message = ipc::decode<ipc::Configuration>(received.body);
      const auto bundle = message ? read_bundle(received.fds[0].get())
                                  : Result<config::FileBundle>(std::unexpected(message.error()));
      if (!bundle) {
        return tell_supervisor(ipc::ConfigurationResult{false, describe(bundle.error())}, request);
      }
      const auto result = warden_.configure(*bundle, message->path, message->loaded_by);
      if (result.ok) {
        context_.log.set_level(message->log_level);
      }
      return tell_supervisor(result, request);
    }
    case ipc::Type::kAddPeer: {
      const auto message = ipc::decode<ipc::AddPeer>(received.body);
      if (!message || !received.fds[0]) {
        return lose_supervisor();
      }
      const PeerId peer{message->role, message->index};
      if (const auto old = slot_of(peer)) {
        drop_link(*old, "replaced");
      }
      auto slot = static_cast<std::uint32_t>(links_.size());
      for (std::uint32_t i = 0; i < links_.size(); ++i) {
        slot = links_[i].channel ? slot : std::min(slot, i);
      }
      if (slot == links_.size()) {
        links_.emplace_back();
      }
      Link& link = links_[slot];
      link.peer = peer;
      link.pid = message->pid;
      link.channel.emplace(std::move(received.fds[0]));
      ++link.generation;
      link.write_armed = false;
      ring_->poll_in(link.channel->fd(), {kPeerRead, slot, link.generation});
      return warden_.add_peer(peer, message->pid);
    }
    case ipc::Type::kPeerGone: {
      const auto message = ipc::decode<ipc::PeerGone>(received.body);
      if (!message) {
        return lose_supervisor();
      }
      // By its pid: a successor may have the same index already.
      const auto slot = slot_of({message->role, message->index});
      if (slot && links_[*slot].pid == message->pid) {
        drop_link(*slot, "ended");
      }
      return;
    }
    case ipc::Type::kControlRequest: {
      const auto message = ipc::decode<ipc::ControlRequest>(received.body);
      if (!message) {
        return lose_supervisor();
      }
      if (auto answer = warden_.control(*message, request)) {
        answer_control(request, std::move(*answer));
      }
      return;
    }
    case ipc::Type::kReloadRefused: {
      const auto message = ipc::decode<ipc::ReloadRefused>(received.body);
      return message ? warden_.reload_refused(message->by, message->why) : lose_supervisor();
    }
    case ipc::Type::kLimitReached: {
      const auto message = ipc::decode<ipc::LimitReached>(received.body);
      return message ? warden_.limit_reached(*message) : lose_supervisor();
    }
    case ipc::Type::kShutdown: {
      const auto message = ipc::decode<ipc::Shutdown>(received.body);
      if (message) {
        shutdown_request_ = request;
        warden_.shut_down(message->limit_ms, message->text);
      }
      return;
    }
    default:
      context_.log.error("the supervisor sent a message that it should not");
      return lose_supervisor();
  }
}

void WardenProcess::on_peer_readable(std::uint32_t slot) {
  const PeerId peer = links_[slot].peer;
  const std::uint32_t generation = links_[slot].generation;
  for (int i = 0; i < kMessagesPerTurn || links_[slot].channel->has_fetched(); ++i) {
    auto received = links_[slot].channel->receive();
    if (!received) {
      end_peer(peer, received.error().text);
      return;
    }
    if (received->state == ipc::Received::State::kClosed) {
      return bury(slot);
    }
    if (received->state == ipc::Received::State::kNothing) {
      break;
    }
    warden_.on_message(peer, received->header, received->body, std::move(received->fds[0]));
    if (std::ranges::find(dead_, std::pair(slot, generation)) != dead_.end()) {
      return;
    }
  }
  ring_->poll_in(links_[slot].channel->fd(), {kPeerRead, slot, generation});
}

std::optional<std::uint32_t> WardenProcess::slot_of(PeerId peer) const {
  for (std::uint32_t i = 0; i < links_.size(); ++i) {
    if (links_[i].channel && links_[i].peer == peer) {
      return i;
    }
  }
  return std::nullopt;
}

void WardenProcess::drop_link(std::uint32_t slot, std::string_view why) {
  Link& link = links_[slot];
  ring_->cancel({kPeerRead, slot, link.generation});
  ring_->cancel({kPeerWrite, slot, link.generation});
  link.channel.reset();
  ++link.generation;
  context_.log.debug("a process is gone", {{"role", role_name(link.peer.role)},
                                           {"index", link.peer.index},
                                           {"pid", link.pid},
                                           {"why", why}});
  slow_.forget(link.peer);
  warden_.peer_gone(link.peer);
}

void WardenProcess::drop_dead() {
  while (!dead_.empty()) {
    const auto [slot, generation] = dead_.back();
    dead_.pop_back();
    if (links_[slot].channel && links_[slot].generation == generation) {
      drop_link(slot, "its channel ended");
    }
  }
}

void WardenProcess::end_peer(PeerId peer, std::string_view why) {
  const auto slot = slot_of(peer);
  if (!slot) {
    return;
  }
  context_.log.error("a process breaks the rules and is ended", {{"role", role_name(peer.role)},
                                                                 {"index", peer.index},
                                                                 {"pid", links_[*slot].pid},
                                                                 {"why", why}});
  tell_supervisor(ipc::EndPeer{peer.role, peer.index, links_[*slot].pid, std::string(why)});
  bury(*slot);
}

void WardenProcess::send(PeerId to, SecretBytes packet, UniqueFd fd) {
  const auto slot = slot_of(to);
  if (!slot) {
    return;
  }
  const int raw = fd.get();
  const Status sent = links_[*slot].channel->send_packet(
      std::move(packet), raw >= 0 ? std::span<const int>(&raw, 1) : std::span<const int>());
  if (!sent) {
    context_.log.error("a process does not read what it is sent",
                       {{"role", role_name(to.role)}, {"error", describe(sent.error())}});
    return bury(*slot);
  }
  arm_write(*slot);
}

void WardenProcess::arm_write(std::uint32_t slot) {
  Link& link = links_[slot];
  if (link.channel->wants_writable() && !link.write_armed) {
    link.write_armed = true;
    ring_->poll_out(link.channel->fd(), {kPeerWrite, slot, link.generation});
  }
}

void WardenProcess::tell_supervisor(auto message, std::uint32_t request) {
  if (!supervisor_.send(ipc::Header{.request = request}, message)) {
    return lose_supervisor();
  }
  if (supervisor_.wants_writable()) {
    ring_->poll_out(supervisor_.fd(), {.kind = kSupervisorWrite});
  }
}

void WardenProcess::answer_control(std::uint32_t request, std::string whole) {
  std::string_view json = whole;
  bool more = true;
  while (more) {
    const std::string_view piece = json.substr(0, ipc::ControlReply::kPieceBytesMax);
    json.remove_prefix(piece.size());
    more = !json.empty();
    tell_supervisor(ipc::ControlReply{more, std::string(piece)}, request);
  }
}

void WardenProcess::connect(ConnectToken token, const IpAddress& address, std::uint16_t port) {
  std::uint32_t slot = 0;
  while (slot < connecting_.size() && connecting_[slot].socket) {
    ++slot;
  }
  if (slot == connecting_.size()) {
    connecting_.emplace_back();
  }
  Connecting& entry = connecting_[slot];
  entry.token = token;
  ++entry.generation;
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (address.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.octets().data(), sizeof v4.sin_addr);
    length = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.octets().data(), sizeof v6.sin6_addr);
    length = sizeof v6;
  }
  entry.socket.reset(socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!entry.socket) {
    failed_.emplace_back(token, errno);  // told from the loop: never within this call
    return;
  }
  const int on = 1;
  setsockopt(entry.socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(entry.socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ring_->connect(entry.socket.get(), reinterpret_cast<const sockaddr*>(&storage), length,
                 {kConnect, slot, entry.generation});
}

void WardenProcess::cancel_connect(ConnectToken token) {
  for (std::uint32_t slot = 0; slot < connecting_.size(); ++slot) {
    if (connecting_[slot].socket && connecting_[slot].token == token) {
      ring_->cancel({kConnect, slot, connecting_[slot].generation});
    }
  }
}

void WardenProcess::on_connect_done(const Completion& completion) {
  const std::uint32_t slot = completion.token.index;
  if (slot >= connecting_.size() || !connecting_[slot].socket) {
    return;
  }
  const ConnectToken token = connecting_[slot].token;
  UniqueFd socket = std::move(connecting_[slot].socket);
  if (completion.result < 0) {
    socket.reset();
  }
  warden_.on_connected(token, std::move(socket), -completion.result);
}

void WardenProcess::tell_failures() {
  while (!failed_.empty()) {  // one may be followed by the target's next address, which fails too
    std::vector<std::pair<ConnectToken, int>> failed;
    failed.swap(failed_);
    for (const auto& [token, error] : failed) {
      context_.log.error("no socket for a target", {{"errno", std::strerror(error)}});
      warden_.on_connected(token, UniqueFd(), error);
    }
  }
}

}  // namespace

int warden_main(ProcessContext& context) {
  auto ring = Ring::create({.entries = 256, .cq_entries = 4096, .buffer_count = 0});
  if (!ring) {
    context.log.error("the warden cannot start", {{"error", describe(ring.error())}});
    return 1;
  }
  const std::size_t descriptors_max = open_files_max();
  // Before the pool's threads exist: Landlock and capabilities are each thread's own.
  if (const Status sealed = seal(context, ring->get()); !sealed) {
    context.log.error("the warden cannot enter its sandbox", {{"error", describe(sealed.error())}});
    return 1;
  }
  WardenProcess process(context, std::move(*ring), descriptors_max);
  return process.run();
}

}  // namespace bastion::daemon
