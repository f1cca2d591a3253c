#pragma once

#include "daemon/audit/event.h"
#include "proto/file_events.h"

/// What passes in a session, as the events of docs/audit-events.md: the same for the audit log and
/// for the session's recording.
namespace bastion::daemon {

/// file_event makes the event `file`, without the channel. All texts are copied.
audit::Event file_event(const proto::FileEvent& event);

}  // namespace bastion::daemon
