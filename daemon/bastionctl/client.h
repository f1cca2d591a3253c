#pragma once

#include <expected>
#include <string>

namespace bastion::ctl {

/// ask sends one request line to the daemon's control socket and gives the reply line, at most
/// 64 MiB, within 30 s. The error is one line for the user; the exit status is then 3.
std::expected<std::string, std::string> ask(const std::string& socket_path,
                                            const std::string& request);

}  // namespace bastion::ctl
