#pragma once

#include <string>
#include <vector>

#include "daemon/ipc/login_messages.h"
#include "daemon/warden/session.h"

namespace bastion::daemon {

/// algorithms_of gives the lists in force: those of the preset, or the configuration's own.
proto::AlgorithmLists algorithms_of(const config::Algorithms& configured);

/// make_host_signers lists how we prove to be the bastion, in the order of `algorithms`, and for
/// each of them in the order of host_keys.
std::vector<HostSigner> make_host_signers(const config::Configuration& configuration,
                                          const std::vector<std::string>& algorithms);

/// make_settings is what gates and workers are told of a configuration.
ipc::Settings make_settings(const ActiveConfiguration& active);

/// bastion_name_of: as users call us in "ssh login@target@NAME": the configured name or the host's.
std::string bastion_name_of(const config::ServiceConfig& service);

}  // namespace bastion::daemon
