#pragma once

#include <string>

#include "config/policy.h"

/// What the parts of the policy share and nobody else uses.
namespace bastion::config {

/// Decision is the answer and the rule that gave it; null: no rule covers the request.
struct Policy::Decision {
  bool allowed = false;
  const Rule* rule = nullptr;
};

/// bastion_name is how hints call us.
std::string bastion_name(const Request& request);

}  // namespace bastion::config
