#include "daemon/gate/gate.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "base/ip.h"
#include "crypto/hash.h"
#include "daemon/gate/gate_main.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/supervisor_messages.h"
#include "daemon/transport_options.h"

namespace bastion::daemon {
namespace {

/// Received bytes of one connection lie in a slab of this size until they are taken: with the
/// unread rest of a packet (35 KB) and the pool's chunk, far below 256 KiB a connection.
constexpr std::uint32_t kSlabBytes = 16 * 1024;
constexpr std::uint32_t kSlabs = 64;
/// What a gate sends before authentication is short.
constexpr std::size_t kChunkBytes = 8 * 1024;
constexpr std::size_t kCookiesAtOnce = 256;
constexpr std::size_t kCookiesLow = 64;
/// A peer that makes us answer more than it reads is not read any more.
constexpr std::size_t kOutputBytesMax = 64 * 1024;
/// After so many connections, and a second in which none has ended, what they left is given back.
constexpr std::size_t kBuriedBeforeRest = 256;
constexpr std::int64_t kRestNs = kNsPerSecond;

std::string peer_text(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) {
    return "a peer that is gone";
  }
  ByteView octets;
  std::uint16_t port = 0;
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    octets = {reinterpret_cast<const std::uint8_t*>(&v6.sin6_addr), sizeof v6.sin6_addr};
    port = ntohs(v6.sin6_port);
  } else {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    octets = {reinterpret_cast<const std::uint8_t*>(&v4.sin_addr), sizeof v4.sin_addr};
    port = ntohs(v4.sin_port);
  }
  const auto address = IpAddress::from_octets(octets);
  return (address ? address->text() : std::string("?")) + " port " + std::to_string(port);
}

}  // namespace

Gate::Gate(ProcessContext& context, std::unique_ptr<Ring> ring)
    : context_(context),
      ring_(std::move(ring)),
      pool_(kChunkBytes),
      supervisor_(std::move(context.supervisor)),
      warden_(std::move(context.warden)),
      slab_queue_(*ring_) {}

int Gate::run() {
  ring_->poll_in(supervisor_.fd(), {.kind = kSupervisor});
  ring_->poll_in(warden_.fd(), {.kind = kWarden});
  want_cookies();
  std::array<Completion, 256> completions;
  while (running_) {
    const MonoTime deadline = slab_queue_.due() ? MonoTime{} : timers_.next_deadline();
    const std::size_t n = ring_->wait(deadline, completions);
    for (std::size_t i = 0; i < n; ++i) {
      on_completion(completions[i]);
    }
    const MonoTime now = mono_now();
    while (const std::optional<Token> expired = timers_.pop_expired(now)) {
      if (expired->kind == kRest) {
        rest();
      } else if (find(expired->index, expired->generation) != nullptr) {
        on_deadline(expired->index);
      }
    }
    bury();
    slab_queue_.serve([this](Token who) {
      GateConnection* connection = find(who.index, who.generation);
      if (connection == nullptr) {
        return false;
      }
      connection->stream->end_wait();
      connection->stream->arm_receive();
      return connection->stream->receiving();
    });
  }
  return 0;
}

GateConnection* Gate::find(std::uint32_t slot, std::uint32_t generation) {
  const bool live =
      slot < slots_.size() && slots_[slot].connection != nullptr &&
      (slots_[slot].generation & Token::kGenerationMask) == (generation & Token::kGenerationMask);
  return live ? slots_[slot].connection.get() : nullptr;
}

void Gate::on_completion(const Completion& completion) {
  const Token& token = completion.token;
  switch (token.kind) {
    case kSupervisor: return on_supervisor();
    case kWarden: return on_warden();
    case kSupervisorWrite:
    case kWardenWrite: {
      const bool to_warden = token.kind == kWardenWrite;
      ipc::Channel& channel = to_warden ? warden_ : supervisor_;
      bool& armed = to_warden ? warden_write_armed_ : supervisor_write_armed_;
      armed = false;
      running_ = channel.on_writable().has_value() && running_;
      return arm_channel(channel, to_warden ? kWardenWrite : kSupervisorWrite, armed);
    }
    default: break;
  }
  if (find(token.index, token.generation) == nullptr) {
    if (completion.has_buffer) {
      ring_->recycle(completion.buffer);
    }
    return;
  }
  return token.kind == kRead ? on_read(token.index, completion)
                             : on_written(token.index, completion);
}

