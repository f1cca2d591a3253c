#include "proto/user_text.h"

#include <cstdint>

#include "proto/file_commands.h"

namespace bastion::proto {
namespace {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t len = 0;  // 0: not UTF-8
};

CodePoint decode_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return i < text.size() ? static_cast<std::uint8_t>(text[i]) : 0;
  };
  const std::uint32_t first = byte(0);
  std::size_t len = 0;
  std::uint32_t value = 0;
  std::uint32_t least = 0;
  if (first < 0x80) {
    return {first, 1};
  }
  if (first >= 0xc2 && first <= 0xdf) {
    len = 2;
    value = first & 0x1f;
    least = 0x80;
  } else if ((first & 0xf0) == 0xe0) {
    len = 3;
    value = first & 0x0f;
    least = 0x800;
  } else if (first >= 0xf0 && first <= 0xf4) {
    len = 4;
    value = first & 0x07;
    least = 0x10000;
  } else {
    return {};
  }
  for (std::size_t i = 1; i < len; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return {};
    }
    value = value << 6 | (byte(i) & 0x3f);
  }
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  return value < least || value > 0x10ffff || surrogate ? CodePoint{} : CodePoint{value, len};
}

/// changes_direction: LRM, RLM, ALM, the embeddings and overrides, and the isolates.
bool changes_direction(std::uint32_t c) {
  return c == 0x200e || c == 0x200f || c == 0x61c || (c >= 0x202a && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

bool is_control(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029;
}

std::string cut(std::string_view text) { return std::string(text.substr(0, kDetailBytesMax)); }

void add_word(std::string& list, std::string_view word) {
  if (!list.empty()) {
    list += ", ";
  }
  list += word;
}

std::string allowed_list(const Permissions& permissions) {
  std::string list;
  if (permissions.shell) {
    add_word(list, "shell");
  }
  if (permissions.exec) {
    add_word(list, "commands");
  }
  for (const std::string& name : permissions.subsystems) {
    add_word(list, name);
  }
  if (permissions.every_subsystem) {
    add_word(list, "any subsystem");
  }
  return list;
}

/// on_target is " as deploy on web1", as much of it as is known.
std::string on_target(const OwnedNames& names) {
  std::string text;
  if (!names.login.empty()) {
    text += " as " + names.login;
  }
  if (!names.target.empty()) {
    text += " on " + names.target;
  }
  return text;
}

std::string with_session(std::string text, const OwnedNames& names) {
  if (!names.session.empty()) {
    text += "   (" + names.session + ")";
  }
  return text;
}

std::string subject(const OwnedNames& names) {
  return (names.user.empty() ? std::string("you") : names.user) + " may not ";
}

std::string host_and_port(std::string_view host, std::uint32_t port) {
  const bool ipv6 = host.find(':') != std::string_view::npos;
  const std::string shown = cut(host.substr(0, kDetailBytesMax - 16));
  return (ipv6 ? "[" + shown + "]" : shown) + ":" + std::to_string(port);
}

}  // namespace

std::string printable(std::string_view text) {
  text = text.substr(0, kUserTextBytesMax);
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = decode_utf8(text);
    if (c.len == 0) {
      out += '?';
      text.remove_prefix(1);
      continue;
    }
    if (is_control(c.value) || changes_direction(c.value)) {
      out += '?';
    } else {
      out += text.substr(0, c.len);
    }
    text.remove_prefix(c.len);
  }
  return out;
}

std::string stderr_line(std::string_view text, bool pty, bool fresh_line) {
  std::string line;
  if (pty && fresh_line) {
    line += "\r\n";
  }
  line += "bastion: ";
  line += printable(text);
  line += pty ? "\r\n" : "\n";
  return line;
}

std::string start_refused_text(const OwnedNames& names, const Permissions& permissions,
                               const ChannelRequest& request) {
  std::string text = subject(names);
  switch (request.type) {
    case ChannelRequestType::kShell: text += "open a shell"; break;
    case ChannelRequestType::kSubsystem: text += "use " + cut(request.text); break;
    default: {
      const FileCommand command = recognise_command(request.text);
      text += command.kind == FileCommand::Kind::kScp     ? "copy by the old scp protocol"
              : command.kind == FileCommand::Kind::kRsync ? "use rsync"
                                                          : "run commands";
      if (command.kind == FileCommand::Kind::kScp || command.kind == FileCommand::Kind::kRsync) {
        text += command.downloads ? " to download" : " to upload";
      }
      break;
    }
  }
  text += on_target(names);
  if (const std::string list = allowed_list(permissions); !list.empty()) {
    text += "; allowed: " + list;
  }
  return with_session(std::move(text) + ".", names);
}

std::string open_refused_text(const OwnedNames& names, const ChannelOpen& open) {
  std::string text;
  switch (open.type) {
    case ChannelType::kDirectTcpip:
    case ChannelType::kDirectStreamlocal:
      text = subject(names) + "forward to " + describe_destination(open);
      break;
    case ChannelType::kForwardedTcpip:
    case ChannelType::kForwardedStreamlocal:
      text = "no forwarding of " + describe_destination(open) + " was asked for";
      break;
    case ChannelType::kX11: text = "no X11 forwarding was asked for"; break;
    case ChannelType::kAgent: text = "no agent forwarding was asked for"; break;
    default: text = "this channel is not allowed"; break;
  }
  if (open.type == ChannelType::kDirectTcpip || open.type == ChannelType::kDirectStreamlocal) {
    text += on_target(names);
  }
  return with_session(std::move(text), names);
}

std::string describe_destination(const ChannelOpen& open) {
  switch (open.type) {
    case ChannelType::kDirectTcpip:
    case ChannelType::kForwardedTcpip: return host_and_port(open.host_or_path, open.port);
    case ChannelType::kDirectStreamlocal:
    case ChannelType::kForwardedStreamlocal: return cut(open.host_or_path);
    default: return {};
  }
}

std::string describe_origin(const ChannelOpen& open) {
  return open.originator_host.empty() ? std::string()
                                      : host_and_port(open.originator_host, open.originator_port);
}

}  // namespace bastion::proto
