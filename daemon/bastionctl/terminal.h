#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bastion::ctl {

/// terminal_width is stdout's, 0 where that is no terminal.
std::size_t terminal_width();
/// colour: stdout is a terminal and NO_COLOR is not set.
bool colour();

/// lines_shown makes recorded bytes harmless to print: lines stay lines (CR LF and LF), all other
/// control and format characters and what is not UTF-8 become \xNN.
std::string lines_shown(std::string_view bytes);

/// complain prints "bastionctl: TEXT" to stderr and gives `status` back.
int complain(std::string_view text, int status);

}  // namespace bastion::ctl
