#pragma once

#include <optional>
#include <string>

#include "bench/peers/link.h"
#include "bench/peers/ssh_client.h"

namespace bastion::bench {

/// Plan is how a session reaches its target: user@address, or through a tunnel that user@address
/// opens to tunnel_host:tunnel_port, where it logs in as inner_user.
struct Plan {
  std::string address;
  std::string user;
  std::string tunnel_host;  // empty: no tunnel
  std::uint16_t tunnel_port = 0;
  std::string inner_user;
};

class Session;

/// SessionOwner hears of its sessions. `opened`: a session channel to the target is there.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  virtual void opened(Session& session) = 0;
  virtual void started(Session&) {}
  virtual void data(Session& session, ByteView bytes) = 0;
  virtual void writable(Session&) {}
  virtual void closed(Session& session) = 0;
};

/// Session is one login at a target, straight or through a tunnel, with one session channel. A
/// failure ends the program: half a measurement is none.
class Session final : public Endpoint {
 public:
  Session(const Identity& identity, const Plan& plan, SessionOwner& owner, MonoTime now);

  SshClient& target() { return inner_ ? *inner_ : outer_; }
  /// finish leaves: DISCONNECT and the end of the connection.
  void finish();

  void receive(MutBytes bytes, MonoTime now) override;
  proto::SendQueue& output() override;
  void drained() override;
  void lost() override;
  bool done() const override { return outer_.dead(); }

  const MonoTime began;
  std::uint64_t bytes_left = 0;  // the owner's

 private:
  /// OuterEvents carries a tunnel; InnerEvents is whoever speaks with the target.
  struct OuterEvents final : ClientEvents {
    explicit OuterEvents(Session& s) : session(s) {}
    void logged_in() override;
    void opened() override;
    void data(MutBytes bytes) override;
    void window_opened() override { session.pump(); }
    void closed() override;
    void failed(std::string_view text) override;
    Session& session;
  };
  struct TargetEvents final : ClientEvents {
    explicit TargetEvents(Session& s) : session(s) {}
    void logged_in() override { session.target().open_session(); }
    void opened() override { session.owner_.opened(session); }
    void started() override { session.owner_.started(session); }
    void data(MutBytes bytes) override { session.owner_.data(session, bytes); }
    void window_opened() override { session.owner_.writable(session); }
    void closed() override { session.owner_.closed(session); }
    void failed(std::string_view text) override;
    Session& session;
  };
  void pump();

  const Plan& plan_;
  SessionOwner& owner_;
  const Identity& identity_;
  OuterEvents outer_events_{*this};
  TargetEvents target_events_{*this};
  SshClient outer_;
  std::optional<SshClient> inner_;
  MonoTime now_;
  bool tunnel_open_ = false;
};

}  // namespace bastion::bench
