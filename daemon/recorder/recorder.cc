#include "daemon/recorder/recorder.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "daemon/ipc/recorder_messages.h"
#include "daemon/recorder/recorder_main.h"

namespace bastion::daemon::recorder {
namespace {

/// While frames come the rings are looked at so often; nobody wakes us for a keystroke.
constexpr int kBusyMs = 20;
/// Otherwise so often: the workers take us for dead after two seconds.
constexpr int kQuietMs = 250;
constexpr std::int64_t kBusyNs = kNsPerSecond;
/// Frames wait in the ring for each other so long, so that blocks are worth their overhead.
constexpr std::int64_t kGatherNs = 200 * kNsPerMs;
constexpr std::size_t kGatherBytes = 256 * 1024;
/// What is taken from a ring at once, before its worker may put more there: a millisecond's
/// hashing.
constexpr std::uint64_t kPassBytes = std::uint64_t{2} << 20;
/// Messages taken from one channel before the rings have their turn.
constexpr int kMessagesPerTurn = 256;
/// How long the rings of workers that die with the supervisor are watched for their last frames.
constexpr int kLastFramesMs = 50;
/// How long the recorder of a supervisor before ours may take to end.
constexpr int kLockMs = 10'000;
/// How often the warden hears how full the disk is.
constexpr std::int64_t kTellNs = 2 * kNsPerSecond;

/// file_bytes_max is how large this process may make a file.
std::uint64_t file_bytes_max() {
  rlimit limit{};
  return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX
                                                                                 : limit.rlim_cur;
}

}  // namespace

Recorder::Recorder(ProcessContext& context)
    : context_(context),
      supervisor_(std::move(context.supervisor)),
      warden_(std::move(context.warden)) {}

int Recorder::run() {
  if (!start()) {
    return 1;
  }
  loop();
  finish();
  return 0;
}

/// start waits for the settings and everything that the recorder before us left, then enters the
/// sandbox.
bool Recorder::start() {
  while (!complete_) {
    pollfd wait{supervisor_.fd(), POLLIN, 0};
    if (poll(&wait, 1, -1) > 0 && !read_supervisor()) {
      return false;
    }
  }
  if (store_ != nullptr) {
    if (const Status locked = store_->lock(kLockMs); !locked) {
      context_.log.error("cannot keep recordings",
                         {{"error", describe(locked.error())}, {"folder", settings_.folder}});
      return false;
    }
    context_.extras.folders.push_back(store_->fd());
  }
  allow_audit();
  file_bytes_max_ = file_bytes_max();  // the sandbox lets nobody ask
  if (const Status sealed = seal(context_, nullptr); !sealed) {
    context_.log.error("the recorder cannot enter its sandbox",
                       {{"error", describe(sealed.error())}});
    return false;
  }
  if (store_ != nullptr) {
    make_recordings();
  }
  make_audit();
  return true;
}

void Recorder::make_recordings() {
  store_->keep_doubt_in(table_.clock_doubt());
  store_->start_threads();
  recordings_ = std::make_unique<Recordings>(
      *store_, table_, context_.log,
      Recordings::Outward{
          .opened = [this](const ipc::RecordingOpened& message) { tell_warden(message); },
          .failed = [this](const ipc::RecordingFailed& message) { tell_warden(message); },
          .sealed = [this](const ipc::RecordingSealed& message) { tell_warden(message); },
          .sign =
              [this](std::uint32_t request, const ipc::SignHead& message) {
                tell_warden(message, request);
                return !warden_gone_;
              },
          .removed =
              [this](const std::string& session, const std::string& recording) {
                tell_removed(session, recording, 0, "empty");
              }});
  recordings_->set_file_bytes_max(file_bytes_max_);
  apply_settings();
  std::vector<RingPort> ports;
  for (const auto& ring : rings_) {
    ports.push_back({ring->generation, &ring->consumer});
  }
  recordings_->recover(ports);
  recordings_->sweep();
  for (const auto& ring : rings_) {
    if (ring->retired) {
      recordings_->ring_retired(ring->generation);
    }
  }
}

void Recorder::apply_settings() {
  std::vector<recording::Recipient> recipients;
  for (const std::string& line : settings_.recipients) {
    // The configuration was checked; one that is wrong all the same must not be left out.
    auto recipient = recording::Recipient::parse(line);
    if (!recipient) {
      context_.log.error("a recipient of recordings cannot be read: nothing is recorded",
                         {{"recipient", line}});
      running_ = false;
      return;
    }
    recipients.push_back(std::move(*recipient));
  }
  recordings_->set_recipients(std::move(recipients));
  recordings_->set_reserve(settings_.reserve_bytes);
  store_->set_retention(settings_.retention_seconds, settings_.retention_bytes);
}

bool Recorder::take_settings(const ipc::RecorderSettings& settings,
                             std::span<const UniqueFd> folders) {
  context_.log.set_level(settings.log_level);
  if (!complete_) {
    const auto take = [&](const UniqueFd& from, const char* what, const std::string& path) {
      UniqueFd folder(openat(from.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!folder) {
        context_.log.error(what, {{"folder", path}, {"errno", std::strerror(errno)}});
      }
      return folder;
    };
    if (settings.recording) {
      UniqueFd folder = take(folders[0], "cannot open the folder of recordings", settings.folder);
      if (!folder) {
        return false;
      }
      store_ = std::make_unique<Store>(std::move(folder));
    }
    if (!settings.audit.folder.empty()) {
      audit_folder_ = take(folders[settings.recording ? 1 : 0],
                           "cannot open the folder of the audit log", settings.audit.folder);
      if (!audit_folder_) {
        return false;
      }
    }
  }
  settings_ = settings;
  if (recordings_ != nullptr) {
    apply_settings();
  }
  return true;
}

void Recorder::loop() {
  std::vector<pollfd> fds;
  while (!supervisor_gone_ && running_) {
    fds.clear();
    const auto events = [](const ipc::Channel& channel) {
      return static_cast<short>(channel.wants_writable() ? POLLIN | POLLOUT : POLLIN);
    };
    fds.push_back({supervisor_.fd(), events(supervisor_), 0});
    fds.push_back({warden_gone_ ? -1 : warden_.fd(), events(warden_), 0});
    for (const auto& ring : rings_) {
      fds.push_back({ring->bell.get(), POLLIN, 0});
    }
    const std::size_t num_rung = fds.size();
    if (audit_ != nullptr) {
      for (const audit::SocketSink& sink : audit_->sinks()) {
        fds.push_back({sink.wants_writable() ? sink.fd() : -1, POLLOUT, 0});
      }
    }
    if (poll(fds.data(), fds.size(), wait_ms(mono_now())) < 0 && errno != EINTR) {
      return;
    }
    bool rung = false;
    for (std::size_t i = 2; i < num_rung; ++i) {
      if (fds[i].revents != 0) {
        std::uint64_t count = 0;
        rung = read(fds[i].fd, &count, sizeof count) > 0 || rung;
      }
    }
    // The supervisor first: a ring is told by it before the warden hears of its worker.
    if (!read_supervisor() || (!warden_gone_ && !read_warden())) {
      return;
    }
    audit_turn();
    const MonoTime now = mono_now();
    drain_what_is_due(now, rung || (recordings_ != nullptr && recordings_->urgent()));
    if (recordings_ != nullptr) {
      recordings_->settle(now);
      tell_state(now);
      remove_expired();
      for (const Store::Held& held : store_->take_held()) {
        tell_warden(held.answer, held.request);
      }
      for (const Store::Note& note : store_->take_notes()) {
        context_.log.info(note.text, {{"about", note.about}});
      }
    }
    release_retired();
    for (ipc::Channel* channel : {&supervisor_, &warden_}) {
      if (channel->wants_writable() && !channel->on_writable()) {
        (channel == &supervisor_ ? supervisor_gone_ : warden_gone_) = true;
      }
    }
  }
}

int Recorder::wait_ms(MonoTime now) const {
  if (supervisor_.has_fetched() || (!warden_gone_ && warden_.has_fetched())) {
    return 0;
  }
  return now < busy_until_ ? kBusyMs : kQuietMs;
}

bool Recorder::read_supervisor() {
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    auto received = supervisor_.receive();
    if (!received) {
      context_.log.error("the supervisor's channel failed",
                         {{"error", describe(received.error())}});
      return false;
    }
    if (received->state == ipc::Received::State::kClosed) {
      supervisor_gone_ = true;
      return complete_;
    }
    if (received->state == ipc::Received::State::kNothing) {
      break;
    }
    if (!on_supervisor_message(*received)) {
      context_.log.error("the supervisor sent a message that it should not");
      return false;
    }
  }
  return true;
}

bool Recorder::read_warden() {
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    auto received = warden_.receive();
    if (!received) {
      context_.log.error("the warden's channel failed", {{"error", describe(received.error())}});
      return false;
    }
    if (received->state == ipc::Received::State::kClosed) {
      // The supervisor ends us for it; until then what is in the rings is written.
      warden_gone_ = true;
      break;
    }
    if (received->state == ipc::Received::State::kNothing) {
      break;
    }
    if (!on_warden_message(*received)) {
      context_.log.error("the warden sent a message that it should not");
      return false;
    }
  }
  return true;
}

