#include "daemon/supervisor/children.h"

#include <sys/wait.h>

#include <csignal>
#include <cstring>

#include "daemon/process.h"

namespace bastion::daemon {

std::string Child::name() const {
  std::string text(role_name(role));
  if (role == ipc::Role::kGate || role == ipc::Role::kWorker) {
    text += " " + std::to_string(index);
  }
  return text;
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    std::string text = "by signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
    if (signal == SIGSYS) {
      text += ": it made a system call that its sandbox forbids";
    }
    return text;
  }
  return "with exit status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace bastion::daemon
