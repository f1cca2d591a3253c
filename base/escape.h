#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace bastion {

/// escaped makes bytes harmless in a log, a terminal and a one-line message: what is not printable
/// (C0, C1, DEL, ESC, bidirectional and other format controls, line and paragraph separators) and
/// what is not UTF-8 becomes \xNN, a backslash \\. At most `bytes_max` octets of input are shown;
/// an ellipsis says that there were more.
std::string escaped(std::string_view text, std::size_t bytes_max = 256);
inline std::string escaped(ByteView bytes, std::size_t bytes_max = 256) {
  return escaped(as_text(bytes), bytes_max);
}

/// unescaped gives back the bytes that `escaped` was given, where nothing was left out; nullopt for
/// what it would not have written.
std::optional<std::string> unescaped(std::string_view text);

}  // namespace bastion
