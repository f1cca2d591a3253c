#pragma once

#include <string>
#include <string_view>

#include "daemon/unique_fd.h"

namespace bastion::daemon {

/// Notifier speaks systemd's notification protocol (sd_notify(3)): datagrams to NOTIFY_SOCKET, a
/// path or an abstract name ("@…"). Without the variable it does nothing. It never waits.
class Notifier {
 public:
  /// `address` is NOTIFY_SOCKET's value, or null.
  explicit Notifier(const char* address);

  void ready(std::string_view status);
  void reloading();
  void stopping(std::string_view status);
  void status(std::string_view status);

 private:
  void send(const std::string& message);
  std::string address_;
  UniqueFd fd_;
};

}  // namespace bastion::daemon
