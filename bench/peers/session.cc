#include "bench/peers/session.h"

#include <array>

namespace bastion::bench {
namespace {

/// A tunnel's sealed bytes wait in the inner connection's queue beyond this much in the outer one.
constexpr std::size_t kOuterQueueMax = 512 * 1024;

}  // namespace

Session::Session(const Identity& identity, const Plan& plan, SessionOwner& owner, MonoTime now)
    : began(now),
      plan_(plan),
      owner_(owner),
      identity_(identity),
      outer_(identity, plan.user,
             plan.tunnel_host.empty() ? static_cast<ClientEvents&>(target_events_)
                                      : static_cast<ClientEvents&>(outer_events_)),
      now_(now) {
  outer_.start(now);
}

void Session::receive(MutBytes bytes, MonoTime now) {
  now_ = now;
  outer_.receive(bytes, now);
  pump();
}

proto::SendQueue& Session::output() {
  pump();
  return outer_.output();
}

void Session::drained() {
  pump();
  if (!outer_.dead()) {
    owner_.writable(*this);
  }
}

void Session::lost() {
  if (!outer_.dead()) {
    die("a session was lost: " + plan_.user);
  }
}

void Session::finish() {
  if (inner_) {
    inner_->disconnect();
    pump();
  }
  outer_.disconnect();
}

/// pump moves what the inner connection has to say into the tunnel.
void Session::pump() {
  if (!inner_ || !tunnel_open_ || outer_.dead()) {
    return;
  }
  proto::SendQueue& queue = inner_->output();
  while (!queue.empty() && outer_.room() > 0 && outer_.output().bytes() < kOuterQueueMax) {
    std::array<ByteView, 1> front;
    queue.gather(front);
    const std::size_t n = std::min(front[0].size(), outer_.room());
    outer_.send_data(front[0].first(n));
    queue.consume(n);
  }
}

void Session::OuterEvents::logged_in() {
  session.outer_.open_tunnel(session.plan_.tunnel_host, session.plan_.tunnel_port);
}

void Session::OuterEvents::opened() {
  session.tunnel_open_ = true;
  session.inner_.emplace(session.identity_, session.plan_.inner_user, session.target_events_);
  session.inner_->start(session.now_);
}

void Session::OuterEvents::data(MutBytes bytes) { session.inner_->receive(bytes, session.now_); }

void Session::OuterEvents::closed() {
  if (session.inner_ && !session.inner_->dead()) {
    die("a tunnel was closed");
  }
}

void Session::OuterEvents::failed(std::string_view text) {
  die("the bastion refused " + session.plan_.user + ": " + std::string(text));
}

void Session::TargetEvents::failed(std::string_view text) {
  die("the target refused " + session.plan_.user + ": " + std::string(text));
}

}  // namespace bastion::bench
