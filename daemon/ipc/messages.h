#pragma once

/// All messages, for the warden, which is at one end of nearly every channel, and for its tests.
/// Who has one channel includes that one's.
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/recorder_messages.h"
#include "daemon/ipc/resolver_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/ipc/supervisor_messages.h"
