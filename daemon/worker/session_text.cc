#include "daemon/worker/session_text.h"

#include "base/escape.h"

namespace bastion::daemon {

std::string disconnected_text(std::string_view reason) {
  reason = reason.substr(0, reason.find_last_not_of(". \t\r\n") + 1);
  return reason.empty() ? "disconnected" : "disconnected: " + escaped(reason, 200);
}

std::string refused_channel_text(proto::ChannelType type, std::string_view detail,
                                 std::string_view why) {
  std::string text = "refused a channel of an unknown type";
  if (type != proto::ChannelType::kUnknown) {
    const std::string_view name = type_name(type);
    const bool vowel = name.starts_with('x') || name.starts_with('a');  // an x11, an auth-agent
    text = std::string(vowel ? "refused an " : "refused a ") + std::string(name) + " channel";
  }
  if (!detail.empty()) {
    text += " to \"" + escaped(detail) + "\"";
  }
  return text + ": " + escaped(why);
}

std::string forward_text(const proto::ForwardDecision& forward) {
  std::string text = forward.established ? "established "
                     : forward.allowed   ? "allowed "
                                         : "refused ";
  text += escaped(forward.name, 64) + " " + escaped(forward.host_or_path);
  if (forward.name.find("streamlocal") == forward.name.npos) {
    text += ":" + std::to_string(forward.port);
  }
  return text;
}

}  // namespace bastion::daemon
