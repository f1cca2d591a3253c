#include "daemon/control/server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace bastion::daemon {
namespace {

std::optional<PeerCredentials> credentials_of(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
    return std::nullopt;
  }
  PeerCredentials credentials{peer.uid, std::vector<gid_t>(256)};
  length = static_cast<socklen_t>(credentials.gids.size() * sizeof(gid_t));
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, credentials.gids.data(), &length) != 0) {
    length = 0;
  }
  credentials.gids.resize(length / sizeof(gid_t));
  credentials.gids.push_back(peer.gid);
  return credentials;
}

/// alive says whether a daemon answers at that address.
bool alive(const sockaddr_un& address) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return fd &&
         (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
          errno == EAGAIN);
}

}  // namespace

std::string control_error(std::string_view text) {
  return nlohmann::json{{"ok", false}, {"error", text}}.dump(
      -1, ' ', true, nlohmann::json::error_handler_t::replace);
}

Access access_of(const PeerCredentials& peer, uid_t own_uid, const ControlGroups& groups) {
  const auto member = [&](const std::optional<gid_t>& group) {
    return group && std::ranges::find(peer.gids, *group) != peer.gids.end();
  };
  if (peer.uid == 0 || peer.uid == own_uid || member(groups.admin)) {
    return Access::kAdmin;
  }
  return member(groups.viewer) ? Access::kViewer : Access::kNone;
}

std::expected<UniqueFd, std::string> bind_control_socket(const std::string& path,
                                                         const ControlGroups& groups) {
  const auto failed = [&](const std::string& why) {
    return std::unexpected("cannot make the control socket " + path + ": " + why);
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return failed("a socket's path has at most 107 bytes; set a shorter `control: socket:`");
  }
  std::memcpy(address.sun_path, path.data(), path.size());

  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) {
    return failed(std::strerror(errno));
  }
  struct stat status{};
  if (lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      return failed("there is something else with that name");
    }
    if (alive(address)) {
      return failed("another bastiond is running with it");
    }
    unlink(path.c_str());
  }
  // No window in which others could connect: mode and group are right from the start. The group
  // comes from our own for the moment, since under systemd we may not chown.
  const gid_t own_group = getegid();
  const bool for_group = groups.admin && geteuid() == 0;
  if (for_group && setegid(*groups.admin) != 0) {
    return failed("cannot take its group: " + std::string(std::strerror(errno)));
  }
  const mode_t before = umask(groups.viewer ? 0111 : 0117);
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  umask(before);
  if (for_group && setegid(own_group) != 0) {
    return failed("cannot give its group back: " + std::string(std::strerror(errno)));
  }
  if (bound != 0) {
    return failed(error == ENOENT ? "its folder does not exist" : std::strerror(error));
  }
  if (listen(fd.get(), 64) != 0) {
    return failed(std::strerror(errno));
  }
  return fd;
}

ControlServer::ControlServer(Ring& ring, UniqueFd listener, ControlGroups groups,
                             std::uint8_t accept_kind, std::uint8_t client_kind, Handler handler)
    : ring_(ring),
      listener_(std::move(listener)),
      groups_(groups),
      accept_kind_(accept_kind),
      client_kind_(client_kind),
      handler_(std::move(handler)),
      clients_(kClientsMax) {
  ring_.accept(listener_.get(), {.kind = accept_kind_});
}

void ControlServer::on_completion(const Completion& completion, MonoTime now) {
  if (completion.token.kind == accept_kind_) {
    return on_accept(completion, now);
  }
  const std::uint32_t slot = completion.token.index;
  if (slot >= clients_.size() || !clients_[slot].fd ||
      (clients_[slot].generation & Token::kGenerationMask) != completion.token.generation) {
    return;
  }
  if (!clients_[slot].out.empty()) {
    return write(slot);
  }
  read(slot);
}

