#include "daemon/supervisor/supervisor.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/version.h"
#include "daemon/ipc/supervisor_messages.h"
#include "daemon/memory.h"
#include "daemon/sandbox/sandbox.h"

namespace bastion::daemon {
namespace {

constexpr std::uint32_t kPerKindMax = 256;
/// How long children have to end by themselves once their channels are closed.
constexpr std::int64_t kEndMs = 1'000;
/// How long the recordings of sessions that were ended take to be sealed.
constexpr std::int64_t kSealMs = 3'000;

std::uint32_t num_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) {
    return 1;
  }
  return static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&set)));
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

UniqueFd block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGHUP, SIGINT, SIGTERM}) {
    sigaddset(&set, signal);
  }
  sigprocmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  return UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

/// keep_standard_descriptors makes sure that 0, 1 and 2 are open, so that nothing else gets their
/// numbers.
void keep_standard_descriptors() {
  int fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO) {
    fd = open("/dev/null", O_RDWR);
  }
  close(fd);
}

}  // namespace

Supervisor::Supervisor(SupervisorOptions options, Log& log)
    : options_(std::move(options)),
      log_(log),
      notifier_(std::getenv("NOTIFY_SOCKET")),
      connections_({}) {}

Supervisor::~Supervisor() = default;

int Supervisor::run() {
  keep_standard_descriptors();
  started_ = mono_now();
  signals_ = block_signals();
  raise_descriptor_limit();
  if (start()) {
    loop();
  } else {
    kill_all(SIGKILL);
    exit_status_ = 1;
  }
  if (!control_path_.empty()) {
    unlink(control_path_.c_str());
  }
  return exit_status_;
}

bool Supervisor::start() {
  config::Problems problems;
  auto files = load_files(options_.config_path, problems);
  for (const config::Problem& problem : problems.errors) {
    log_.error(problem.text());
  }
  for (const config::Problem& problem : problems.warnings) {
    log_.warning(problem.text());
  }
  if (!files) {
    log_.error("the configuration has errors; nothing was started");
    return false;
  }
  service_ = files->service;
  log_.set_level(to_log_level(service_.log_level));
  apply_limits();

  auto identities = find_identities(options_.one_uid);
  if (!identities) {
    log_.error(identities.error());
    return false;
  }
  identities_ = std::move(*identities);
  auto ring = Ring::create({.entries = 256, .cq_entries = 4096, .buffer_count = 0});
  if (!ring) {
    log_.error(describe(ring.error()));
    return false;
  }
  ring_ = std::move(*ring);
  auto programs = open_programs();
  if (!programs) {
    log_.error(describe(programs.error()));
    return false;
  }
  programs_ = std::move(*programs);
  for (const Endpoint& endpoint : service_.listen) {
    auto listener = listen_on(endpoint);
    if (!listener) {
      log_.error(listener.error());
      return false;
    }
    listeners_.push_back(std::move(*listener));
  }
  accept_armed_.assign(listeners_.size(), false);
  if (const auto sealed = sandbox::enter(ipc::Role::kSupervisor); !sealed) {
    log_.error(describe(sealed.error()));
    return false;
  }
  if (const Status enabled = ring_->restrict_and_enable(RingProfile::kSupervisor); !enabled) {
    log_.error(describe(enabled.error()));
    return false;
  }
  if (!start_control() || !prepare_recording()) {
    return false;
  }
  log_.info("bastiond " + std::string(kVersion) + " starts",
            {{"configuration", options_.config_path}, {"uids", identities_.note}});
  ring_->poll_in(signals_.get(), {.kind = kSignals});
  make_children();
  const MonoTime now = mono_now();
  start_child(warden(), now);
  pending_ = std::make_unique<LoadedFiles>(std::move(*files));
  pending_by_ = "start";
  pending_request_ = next_request_++;
  send_configuration(*pending_, pending_by_);
  for (Child& child : children_) {
    if (!child.alive()) {
      start_child(child, now);
    }
  }
  return std::ranges::all_of(children_, &Child::alive);
}

bool Supervisor::start_control() {
  if (service_.control.socket.empty()) {
    return true;
  }
  const ControlGroups groups{group_id(service_.control.admin_group),
                             group_id(service_.control.viewer_group)};
  auto socket = bind_control_socket(service_.control.socket, groups);
  if (!socket) {
    log_.error(socket.error());
    return false;
  }
  control_path_ = service_.control.socket;
  control_ = std::make_unique<ControlServer>(
      *ring_, std::move(*socket), groups, kControlAccept, kControlClient,
      [this](ControlServer::Request request) { on_request(std::move(request)); });
  return true;
}

void Supervisor::make_children() {
  const std::uint32_t cpus = num_cpus();
  const std::uint32_t workers =
      std::min(service_.workers == 0 ? cpus : service_.workers, kPerKindMax);
  // Two at least, so that logins go on while one is replaced.
  const std::uint32_t gates =
      std::min(service_.gates == 0 ? std::max(2u, cpus / 2) : service_.gates, kPerKindMax);
  const auto add = [&](ipc::Role role, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      Child& child = children_.emplace_back();
      child.role = role;
      child.index = i;
    }
  };
  add(ipc::Role::kWarden, 1);
  add(ipc::Role::kResolver, 1);
  add(ipc::Role::kRecorder, service_.recording.enabled || !service_.audit.file.empty() ? 1 : 0);
  add(ipc::Role::kGate, gates);
  add(ipc::Role::kWorker, workers);
}