void Gate::arm_channel(ipc::Channel& channel, Kind kind, bool& armed) {
  if (channel.wants_writable() && !armed) {
    armed = true;
    ring_->poll_out(channel.fd(), {.kind = kind});
  }
}

void Gate::on_supervisor() {
  while (running_) {
    auto received = supervisor_.receive();
    if (!received || received->state == ipc::Received::State::kClosed) {
      running_ = false;
      return;
    }
    if (received->state == ipc::Received::State::kNothing) {
      break;
    }
    if (received->header.type == ipc::Type::kConnection) {
      const auto message = ipc::decode<ipc::Connection>(received->body);
      if (message && received->fds[0]) {
        pending_.emplace_back(message->connection, std::move(received->fds[0]));
      }
    } else if (received->header.type == ipc::Type::kDropConnection) {
      const auto message = ipc::decode<ipc::DropConnection>(received->body);
      const auto found = message ? by_id_.find(message->connection) : by_id_.end();
      if (found != by_id_.end()) {
        close(found->second, "the table of unauthenticated connections is full");
      } else if (message) {
        std::erase_if(pending_,
                      [&](const auto& entry) { return entry.first == message->connection; });
      }
    }
  }
  take_pending();
  ring_->poll_in(supervisor_.fd(), {.kind = kSupervisor});
}

void Gate::want_cookies() {
  if (!cookies_asked_ && cookies_.size() < kCookiesLow) {
    cookies_asked_ = true;
    tell_warden({}, ipc::TakeCookies{kCookiesAtOnce});
  }
}

void Gate::take_pending() {
  while (options_ != nullptr && !pending_.empty() && !cookies_.empty()) {
    auto [id, socket] = std::move(pending_.front());
    pending_.pop_front();
    open(id, std::move(socket));
  }
  want_cookies();
}

void Gate::open(ipc::ConnectionId id, UniqueFd socket) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  ++slots_[slot].generation;
  slots_[slot].connection = std::make_unique<GateConnection>();
  GateConnection& connection = at(slot);
  connection.id = id;
  by_id_[id] = slot;
  connection.from = peer_text(socket.get());
  connection.settings = settings_;
  connection.stream =
      std::make_unique<Stream>(*ring_, std::move(socket), token(kRead, slot), token(kWrite, slot));
  connection.transport =
      std::make_unique<proto::Transport>(options_, pool_, crypto::system_random());
  connection.auth.emplace(auth_options_, *connection.transport);

  const MonoTime now = mono_now();
  const std::int64_t limit_ms = std::min(settings_->first_factor_ms, settings_->login_grace_ms);
  connection.deadline = timers_.set(after(now, limit_ms * kNsPerMs), token(kDeadline, slot));
  connection.transport->start(cookies_.front(), now);
  cookies_.pop_front();
  advance(slot);
}

void Gate::on_read(std::uint32_t slot, const Completion& completion) {
  GateConnection& connection = at(slot);
  const Stream::Received received = connection.stream->on_receive(completion);
  if (connection.state == GateConnection::State::kClosed) {
    return reap(slot);
  }
  switch (received) {
    case Stream::Received::kBytes: return advance(slot);
    case Stream::Received::kEnd: return close(slot, "the user closed the connection");
    case Stream::Received::kFailed: return close(slot, "the connection broke");
    case Stream::Received::kStarved: return slab_queue_.starved(*connection.stream, false);
    case Stream::Received::kNothing: return slab_queue_.arm(*connection.stream, false);
  }
}

void Gate::on_written(std::uint32_t slot, const Completion& completion) {
  GateConnection& connection = at(slot);
  const bool ok = connection.stream->on_write(completion, connection.transport->output());
  if (connection.state == GateConnection::State::kClosed) {
    return reap(slot);
  }
  if (!ok) {
    return close(slot, "the connection broke");
  }
  if (connection.state == GateConnection::State::kAuthenticated) {
    return hand_over(slot);
  }
  if (connection.state == GateConnection::State::kFlushing &&
      connection.transport->output().empty()) {
    return close(slot, "disconnected");
  }
  advance(slot);
}

