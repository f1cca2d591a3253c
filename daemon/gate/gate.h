#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "daemon/gate/connection.h"
#include "daemon/ipc/channel.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/process.h"
#include "daemon/stream/slab_queue.h"

namespace bastion::daemon {

/// Gate is the event loop of one gate process. It holds no key, no policy and no session: what it
/// cannot decide it asks the warden, and what is authenticated leaves it.
class Gate {
 public:
  Gate(ProcessContext& context, std::unique_ptr<Ring> ring);
  /// run returns the exit status, when the supervisor's or the warden's channel has ended.
  int run();

 private:
  enum Kind : std::uint8_t {
    kSupervisor,
    kSupervisorWrite,
    kWarden,
    kWardenWrite,
    kRead,
    kWrite,
    kDeadline,
    kRest,
  };
  struct Slot {
    std::unique_ptr<GateConnection> connection;
    std::uint32_t generation = 0;
  };

  void on_completion(const Completion& completion);
  void on_supervisor();
  void on_warden();
  void on_warden_message(ipc::Received& received);
  void on_answer(std::uint32_t slot, ipc::Received& received);
  void take_pending();
  void open(ipc::ConnectionId id, UniqueFd socket);
  void on_read(std::uint32_t slot, const Completion& completion);
  void on_written(std::uint32_t slot, const Completion& completion);
  void on_deadline(std::uint32_t slot);

  /// advance takes what can be taken of a connection's input and then arms what is next.
  void advance(std::uint32_t slot);
  /// step does one step; false: nothing more can be done now.
  bool step(std::uint32_t slot);
  bool on_payload(std::uint32_t slot, ByteView payload);
  void ask_for_signature(std::uint32_t slot);
  void fault(std::uint32_t slot, const Error& error);
  void disconnect(std::uint32_t slot, proto::DisconnectReason reason, std::string_view text);
  void close(std::uint32_t slot, std::string_view why);
  void hand_over(std::uint32_t slot);
  void tell_done(GateConnection& connection, bool authenticated);
  void reap(std::uint32_t slot);
  void bury();
  void rest();

  GateConnection* find(std::uint32_t slot, std::uint32_t generation);
  GateConnection& at(std::uint32_t slot) { return *slots_[slot].connection; }
  Token token(Kind kind, std::uint32_t slot) const { return {kind, slot, slots_[slot].generation}; }

  /// ask sends a request about a connection to the warden; its answer resumes that connection.
  template <typename Message>
  void ask(std::uint32_t slot, const Message& message, std::span<const int> fds = {}) {
    GateConnection& connection = at(slot);
    connection.request = next_request_++;
    if (next_request_ == 0) {
      next_request_ = 1;
    }
    waiting_[connection.request] = slot;
    tell_warden({.request = connection.request, .session = connection.session}, message, fds);
  }
  template <typename Message>
  void tell_warden(const ipc::Header& header, const Message& message,
                   std::span<const int> fds = {}) {
    if (!warden_.send(header, message, fds)) {
      running_ = false;
    }
    arm_channel(warden_, kWardenWrite, warden_write_armed_);
  }
  template <typename Message>
  void tell_supervisor(const Message& message) {
    if (!supervisor_.send({}, message)) {
      running_ = false;
    }
    arm_channel(supervisor_, kSupervisorWrite, supervisor_write_armed_);
  }
  void arm_channel(ipc::Channel& channel, Kind kind, bool& armed);
  void want_cookies();

  ProcessContext& context_;
  std::unique_ptr<Ring> ring_;
  ChunkPool pool_;
  Timers timers_;
  ipc::Channel supervisor_;
  ipc::Channel warden_;
  std::shared_ptr<const ipc::Settings> settings_;
  std::shared_ptr<const proto::TransportOptions> options_;
  std::shared_ptr<const proto::AuthServerOptions> auth_options_;
  std::deque<ipc::Cookie> cookies_;
  std::deque<std::pair<ipc::ConnectionId, UniqueFd>> pending_;  // settings or a cookie are missing
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<ipc::ConnectionId, std::uint32_t> by_id_;
  std::unordered_map<std::uint32_t, std::uint32_t> waiting_;  // request → slot
  SlabQueue slab_queue_;
  std::vector<std::uint32_t> dead_;
  std::size_t buried_ = 0;  // since the last rest
  Timers::Handle rest_timer_;
  std::uint32_t next_request_ = 1;
  bool cookies_asked_ = false;
  bool warden_write_armed_ = false;
  bool supervisor_write_armed_ = false;
  bool running_ = true;
};

}  // namespace bastion::daemon
