#pragma once

#include <memory>
#include <optional>

#include "bench/peers/ssh_client.h"
#include "bench/peers/ssh_server.h"
#include "proto/auth_client.h"
#include "proto/auth_server.h"
#include "proto/bridge.h"
#include "proto/transport.h"

namespace bastion::bench {

/// MemoryRelay is a whole routed session in one thread and without sockets: the light client and
/// target of bench/peers, and between them what a gate and a worker make of proto/: the transports
/// and logins of both legs, the move from gate to worker, the bridge. No keys are verified here:
/// that is the warden's, which is measured by itself.
///
/// What the bastion does is in member functions whose names begin with bastion_: nothing else is
/// called from them, and they are never inlined, so that an instrument can tell its instructions
/// from those of the two ends.
class MemoryRelay final : public ClientEvents, public proto::BridgeEvents {
 public:
  explicit MemoryRelay(const std::string& cipher);

  /// log_in goes as far as an open session channel. Ends the program where that fails.
  void log_in();
  /// pull has the target send so many bytes to the user, in packets of 32 KiB.
  void pull(std::uint64_t bytes);
  /// copied_share is bytes_copied / bytes_relayed of both transports.
  double copied_share() const;

 private:
  [[gnu::noinline]] void bastion_start();
  [[gnu::noinline]] void bastion_from_user(MutBytes bytes);
  [[gnu::noinline]] void bastion_from_target(MutBytes bytes);
  [[gnu::noinline]] void bastion_hand_over();
  [[gnu::noinline]] void bastion_sent(proto::Leg leg, std::size_t n);
  bool user_step(const proto::Step& step);
  bool target_step(const proto::Step& step);
  bool gate_message(ByteView payload);
  bool bridged(proto::Leg from, proto::Payload payload);

  /// turn moves everything that waits one step on; false where nothing did.
  bool turn();
  MutBytes take(proto::SendQueue& queue);

  // ClientEvents
  void logged_in() override { user_->open_session(); }
  void opened() override { open_ = true; }
  void data(MutBytes bytes) override { received_ += bytes.size(); }
  void closed() override { open_ = false; }
  void failed(std::string_view text) override;

  ChunkPool pool_;
  ChunkPool peers_pool_;
  crypto::PrivateKey key_;
  Identity identity_;
  TargetSetup setup_;
  std::optional<SshClient> user_;
  std::unique_ptr<SshServer> target_;
  std::shared_ptr<const proto::TransportOptions> down_options_;
  std::unique_ptr<proto::Transport> down_;
  std::optional<proto::Transport> up_;
  std::optional<proto::AuthServer> auth_server_;
  std::optional<proto::AuthClient> auth_client_;
  proto::Permissions permissions_;
  std::optional<proto::Bridge> bridge_;
  Bytes wire_;  // what one side has said, with room around it as a receive buffer has
  std::uint64_t received_ = 0;
  bool dialled_ = false;
  bool open_ = false;
};

}  // namespace bastion::bench