void Gate::advance(std::uint32_t slot) {
  while (at(slot).state == GateConnection::State::kOpen && at(slot).request == 0 &&
         at(slot).transport->queued_bytes() < kOutputBytesMax && step(slot)) {
  }
  GateConnection& connection = at(slot);
  if (connection.state == GateConnection::State::kClosed) {
    return;
  }
  if (connection.state == GateConnection::State::kAuthenticated) {
    return hand_over(slot);
  }
  connection.stream->arm_write(connection.transport->output());
  if (connection.state != GateConnection::State::kOpen) {
    connection.stream->in().park();  // nobody takes it any more, and others need the slab
    return;
  }
  if (connection.request != 0 || connection.transport->queued_bytes() >= kOutputBytesMax) {
    connection.stream->in().park();
  } else {
    slab_queue_.arm(*connection.stream, false);
  }
}

bool Gate::step(std::uint32_t slot) {
  GateConnection& connection = at(slot);
  InputBuffer& in = connection.stream->in();
  auto result = connection.transport->next(in.front(), mono_now());
  if (!result) {
    fault(slot, result.error());
    return false;
  }
  const proto::Step step = *result;
  bool more = true;
  switch (step.kind) {
    case proto::StepKind::kNeedBytes:
      in.consume(step.consumed);
      return in.incomplete(step.need_bytes);
    case proto::StepKind::kPayload: more = on_payload(slot, step.payload.view()); break;
    case proto::StepKind::kNeedHostSignature: ask_for_signature(slot); break;
    case proto::StepKind::kKeysChanged:
      if (!connection.spoke_told) {
        connection.spoke_told = true;
        tell_supervisor(ipc::ConnectionSpoke{connection.id});
      }
      break;
    case proto::StepKind::kDisconnected:
      close(slot,
            "the user disconnected: " + escaped(connection.transport->disconnect_text(), 128));
      return false;
    case proto::StepKind::kConsumed: break;
    case proto::StepKind::kWaiting:
    case proto::StepKind::kNeedHostVerification: more = false; break;
  }
  if (connection.state != GateConnection::State::kClosed) {
    in.consume(step.consumed);
  }
  return more;
}

void Gate::ask_for_signature(std::uint32_t slot) {
  GateConnection& connection = at(slot);
  const proto::Exchange exchange = connection.transport->exchange();
  if (!exchange.first) {
    return disconnect(slot, proto::DisconnectReason::kProtocolError,
                      "no second key exchange before authentication");
  }
  const int fd = connection.stream->fd();
  ask(slot, ipc::SignFirstExchange{exchange_message(exchange)}, {&fd, 1});
}

bool Gate::on_payload(std::uint32_t slot, ByteView payload) {
  GateConnection& connection = at(slot);
  auto result = connection.auth->on_message(payload);
  if (!result) {
    disconnect(slot, proto::auth_disconnect_reason(result.error()), result.error().text);
    return false;
  }
  const proto::AuthStep& step = *result;
  switch (step.kind) {
    case proto::AuthStep::Kind::kNone: return true;
    case proto::AuthStep::Kind::kNeedKeyQuery:
      ask(slot, ipc::KeyQuery{std::string(step.user), std::string(step.algorithm),
                              to_bytes(step.key_blob)});
      return true;
    case proto::AuthStep::Kind::kNeedKeyVerify:
      ask(slot, ipc::KeyVerify{std::string(step.user), std::string(step.algorithm),
                               to_bytes(step.key_blob), to_bytes(step.signature), step.hostbound,
                               to_bytes(step.host_key_blob)});
      return true;
  }
  return false;
}

void Gate::on_warden() {
  while (running_) {
    auto received = warden_.receive();
    if (!received || received->state == ipc::Received::State::kClosed) {
      running_ = false;
      return;
    }
    if (received->state == ipc::Received::State::kNothing) {
      break;
    }
    on_warden_message(*received);
  }
  ring_->poll_in(warden_.fd(), {.kind = kWarden});
}

