// bastiond-resolver: names to addresses for the warden. A program of its own, because the name
// service modules that it runs may load OpenSSL, which does not go together with BoringSSL.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "base/version.h"
#include "daemon/ipc/channel.h"
#include "daemon/ipc/resolver_messages.h"
#include "daemon/process.h"
#include "daemon/resolver/lookups.h"

namespace bastion::daemon {
namespace {

constexpr std::size_t kThreads = 4;

/// serve answers the warden until one of the two channels ends.
int serve(ProcessContext& context) {
  ipc::Channel warden(std::move(context.warden));
  // Never destroyed: its threads may be in a lookup that blocks, and nobody waits for them.
  Lookups& lookups = *new Lookups(kThreads, look_up);
  while (true) {
    const MonoTime deadline = lookups.next_deadline();
    const std::int64_t left_ms =
        deadline == kNever ? -1 : std::max<std::int64_t>(0, deadline.ns - mono_now().ns) / kNsPerMs;
    pollfd fds[] = {
        {warden.fd(), static_cast<short>(warden.wants_writable() ? POLLIN | POLLOUT : POLLIN), 0},
        {lookups.wake_fd(), POLLIN, 0},
        {context.supervisor.get(), POLLIN, 0},
    };
    if (poll(fds, 3, left_ms < 0 ? -1 : static_cast<int>(left_ms) + 1) < 0) {
      continue;
    }
    if (fds[2].revents != 0) {
      return 0;  // the supervisor sends nothing: this is its end
    }
    const MonoTime now = mono_now();
    if (fds[0].revents != 0) {
      auto received = warden.receive();
      if (!received) {
        context.log.error("the warden's channel failed", {{"error", describe(received.error())}});
        return 1;
      }
      if (received->state == ipc::Received::State::kClosed) {
        return 0;
      }
      if (received->state == ipc::Received::State::kMessage) {
        auto resolve = ipc::decode<ipc::Resolve>(received->body);
        if (received->header.type != ipc::Type::kResolve || !resolve) {
          context.log.error("the warden sent what is no question");
          return 1;
        }
        lookups.ask(received->header.request, std::move(*resolve), now);
      }
    }
    for (Lookups::Answer& answer : lookups.take(now)) {
      if (!warden.send(ipc::Header{.request = answer.request}, answer.resolved)) {
        return 1;
      }
    }
    if (warden.wants_writable() && !warden.on_writable()) {
      return 1;
    }
  }
}

int run(std::string_view level_name) {
  const auto level = parse_log_level(level_name);
  Log log("resolver", level.value_or(LogLevel::kInfo));
  if (const Status started = start_role(ipc::Role::kResolver); !started) {
    log.error("cannot start", {{"error", describe(started.error())}});
    return 2;
  }
  ProcessContext context{ipc::Role::kResolver, 0, log, UniqueFd(kSupervisorFd),
                         UniqueFd(kWardenFd)};
  if (const Status sealed = seal(context, nullptr); !sealed) {
    log.error("cannot enter the sandbox", {{"error", describe(sealed.error())}});
    return 1;
  }
  return serve(context);
}

}  // namespace
}  // namespace bastion::daemon

int main(int argc, char** argv) {
  std::string_view level = "info";
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--version") {
      std::printf("bastiond-resolver %s (%s)\n", bastion::kVersion.data(),
                  bastion::kRevision.data());
      return 0;
    }
    if (std::string_view(argv[i]) == "--log-level" && i + 1 < argc) {
      level = argv[i + 1];
    }
  }
  // A sanitizer's leak check is barred by the sandbox, so nothing else runs at the end.
  _exit(bastion::daemon::run(level));
}
