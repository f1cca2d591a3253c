#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace bastion::screen {

/// utf8_unfinished says how many octets at the end of a text begin a character of UTF-8 that is not
/// all there: what has to wait for the next piece.
inline std::size_t utf8_unfinished(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto c = static_cast<unsigned char>(text[text.size() - back]);
    if ((c & 0xc0) == 0x80) {
      continue;
    }
    const std::size_t len = c >= 0xf8 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    return len > back ? back : 0;
  }
  return 0;
}

}  // namespace bastion::screen
