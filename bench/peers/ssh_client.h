#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/pool.h"
#include "bench/peers/inbox.h"
#include "bench/peers/link.h"
#include "crypto/keys.h"
#include "proto/auth_client.h"
#include "proto/transport.h"

namespace bastion::bench {

/// kWindowBytes is what a peer grants on its channel: OpenSSH's own choice.
inline constexpr std::uint32_t kWindowBytes = 2 * 1024 * 1024;

/// Identity is what all clients of one program share. It outlives them.
struct Identity {
  std::shared_ptr<const proto::TransportOptions> options;
  const crypto::PrivateKey* key = nullptr;
  ChunkPool* pool = nullptr;
};

/// ClientEvents is what an SshClient tells its owner. A callback may call the client's methods, but
/// must not destroy it.
class ClientEvents {
 public:
  virtual ~ClientEvents() = default;
  virtual void logged_in() = 0;
  virtual void opened() = 0;
  /// started: the shell or command was accepted.
  virtual void started() {}
  /// data is writable memory that lives for the call.
  virtual void data(MutBytes bytes) = 0;
  virtual void window_opened() {}
  /// closed: the channel is gone in both directions.
  virtual void closed() = 0;
  /// failed: nothing more comes. `text` lives for the call.
  virtual void failed(std::string_view text) = 0;
};

/// SshClient is the least client that measures a server: one key, no questions asked before it is
/// used, one channel at a time, no I/O of its own. It verifies the host's signature and takes any
/// host key: what it talks to was started by the same benchmark.
class SshClient {
 public:
  SshClient(const Identity& identity, std::string user, ClientEvents& events);

  void start(MonoTime now);
  void receive(MutBytes bytes, MonoTime now);
  proto::SendQueue& output() { return transport_.output(); }

  void open_session();
  void open_tunnel(std::string_view host, std::uint16_t port);
  void exec(std::string_view command);
  void shell();
  /// room is how much send_data may take now; send_data takes as much and makes packets of it.
  std::size_t room() const { return window_out_; }
  void send_data(ByteView bytes);
  void close_channel();
  void disconnect();
  bool dead() const { return dead_; }

 private:
  bool on_step(const proto::Step& step);
  bool on_auth(ByteView payload);
  bool on_message(const proto::Payload& payload);
  void on_request(ByteView message);
  bool verify_host();
  void grant(std::size_t n);
  bool fail(std::string_view text);

  const Identity& identity_;
  std::string user_;
  ClientEvents& events_;
  proto::Transport transport_;
  proto::AuthClient auth_;
  Inbox inbox_;
  std::uint32_t peer_channel_ = 0;
  std::uint32_t max_packet_ = 0;
  std::uint32_t window_out_ = 0;
  std::uint32_t ungranted_ = 0;
  bool close_sent_ = false;
  bool authenticated_ = false;
  bool dead_ = false;
};

}  // namespace bastion::bench
