#include "daemon/warden/dial.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/resolver_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/ring/ring.h"
#include "daemon/warden/warden.h"

namespace bastion::daemon {
namespace {

/// Every dial under way holds a descriptor.
constexpr std::size_t kDialsMax = 65'536;
/// Addresses of one name that are tried; a name service that gives more is not believed.
constexpr std::size_t kAddressesMax = 16;

std::uint64_t token_of(DialIndex index, std::uint32_t generation) {
  return std::uint64_t{generation} << 32 | index;
}

std::string seconds_text(std::int64_t ms) {
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

/// local_address is ours on a connected socket: what the target sees, unless there is NAT.
IpAddress local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  std::optional<IpAddress> address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) == 0) {
    if (storage.ss_family == AF_INET) {
      const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
      address = IpAddress::from_octets(
          {reinterpret_cast<const std::uint8_t*>(&v4.sin_addr), sizeof v4.sin_addr});
    } else if (storage.ss_family == AF_INET6) {
      const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
      address = IpAddress::from_octets(
          {reinterpret_cast<const std::uint8_t*>(&v6.sin6_addr), sizeof v6.sin6_addr});
    }
  }
  return address.value_or(IpAddress());
}

}  // namespace

std::string dial_failure_text(const Dial& dial) {
  const std::string& name = dial.target.name;
  if (!dial.resolve_error.empty()) {
    return name + ": its address " + dial.target.address + " was not found (" + dial.resolve_error +
           ").";
  }
  std::string where = name;
  if (!dial.addresses.empty()) {
    const std::size_t last = dial.next == 0 ? 0 : dial.next - 1;
    where += " (" + Endpoint{dial.addresses[last], dial.target.port}.text() + ")";
  }
  switch (dial.last_error) {
    case ECONNREFUSED: return where + " refused the connection.";
    case ETIMEDOUT: return where + " did not answer within " + seconds_text(dial.limit_ms) + ".";
    case ENETUNREACH:
    case EHOSTUNREACH:
      return where + " cannot be reached from here: " + std::strerror(dial.last_error) + ".";
    default: return where + " could not be connected: " + std::strerror(dial.last_error) + ".";
  }
}

void Warden::start_dial(Dial dial) {
  if (free_dials_.empty() && dials_.size() < kDialsMax) {
    free_dials_.push_back(static_cast<DialIndex>(dials_.size()));
    dials_.emplace_back();
  }
  Session& session = *sessions_.find(dial.session);
  dial.limit_ms = session.active->service().limits.connect_ms;
  dial.deadline = after(io_.now(), dial.limit_ms * kNsPerMs);
  if (free_dials_.empty()) {
    dial.last_error = EAGAIN;
    return tell_dial_failed(dial);
  }
  count_dial(dial, true);
  const DialIndex index = free_dials_.back();
  free_dials_.pop_back();
  dial.generation = dials_[index].generation + 1;
  dial.timer = dial_timers_.set(dial.deadline, {.index = index});
  session.dials.push_back(index);
  if (dial.target.ip) {
    dial.addresses = {*dial.target.ip};
    dials_[index] = std::move(dial);
    return next_address(index);
  }
  dial.state = Dial::State::kResolving;
  const ipc::Resolve question{dial.target.address, dial.target.entry->pattern};
  dials_[index] = std::move(dial);
  const ipc::Header header{.request = index + 1, .session = 0};
  io_.send({ipc::Role::kResolver, 0}, ipc::encode(header, question), UniqueFd());
}

Dial* Warden::find_dial(std::uint64_t token) {
  const auto index = static_cast<DialIndex>(token);
  const bool live = index < dials_.size() && dials_[index].state != Dial::State::kFree &&
                    dials_[index].generation == token >> 32;
  return live ? &dials_[index] : nullptr;
}

void Warden::on_resolved(const Caller& caller, const ipc::Resolved& message) {
  // Answers carry the row's number; a row is resolving once at a time and waits for its answer, or
  // for its deadline, after which a late answer may meet another question. Names are compared by
  // the resolver's own echo, so that case is told apart.
  const std::uint32_t request = caller.header.request;
  if (request == 0 || request > dials_.size()) {
    return violated(caller.peer, "it answered what was not asked");
  }
  const DialIndex index = request - 1;
  Dial& dial = dials_[index];
  if (dial.state != Dial::State::kResolving || dial.target.address != message.name) {
    return;
  }
  dial.resolve_error = message.error;
  bool withheld = false;
  for (const Bytes& octets : message.addresses) {
    const auto address = IpAddress::from_octets(octets);
    if (!address || dial.addresses.size() == kAddressesMax) {
      continue;
    }
    if (!config::may_dial(dial.target, *address)) {
      withheld = true;
      io_.log(LogLevel::kWarning, "a name leads to an address that no target may have",
              {{"target", dial.target.name}, {"name", message.name}, {"address", address->text()}});
      continue;
    }
    dial.addresses.push_back(*address);
  }
  if (dial.addresses.empty() && dial.resolve_error.empty()) {
    dial.resolve_error =
        withheld ? "its name leads to the bastion itself or to no host's address" : "no address";
  }
  if (!dial.resolve_error.empty()) {
    return dial_failed(index);
  }
  next_address(index);
}

void Warden::next_address(DialIndex index) {
  Dial& dial = dials_[index];
  if (dial.next >= dial.addresses.size()) {
    return dial_failed(index);
  }
  const MonoTime now = io_.now();
  const auto left = static_cast<std::int64_t>(dial.addresses.size() - dial.next);
  dial_timers_.move(dial.timer, after(now, (dial.deadline.ns - now.ns) / left));
  dial.state = Dial::State::kConnecting;
  ++dial.generation;
  const IpAddress address = dial.addresses[dial.next++];
  io_.connect(token_of(index, dial.generation), address, dial.target.port);
}