bool Recorder::on_supervisor_message(ipc::Received& received) {
  switch (received.header.type) {
    case ipc::Type::kRecorderSettings: {
      const auto settings = ipc::decode<ipc::RecorderSettings>(received.body);
      return settings && take_settings(*settings, received.fds);
    }
    case ipc::Type::kRecorderTable: {
      const Status mapped = table_.map(received.fds[0].get());
      return mapped.has_value();
    }
    case ipc::Type::kAddRing: {
      const auto message = ipc::decode<ipc::AddRing>(received.body);
      if (!message || !received.fds[0] || !received.fds[1]) {
        return false;
      }
      add_ring(*message, std::move(received.fds[0]), std::move(received.fds[1]));
      return true;
    }
    case ipc::Type::kRetireRing: {
      const auto message = ipc::decode<ipc::RetireRing>(received.body);
      if (message) {
        retire_ring(message->generation);
      }
      return message.has_value();
    }
    case ipc::Type::kRingsComplete: complete_ = true; return true;
    default: return false;
  }
}

bool Recorder::on_warden_message(ipc::Received& received) {
  switch (received.header.type) {
    case ipc::Type::kOpenRecording: {
      const auto message = ipc::decode<ipc::OpenRecording>(received.body);
      if (message) {
        open_recording(*message);
      }
      return message.has_value();
    }
    case ipc::Type::kCloseRecording: {
      const auto message = ipc::decode<ipc::CloseRecording>(received.body);
      if (message && recordings_ != nullptr) {
        recordings_->close(*message);
      }
      return message.has_value();
    }
    case ipc::Type::kResync:
      if (recordings_ != nullptr) {
        recordings_->resync();
      }
      return true;
    case ipc::Type::kHeadSigned: {
      const auto message = ipc::decode<ipc::HeadSigned>(received.body);
      if (message && received.header.request == kAuditRequest) {
        on_audit_signature(*message);
        return true;
      }
      if (message && recordings_ != nullptr) {
        recordings_->signed_head(received.header.request, *message);
      }
      return message.has_value();
    }
    case ipc::Type::kHoldRecording: {
      auto message = ipc::decode<ipc::HoldRecording>(received.body);
      if (message && store_ != nullptr) {
        store_->ask_hold(received.header.request, std::move(*message));
      }
      return message.has_value();
    }
    case ipc::Type::kAuditEvent: {
      auto message = ipc::decode<ipc::AuditEvent>(received.body);
      if (message) {
        on_audit_event(std::move(*message));
      }
      return message.has_value();
    }
    default: return false;
  }
}