void Supervisor::became_ready() {
  state_ = State::kRunning;
  for (const Listener& listener : listeners_) {
    log_.info("listening on " + listener.bound.address.text() + " port " +
              std::to_string(listener.bound.port));
  }
  log_.info("memory of one idle session, in bytes", {{"sum", idle_session_text()}});
  notifier_.ready("ready: " + loaded_->summary);
  arm_all_accepts();
}

void Supervisor::loop() {
  std::array<Completion, 256> completions;
  while (true) {
    const std::size_t n = ring_->wait(next_deadline(), completions);
    const MonoTime now = mono_now();
    for (std::size_t i = 0; i < n; ++i) {
      on_completion(completions[i], now);
    }
    on_time(now);
    if (state_ == State::kEnding && std::ranges::none_of(children_, &Child::alive)) {
      return;
    }
  }
}

void Supervisor::on_completion(const Completion& completion, MonoTime now) {
  const Token token = completion.token;
  switch (token.kind) {
    case kSignals: return on_signals(now);
    case kAccept: return on_accepted(completion, now);
    case kControlAccept:
    case kControlClient: return control_ ? control_->on_completion(completion, now) : void();
    default: break;
  }
  if (token.index >= children_.size()) {
    return;
  }
  Child& child = children_[token.index];
  if (!child.channel || (child.generation & Token::kGenerationMask) != token.generation) {
    return;
  }
  if (token.kind == kChildRead) {
    return on_child_message(token.index, now);
  }
  child.write_armed = false;
  if (!child.channel->on_writable()) {
    return end_child(child, "its channel failed");
  }
  if (child.channel->wants_writable()) {
    child.write_armed = true;
    ring_->poll_out(child.channel->fd(), {kChildWrite, token.index, child.generation});
  }
}

void Supervisor::on_signals(MonoTime now) {
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    switch (info.ssi_signo) {
      case SIGHUP: reload("reload", 0); break;
      case SIGINT:
      case SIGTERM:
        if (state_ == State::kDraining || state_ == State::kEnding) {
          log_.warning("ending at once");
          kill_all(SIGKILL);
          begin_ending(now);
        } else {
          begin_shutdown(now);
        }
        break;
      default: break;
    }
  }
  reap(now);
  ring_->poll_in(signals_.get(), {.kind = kSignals});
}

MonoTime Supervisor::next_deadline() const {
  MonoTime next = std::min({accept_again_, drain_deadline_, kill_deadline_});
  if (state_ == State::kRunning && children_.front().channel) {
    next = std::min(next, stranger_limits_.next_deadline());
  }
  for (const Child& child : children_) {
    next = std::min(next, child.start_again);
  }
  if (control_) {
    next = std::min(next, control_->next_deadline());
  }
  return next;
}

void Supervisor::on_time(MonoTime now) {
  if (control_) {
    control_->on_time(now);
  }
  tell_limits(now);
  if (accept_again_ <= now) {
    accept_again_ = kNever;
    arm_all_accepts();
  }
  if (drain_deadline_ <= now) {
    log_.warning("sessions did not end in time");
    begin_ending(now);
  }
  if (kill_deadline_ <= now) {
    kill_deadline_ = kNever;
    kill_all(SIGKILL);
  }
  if (state_ != State::kRunning && state_ != State::kStarting) {
    return;
  }
  for (Child& child : children_) {
    // The warden first: the others' channels lead to it.
    if (child.start_again <= now && (&child == &warden() || warden().alive())) {
      child.start_again = kNever;
      ++child.restarts;
      start_child(child, now);
      if (&child == &warden() && child.alive() && loaded_) {
        send_configuration(*loaded_, "restart");
      }
    }
  }
}

void Supervisor::begin_shutdown(MonoTime now) {
  log_.info("stopping");
  notifier_.stopping("ending sessions");
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    ring_->cancel({kAccept, static_cast<std::uint32_t>(i), 0});
  }
  listeners_.clear();
  if (control_) {
    control_->stop();
  }
  if (state_ == State::kStarting || !warden().alive()) {
    return begin_ending(now);
  }
  state_ = State::kDraining;
  const auto limit_ms = static_cast<std::uint32_t>(service_.limits.shutdown_ms);
  // The warden ends the sessions within its limit. It answers when their recordings are sealed:
  // their ends wait for a sync, which begins within a second, and for their signatures.
  drain_deadline_ = after(now, (service_.limits.shutdown_ms + kSealMs) * kNsPerMs);
  send_to(warden(), {.request = next_request_++},
          ipc::Shutdown{limit_ms, "the bastion is being stopped."});
}

void Supervisor::begin_ending(MonoTime now) {
  state_ = State::kEnding;
  drain_deadline_ = kNever;
  kill_deadline_ = after(now, kEndMs * kNsPerMs);
  listeners_.clear();
  for (Child& child : children_) {
    child.start_again = kNever;
    if (child.channel) {
      ring_->cancel({kChildRead, place_of(child), child.generation});
      ring_->cancel({kChildWrite, place_of(child), child.generation});
      child.channel.reset();
    }
  }
}

void Supervisor::kill_all(int signal) {
  for (const Child& child : children_) {
    if (child.alive()) {
      kill(child.pid, signal);
    }
  }
}

}  // namespace bastion::daemon