void Gate::on_warden_message(ipc::Received& received) {
  if (received.header.type == ipc::Type::kSettings) {
    if (auto settings = ipc::decode<ipc::Settings>(received.body)) {
      settings_ = std::make_shared<const ipc::Settings>(std::move(*settings));
      options_ = server_options(*settings_);
      proto::AuthServerOptions auth;
      auth.failures = settings_->auth_failures;
      auth.key_offers = settings_->key_offers;
      auth.algorithms = settings_->public_key_algorithms;
      auth_options_ = std::make_shared<const proto::AuthServerOptions>(std::move(auth));
      context_.log.set_level(settings_->log_level);
      take_pending();
    }
    return;
  }
  if (received.header.type == ipc::Type::kCookies) {
    if (auto cookies = ipc::decode<ipc::Cookies>(received.body)) {
      cookies_.insert(cookies_.end(), cookies->cookies.begin(), cookies->cookies.end());
      cookies_asked_ = false;
      take_pending();
    }
    return;
  }
  const auto found = waiting_.find(received.header.request);
  if (found == waiting_.end()) {
    // The connection ended in the meantime. A session that the warden made for it must not stay.
    if (received.header.type == ipc::Type::kExchangeSigned) {
      tell_warden({.session = received.header.session},
                  ipc::ConnectionGone{"the connection ended during its key exchange"});
    }
    return;
  }
  const std::uint32_t slot = found->second;
  waiting_.erase(found);
  at(slot).request = 0;
  on_answer(slot, received);
}

void Gate::on_answer(std::uint32_t slot, ipc::Received& received) {
  GateConnection& connection = at(slot);
  Status status;
  switch (received.header.type) {
    case ipc::Type::kExchangeSigned: {
      const auto answer = ipc::decode<ipc::ExchangeSigned>(received.body);
      if (!answer) {
        return close(slot, "internal error");
      }
      connection.session = received.header.session;
      status =
          connection.transport->provide_host_signature(digest_of(answer->hash), answer->signature);
      break;
    }
    case ipc::Type::kKeyAnswer: {
      const auto answer = ipc::decode<ipc::KeyAnswer>(received.body);
      status = connection.auth->provide_key_query(answer && answer->acceptable);
      break;
    }
    case ipc::Type::kVerdict: {
      const auto answer = ipc::decode<ipc::Verdict>(received.body);
      const bool success = answer && answer->success;
      status = connection.auth->provide_verdict(success ? proto::AuthVerdict::kSuccess
                                                        : proto::AuthVerdict::kFailure);
      if (status && success) {
        connection.transport->set_authenticated();
        connection.state = GateConnection::State::kAuthenticated;
      }
      break;
    }
    default: {
      const auto refused = ipc::decode<ipc::Refused>(received.body);
      return disconnect(slot, proto::DisconnectReason::kByApplication,
                        refused ? refused->text : "internal error");
    }
  }
  if (!status) {
    return fault(slot, status.error());
  }
  advance(slot);
}

// hand_over gives the session away. Nothing is in flight then: nothing was read while the warden
// was asked, and a write is awaited (on_written comes back here).
void Gate::hand_over(std::uint32_t slot) {
  GateConnection& connection = at(slot);
  if (!connection.stream->idle()) {
    return;
  }
  auto state = connection.transport->export_state();
  if (!state) {
    return fault(slot, state.error());
  }
  ipc::HandOver message;
  SecretWriter writer(message.state);
  state->encode(writer);
  while (!connection.stream->in().empty()) {
    const ByteView rest = connection.stream->in().front();
    message.input.insert(message.input.end(), rest.begin(), rest.end());
    connection.stream->in().consume(rest.size());
  }
  tell_warden({.session = connection.session}, message);
  connection.session = 0;
  tell_done(connection, true);
  close(slot, "handed over");
}

void Gate::tell_done(GateConnection& connection, bool authenticated) {
  if (!connection.done_told) {
    connection.done_told = true;
    tell_supervisor(ipc::ConnectionDone{connection.id, authenticated, connection.end});
  }
}

