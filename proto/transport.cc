#include "proto/transport.h"

#include <cassert>
#include <cstring>

#include "base/wire.h"
#include "proto/ident.h"
#include "proto/name_list.h"
#include "proto/transport_impl.h"

namespace bastion::proto {
namespace {

constexpr std::size_t kDisconnectTextKeptMax = 1024;

/// A waiting message lies in its queue as: length (4), headroom, payload, tailroom.
constexpr std::size_t kWaitingBefore = 4 + limits::kPayloadHeadroom;
constexpr std::size_t kWaitingAround = kWaitingBefore + limits::kPayloadTailroom;

/// halves gives value * num / 2, rounded up, or the largest number where that is more.
std::uint64_t halves(std::uint64_t value, std::uint64_t num) {
  const std::uint64_t half = value / 2 + value % 2;
  return half > UINT64_MAX / num ? UINT64_MAX : half * num;
}

}  // namespace

Transport::Transport(std::shared_ptr<const TransportOptions> options, ChunkPool& pool,
                     RandomSource& random)
    : options_(std::move(options)),
      random_(&random),
      writer_(pool, random),
      waiting_(pool),
      ident_(options_->ident),
      forced_bytes_(halves(options_->rekey.bytes, 8)),
      forced_packets_(halves(options_->rekey.packets, 3)) {}

Transport::~Transport() = default;

void Transport::start(std::optional<Cookie> cookie, MonoTime now) {
  assert(state_ == State::kNew);
  state_ = State::kIdentification;
  if (cookie.has_value()) {
    next_cookie_ = cookie;
  }
  writer_.write_raw(as_bytes(ident_));
  writer_.write_raw(as_bytes("\r\n"));
  begin_kex(now);
}

Result<Step> Transport::next(MutBytes in, MonoTime now) {
  last_now_ = now;
  Step step;
  if (disconnected_) {
    step.kind = StepKind::kDisconnected;
    return step;
  }
  if (state_ == State::kNew || state_ == State::kClosed) {
    return fail(ErrorCode::kInternal, "a transport was read before its start or after its end");
  }
  if (state_ == State::kIdentification) {
    const auto complete = read_ident(in, step);
    BASTION_TRY(complete);
    if (!*complete) {
      return step;
    }
  }
  force_rekey();
  std::size_t quiet = 0;
  while (kex_ == nullptr || kex_->blocked == Kex::Blocked::kNo) {
    if (quiet++ == kQuietPacketsMax) {
      step.kind = StepKind::kConsumed;
      return step;
    }
    const auto packet = reader_.read(in.subspan(step.consumed));
    BASTION_TRY(packet);
    if (packet->need_bytes != 0) {
      step.kind = StepKind::kNeedBytes;
      step.need_bytes = packet->need_bytes;
      return step;
    }
    step.consumed += packet->wire_bytes;
    counters_.bytes_in += packet->wire_bytes;
    ++counters_.packets_in;
    const auto report = handle(*packet, now);
    BASTION_TRY(report);
    force_rekey();
    if (report->has_value()) {
      step.kind = **report;
      step.payload = packet->payload;
      return step;
    }
  }
  step.kind = StepKind::kWaiting;
  return step;
}

Result<bool> Transport::read_ident(MutBytes in, Step& step) {
  const auto scan = scan_ident(role(), in, pre_ident_lines_);
  BASTION_TRY(scan);
  step.consumed = scan->consumed;
  if (!scan->complete) {
    step.kind = StepKind::kNeedBytes;
    step.need_bytes = in.size() - scan->consumed + 1;
    return false;
  }
  peer_ident_ = scan->ident;
  state_ = State::kPackets;
  return true;
}

Result<Transport::Report> Transport::handle(const Packet& packet, MonoTime now) {
  const std::uint8_t message = packet.payload.message();
  const PeerKex peer_kex = kex_ == nullptr ? PeerKex::kNone : kex_->peer;
  if (kex_ != nullptr && kex_->skip_guess && message >= 30 && message <= 49) {
    kex_->skip_guess = false;
    return std::nullopt;
  }
  switch (permitted(role(), phase_, peer_kex, strict_kex_, message)) {
    case Verdict::kRefused:
      return fail(ErrorCode::kProtocol, "message not allowed in this state", message);
    case Verdict::kUnimplemented: {
      std::array<std::uint8_t, 5> reply = {kMsgUnimplemented};
      store_u32(reply.data() + 1, packet.seq);
      send(reply);
      return std::nullopt;
    }
    case Verdict::kTransport:
      BASTION_TRY(check_order(message));
      return handle_transport(packet, now);
    case Verdict::kDeliver:
      BASTION_TRY(check_order(message));
      if (message == kMsgServiceAccept && phase_ == Phase::kService) {
        phase_ = Phase::kAuth;
      }
      return StepKind::kPayload;
  }
  return fail(ErrorCode::kInternal, "no verdict");
}

/// check_order holds a message against the one before it, where EXT_INFO is concerned (RFC 8308
/// 2.4): right behind the first NEWKEYS, or, from a server, right before USERAUTH_SUCCESS.
Status Transport::check_order(std::uint8_t message) {
  if (message == kMsgDisconnect) {
    return {};
  }
  if (success_expected_ && message != kMsgUserauthSuccess) {
    return fail(ErrorCode::kProtocol, "EXT_INFO was not followed by USERAUTH_SUCCESS", message);
  }
  success_expected_ = false;
  const bool first = ext_info_allowed_;
  ext_info_allowed_ = false;
  if (message == kMsgExtInfo && !first) {
    if (role() == Role::kServer || phase_ != Phase::kAuth) {
      return fail(ErrorCode::kProtocol, "EXT_INFO in the wrong place");
    }
    success_expected_ = true;
  }
  return {};
}

Result<Transport::Report> Transport::handle_transport(const Packet& packet, MonoTime now) {
  const ByteView payload = packet.payload.view();
  switch (packet.payload.message()) {
    case kMsgDisconnect: on_disconnect(payload); return StepKind::kDisconnected;
    case kMsgExtInfo: BASTION_TRY(on_ext_info(payload)); return std::nullopt;
    case kMsgPing: BASTION_TRY(on_ping(packet.payload)); return std::nullopt;
    case kMsgKexInit: BASTION_TRY(on_kexinit(packet, now)); return std::nullopt;
    case kMsgKexMethodInit:
    case kMsgKexMethodReply: return on_kex_method(payload);
    case kMsgNewKeys: BASTION_TRY(on_newkeys(payload, now)); return StepKind::kKeysChanged;
    default:
      // IGNORE, DEBUG, UNIMPLEMENTED, PONG, and user authentication requests that come too late.
      return std::nullopt;
  }
}

void Transport::on_disconnect(ByteView payload) {
  Reader reader(payload);
  reader.u8();
  disconnect_reason_ = reader.u32();
  // Whatever is missing or malformed: the peer has gone, and what it could say is kept.
  disconnect_text_ = reader.text().substr(0, kDisconnectTextKeptMax);
  disconnected_ = true;
  state_ = State::kClosed;
}

Status Transport::on_ext_info(ByteView payload) {
  Reader reader(payload);
  reader.u8();
  const std::uint32_t num_extensions = reader.u32();
  if (num_extensions > limits::kExtInfoMax) {
    return fail(ErrorCode::kLimit, "too many extensions in EXT_INFO", num_extensions);
  }
  peer_.ext_info = true;
  for (std::uint32_t i = 0; i < num_extensions && reader.ok(); ++i) {
    const std::string_view name = reader.text();
    std::string_view value = reader.text();
    if (name == "server-sig-algs") {
      BASTION_TRY(check_name_list(value));
      peer_.server_sig_algs.clear();
      while (!value.empty()) {
        if (peer_.server_sig_algs.size() == limits::kExtInfoNamesMax) {
          return fail(ErrorCode::kLimit, "too many names in server-sig-algs");
        }
        peer_.server_sig_algs.emplace_back(take_name(value));
      }
    } else if (name == "publickey-hostbound@openssh.com") {
      peer_.hostbound = value == "0";
    } else if (name == "ping@openssh.com") {
      peer_.ping = value == "0";
    }
  }
  if (!reader.done()) {
    return fail(ErrorCode::kProtocol, "malformed EXT_INFO");
  }
  return {};
}

Status Transport::on_ping(Payload payload) {
  Reader reader(payload.view());
  reader.u8();
  reader.string();
  if (!reader.done()) {
    return fail(ErrorCode::kProtocol, "malformed PING");
  }
  // A PONG is the PING with another number (OpenSSH PROTOCOL 1.9): it goes back from where it is.
  payload.data[0] = kMsgPong;
  if (!must_wait(kMsgPong)) {
    writer_.write_in_place(payload);
    ++counters_.packets_out;
    return {};
  }
  pongs_waiting_bytes_ += payload.len + kWaitingAround;
  if (pongs_waiting_bytes_ > limits::kPongsWaitingMax) {
    return fail(ErrorCode::kLimit, "too many PINGs in a key exchange");
  }
  keep_waiting(payload.view());
  return {};
}

bool Transport::must_wait(std::uint8_t message) const {
  const bool no_keys_yet = phase_ == Phase::kInitialKex || kex_ != nullptr;
  return no_keys_yet && (kex_ == nullptr || !kex_->newkeys_sent) && waits_for_new_keys(message);
}

void Transport::keep_waiting(ByteView payload) {
  const std::size_t slot_len = payload.size() + kWaitingAround;
  const MutBytes slot = waiting_.reserve(slot_len);
  store_u32(slot.data(), static_cast<std::uint32_t>(payload.size()));
  std::memcpy(slot.data() + kWaitingBefore, payload.data(), payload.size());
  waiting_.commit(slot_len);
}

void Transport::flush_waiting() {
  while (!waiting_.empty()) {
    MutBytes slot = waiting_.front();
    const std::size_t payload_len = load_u32(slot.data());
    writer_.write_in_place({slot.data() + kWaitingBefore, payload_len});
    ++counters_.packets_out;
    waiting_.consume(payload_len + kWaitingAround);
  }
  pongs_waiting_bytes_ = 0;
}

void Transport::send(ByteView payload) {
  if (state_ == State::kClosed || payload.empty()) {
    return;
  }
  const std::uint8_t message = payload[0];
  counters_.bytes_copied += payload.size();
  if (must_wait(message)) {
    keep_waiting(payload);
  } else {
    writer_.write(payload);
    ++counters_.packets_out;
  }
  if (message == kMsgServiceAccept && role() == Role::kServer && phase_ == Phase::kService) {
    phase_ = Phase::kAuth;
  }
  force_rekey();
}

void Transport::send_in_place(Payload payload) {
  if (state_ == State::kClosed || payload.len == 0) {
    return;
  }
  counters_.bytes_relayed += payload.len;
  if (must_wait(payload.message())) {
    counters_.bytes_copied += payload.len;
    keep_waiting(payload.view());
    return;
  }
  writer_.write_in_place(payload);
  ++counters_.packets_out;
  force_rekey();
}

void Transport::disconnect(DisconnectReason reason, std::string_view text) {
  if (state_ != State::kNew && state_ != State::kClosed) {
    Writer writer;
    writer.u8(kMsgDisconnect).u32(static_cast<std::uint32_t>(reason)).text(text).text("");
    send(writer.view());
  }
  waiting_.consume(waiting_.bytes());
  state_ = State::kClosed;
}

void Transport::set_authenticated() {
  assert(phase_ == Phase::kAuth);
  phase_ = Phase::kAuthenticated;
}

bool Transport::may_start_rekey() const {
  return state_ == State::kPackets && kex_ == nullptr && phase_ == Phase::kAuthenticated;
}

bool Transport::rekey_due(MonoTime now) const {
  const RekeyLimits& rekey = options_->rekey;
  return may_start_rekey() &&
         (std::max(reader_.key_bytes(), writer_.key_bytes()) >= rekey.bytes ||
          std::max(reader_.key_packets(), writer_.key_packets()) >= rekey.packets ||
          now >= after(keys_since_, rekey.seconds * kNsPerSecond));
}

void Transport::request_rekey(MonoTime now) {
  last_now_ = now;
  if (may_start_rekey()) {
    begin_kex(now);
  }
}

/// force_rekey begins an exchange where the owner has put it off for too long. It is asked at each
/// packet, in both directions.
void Transport::force_rekey() {
  if ((std::max(reader_.key_bytes(), writer_.key_bytes()) >= forced_bytes_ ||
       std::max(reader_.key_packets(), writer_.key_packets()) >= forced_packets_) &&
      may_start_rekey()) {
    begin_kex(last_now_);
  }
}

Status Transport::check_deadlines(MonoTime now) const {
  if (kex_ != nullptr && now >= kex_->deadline) {
    return fail(ErrorCode::kLimit, "the key exchange took too long");
  }
  return {};
}

void Transport::restart_deadline(MonoTime now) {
  if (kex_ != nullptr) {
    kex_->deadline = after(now, options_->kex_finish_seconds * kNsPerSecond);
  }
}

std::optional<MonoTime> Transport::next_deadline() const {
  if (kex_ != nullptr) {
    return kex_->deadline;
  }
  if (may_start_rekey()) {
    return after(keys_since_, options_->rekey.seconds * kNsPerSecond);
  }
  return std::nullopt;
}

}  // namespace bastion::proto