void Warden::on_connected(ConnectToken token, UniqueFd socket, int error) {
  Dial* dial = find_dial(token);
  if (dial == nullptr) {
    return;  // given up in the meantime: the socket closes here
  }
  const auto index = static_cast<DialIndex>(token);
  if (!socket) {
    dial->last_error = error;
    return next_address(index);
  }
  dial_done(index, std::move(socket));
}

void Warden::dial_done(DialIndex index, UniqueFd socket) {
  const Dial dial = std::move(dials_[index]);
  remove_dial(index);
  Session* session = sessions_.find(dial.session);
  if (session == nullptr) {
    return;
  }
  const std::string where = Endpoint{dial.addresses[dial.next - 1], dial.target.port}.text();
  io_.log(LogLevel::kDebug, "connected",
          {{"session", session->long_id}, {"target", dial.target.name}, {"address", where}});
  if (dial.purpose == Dial::Purpose::kTunnel) {
    audit_tunnel(audit::Name::kTunnelOpen, *session, dial, where, "");
    const ipc::Header header{.request = dial.request, .session = dial.session};
    io_.send(dial.worker, ipc::encode(header, ipc::TunnelOpened{dial.channel}), std::move(socket));
    return;
  }
  audit::Event event = event_of(audit::Name::kTargetConnected, *session);
  audit_.add(std::move(event.text(audit::Key::kAddress, where)));
  session->target_address = where;
  session->our_address = local_address(socket.get());
  session->target_socket = std::move(socket);
  session->target_state = TargetState::kConnected;
  pass_target(dial.session, *session);
}

void Warden::dial_failed(DialIndex index) {
  const Dial dial = std::move(dials_[index]);
  remove_dial(index);
  tell_dial_failed(dial);
}

void Warden::tell_dial_failed(const Dial& dial) {
  Session* session = sessions_.find(dial.session);
  if (session == nullptr) {
    return;
  }
  const std::string text = dial_failure_text(dial);
  io_.log(LogLevel::kWarning, "target not reached",
          {{"session", session->long_id},
           {"user", session->user->name},
           {"target", dial.target.name},
           {"reason", text}});
  if (dial.purpose == Dial::Purpose::kTunnel) {
    audit_tunnel(audit::Name::kTunnelFailed, *session, dial, "", text);
    const ipc::Header header{.request = dial.request, .session = dial.session};
    io_.send(dial.worker,
             ipc::encode(header, ipc::Refused{.fatal = false, .text = text, .unreachable = true}),
             UniqueFd());
    return;
  }
  audit::Event event = event_of(audit::Name::kTargetFailed, *session);
  audit_.add(std::move(event.text(audit::Key::kReason, text)));
  session->target_state = TargetState::kFailed;
  session->target_text = with_id(text, *session);
  pass_target(dial.session, *session);
}

// count_dial keeps the number of a worker's dials, which are those of the sessions that it holds.
void Warden::count_dial(const Dial& dial, bool begins) {
  const Session* session = sessions_.find(dial.session);
  if (session == nullptr || session->state != SessionState::kAdopted) {
    return;
  }
  const auto worker = peers_.find({ipc::Role::kWorker, session->worker});
  if (worker == peers_.end()) {
    return;
  }
  if (begins) {
    ++worker->second.num_dials;
  } else {
    --worker->second.num_dials;
  }
}

void Warden::cancel_dials(const Session& session) {
  const std::vector<DialIndex> indexes = session.dials;  // each leaves it
  for (const DialIndex index : indexes) {
    const Dial& dial = dials_[index];
    if (dial.state == Dial::State::kConnecting) {
      io_.cancel_connect(token_of(index, dial.generation));
    }
    remove_dial(index);
  }
}

void Warden::remove_dial(DialIndex index) {
  count_dial(dials_[index], false);
  dial_timers_.cancel(dials_[index].timer);
  if (Session* session = sessions_.find(dials_[index].session); session != nullptr) {
    std::erase(session->dials, index);
  }
  const std::uint32_t generation = dials_[index].generation;
  dials_[index] = Dial();
  dials_[index].generation = generation + 1;
  free_dials_.push_back(index);
}

MonoTime Warden::next_deadline() const {
  MonoTime earliest = audit_trouble_.empty() ? audit_.deadline() : kNever;
  if (shutting_down_ && !audit_is_done()) {
    earliest = std::min(earliest, after(shut_down_at_, AuditTrail::kSilenceNs));
  }
  for (const auto& [number, hold] : holds_) {
    earliest = hold.answered ? earliest : std::min(earliest, hold.due);
  }
  return std::min(earliest, dial_timers_.next_deadline());
}

void Warden::on_time() {
  watch_audit();
  answer_late_holds();
  const MonoTime now = io_.now();
  while (const auto expired = dial_timers_.pop_expired(now)) {
    const DialIndex index = expired->index;
    Dial& dial = dials_[index];
    dial.last_error = ETIMEDOUT;
    if (dial.state == Dial::State::kResolving) {
      dial.resolve_error = "the name service did not answer in time";
    } else {
      io_.cancel_connect(token_of(index, dial.generation));
    }
    if (now < dial.deadline && dial.state == Dial::State::kConnecting) {
      dial.timer = dial_timers_.set(dial.deadline, {.index = index});
      next_address(index);
    } else {
      dial_failed(index);
    }
  }
}

}  // namespace bastion::daemon
