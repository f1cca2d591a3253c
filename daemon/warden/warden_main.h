#pragma once

#include "daemon/process.h"

namespace bastion::daemon {

/// warden_main runs the warden's process until the supervisor's channel ends; its exit status.
int warden_main(ProcessContext& context);

}  // namespace bastion::daemon
