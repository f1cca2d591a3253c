#include "daemon/worker/recording.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include "base/boot_clock.h"
#include "base/limits.h"
#include "proto/file_commands.h"

namespace bastion::daemon {
namespace {

using proto::RecordMode;
using recording::EntryKind;

/// What one packet makes at most: its data or its request, and the lines about it (a cap that is
/// reached, a channel that opens, input that was held back for its echo).
constexpr std::size_t kPacketFramesMax = record::frame_bytes(limits::kPacketLengthMax) +
                                         record::frame_bytes(EchoFilter::kWaitingMax) + 4096;
static_assert(kPacketFramesMax <= record::kPacketCredit);
/// What a session's end makes of each of its channels: the input that waits for its echo, what was
/// hidden, what the user is told (less than 1 KiB), and that it closes.
constexpr std::size_t kChannelEndMax = record::frame_bytes(EchoFilter::kWaitingMax) +
                                       record::frame_bytes(10) + record::frame_bytes(1024) +
                                       record::frame_bytes(0);
static_assert(limits::kChannelsMax * kChannelEndMax + kPacketFramesMax <= record::kBeyondCreditMax);
/// Room that is left for what comes without a packet: the ends of sessions.
constexpr std::size_t kRoomKept = std::size_t{1} << 20;
/// What waits for room: the events of the packet that was taken last. 2,500 requests in one, and
/// the names of all that one window (2 MiB) holds, each octet of them written with five.
constexpr std::size_t kWaitingBytesMax = std::size_t{16} << 20;
/// An event of a file operation fits into one entry: three long names, and everything else.
static_assert(3 * audit::kTextBytesMax * 5 + 4096 <= recording::kEntryBytesMax);

std::size_t index_of(EntryKind stream) {
  return static_cast<std::size_t>(stream) - static_cast<std::size_t>(EntryKind::kStdout);
}

proto::RecordTerms strictest(const proto::RecordPlan& plan) {
  proto::RecordTerms out = plan.shell;
  for (const proto::RecordTerms* terms : {&plan.exec, &plan.subsystem}) {
    out.mode = std::max(out.mode, terms->mode);
    out.input = out.input || terms->input;
    out.bytes_max = std::max(out.bytes_max, terms->bytes_max);
  }
  return out;
}

}  // namespace

std::int64_t SessionRecording::wall_us() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

bool SessionRecording::has_room() {
  starved_ = starved_ || lost_ || owes() || ring_.room() < kRoomKept ||
             ring_.granted(slot_) < spent_ + record::kPacketCredit;
  return !starved_;
}

bool SessionRecording::has_room_for(std::size_t len) const {
  const std::size_t bytes = record::frame_bytes(len);
  return ring_.room() >= kRoomKept + bytes && ring_.granted(slot_) >= spent_ + bytes;
}

void SessionRecording::look_again() {
  starved_ = false;
  while (!waiting_.empty() && has_room_for(waiting_.front().bytes.size())) {
    const Waiting& first = waiting_.front();
    const ByteView bytes = first.bytes;
    if (!ring_.put(first.header, std::span(&bytes, 1))) {
      return give_up();
    }
    spent_ += record::frame_bytes(bytes.size());
    waiting_bytes_ -= bytes.size();
    waiting_.pop_front();
  }
}

void SessionRecording::give_up() {
  lost_ = true;
  waiting_.clear();
  waiting_bytes_ = 0;
}

bool SessionRecording::put_frame(std::uint32_t channel, std::uint8_t kind, ByteView bytes) {
  const record::FrameHeader header{.kind = kind,
                                   .slot = slot_,
                                   .channel = channel,
                                   .time_us = begun_us_ + (boot_now().ns - begun_.ns) / 1000,
                                   .session = session_};
  const bool may_wait = kind == record::kKindFileWithDigest ||
                        kind == static_cast<std::uint8_t>(EntryKind::kFile) ||
                        kind == static_cast<std::uint8_t>(EntryKind::kForward);
  if (!lost_ && (owes() || (may_wait && !has_room_for(bytes.size())))) {
    lost_ = waiting_bytes_ + bytes.size() > kWaitingBytesMax;
    waiting_.push_back({header, Bytes(bytes.begin(), bytes.end())});
    waiting_bytes_ += bytes.size();
    return !lost_;
  }
  const std::uint64_t spent = spent_ + record::frame_bytes(bytes.size());
  if (lost_ || spent > ring_.granted(slot_) + record::kBeyondCreditMax ||
      !ring_.put(header, std::span(&bytes, 1))) {
    lost_ = true;
    return false;
  }
  spent_ = spent;
  return true;
}

SessionRecording::ChannelTap& SessionRecording::tap(const proto::ChannelInfo& channel) {
  const auto [found, is_new] = taps_.try_emplace(channel.number);
  if (is_new) {
    found->second.terms =
        channel.type == proto::ChannelType::kSession ? strictest(plan_) : plan_.forwards;
    if (channel.type != proto::ChannelType::kSession) {
      // What passes through a forwarding is not ours to read.
      found->second.terms.mode = std::min(found->second.terms.mode, RecordMode::kMetadata);
    }
  }
  return found->second;
}

bool SessionRecording::is_recorded(const proto::ChannelInfo& channel) {
  return tap(channel).terms.mode != RecordMode::kNone;
}

bool SessionRecording::tell_opened(ChannelTap& tap, const proto::ChannelInfo& channel) {
  if (tap.told) {
    return true;
  }
  tap.told = true;
  std::string type(type_name(channel.type));
  if (channel.type != proto::ChannelType::kSession && !channel.detail.empty()) {
    type += " " + std::string(channel.detail);
  }
  return put(channel.number, EntryKind::kChannelOpen, encode(recording::ChannelOpen{type}));
}

void SessionRecording::event(const proto::ChannelInfo& channel, EntryKind kind, ByteView bytes) {
  ChannelTap& of = tap(channel);
  if (of.terms.mode != RecordMode::kNone && tell_opened(of, channel)) {
    (void)put(channel.number, kind, bytes.first(std::min(bytes.size(), recording::kEntryBytesMax)));
  }
}

void SessionRecording::file(const proto::ChannelInfo& channel, std::string_view json,
                            record::DigestRefs digests) {
  if (digests.read == 0 && digests.written == 0) {
    return event(channel, EntryKind::kFile, as_bytes(json));
  }
  ChannelTap& of = tap(channel);
  if (of.terms.mode == RecordMode::kNone || !tell_opened(of, channel)) {
    return;
  }
  Bytes bytes(sizeof digests);
  std::memcpy(bytes.data(), &digests, sizeof digests);
  bytes.insert(bytes.end(), json.begin(), json.end() - 1);
  bytes.insert(bytes.end(), record::kDigestRoomBytes, ' ');
  bytes.push_back('}');
  (void)put_frame(channel.number, record::kKindFileWithDigest, bytes);
}

void SessionRecording::forward(const proto::ChannelInfo& channel, const audit::Event& event) {
  this->event(channel, EntryKind::kForward, as_bytes(audit::object_of(event)));
}

void SessionRecording::forward(const audit::Event& event) {
  if (plan_.forwards.mode != RecordMode::kNone) {
    (void)put(recording::kNoChannel, EntryKind::kForward, as_bytes(audit::object_of(event)));
  }
}

void SessionRecording::opened(const proto::ChannelInfo& channel) {
  if (channel.type != proto::ChannelType::kSession && is_recorded(channel)) {
    (void)tell_opened(tap(channel), channel);
  }
}

void SessionRecording::closed(const proto::ChannelInfo& channel) {
  const auto found = taps_.find(channel.number);
  if (found == taps_.end()) {
    return;
  }
  if (found->second.echo != nullptr) {
    (void)shown(channel, found->second.echo->finish());
  }
  if (found->second.told) {
    (void)put(channel.number, EntryKind::kChannelClose, {});
  }
  taps_.erase(found);
}

bool SessionRecording::keep(ChannelTap& tap, const proto::ChannelInfo& channel, EntryKind stream,
                            ByteView data) {
  const std::size_t at = index_of(stream);
  if (channel.pty) {
    tap.bytes_kept[at] += data.size();
    return put(channel.number, stream, data);
  }
  if (tap.bulk && stream != EntryKind::kStderr &&
      !tap.bulk->see(stream == EntryKind::kStdout ? proto::Leg::kUpstream : proto::Leg::kDownstream,
                     data)) {
    tap.bulk.reset();
  }
  const bool is_bulk = tap.bulk && tap.bulk->both_seen() && stream != EntryKind::kStderr;
  const std::uint64_t most =
      is_bulk ? std::min(BulkOpening::kKeptBytes, tap.terms.bytes_max) : tap.terms.bytes_max;
  const std::uint64_t left = most - std::min(most, tap.bytes_kept[at]);
  const ByteView kept =
      data.first(static_cast<std::size_t>(std::min<std::uint64_t>(left, data.size())));
  tap.bytes_kept[at] += kept.size();
  if (!kept.empty() && !put(channel.number, stream, kept)) {
    return false;
  }
  if (kept.size() < data.size() && !tap.cap_told[at]) {
    tap.cap_told[at] = true;
    const recording::Cap cap{stream, is_bulk ? tap.bytes_kept[at] : tap.terms.bytes_max};
    if (!is_bulk) {
      cap_reached_ = cap;
    }
    return put(channel.number, EntryKind::kCapReached, encode(cap));
  }
  return true;
}

bool SessionRecording::shown(const proto::ChannelInfo& channel, const EchoFilter::Shown& shown) {
  return (shown.num_hidden == 0 || put(channel.number, EntryKind::kInputHidden,
                                       recording::encode_number(shown.num_hidden))) &&
         (shown.text.empty() || put(channel.number, EntryKind::kStdin, as_bytes(shown.text)));
}

bool SessionRecording::data(const proto::ChannelInfo& channel, proto::Leg from, bool is_stderr,
                            ByteView data) {
  ChannelTap& of = tap(channel);
  if (of.terms.mode == RecordMode::kNone || data.empty()) {
    return true;
  }
  if (!tell_opened(of, channel)) {
    return false;
  }
  if (of.terms.mode != RecordMode::kFull) {
    return true;
  }
  if (from == proto::Leg::kUpstream) {
    if (of.echo != nullptr && !is_stderr && !shown(channel, of.echo->output(data))) {
      return false;
    }
    return keep(of, channel, is_stderr ? EntryKind::kStderr : EntryKind::kStdout, data);
  }
  if (!channel.pty) {
    return keep(of, channel, EntryKind::kStdin, data);
  }
  if (!of.terms.input) {
    return true;
  }
  if (of.echo == nullptr) {
    of.echo = std::make_unique<EchoFilter>();
  }
  return shown(channel, of.echo->typed(data));
}

void SessionRecording::request(const proto::ChannelInfo& channel,
                               const proto::ChannelRequest& request) {
  using Type = proto::ChannelRequestType;
  ChannelTap& of = tap(channel);
  const auto entry = [&](EntryKind kind, const Bytes& bytes) { event(channel, kind, bytes); };
  if (starts_session(request.type)) {
    using recording::StartKind;
    recording::Start start{StartKind::kShell, request.text};
    switch (request.type) {
      case Type::kExec:
        start.kind = StartKind::kExec;
        of.terms = plan_.exec;
        break;
      case Type::kSubsystem:
        start.kind = StartKind::kSubsystem;
        of.terms = plan_.subsystem;
        if (request.text == "sftp") {
          // Its operations are events of their own; the content of files is not kept. What is not
          // sftp on such a channel ends it, so nothing else passes there unseen.
          of.terms.mode = std::min(of.terms.mode, RecordMode::kMetadata);
        }
        break;
      default: of.terms = plan_.shell; break;
    }
    if (!force_command_.empty()) {
      start = {StartKind::kExec, force_command_};
    }
    if (start.kind == StartKind::kExec) {
      using Kind = proto::FileCommand::Kind;
      const Kind kind = proto::recognise_command(start.command).kind;
      if (kind == Kind::kSftp) {
        of.terms.mode = std::min(of.terms.mode, RecordMode::kMetadata);
      } else if ((kind == Kind::kRsync || kind == Kind::kGit) && !of.terms.file_content) {
        of.bulk.emplace(kind);
      }
    }
    return entry(EntryKind::kStart, encode(start));
  }
  switch (request.type) {
    case Type::kPty:
      return entry(EntryKind::kPty,
                   encode(recording::Pty{{request.columns, request.rows}, request.text}));
    case Type::kWindowChange:
      return entry(EntryKind::kResize, encode(recording::Size{request.columns, request.rows}));
    case Type::kEnv:
      return entry(EntryKind::kEnv, encode(recording::Env{request.text, request.value}));
    case Type::kExitStatus:
      return entry(EntryKind::kExitStatus, recording::encode_number(request.exit_status));
    case Type::kExitSignal:
      return entry(EntryKind::kExitSignal,
                   encode(recording::ExitSignal{.name = request.text, .message = {}}));
    default: return;
  }
}

void SessionRecording::eof(const proto::ChannelInfo& channel, proto::Leg from) {
  if (is_recorded(channel) && tap(channel).told) {
    event(channel, EntryKind::kEof,
          recording::encode_eof(from == proto::Leg::kUpstream ? EntryKind::kStdout
                                                              : EntryKind::kStdin));
  }
}

void SessionRecording::line(const proto::ChannelInfo& channel, std::string_view text) {
  event(channel, EntryKind::kNotice, as_bytes(text));
}

}  // namespace bastion::daemon
