#include "daemon/audit/log.h"

#include <algorithm>
#include <cerrno>

#include "daemon/log.h"

namespace bastion::audit {
namespace {

constexpr std::int64_t kTickNs = kNsPerSecond;
/// Open recordings in one line: 26 + 20 + 64 octets each and two blanks, far below kEventBytesMax.
constexpr std::size_t kHeadsPerLine = 128;

std::string_view reason_of(Place place) {
  switch (place) {
    case Place::kMoved: return "moved";
    case Place::kShorter: return "truncated";
    case Place::kThere:
    case Place::kMissing: break;
  }
  return "missing";
}

/// stamp: "20260301T091402Z".
std::string stamp(std::uint64_t time_us) {
  std::string out = time_text(time_us).substr(0, 19) + "Z";
  std::erase_if(out, [](char c) { return c == '-' || c == ':'; });
  return out;
}

}  // namespace

Log::Log(int folder, LogSettings settings, LogOwner& owner)
    : settings_(std::move(settings)), owner_(owner), file_(folder, settings_.file) {
  for (const auto& [address, on_failure] : settings_.sinks) {
    sinks_.emplace_back(address, on_failure);
  }
}

void Log::start() {
  head_due_ = after(owner_.now(), settings_.head_interval_ns);
  tick_due_ = after(owner_.now(), kTickNs);
  open("restart", "");
}

// open opens the file and begins with a line that says so. The first time the chain goes on from
// the file, later from what this process has written.
void Log::open(std::string_view reason, const std::string& previous_file) {
  auto opened = file_.open();
  if (!opened) {
    return note_file(daemon::describe(opened.error()));
  }
  opened_us_ = opened->begun_us != 0 ? opened->begun_us : owner_.now_us();
  if (!opened_once_) {
    opened_once_ = true;
    head_ = opened->head;
    last_lines_ = std::move(opened->last_lines);
    if (opened->made) {
      reason = head_.seq == 0 ? "new" : "missing";
    }
  }
  if (!opened->torn.empty()) {
    Event torn(Name::kAuditTorn);
    torn.text(Key::kLogFile, file_.name())
        .number(Key::kBytes, opened->torn.size())
        .text(Key::kTorn, opened->torn)
        .text(Key::kTornHash, hash_text(opened->torn));
    append_own(std::move(torn));
  }
  Event start(Name::kAuditStart);
  start.text(Key::kLogFile, file_.name()).text(Key::kPreviousFile, previous_file);
  start.text(Key::kReason, reason);
  append_own(std::move(start));
  for (const Event& event : std::exchange(held_, {})) {
    append(event);
  }
  flush();
}

void Log::add(const Event& event) {
  ++added_;
  const std::size_t waiting = file_.waiting_bytes() + held_.size() * kEventBytesMax / 8;
  if (!event.check() || waiting > kWaitingBytesMax) {
    ++dropped_;
    return;
  }
  if (!opened_once_) {
    held_.push_back(event);
    return;
  }
  append(event);
}

void Log::append(const Event& event) {
  const std::string line = append_line(head_, body_of(event));
  file_.add(line + "\n", head_);
  for (SocketSink& sink : sinks_) {
    sink.add(sink.is_journald() ? journald_datagram(event, line)
                                : sink.framed(syslog_message(settings_.identity, event, line)));
  }
}

void Log::append_own(Event event) {
  event.time_us = owner_.now_us();
  append(event);
}

void Log::flush() {
  if (file_.is_open()) {
    if (const Status written = file_.flush(); !written) {
      note_file(daemon::describe(written.error()));
    } else {
      accepted_ = opened_once_ ? added_ : accepted_;
      unsynced_ = true;
    }
  }
  for (SocketSink& sink : sinks_) {
    sink.pump(owner_.now());
  }
}

// note_file keeps why the file takes no lines; empty: it does again.
void Log::note_file(std::string why) {
  if (why.empty() == file_why_.empty()) {
    file_why_ = std::move(why);
    return;
  }
  file_why_ = std::move(why);
  Event event(file_why_.empty() ? Name::kAuditRecovered : Name::kAuditFailed);
  event.text(Key::kSink, "file").text(Key::kReason, file_why_);
  if (opened_once_) {
    append_own(std::move(event));
  }
}

void Log::on_time() {
  const MonoTime now = owner_.now();
  for (SocketSink& sink : sinks_) {
    sink.pump(now);
    tell_of(sink);
  }
  if (now >= tick_due_) {
    tick_due_ = after(now, kTickNs);
    tick();
  }
  if (now >= head_due_) {
    head_due_ = after(now, settings_.head_interval_ns);
    awaiting_ = false;  // whoever was asked is gone
    ask_signature();
    if (rotating_ && !awaiting_) {
      rotate();
    }
  }
}

// tick tries again what failed and looks after the file, once a second.
void Log::tick() {
  if (!file_.is_open()) {
    open("restart", "");
  } else if (const Place place = file_.place(); place != Place::kThere && !file_.owes_line_end()) {
    // Also while lines wait: it may have been moved because it takes no more.
    sync();
    file_.close();
    open(reason_of(place), "");
  }
  if (!file_.is_open()) {
    return;
  }
  flush();
  if (file_.waiting_bytes() == 0) {  // otherwise the failure is told
    note_room();
  }
  sync();
  rotate_if_due();
}

// note_room keeps whether a file to which all lines went will take more.
void Log::note_room() {
  Status good = file_.room();
  if (const int error = syncer_.take_error(); error != 0) {
    good = fail(ErrorCode::kIo, "cannot write the audit log to the disk", error);
  }
  note_file(good ? std::string() : daemon::describe(good.error()));
  if (good && dropped_ != 0) {
    Event event(Name::kAuditDropped);
    event.text(Key::kSink, "file").number(Key::kCount, std::exchange(dropped_, 0));
    append_own(std::move(event));
  }
  flush();
}

void Log::sync() {
  if (std::exchange(unsynced_, false)) {
    syncer_.request(file_.fd());
  }
}

void Log::tell_of(SocketSink& sink) {
  if (const std::uint64_t count = sink.take_dropped(); count != 0) {
    Event event(Name::kAuditDropped);
    event.text(Key::kSink, sink.name()).number(Key::kCount, count);
    event.text(Key::kReason, sink.take_dropped_reason());
    append_own(std::move(event));
  }
  if (sink.failing() != sink.told_failing) {
    sink.told_failing = sink.failing();
    Event event(sink.told_failing ? Name::kAuditFailed : Name::kAuditRecovered);
    event.text(Key::kSink, sink.name()).text(Key::kReason, sink.told_failing ? sink.why() : "");
    append_own(std::move(event));
    flush();
  }
}

void Log::rotate_if_due() {
  const std::uint64_t age_us = owner_.now_us() - std::min(owner_.now_us(), opened_us_);
  const bool by_size = settings_.rotate_bytes != 0 && file_.size() >= settings_.rotate_bytes;
  const bool by_age = settings_.rotate_seconds != 0 &&
                      age_us / 1'000'000 >= static_cast<std::uint64_t>(settings_.rotate_seconds);
  if (rotating_ || (!by_size && !by_age)) {
    return;
  }
  rotating_ = true;
  rotate_reason_ = by_size ? "size" : "age";
  if (!ask_signature()) {
    rotate();
  }
}

void Log::rotate() {
  flush();
  // Lines that wait go to the new file: this one may take no more for its size.
  if (!file_.is_open() || file_.owes_line_end()) {
    return;  // at the next signature
  }
  rotating_ = false;
  std::string name = file_.name() + "." + stamp(owner_.now_us());
  Status moved = file_.move(name);
  if (!moved && moved.error().detail == EEXIST) {
    name += "-" + std::to_string(head_.seq);
    moved = file_.move(name);
  }
  if (!moved) {
    return note_file(daemon::describe(moved.error()));
  }
  syncer_.request(file_.fd());
  file_.close();
  open(rotate_reason_, name);
}

bool Log::ask_signature() {
  if (awaiting_ || !opened_once_ || head_ == signed_) {
    return awaiting_;
  }
  std::vector<std::string> open_ones = owner_.open_recordings();
  for (std::size_t at = 0; at < open_ones.size(); at += kHeadsPerLine) {
    const std::size_t end = std::min(open_ones.size(), at + kHeadsPerLine);
    Event event(Name::kAuditRecordings);
    event.list(Key::kHeads, {open_ones.begin() + static_cast<std::ptrdiff_t>(at),
                             open_ones.begin() + static_cast<std::ptrdiff_t>(end)});
    append_own(std::move(event));
  }
  flush();
  asked_ = head_;
  awaiting_ = true;
  owner_.sign(asked_);
  return awaiting_;
}

void Log::on_signature(std::string_view key, std::string_view signature) {
  if (!awaiting_) {
    return;
  }
  awaiting_ = false;
  no_key_ = signature.empty();
  if (!no_key_) {
    Event event(Name::kAuditHead);
    event.number(Key::kHeadSeq, asked_.seq)
        .text(Key::kHeadHash, asked_.hash)
        .text(Key::kKey, key)
        .text(Key::kSignature, signature);
    const bool nothing_since = head_ == asked_;
    append_own(std::move(event));
    signed_ = nothing_since ? head_ : asked_;
  }
  flush();
  if (rotating_) {
    rotate();
  }
}

void Log::finish() {
  flush();
  for (SocketSink& sink : sinks_) {
    sink.pump(owner_.now());
  }
  file_.close();
}

bool Log::failing() const { return !why().empty(); }

std::string Log::why() const {
  if (!file_why_.empty() && settings_.on_failure == OnFailure::kStop) {
    return file_why_;
  }
  for (const SocketSink& sink : sinks_) {
    if (sink.on_failure() == OnFailure::kStop && sink.failing()) {
      return std::string(sink.name()) + ": " +
             (sink.why().empty() ? "it does not keep up" : sink.why());
    }
  }
  return "";
}

MonoTime Log::due() const {
  MonoTime due = std::min(tick_due_, head_due_);
  for (const SocketSink& sink : sinks_) {
    due = std::min(due, sink.due());
  }
  return due;
}

}  // namespace bastion::audit
