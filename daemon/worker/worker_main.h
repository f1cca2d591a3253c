#pragma once

#include "daemon/process.h"

namespace bastion::daemon {

/// worker_main runs one worker until the supervisor's channel ends; its exit status. A worker holds
/// authenticated sessions and their upstream legs, and bridges them.
int worker_main(ProcessContext& context);

}  // namespace bastion::daemon
