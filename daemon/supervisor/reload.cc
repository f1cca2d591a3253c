#include <nlohmann/json.hpp>

#include "daemon/ipc/supervisor_messages.h"
#include "daemon/supervisor/supervisor.h"

namespace bastion::daemon {

using Json = nlohmann::json;

void Supervisor::apply_limits() {
  connections_.set_limits(
      {service_.limits.unauthenticated, service_.limits.unauthenticated_per_source});
}

/// tell_limits: the warden puts on record what strangers have run into.
void Supervisor::tell_limits(MonoTime now) {
  if (state_ != State::kRunning || !warden().channel) {
    return;
  }
  for (const ipc::LimitReached& reached : stranger_limits_.take(service_.limits, now)) {
    send_to(warden(), {}, reached);
  }
}

void Supervisor::send_configuration(const LoadedFiles& files, const std::string& loaded_by) {
  const int fd = files.bundle.get();
  send_to(
      warden(), {.request = pending_request_},
      ipc::Configuration{options_.config_path, loaded_by, to_log_level(files.service.log_level)},
      std::span(&fd, 1));
}

/// reload reads everything again and asks the warden to take it. One at a time.
void Supervisor::reload(std::string by, std::uint64_t client) {
  if (state_ != State::kRunning || !warden().alive()) {
    if (client != 0) {
      control_->reply(client, control_error("not now: the bastion is starting or stopping"));
    }
    return;
  }
  if (pending_) {
    if (client != 0) {
      control_->reply(client, control_error("another reload is under way"));
    } else {
      reload_again_ = true;
    }
    return;
  }
  notifier_.reloading();
  config::Problems problems;
  auto files = load_files(options_.config_path, problems);
  std::string text;
  for (const config::Problem& problem : problems.errors) {
    log_.error(problem.text());
    text += problem.text() + "\n";
  }
  for (const config::Problem& problem : problems.warnings) {
    log_.warning(problem.text());
    text += "warning: " + problem.text() + "\n";
  }
  if (!files) {
    log_.error("the configuration was not reloaded; the running policy is not touched",
               {{"by", by}, {"errors", problems.errors.size()}});
    if (warden().channel) {
      send_to(warden(), {}, ipc::ReloadRefused{by, text.substr(0, text.find('\n'))});
    }
    notifier_.ready("ready; the last reload was refused");
    if (client != 0) {
      text += "The running policy is not touched.";
      control_->reply(client, Json{{"ok", false}, {"error", text}}.dump(
                                  -1, ' ', true, Json::error_handler_t::replace));
    }
    return;
  }
  warn_of_what_needs_a_restart(files->service);
  pending_ = std::make_unique<LoadedFiles>(std::move(*files));
  pending_by_ = std::move(by);
  pending_client_ = client;
  pending_request_ = next_request_++;
  send_configuration(*pending_, pending_by_);
}

void Supervisor::warn_of_what_needs_a_restart(const config::ServiceConfig& next) {
  const auto warn = [&](bool differs, std::string_view key) {
    if (differs) {
      log_.warning("a changed key takes effect at the next start", {{"key", key}});
    }
  };
  warn(next.listen != service_.listen, "listen");
  warn(next.workers != service_.workers, "workers");
  warn(next.gates != service_.gates, "gates");
  warn(next.control != service_.control, "control");
  warn(next.recording.enabled != service_.recording.enabled, "recording");
  warn(next.state_dir != service_.state_dir, "state_dir");
  warn(next.audit != service_.audit, "audit");
}

void Supervisor::on_configuration_result(const ipc::Header& header,
                                         const ipc::ConfigurationResult& result) {
  if (!pending_ || header.request != pending_request_) {
    if (!result.ok) {
      log_.error("the new warden refuses the configuration", {{"why", result.text}});
    }
    return;
  }
  const std::uint64_t client = std::exchange(pending_client_, 0);
  if (result.ok) {
    loaded_ = std::move(pending_);
    service_ = loaded_->service;
    log_.set_level(to_log_level(service_.log_level));
    apply_limits();
    send_recorder_settings();
    // The warnings behind the summary's line were logged when the files were read.
    log_.info("policy loaded",
              {{"by", pending_by_}, {"summary", result.text.substr(0, result.text.find('\n'))}});
  } else {
    pending_.reset();
    log_.error("the configuration was refused", {{"by", pending_by_}, {"why", result.text}});
  }
  if (state_ == State::kStarting) {
    if (result.ok) {
      return became_ready();
    }
    exit_status_ = 1;
    return begin_ending(mono_now());
  }
  notifier_.ready(result.ok ? "ready: " + loaded_->summary
                            : std::string("ready; the last reload was refused"));
  if (client != 0) {
    control_->reply(client,
                    Json{{"ok", result.ok}, {result.ok ? "text" : "error", result.text}}.dump(
                        -1, ' ', true, Json::error_handler_t::replace));
  }
  if (std::exchange(reload_again_, false)) {
    reload("reload", 0);
  }
}

}  // namespace bastion::daemon
