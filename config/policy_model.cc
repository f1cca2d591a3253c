#include "config/policy_model.h"

#include <algorithm>
#include <array>

#include "base/glob.h"
#include "config/suggest.h"

namespace bastion::config {
namespace {

constexpr std::array<std::string_view, kActionCount> kActionNames = {"shell",
                                                                     "exec",
                                                                     "subsystem",
                                                                     "agent",
                                                                     "x11",
                                                                     "forward_local",
                                                                     "forward_remote",
                                                                     "forward_local_sockets",
                                                                     "forward_remote_sockets",
                                                                     "jump"};

bool covers_forward(const proto::ForwardPattern& pattern, std::string_view destination) {
  const std::size_t colon = destination.rfind(':');
  if (colon == destination.npos) {
    return false;
  }
  std::string_view host = destination.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  const auto port = parse_port(destination.substr(colon + 1));
  return port && *port >= pattern.port_min && *port <= pattern.port_max &&
         glob_match_nocase(pattern.host, host);
}

}  // namespace

std::string_view action_name(Action action) {
  return kActionNames[static_cast<std::size_t>(action)];
}

std::string ActionRequest::text() const {
  if (action == Action::kSubsystem && parameter == "sftp") {
    return "sftp";
  }
  return std::string(action_name(action)) + (parameter.empty() ? "" : ":" + parameter);
}

std::optional<ActionRequest> parse_action(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string_view name = text.substr(0, colon);
  ActionRequest request;
  request.parameter = colon == text.size() ? "" : std::string(text.substr(colon + 1));
  if (name == "sftp") {
    return request.parameter.empty() ? std::optional(ActionRequest{Action::kSubsystem, "sftp"})
                                     : std::nullopt;
  }
  const auto* found = std::find(kActionNames.begin(), kActionNames.end(), name);
  if (found == kActionNames.end()) {
    return std::nullopt;
  }
  request.action = static_cast<Action>(found - kActionNames.begin());
  const bool takes_parameter =
      request.action == Action::kSubsystem ||
      (request.action >= Action::kForwardLocal && request.action <= Action::kForwardRemoteSocket);
  if ((colon != text.size() && request.parameter.empty()) ||
      (!request.parameter.empty() && !takes_parameter)) {
    return std::nullopt;
  }
  return request;
}

bool User::in_group(std::string_view group) const {
  return std::binary_search(groups.begin(), groups.end(), group);
}

bool Allowance::covers(Action asked, std::string_view parameter) const {
  if (asked != action) {
    return false;
  }
  if (every || parameter.empty()) {
    return true;
  }
  switch (action) {
    case Action::kSubsystem: return std::find(names.begin(), names.end(), parameter) != names.end();
    case Action::kForwardLocal:
    case Action::kForwardRemote:
      return std::any_of(forwards.begin(), forwards.end(),
                         [&](const auto& pattern) { return covers_forward(pattern, parameter); });
    case Action::kForwardLocalSocket:
    case Action::kForwardRemoteSocket:
      return std::any_of(names.begin(), names.end(),
                         [&](const auto& pattern) { return glob_match(pattern, parameter); });
    case Action::kShell:
    case Action::kExec:
    case Action::kAgent:
    case Action::kX11:
    case Action::kJump: return true;
  }
  return false;
}

std::string forward_text(const proto::ForwardPattern& pattern) {
  std::string port = std::to_string(pattern.port_min);
  if (pattern.port_min == 0 && pattern.port_max == 65535) {
    port = "*";
  } else if (pattern.port_max != pattern.port_min) {
    port += "-" + std::to_string(pattern.port_max);
  }
  const bool is_v6 = pattern.host.find(':') != pattern.host.npos;
  return (is_v6 ? "[" + pattern.host + "]" : pattern.host) + ":" + port;
}

std::string Allowance::text() const {
  if (action == Action::kSubsystem && names.size() == 1 && names.front() == "sftp") {
    return "sftp";
  }
  std::vector<std::string> parts = names;
  for (const proto::ForwardPattern& pattern : forwards) {
    parts.push_back(forward_text(pattern));
  }
  return std::string(action_name(action)) + (parts.empty() ? "" : " (" + join(parts) + ")");
}

bool TargetSelector::covers(const Target& target, std::string_view folded_name) const {
  switch (kind) {
    case Kind::kAll: return true;
    case Kind::kNames:
      return std::any_of(names.begin(), names.end(),
                         [&](const std::string& name) { return glob_match(name, folded_name); });
    case Kind::kLabels:
      return std::all_of(labels.begin(), labels.end(), [&](const auto& wanted) {
        const auto found = target.labels.find(wanted.first);
        return found != target.labels.end() && std::find(wanted.second.begin(), wanted.second.end(),
                                                         found->second) != wanted.second.end();
      });
  }
  return false;
}

bool Rule::covers_user(const User& user) const {
  return who_all || std::binary_search(users.begin(), users.end(), user.name) ||
         std::any_of(groups.begin(), groups.end(),
                     [&](const std::string& group) { return user.in_group(group); });
}

bool Rule::covers_login(const User& user, std::string_view login) const {
  return logins_all || std::any_of(logins.begin(), logins.end(), [&](const std::string& allowed) {
           return allowed == "{user}" ? login == user.name : login == allowed;
         });
}

bool Rule::covers_source(const IpAddress& peer) const {
  return from.empty() || std::any_of(from.begin(), from.end(),
                                     [&](const Cidr& block) { return block.contains(peer); });
}

}  // namespace bastion::config
