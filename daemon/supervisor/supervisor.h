#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/schema.h"
#include "daemon/control/server.h"
#include "daemon/ipc/channel.h"
#include "daemon/ipc/supervisor_messages.h"
#include "daemon/log.h"
#include "daemon/ring/ring.h"
#include "daemon/supervisor/children.h"
#include "daemon/supervisor/configuration.h"
#include "daemon/supervisor/connections.h"
#include "daemon/supervisor/identity.h"
#include "daemon/supervisor/listen.h"
#include "daemon/supervisor/notify.h"
#include "daemon/supervisor/spawn.h"
#include "daemon/supervisor/stranger_limits.h"

namespace bastion::daemon {

struct SupervisorOptions {
  std::string config_path;
  bool one_uid = false;
};

/// Supervisor starts everything and keeps it running: it reads the configuration, binds the
/// listening sockets, starts the children under their uids, accepts and counts connections and
/// passes them to the gates, replaces children that die, and serves the control socket. It is the
/// only process with privileges, and reads nothing of a network peer but its address.
class Supervisor {
 public:
  /// RecordRing is the memory between one worker process and the recorder (daemon/record_ring). It
  /// is kept beyond the worker's death until a recorder has written down what is in it.
  struct RecordRing {
    std::uint32_t generation = 0;
    std::uint32_t worker = 0;  // index
    UniqueFd memory;
    UniqueFd bell;
    bool retired = false;
  };

  Supervisor(SupervisorOptions options, Log& log);
  ~Supervisor();

  /// run returns the exit status when everything has ended.
  int run();

 private:
  enum class State : std::uint8_t { kStarting, kRunning, kDraining, kEnding };
  enum Kind : std::uint8_t {
    kSignals,
    kAccept,
    kChildRead,
    kChildWrite,
    kControlAccept,
    kControlClient,
  };
  /// Question is a control request that the warden answers.
  struct Question {
    std::uint64_t client = 0;
    bool status = false;  // its answer gets our part added
    std::string json;
  };

  // supervisor.cc: start, loop, signals, end.
  bool start();
  bool start_control();
  void make_children();
  void loop();
  void on_completion(const Completion& completion, MonoTime now);
  void on_signals(MonoTime now);
  void on_time(MonoTime now);
  MonoTime next_deadline() const;
  void became_ready();
  void begin_shutdown(MonoTime now);
  void begin_ending(MonoTime now);
  void kill_all(int signal);

  // reload.cc: configuration.
  void reload(std::string by, std::uint64_t client);
  void send_configuration(const LoadedFiles& files, const std::string& loaded_by);
  void on_configuration_result(const ipc::Header& header, const ipc::ConfigurationResult& result);
  void apply_limits();
  void tell_limits(MonoTime now);
  void warn_of_what_needs_a_restart(const config::ServiceConfig& next);

  // processes.cc: children and their messages.
  void start_child(Child& child, MonoTime now);
  void on_child_message(std::uint32_t place, MonoTime now);
  bool on_gate_message(Child& gate, const ipc::Received& received);
  bool on_warden_message(const ipc::Received& received, MonoTime now);
  void reap(MonoTime now);
  void on_death(Child& child, int status, MonoTime now);
  void end_child(Child& child, std::string why);
  template <typename Message>
  bool send_to(Child& child, const ipc::Header& header, const Message& message,
               std::span<const int> fds = {});
  Child& warden() { return children_[0]; }
  std::uint32_t place_of(const Child& child) const;

  // accepting.cc: connections.
  void arm_accept(std::size_t listener);
  void arm_all_accepts();
  void on_accepted(const Completion& completion, MonoTime now);
  Child* least_loaded_gate();

  // recording.cc: the recorder and the rings.
  bool prepare_recording();
  bool prepare_audit();
  UniqueFd give_to_recorder(const std::string& path, const std::string& what);
  Status add_ring(Child& worker, ChildSpec& spec);
  void tell_ring(const RecordRing& ring);
  void retire_ring(const Child& worker);
  void brief_recorder();
  void send_recorder_settings();
  bool on_recorder_message(const ipc::Received& received);
  Child* recorder();

  // requests.cc: the control socket.
  void on_request(ControlServer::Request request);
  void on_control_reply(const ipc::Header& header, ipc::ControlReply reply);
  std::string status_json(const std::string& of_warden) const;
  void answer_all_questions(std::string_view error);

  SupervisorOptions options_;
  Log& log_;
  State state_ = State::kStarting;
  int exit_status_ = 0;
  Notifier notifier_;
  std::unique_ptr<Ring> ring_;
  UniqueFd signals_;
  Programs programs_;
  Identities identities_;
  MonoTime started_;

  config::ServiceConfig service_;         // in force
  std::unique_ptr<LoadedFiles> loaded_;   // in force; a new warden gets it
  std::unique_ptr<LoadedFiles> pending_;  // with the warden, not answered yet
  std::uint32_t pending_request_ = 0;
  std::string pending_by_;
  std::uint64_t pending_client_ = 0;  // who asked by the control socket; 0: a signal
  bool reload_again_ = false;         // SIGHUP came while one was pending

  std::vector<Listener> listeners_;
  std::vector<bool> accept_armed_;
  MonoTime accept_again_ = kNever;  // after descriptors ran out
  MonoTime accept_told_{};
  std::uint64_t dropped_untold_ = 0;
  MonoTime dropped_told_{};
  StrangerLimits stranger_limits_;
  ConnectionTable connections_;

  std::vector<Child> children_;  // the warden first, then resolver, recorder, gates, workers
  MonoTime drain_deadline_ = kNever;
  MonoTime kill_deadline_ = kNever;
  std::uint32_t next_request_ = 1;

  std::vector<RecordRing> record_rings_;
  std::uint32_t next_ring_generation_ = 1;
  UniqueFd recorder_table_;  // what a recorder leaves to its successor
  std::string recordings_folder_;
  UniqueFd recordings_fd_, audit_fd_;  // the folders, O_PATH; none where it is not kept

  std::unique_ptr<ControlServer> control_;
  std::string control_path_;
  std::map<std::uint32_t, Question> questions_;
};

/// send_to queues a message for a child; one that cannot take it is ended.
template <typename Message>
bool Supervisor::send_to(Child& child, const ipc::Header& header, const Message& message,
                         std::span<const int> fds) {
  if (!child.channel) {
    return false;
  }
  if (!child.channel->send(header, message, fds)) {
    end_child(child, "it does not take its messages");
    return false;
  }
  if (child.channel->wants_writable() && !child.write_armed) {
    child.write_armed = true;
    ring_->poll_out(child.channel->fd(), {kChildWrite, place_of(child), child.generation});
  }
  return true;
}

}  // namespace bastion::daemon