// open_recording: a ring is told by the supervisor before the warden can know of its worker, so it
// is looked for there, too.
void Recorder::open_recording(const ipc::OpenRecording& message) {
  if (recordings_ == nullptr) {
    return tell_warden(ipc::RecordingFailed{message.session, "recording is off"});
  }
  const auto of_worker = [&](const std::unique_ptr<Ring>& ring) {
    return ring->worker == message.worker && !ring->retired && !ring->broken;
  };
  (void)read_supervisor();
  const auto ring = std::ranges::find_if(rings_, of_worker);
  if (ring == rings_.end()) {
    return tell_warden(ipc::RecordingFailed{message.session, "its worker is gone"});
  }
  recordings_->open(message, {(*ring)->generation, &(*ring)->consumer});
}

void Recorder::add_ring(const ipc::AddRing& message, UniqueFd memory, UniqueFd bell) {
  auto mapping = record::Mapping::map(memory.get());
  if (!mapping) {
    context_.log.error("cannot map a worker's ring", {{"error", describe(mapping.error())}});
    return tell_supervisor(ipc::RingBroken{message.generation, "its ring cannot be mapped"});
  }
  auto ring = std::make_unique<Ring>(Ring{.worker = message.worker,
                                          .generation = message.generation,
                                          .bell = std::move(bell),
                                          .consumer = record::Consumer(std::move(*mapping))});
  ring->consumer.seen(mono_now());
  rings_.push_back(std::move(ring));
}

void Recorder::retire_ring(std::uint32_t generation) {
  for (const auto& ring : rings_) {
    ring->retired = ring->retired || ring->generation == generation;
  }
  if (recordings_ != nullptr) {
    recordings_->ring_retired(generation);
  }
}

