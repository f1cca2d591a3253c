#include <algorithm>

#include <nlohmann/json.hpp>

#include "config/suggest.h"
#include "config/user_name.h"
#include "daemon/ipc/recorder_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/ipc/supervisor_messages.h"
#include "daemon/warden/control_answer.h"
#include "daemon/warden/warden.h"

namespace bastion::daemon {
namespace {

using Json = nlohmann::json;

std::string_view shown_mode(const Session& session) {
  switch (session.mode) {
    case ipc::SessionMode::kRouted: return "routed";
    case ipc::SessionMode::kMenu: return "jump";
    case ipc::SessionMode::kRefused: return "refused";
  }
  return "";
}

Json session_json(const Session& session, WallTime now) {
  return {{"id", session.short_id()},
          {"long_id", session.long_id},
          {"user", session.user->name},
          {"login", session.grant ? session.grant->login : ""},
          {"target", session.grant ? session.grant->target.name : ""},
          {"rule", session.grant ? session.grant->rule : ""},
          {"from", session.peer.text()},
          {"since", session.since},
          {"idle_s", now - session.last_active},
          {"channels", session.channels},
          {"recorded", session.recorded},
          {"bytes_up", session.bytes_up},
          {"bytes_down", session.bytes_down},
          {"mode", shown_mode(session)}};
}

/// text_at is a member that is text; "" where it is missing or of another type.
std::string text_at(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// explained answers how the policy decides for a user, `where` as it is typed before "@bastion"
/// (LOGIN@TARGET; for jump TARGET alone), an action as in the policy's tests, and an address of the
/// user's; without one, rules that ask for a source do not cover it.
std::string explained(const config::Policy& policy, const Json& json) {
  const std::string name = text_at(json, "user");
  const std::string where = text_at(json, "where");
  const std::string from = text_at(json, "from");
  config::Request request;
  request.user = policy.find_user(name);
  if (request.user == nullptr) {
    std::vector<std::string> known;
    for (const config::User& user : policy.data().users) {
      known.push_back(user.name);
    }
    return control_failure("there is no user \"" + escaped(name, 200) + "\"" +
                           config::did_you_mean(name, known));
  }
  const auto action = config::parse_action(text_at(json, "action"));
  if (!action) {
    return control_failure(
        "an action is one such as shell, exec, sftp, jump or forward_local:HOST:PORT");
  }
  if (action->action == config::Action::kJump && config::is_target_name(where)) {
    request.target = where;
  } else if (const auto typed = config::parse_user_name(where); typed && typed->has_target()) {
    request.login = typed->login;
    request.target = typed->target;
    request.port = typed->port;
  } else {
    return control_failure(
        "say where as LOGIN@TARGET, such as deploy@web1; for jump TARGET will do");
  }
  if (!from.empty()) {
    const auto address = IpAddress::parse(from);
    if (!address) {
      return control_failure("\"" + escaped(from, 200) + "\" is not an address, such as 10.0.0.5");
    }
    request.peer = *address;
  }
  const config::Explanation why = policy.explain(request, *action);
  return control_success({{"allowed", why.allowed}, {"rule", why.rule}, {"text", why.text()}});
}

}  // namespace

std::optional<std::string> Warden::control(const ipc::ControlRequest& request,
                                           std::uint32_t number) {
  const Json json = Json::parse(request.json, nullptr, false);
  if (!json.is_object() || !json.contains("command") || !json["command"].is_string()) {
    return control_failure("a request is a JSON object with a \"command\"");
  }
  const std::string command = json["command"];
  const WallTime now = io_.wall_now();

  if (command == "status") {
    std::size_t routed = 0;
    std::size_t menu = 0;
    sessions_.for_each([&](ipc::SessionId, const Session& session) {
      if (session.user != nullptr) {
        ++(session.mode == ipc::SessionMode::kRouted ? routed : menu);
      }
    });
    Json status = {{"sessions", {{"total", routed + menu}, {"routed", routed}, {"menu", menu}}},
                   {"logins", {{"ok", logins_ok_}, {"refused", logins_refused_}}},
                   {"uptime_s", (io_.now().ns - started_at_.ns) / kNsPerSecond}};
    ipc::WorkerStats relay;
    for (const auto& [id, peer] : peers_) {
      relay.bytes_relayed += peer.stats.bytes_relayed;
      relay.bytes_copied += peer.stats.bytes_copied;
      relay.packets += peer.stats.packets;
      relay.turns += peer.stats.turns;
      relay.turns_put_off += peer.stats.turns_put_off;
      relay.receives_starved += peer.stats.receives_starved;
      relay.packets_per_turn_max =
          std::max(relay.packets_per_turn_max, peer.stats.packets_per_turn_max);
    }
    status["relay"] = {{"bytes_relayed", relay.bytes_relayed},
                       {"bytes_copied", relay.bytes_copied},
                       {"packets", relay.packets},
                       {"turns", relay.turns},
                       {"turns_put_off", relay.turns_put_off},
                       {"receives_starved", relay.receives_starved},
                       {"packets_per_turn_max", relay.packets_per_turn_max}};
    if (recorder_state_) {
      const ipc::RecorderState& state = *recorder_state_;
      status["recordings"] = {
          {"can_record", state.can_record},  {"why", state.why},
          {"bytes", state.recordings_bytes}, {"open", state.open},
          {"disk_bytes", state.disk_bytes},  {"disk_free_bytes", state.free_bytes}};
    }
    if (active_ != nullptr) {
      status["policy"] = {{"hash", active_->policy().id()},
                          {"loaded_at", active_->loaded_at},
                          {"loaded_by", active_->loaded_by},
                          {"tests", active_->policy().data().tests.size()},
                          {"summary", config::summary(active_->policy())}};
    }
    if (audit_.enabled()) {
      status["audit"] = {{"file", active_->service().audit.file},
                         {"signed_seq", audit_.signed_head().seq},
                         {"signed_hash", audit_.signed_head().hash},
                         {"trouble", audit_trouble_}};
    }
    return control_success(std::move(status));
  }

  if (command == "sessions") {
    Json list = Json::array();
    sessions_.for_each([&](ipc::SessionId, const Session& session) {
      if (session.user != nullptr) {
        list.push_back(session_json(session, now));
      }
    });
    return control_success({{"sessions", std::move(list)}});
  }

  if (command == "explain") {
    if (!request.admin) {
      return control_failure("only administrators may ask what the policy decides");
    }
    return active_ == nullptr ? control_failure("no policy is loaded yet")
                              : explained(active_->policy(), json);
  }

  if (command == "hold" || command == "release") {
    return hold_recording(request, command == "hold", text_at(json, "id"), text_at(json, "reason"),
                          number);
  }

  if (command == "end") {
    if (!request.admin) {
      audit::Event event(audit::Name::kAdmin);
      event.text(audit::Key::kCommand, "end")
          .text(audit::Key::kBy, request.by)
          .text(audit::Key::kOutcome, "refused")
          .text(audit::Key::kSubject, text_at(json, "id"));
      audit_.add(std::move(event));
      return control_failure("only administrators may end sessions");
    }
    const std::string id = text_at(json, "id");
    const std::string reason = text_at(json, "reason");
    if (id.empty()) {
      return control_failure("which session? give its id or the beginning of it");
    }
    std::vector<ipc::SessionId> found;
    sessions_.for_each([&](ipc::SessionId session_id, const Session& session) {
      if (session.user != nullptr && session.long_id.starts_with(id)) {
        found.push_back(session_id);
      }
    });
    if (found.size() != 1) {
      return control_failure(found.empty() ? "no session has this id"
                                           : "several sessions begin with this");
    }
    Session& session = *sessions_.find(found.front());
    audit::Event event = event_of(audit::Name::kAdmin, session);
    event.text(audit::Key::kCommand, "end")
        .text(audit::Key::kBy, request.by)
        .text(audit::Key::kOutcome, "done")
        .text(audit::Key::kSubject, id)
        .text(audit::Key::kReason, reason);
    audit_.add(std::move(event));
    const Json ended = session_json(session, now);
    io_.log(LogLevel::kWarning, "session ended by an administrator",
            {{"session", session.long_id}, {"by", request.by}, {"reason", reason}});
    if (session.state == SessionState::kAdopted && !session.adopt_waits) {
      std::string text = "an administrator ended this session";
      text += reason.empty() ? "." : ": " + escaped(reason, 200);
      text += text.ends_with('.') ? "" : ".";
      send({ipc::Role::kWorker, session.worker}, found.front(),
           ipc::EndSession{with_id(std::move(text), session)});
    } else {
      end_row(found.front(), session, "ended by an administrator");
    }
    return control_success({{"ended", ended}});
  }
  return control_failure("unknown command");
}

}  // namespace bastion::daemon
