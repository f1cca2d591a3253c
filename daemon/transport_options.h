#pragma once

#include <memory>
#include <string_view>

#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"
#include "proto/messages.h"
#include "proto/transport.h"

namespace bastion::daemon {

/// server_options makes the transport's options for users' connections of what the warden said.
std::shared_ptr<const proto::TransportOptions> server_options(const ipc::Settings& settings);

/// client_options makes those for a connection to one target: what is on record of its host keys
/// comes first, and its legacy names are added.
std::shared_ptr<const proto::TransportOptions> client_options(const ipc::Settings& settings,
                                                              const ipc::TargetConnected& target);

/// exchange_message copies the parts of an exchange into the form in which the warden gets them.
ipc::Exchange exchange_message(const proto::Exchange& exchange);

/// digest_of takes a hash that the warden sent; empty where it is longer than any hash.
crypto::Digest digest_of(ByteView bytes);

/// reason_for is the DISCONNECT reason that goes with an error of a transport.
proto::DisconnectReason reason_for(const Error& error);

}  // namespace bastion::daemon
