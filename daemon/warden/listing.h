#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/policy.h"

namespace bastion::daemon {

/// listing_text is what `ssh bastion` answers: one line for each target that the user may reach,
/// with the logins and what may be done there, and how to go there. Lines end with \n.
std::string listing_text(const std::vector<config::Reachable>& reachable, std::string_view user,
                         std::string_view bastion);

}  // namespace bastion::daemon
