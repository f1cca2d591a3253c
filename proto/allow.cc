#include "proto/allow.h"

#include <algorithm>
#include <array>

#include "base/glob.h"
#include "proto/connection_limits.h"
#include "proto/file_commands.h"

namespace bastion::proto {
namespace {

constexpr std::size_t kTermBytesMax = 256;
constexpr std::size_t kSignalNameBytesMax = 64;
/// RFC 4254 8: 159 opcodes of 5 bytes and the end.
constexpr std::size_t kTerminalModesBytesMax = std::size_t{160} * 5;

bool matches(const std::vector<ForwardPattern>& patterns, std::string_view host,
             std::uint32_t port) {
  if (port > UINT16_MAX || host.size() > kHostBytesMax || !is_visible_ascii(host)) {
    return false;
  }
  return std::ranges::any_of(patterns, [&](const ForwardPattern& pattern) {
    return port >= pattern.port_min && port <= pattern.port_max &&
           glob_match_nocase(pattern.host, host);
  });
}

/// has_parent_step: a "/../" would lead out of a directory that a glob names.
bool has_parent_step(std::string_view path) {
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (path.substr(0, end) == "..") {
      return true;
    }
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return false;
}

bool matches(const std::vector<std::string>& globs, std::string_view path) {
  if (path.empty() || path.size() > kSocketPathBytesMax || !is_visible_ascii(path) ||
      has_parent_step(path)) {
    return false;
  }
  return std::ranges::any_of(globs, [&](const std::string& glob) {
    // Only "*" alone reaches into folders below: "/run/app/*" means the sockets of that folder.
    return glob == "*" || (std::ranges::count(glob, '/') == std::ranges::count(path, '/') &&
                           glob_match(glob, path));
  });
}

/// may_exec: a command that moves files has rules of its own, where it is recognised for certain.
bool may_exec(const Permissions& permissions, std::string_view text) {
  const FileCommand command = recognise_command(text);
  const bool is_scp = command.kind == FileCommand::Kind::kScp;
  if (!is_scp && command.kind != FileCommand::Kind::kRsync) {
    return permissions.exec;
  }
  const FileRules& rules = permissions.exec ? permissions.exec_files : permissions.sftp_files;
  const FileRules::Command rule = is_scp ? rules.scp : rules.rsync;
  if ((command.downloads && !rules.download) || (command.uploads && !rules.upload)) {
    return false;
  }
  switch (rule) {
    case FileRules::Command::kAsExec: return permissions.exec;
    case FileRules::Command::kAllowed: return permissions.exec || command.plain;
    case FileRules::Command::kRefused: break;
  }
  return false;
}

bool may_start(const Permissions& permissions, const ChannelRequest& request) {
  if (request.text.find('\0') != std::string_view::npos) {
    return false;
  }
  if (!permissions.force_command.empty()) {
    return permissions.shell || permissions.exec;  // whatever is asked for, a command runs
  }
  switch (request.type) {
    case ChannelRequestType::kShell: return permissions.shell;
    case ChannelRequestType::kExec: return may_exec(permissions, request.text);
    case ChannelRequestType::kSubsystem:
      return permissions.every_subsystem ||
             std::ranges::find(permissions.subsystems, request.text) !=
                 permissions.subsystems.end();
    default: return false;
  }
}

bool may_set(const Permissions& permissions, const ChannelRequest& request) {
  return is_env_name(request.text) && request.value.size() <= kEnvValueBytesMax &&
         request.value.find('\0') == std::string_view::npos &&
         std::ranges::any_of(permissions.env, [&](const std::string& glob) {
           return glob_match(glob, request.text);
         });
}

bool is_signal_name(std::string_view name) {
  return !name.empty() && name.size() <= kSignalNameBytesMax && is_visible_ascii(name);
}

}  // namespace

bool is_visible_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

bool is_env_name(std::string_view name) {
  // What makes the loader, a shell, an interpreter or git run something that the user names.
  static constexpr std::array<std::string_view, 19> kNever{
      "LD_*",       "DYLD_*",         "GIT_*", "BASH_*", "ENV",    "IFS",     "SHELLOPTS",
      "PATH",       "PYTHON*",        "PERL*", "RUBY*",  "NODE_*", "GLIBC_*", "MALLOC_*",
      "GCONV_PATH", "PROMPT_COMMAND", "SHELL", "HOME",   "SSH_*",
  };
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  if (name.empty() || name.size() > kEnvNameBytesMax || !is_letter(name.front())) {
    return false;
  }
  for (const char c : name) {
    if (!is_letter(c) && (c < '0' || c > '9')) {
      return false;
    }
  }
  return std::ranges::none_of(kNever,
                              [&](std::string_view glob) { return glob_match_nocase(glob, name); });
}

bool allows(const Permissions& permissions, const ChannelOpen& open) {
  switch (open.type) {
    case ChannelType::kSession:
      // What it may run is decided by its request, so that the user reads why not.
      return true;
    case ChannelType::kDirectTcpip:
      return !open.host_or_path.empty() && open.port != 0 &&
             matches(permissions.forward_local, open.host_or_path, open.port);
    case ChannelType::kDirectStreamlocal:
      return matches(permissions.forward_local_sockets, open.host_or_path);
    case ChannelType::kForwardedTcpip: return !permissions.forward_remote.empty();
    case ChannelType::kForwardedStreamlocal: return !permissions.forward_remote_sockets.empty();
    case ChannelType::kX11: return permissions.x11;
    case ChannelType::kAgent: return permissions.agent;
    case ChannelType::kUnknown: break;
  }
  return false;
}

bool allows(const Permissions& permissions, Leg leg, const ChannelRequest& request) {
  if (!may_be_sent_by(leg, request.type)) {
    return false;
  }
  switch (request.type) {
    case ChannelRequestType::kPty:
      return permissions.pty && request.text.size() <= kTermBytesMax &&
             is_visible_ascii(request.text) && request.modes.size() <= kTerminalModesBytesMax;
    case ChannelRequestType::kWindowChange: return permissions.pty;
    case ChannelRequestType::kX11: return permissions.x11;
    case ChannelRequestType::kAgent: return permissions.agent;
    case ChannelRequestType::kEnv: return may_set(permissions, request);
    case ChannelRequestType::kShell:
    case ChannelRequestType::kExec:
    case ChannelRequestType::kSubsystem: return may_start(permissions, request);
    case ChannelRequestType::kSignal:
      return permissions.force_command.empty() && is_signal_name(request.text);
    case ChannelRequestType::kBreak: return permissions.force_command.empty();
    case ChannelRequestType::kEow:
    case ChannelRequestType::kXonXoff:
    case ChannelRequestType::kExitStatus:
    case ChannelRequestType::kExitSignal: return true;
    case ChannelRequestType::kKeepalive:  // answered by us: that is what it asks for
    case ChannelRequestType::kUnknown: break;
  }
  return false;
}

bool allows(const Permissions& permissions, const GlobalRequest& request) {
  switch (request.type) {
    case GlobalRequestType::kTcpipForward:
      // Port 0 asks for any free port, so the pattern has to cover 0 and with it all of them.
      return matches(permissions.forward_remote, request.host_or_path, request.port);
    case GlobalRequestType::kStreamlocalForward:
      return matches(permissions.forward_remote_sockets, request.host_or_path);
    case GlobalRequestType::kCancelTcpipForward:
    case GlobalRequestType::kCancelStreamlocalForward:
      // Of what was allowed: the bridge passes the cancellation of a forwarding that it knows.
    case GlobalRequestType::kNoMoreSessions: return true;
    case GlobalRequestType::kUnknown: break;
  }
  return false;
}

}  // namespace bastion::proto
