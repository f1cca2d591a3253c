#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "daemon/bastionctl/client.h"
#include "daemon/bastionctl/recordings.h"
#include "daemon/bastionctl/reply.h"
#include "daemon/bastionctl/terminal.h"

namespace bastion::ctl {
namespace {

using Json = nlohmann::json;

/// ask_daemon: the recorder alone writes beside recordings, and it is asked by the control socket.
int ask_daemon(const RecordingsOptions& options, const char* command, const char* done) {
  const Json request = {{"command", command}, {"id", options.id}, {"reason", options.reason}};
  const auto line =
      ask(*options.socket, request.dump(-1, ' ', true, Json::error_handler_t::replace));
  if (!line) {
    return complain(line.error(), 3);
  }
  const Json reply = Json::parse(*line, nullptr, false);
  const std::string session = text(reply, "recording");
  if (*options.json) {
    std::puts(reply.dump(2, ' ', true, Json::error_handler_t::replace).c_str());
    return session.empty() ? 1 : 0;
  }
  if (session.empty()) {
    return complain(escaped(text(reply, "error"), 1000), 1);
  }
  std::printf("%s %s\n", escaped(session, 64).c_str(), done);
  return 0;
}

}  // namespace

int recordings_hold(const RecordingsOptions& options) {
  return ask_daemon(options, "hold", "is held: it stays until it is released");
}

int recordings_release(const RecordingsOptions& options) {
  return ask_daemon(options, "release", "is held no more: it goes when retention says so");
}

}  // namespace bastion::ctl