void Gate::fault(std::uint32_t slot, const Error& error) {
  disconnect(slot, reason_for(error), error.text);
}

void Gate::disconnect(std::uint32_t slot, proto::DisconnectReason reason, std::string_view text) {
  GateConnection& connection = at(slot);
  context_.log.info("connection refused", {{"from", connection.from},
                                           {"reason", text},
                                           {"client", connection.transport->client_ident()}});
  // The options of `auth` are those of when it came, as the settings are.
  if (connection.auth && connection.auth->key_offers() > connection.settings->key_offers) {
    connection.end = ipc::ConnectionEnd::kKeyOffers;
  } else if (connection.auth && connection.auth->failures() >= connection.settings->auth_failures) {
    connection.end = ipc::ConnectionEnd::kAuthFailures;
  }
  connection.transport->disconnect(reason, text);
  connection.state = GateConnection::State::kFlushing;
  timers_.cancel(connection.deadline);
  connection.deadline =
      timers_.set(after(mono_now(), kFlushMsMax * kNsPerMs), token(kDeadline, slot));
  if (connection.transport->output().empty()) {
    return close(slot, "disconnected");
  }
  connection.stream->arm_write(connection.transport->output());
}

void Gate::on_deadline(std::uint32_t slot) {
  GateConnection& connection = at(slot);
  if (connection.state == GateConnection::State::kFlushing) {
    return close(slot, "its peer did not read the disconnect message");
  }
  connection.end = connection.settings->first_factor_ms < connection.settings->login_grace_ms
                       ? ipc::ConnectionEnd::kFirstFactor
                       : ipc::ConnectionEnd::kLoginGrace;
  disconnect(slot, proto::DisconnectReason::kByApplication, "login took too long");
}

void Gate::close(std::uint32_t slot, std::string_view why) {
  GateConnection& connection = at(slot);
  if (connection.state == GateConnection::State::kClosed) {
    return;
  }
  connection.state = GateConnection::State::kClosed;
  context_.log.debug("connection closed", {{"from", connection.from}, {"why", why}});
  timers_.cancel(connection.deadline);
  if (connection.request != 0) {
    waiting_.erase(connection.request);
    connection.request = 0;
  }
  if (connection.session != 0) {
    tell_warden({.session = connection.session}, ipc::ConnectionGone{std::string(why)});
  }
  tell_done(connection, false);
  connection.stream->close();
  by_id_.erase(connection.id);
  reap(slot);
}

// reap marks a closed connection whose operations have ended; its memory goes at the end of the
// turn, when nobody up the stack looks at it any more.
void Gate::reap(std::uint32_t slot) {
  GateConnection& connection = at(slot);
  if (connection.stream->idle() && !connection.dead) {
    connection.dead = true;
    dead_.push_back(slot);
  }
}

void Gate::bury() {
  for (const std::uint32_t slot : dead_) {
    ++slots_[slot].generation;
    slots_[slot].connection.reset();
    free_.push_back(slot);
  }
  buried_ += dead_.size();
  if (!dead_.empty() && buried_ >= kBuriedBeforeRest) {
    const MonoTime deadline = after(mono_now(), kRestNs);
    if (!timers_.move(rest_timer_, deadline)) {
      rest_timer_ = timers_.set(deadline, {.kind = kRest});
    }
  }
  dead_.clear();
}

// rest: a crowd has gone. Freed memory lies between what is still in use, and malloc alone would
// keep it.
void Gate::rest() {
  buried_ = 0;
  ring_->drop_buffers();
  malloc_trim(0);
}

int gate_main(ProcessContext& context) {
  auto ring = Ring::create(
      {.entries = 256, .cq_entries = 4096, .buffer_count = kSlabs, .buffer_bytes = kSlabBytes});
  if (!ring) {
    context.log.error("the gate cannot start", {{"error", describe(ring.error())}});
    return 1;
  }
  Ring* raw = ring->get();
  Gate gate(context, std::move(*ring));
  if (const Status sealed = seal(context, raw); !sealed) {
    context.log.error("the gate cannot enter its sandbox", {{"error", describe(sealed.error())}});
    return 1;
  }
  return gate.run();
}

}  // namespace bastion::daemon
