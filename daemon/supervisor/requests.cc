#include <nlohmann/json.hpp>

#include "base/version.h"
#include "daemon/ipc/supervisor_messages.h"
#include "daemon/process.h"
#include "daemon/supervisor/supervisor.h"

namespace bastion::daemon {
namespace {

using Json = nlohmann::json;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace

/// on_request answers what we know ourselves and passes the rest on; both check the same access.
void Supervisor::on_request(ControlServer::Request request) {
  const Json json = Json::parse(request.json, nullptr, false);
  if (!json.is_object() || !json.contains("command") || !json["command"].is_string()) {
    return control_->reply(request.client,
                           control_error("a request is a JSON object with a \"command\""));
  }
  const std::string command = json["command"];
  if (command == "reload") {
    if (!request.admin) {
      return control_->reply(request.client, control_error("only administrators may reload"));
    }
    log_.info("reload asked for by the control socket", {{"by", request.by}});
    return reload("reload by " + request.by, request.client);
  }
  if (state_ != State::kRunning || !warden().channel) {
    if (command == "status") {
      return control_->reply(request.client, status_json("{}"));
    }
    return control_->reply(request.client, control_error("the warden is being started; try again"));
  }
  const std::uint32_t number = next_request_++;
  questions_[number] = {request.client, command == "status", {}};
  send_to(warden(), {.request = number},
          ipc::ControlRequest{request.admin, request.by, request.json});
}

void Supervisor::on_control_reply(const ipc::Header& header, ipc::ControlReply reply) {
  const auto at = questions_.find(header.request);
  if (at == questions_.end()) {
    return;
  }
  at->second.json += reply.json;
  if (reply.more) {
    return;
  }
  const Question question = std::move(at->second);
  questions_.erase(at);
  control_->reply(question.client, question.status ? status_json(question.json) : question.json);
}

void Supervisor::answer_all_questions(std::string_view error) {
  for (const auto& [number, question] : std::exchange(questions_, {})) {
    control_->reply(question.client, question.status ? status_json("{}") : control_error(error));
  }
}

/// status_json adds what the supervisor knows to what the warden said.
std::string Supervisor::status_json(const std::string& of_warden) const {
  Json json = Json::parse(of_warden, nullptr, false);
  if (!json.is_object()) {
    json = Json::object();
  }
  const MonoTime now = mono_now();
  Json processes = Json::array();
  std::size_t gates = 0;
  std::size_t workers = 0;
  for (const Child& child : children_) {
    gates += child.role == ipc::Role::kGate ? 1 : 0;
    workers += child.role == ipc::Role::kWorker ? 1 : 0;
    Json entry = {{"role", role_name(child.role)},
                  {"index", child.index},
                  {"pid", child.pid},
                  {"restarts", child.restarts},
                  {"uptime_s", child.alive() ? (now.ns - child.started.ns) / kNsPerSecond : 0}};
    if (identities_.change) {
      entry["uid"] = identities_.roles.at(child.role).uid;
    }
    processes.push_back(std::move(entry));
  }
  json["ok"] = true;
  json["version"] = kVersion;
  json["uptime_s"] = (now.ns - started_.ns) / kNsPerSecond;
  json["gates"] = gates;
  json["workers"] = workers;
  json["same_uid"] = identities_.same_uid;
  json["uids"] = identities_.note;
  json["unauthenticated"] = {{"total", connections_.size()},
                             {"sources", connections_.num_sources()},
                             {"limit", service_.limits.unauthenticated}};
  json["processes"] = std::move(processes);
  Json listening = Json::array();
  for (const Listener& listener : listeners_) {
    listening.push_back(listener.bound.text());
  }
  json["listen"] = std::move(listening);
  return dump(json);
}

}  // namespace bastion::daemon
