#pragma once

#include "daemon/process.h"

namespace bastion::daemon {

/// recorder_main is the recorder's process (daemon/process.h).
int recorder_main(ProcessContext& context);

}  // namespace bastion::daemon
