#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/pool.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/supervisor_messages.h"
#include "daemon/stream/stream.h"
#include "daemon/timers.h"
#include "proto/auth_server.h"
#include "proto/transport.h"

namespace bastion::daemon {

/// GateConnection is one connection that is not authenticated yet: plain state, moved on by Gate.
struct GateConnection {
  ipc::ConnectionId id = 0;    // the supervisor's
  ipc::SessionId session = 0;  // the warden's, once the first exchange is signed
  std::string from;            // "192.0.2.1 port 51234", for the log
  std::unique_ptr<Stream> stream;
  std::shared_ptr<const ipc::Settings> settings;
  std::unique_ptr<proto::Transport> transport;
  std::optional<proto::AuthServer> auth;
  Timers::Handle deadline;
  /// The number of the request that the warden has not answered yet; 0: none. While there is one
  /// nothing is read.
  std::uint32_t request = 0;
  enum class State : std::uint8_t {
    kOpen,
    kAuthenticated,  // handed over as soon as no write is in flight
    kFlushing,       // a disconnect message is on its way out
    kClosed,         // waits for its operations to end
  };
  State state = State::kOpen;
  ipc::ConnectionEnd end = ipc::ConnectionEnd::kOther;  // the limit that ends it
  bool dead = false;                                    // closed, and nothing in flight
  bool spoke_told = false;  // the supervisor knows that it finished a key exchange
  bool done_told = false;   // the supervisor knows that it no longer counts
};

/// A peer's disconnect message, or ours, leaves within this time or not at all.
inline constexpr std::int64_t kFlushMsMax = 2'000;

}  // namespace bastion::daemon
