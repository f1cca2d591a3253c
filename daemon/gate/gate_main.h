#pragma once

#include "daemon/process.h"

namespace bastion::daemon {

/// gate_main runs one gate until the supervisor's channel ends; its exit status. A gate speaks with
/// unauthenticated users only: identification, key exchange, user authentication.
int gate_main(ProcessContext& context);

}  // namespace bastion::daemon
