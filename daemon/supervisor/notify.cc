#include "daemon/supervisor/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "base/clock.h"

namespace bastion::daemon {

Notifier::Notifier(const char* address) {
  if (address == nullptr || (address[0] != '/' && address[0] != '@')) {
    return;
  }
  address_ = address;
  fd_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

void Notifier::send(const std::string& message) {
  sockaddr_un to{};
  if (!fd_ || address_.size() >= sizeof to.sun_path) {
    return;
  }
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  if (to.sun_path[0] == '@') {
    to.sun_path[0] = '\0';
  }
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  // systemd reads; where it does not, nothing here depends on it.
  (void)sendto(fd_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
               reinterpret_cast<const sockaddr*>(&to), length);
}

void Notifier::ready(std::string_view status) {
  send("READY=1\nSTATUS=" + std::string(status) + "\n");
}

void Notifier::reloading() {
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(mono_now().ns / 1000) +
       "\nSTATUS=reloading\n");
}

void Notifier::stopping(std::string_view status) {
  send("STOPPING=1\nSTATUS=" + std::string(status) + "\n");
}

void Notifier::status(std::string_view status) { send("STATUS=" + std::string(status) + "\n"); }

}  // namespace bastion::daemon
