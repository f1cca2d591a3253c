#include <algorithm>

#include "daemon/ipc/session_messages.h"
#include "daemon/warden/listing.h"
#include "daemon/warden/warden.h"

namespace bastion::daemon {
namespace {

/// Tunnels of one session over its life: a browser through `-D` opens thousands, a scan more.
constexpr std::uint32_t kTunnelsMax = 1'000'000;

}  // namespace

void Warden::on_open_tunnel(const Caller& caller, Session& session,
                            const ipc::OpenTunnel& message) {
  if (session.mode != ipc::SessionMode::kMenu) {
    return violated(caller.peer, "it asked for a tunnel in a session that has none");
  }
  // The user opens them, so their number costs this session, not its worker.
  if (session.tunnels >= kTunnelsMax) {
    return refuse(caller, "too many tunnels were opened on this connection: connect again");
  }
  ++session.tunnels;
  // An honest worker keeps to the limit on channels; each dial holds a descriptor of ours.
  if (session.dials.size() >= session.active->service().limits.channels_per_session) {
    return refuse(caller, "too many tunnels of this session are being opened");
  }
  if (!has_room(caller.peer)) {
    return refuse(caller, "the bastion is opening too many connections: try again");
  }
  config::Request request = request_of(session);
  request.target = message.host;
  request.port = static_cast<std::uint16_t>(message.port);
  const bool port_ok = message.port > 0 && message.port <= 65'535;
  auto jump = port_ok ? session.active->policy().jump(request)
                      : std::unexpected(config::Refusal{config::RefusalReason::kPort,
                                                        "a port is 1 to 65535", ""});
  const auto log = [&](std::string_view text, std::string_view rule) {
    io_.log(LogLevel::kInfo, text,
            {{"session", session.long_id},
             {"user", session.user->name},
             {"host", message.host},
             {"port", message.port},
             {"rule", rule}});
  };
  if (!jump) {
    if (jump.error().reason == config::RefusalReason::kNoTarget && !request.brief) {
      walks_of(session).take();
    }
    log("tunnel refused", jump.error().rule);
    audit::Event event = event_of(audit::Name::kTunnelRefused, session);
    event.number(audit::Key::kChannel, message.channel)
        .text(audit::Key::kHost, message.host)
        .number(audit::Key::kPort, message.port)
        .text(audit::Key::kRule, jump.error().rule)
        .text(audit::Key::kReason, jump.error().text);
    audit_.add(std::move(event));
    return refuse(caller, jump.error().text);
  }
  log("tunnel granted", jump->rule);
  Dial dial;
  dial.purpose = Dial::Purpose::kTunnel;
  dial.session = caller.session_id;
  dial.worker = caller.peer;
  dial.request = caller.header.request;
  dial.channel = message.channel;
  dial.target = std::move(jump->target);
  audit::Event event = event_of(audit::Name::kTunnelGranted, session);
  event.number(audit::Key::kChannel, message.channel)
      .text(audit::Key::kTarget, dial.target.name)
      .text(audit::Key::kHost, message.host)
      .number(audit::Key::kPort, message.port)
      .text(audit::Key::kRule, jump->rule);
  audit_.add(std::move(event));
  start_dial(std::move(dial));
}

void Warden::on_ask_listing(const Caller& caller, Session& session) {
  if (session.mode != ipc::SessionMode::kMenu) {
    return violated(caller.peer, "it asked for a listing in a session that has none");
  }
  if (!walks_of(session).any(io_.now())) {
    return reply(caller,
                 ipc::Listing{"You asked for this very often. Try again in a few seconds.\n"});
  }
  walks_of(session).take();
  const auto& policy = session.active->policy();
  reply(caller, ipc::Listing{listing_text(policy.reachable(request_of(session)), session.user->name,
                                          session.active->bastion_name)});
}

}  // namespace bastion::daemon
