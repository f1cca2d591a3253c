#pragma once

#include <memory>

#include "base/pool.h"
#include "bench/peers/inbox.h"
#include "bench/peers/link.h"
#include "crypto/keys.h"
#include "proto/auth_server.h"
#include "proto/transport.h"

namespace bastion::bench {

/// TargetSetup is what all servers of one program share. It outlives them.
struct TargetSetup {
  std::shared_ptr<const proto::TransportOptions> options;
  const crypto::PrivateKey* host_key = nullptr;
  ChunkPool* pool = nullptr;
};

/// SshServer is a target that costs next to nothing: it lets every key in without looking at the
/// signature, and has one channel with five commands:
///   true      ends with status 0 at once
///   hold      stays
///   echo      sends back what it gets (so does a shell)
///   source N  sends N bytes and ends
///   sink N    ends when it has got N bytes
class SshServer final : public Endpoint {
 public:
  explicit SshServer(const TargetSetup& setup);

  void receive(MutBytes bytes, MonoTime now) override;
  proto::SendQueue& output() override { return transport_.output(); }
  void drained() override { pour(); }
  void lost() override { dead_ = true; }
  bool done() const override { return dead_; }

 private:
  bool on_step(const proto::Step& step);
  bool on_auth(ByteView payload);
  bool on_message(const proto::Payload& payload);
  bool on_data(ByteView data);
  void on_request(ByteView message);
  void run(std::string_view command);
  void pour();
  void end_command();

  enum class Command : std::uint8_t { kNone, kHold, kEcho, kSource, kSink };

  const TargetSetup& setup_;
  proto::Transport transport_;
  proto::AuthServer auth_;
  Inbox inbox_;
  Command command_ = Command::kNone;
  std::uint64_t left_ = 0;  // to send, or to get
  std::uint32_t peer_channel_ = 0;
  std::uint32_t window_out_ = 0;
  std::uint32_t max_packet_ = 0;
  std::uint32_t ungranted_ = 0;
  bool closed_ = false;
  bool dead_ = false;
};

}  // namespace bastion::bench