void ControlServer::on_accept(const Completion& completion, MonoTime now) {
  UniqueFd fd(completion.result >= 0 ? completion.result : -1);
  if (!listener_) {
    return;
  }
  if (!fd) {
    accept_again_ = after(now, 200 * kNsPerMs);
    return;
  }
  ring_.accept(listener_.get(), {.kind = accept_kind_});
  const auto credentials = credentials_of(fd.get());
  const Access access = credentials ? access_of(*credentials, geteuid(), groups_) : Access::kNone;
  const auto slot = std::ranges::find_if(clients_, [](const Client& c) { return !c.fd; });
  if (access == Access::kNone || slot == clients_.end()) {
    const std::string answer =
        control_error(
            access == Access::kNone
                ? "you are in neither the admin nor the viewer group of the control socket"
                : "too many control connections; try again") +
        "\n";
    (void)send(fd.get(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return;
  }
  slot->fd = std::move(fd);
  slot->access = access;
  slot->by = "uid " + std::to_string(credentials->uid);
  slot->deadline = after(now, kDeadlineMs * kNsPerMs);
  read(static_cast<std::uint32_t>(slot - clients_.begin()));
}

void ControlServer::read(std::uint32_t slot) {
  Client& client = clients_[slot];
  char buffer[4096];
  while (true) {
    const ssize_t n = recv(client.fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
      ring_.poll_in(client.fd.get(), {client_kind_, slot, client.generation});
      return;
    }
    if (n <= 0 || client.asked) {
      return drop(slot);
    }
    client.in.append(buffer, static_cast<std::size_t>(n));
    if (client.in.size() > kRequestBytesMax) {
      return drop(slot);
    }
    if (const auto end = client.in.find('\n'); end != std::string::npos) {
      client.asked = true;
      // Armed from here on only to see the client go.
      ring_.poll_in(client.fd.get(), {client_kind_, slot, client.generation});
      return handler_({std::uint64_t{client.generation} << 32 | slot,
                       client.access == Access::kAdmin, client.by, client.in.substr(0, end)});
    }
  }
}

void ControlServer::reply(std::uint64_t client, std::string json) {
  const auto slot = static_cast<std::uint32_t>(client);
  if (slot >= clients_.size() || !clients_[slot].fd ||
      clients_[slot].generation != static_cast<std::uint32_t>(client >> 32)) {
    return;
  }
  ring_.cancel({client_kind_, slot, clients_[slot].generation});
  clients_[slot].out = std::move(json) + "\n";
  write(slot);
}

void ControlServer::write(std::uint32_t slot) {
  Client& client = clients_[slot];
  while (!client.out.empty()) {
    const ssize_t n =
        send(client.fd.get(), client.out.data(), client.out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) {
      ring_.poll_out(client.fd.get(), {client_kind_, slot, client.generation});
      return;
    }
    if (n <= 0) {
      return drop(slot);
    }
    client.out.erase(0, static_cast<std::size_t>(n));
  }
  drop(slot);
}

void ControlServer::drop(std::uint32_t slot) {
  Client& client = clients_[slot];
  ring_.cancel({client_kind_, slot, client.generation});
  const std::uint32_t generation = client.generation + 1;
  client = Client{};
  client.generation = generation;
}

void ControlServer::on_time(MonoTime now) {
  for (std::uint32_t slot = 0; slot < clients_.size(); ++slot) {
    if (clients_[slot].fd && clients_[slot].deadline <= now) {
      drop(slot);
    }
  }
  if (accept_again_ <= now) {
    accept_again_ = kNever;
    if (listener_) {
      ring_.accept(listener_.get(), {.kind = accept_kind_});
    }
  }
}

MonoTime ControlServer::next_deadline() const {
  MonoTime next = accept_again_;
  for (const Client& client : clients_) {
    if (client.fd) {
      next = std::min(next, client.deadline);
    }
  }
  return next;
}

void ControlServer::stop() {
  ring_.cancel({.kind = accept_kind_});
  listener_.reset();
}

}  // namespace bastion::daemon