void Recorder::drain(Ring& ring, MonoTime now) {
  ring.drained = now;
  const auto head = ring.consumer.head();
  std::uint64_t position = ring.consumer.tail();
  Status good = head ? Status() : Status(std::unexpected(head.error()));
  Status taken;  // what one session puts in beyond its room costs the others nothing
  while (good && position < *head) {
    const auto frame = ring.consumer.frame(position, *head);
    if (!frame) {
      good = std::unexpected(frame.error());
      break;
    }
    if (const Status one = take(ring, *frame); !one) {
      taken = one;
    }
    position = frame->end;
    if (position - ring.consumer.tail() >= kPassBytes) {
      // The worker goes on while we do.
      if (recordings_ != nullptr) {
        recordings_->flush();
      }
      ring.consumer.pass(position);
    }
  }
  if (recordings_ != nullptr) {
    recordings_->flush();
  }
  ring.consumer.pass(position);
  if (good) {
    good = taken;
  }
  if (!good) {
    ring.broken = true;
    context_.log.error("a worker's ring holds what it should not",
                       {{"worker", ring.worker}, {"error", describe(good.error())}});
    tell_supervisor(ipc::RingBroken{ring.generation, std::string(good.error().text)});
  }
}

Status Recorder::take(Ring& ring, const record::Frame& frame) {
  if (frame.header.kind == record::kKindDigest) {
    digests_.take(ring.worker, ring.generation, frame);
    return {};
  }
  if (recordings_ == nullptr) {
    return {};
  }
  if (frame.header.kind == record::kKindFileWithDigest) {
    const Bytes entry = digests_.complete(ring.worker, frame);
    record::Frame completed = frame;
    completed.header.kind = static_cast<std::uint8_t>(recording::EntryKind::kFile);
    completed.payload = entry;
    return recordings_->take(ring.generation, completed);
  }
  if (recording::is_entry_kind(frame.header.kind)) {
    return recordings_->take(ring.generation, frame);
  }
  return {};
}

/// drain_what_is_due empties the rings in which enough waits, or for long enough; `all`: each.
void Recorder::drain_what_is_due(MonoTime now, bool all) {
  for (const auto& ring : rings_) {
    ring->consumer.seen(now);
    const auto head = ring->broken ? Result<std::uint64_t>(0) : ring->consumer.head();
    const std::uint64_t waiting = head && !ring->broken ? *head - ring->consumer.tail() : 0;
    if (waiting > 0) {
      busy_until_ = after(now, kBusyNs);
    }
    const bool due = waiting >= kGatherBytes || now >= after(ring->drained, kGatherNs);
    if (!ring->broken && (!head || (waiting > 0 && (due || all || ring->retired)))) {
      drain(*ring, now);
    }
  }
}

/// release_retired gives rings back that are empty, and whose recordings are written to their ends.
void Recorder::release_retired() {
  std::erase_if(rings_, [&](const std::unique_ptr<Ring>& ring) {
    if (!ring->retired || (recordings_ != nullptr && recordings_->ring_in_use(ring->generation))) {
      return false;
    }
    if (recordings_ != nullptr) {
      recordings_->forget_ring(ring->generation);
    }
    digests_.ring_gone(ring->generation);
    tell_supervisor(ipc::RingDone{ring->generation});
    return true;
  });
}

void Recorder::tell_state(MonoTime now) {
  ipc::RecorderState state;
  state.why = recordings_->trouble();
  state.can_record = state.why.empty();
  const bool changed = told_at_.ns == 0 || state.can_record != told_.can_record;
  if (!changed && now < after(told_at_, kTellNs)) {
    return;
  }
  state.recordings_bytes = store_->bytes();
  state.open = static_cast<std::uint32_t>(recordings_->size());
  if (const auto disk = store_->disk()) {
    state.disk_bytes = disk->total_bytes;
    state.free_bytes = disk->free_bytes;
  }
  told_ = state;
  told_at_ = now;
  tell_warden(state);
}

/// finish: the supervisor is gone, and every worker with it. What they had accepted is written.
void Recorder::finish() {
  usleep(kLastFramesMs * 1000);
  for (const auto& ring : rings_) {
    ring->retired = true;
  }
  drain_what_is_due(mono_now(), true);
  if (recordings_ != nullptr) {
    recordings_->end_all("the bastion ended");
  }
  if (audit_ != nullptr) {
    audit_->finish();
  }
}

}  // namespace bastion::daemon::recorder

namespace bastion::daemon {

int recorder_main(ProcessContext& context) { return recorder::Recorder(context).run(); }

}  // namespace bastion::daemon
