#include <cerrno>
#include <cstring>

#include "daemon/ipc/supervisor_messages.h"
#include "daemon/supervisor/supervisor.h"

namespace bastion::daemon {
namespace {

constexpr std::int64_t kPauseMs = 100;

/// transient says that accepting failed for this one connection only (accept(2)).
bool transient(int error) {
  switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EAGAIN:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: return true;
    default: return false;
  }
}

}  // namespace

void Supervisor::arm_accept(std::size_t listener) {
  if (!accept_armed_[listener]) {
    accept_armed_[listener] = true;
    ring_->accept(listeners_[listener].fd.get(),
                  {kAccept, static_cast<std::uint32_t>(listener), 0});
  }
}

/// arm_all_accepts accepts where there is somebody to pass connections on to. Until then they wait
/// in the listening queue, and none is lost.
void Supervisor::arm_all_accepts() {
  if (state_ != State::kRunning || accept_again_ != kNever || least_loaded_gate() == nullptr) {
    return;
  }
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    arm_accept(i);
  }
}

void Supervisor::on_accepted(const Completion& completion, MonoTime now) {
  const std::size_t listener = completion.token.index;
  const UniqueFd socket(completion.result >= 0 ? completion.result : -1);
  if (state_ != State::kRunning || listener >= listeners_.size()) {
    return;
  }
  accept_armed_[listener] = false;
  if (!socket && !transient(-completion.result)) {
    // EMFILE, ENFILE, ENOBUFS, ENOMEM: trying at once would only spin.
    if (now >= after(accept_told_, kNsPerSecond)) {
      accept_told_ = now;
      log_.error(
          "cannot accept connections; trying again",
          {{"error", std::strerror(-completion.result)}, {"unauthenticated", connections_.size()}});
    }
    accept_again_ = after(now, kPauseMs * kNsPerMs);
    return;
  }
  Child* gate = least_loaded_gate();
  if (socket && gate != nullptr) {
    const IpAddress peer = peer_address(socket.get());
    if (peer != IpAddress()) {
      const auto added = connections_.add(peer, gate->index);
      for (const ConnectionTable::Dropped& dropped : added.dropped) {
        stranger_limits_.reached(dropped.by_source
                                     ? StrangerLimits::Limit::kUnauthenticatedPerSource
                                     : StrangerLimits::Limit::kUnauthenticated,
                                 dropped.source);
        for (Child& other : children_) {
          if (other.role == ipc::Role::kGate && other.index == dropped.gate) {
            send_to(other, {}, ipc::DropConnection{dropped.id});
          }
        }
      }
      dropped_untold_ += added.dropped.size();
      if (dropped_untold_ != 0 && now >= after(dropped_told_, kNsPerSecond)) {
        dropped_told_ = now;
        log_.warning("unauthenticated connections were dropped to make room",
                     {{"dropped", std::exchange(dropped_untold_, 0)},
                      {"unauthenticated", connections_.size()},
                      {"source", added.dropped.empty() ? peer.source_key().text()
                                                       : added.dropped.front().source.text()}});
      }
      const int fd = socket.get();
      send_to(*gate, {}, ipc::Connection{added.id}, std::span(&fd, 1));
    }
  }
  arm_all_accepts();
}

}  // namespace bastion::daemon
