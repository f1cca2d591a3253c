// What a target printed, of any size of terminal: whatever it is, the lines that come of it are
// harmless, and the work is bounded. Octet 0xfe sets another size by the two that follow, 0xff
// takes a look; all else is output.
//
// Its memory grows by what AddressSanitizer holds back of freed blocks (256 MiB and what they are
// torn into), and by nothing of ours or libvterm's: one seed 20,000 times stays at 39 MiB with
// ASAN_OPTIONS=quarantine_size_mb=1, at 370 MiB without, and no leak is found.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "daemon/screen/screen.h"

namespace {

using bastion::ByteView;
using bastion::screen::Screen;

void expect_harmless(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    for (const char c : line) {
      const auto octet = static_cast<unsigned char>(c);
      if (octet < 0x20 || octet == 0x7f) {
        std::abort();
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) {
    return 0;
  }
  Screen::Budget budget{.cells = 200'000};
  Screen screen(data[0], data[1], (data[0] & 1) != 0, &budget);
  ByteView rest = ByteView(data, size).subspan(2);
  while (!rest.empty()) {
    std::size_t n = 0;
    while (n < rest.size() && rest[n] < 0xfe) {
      ++n;
    }
    screen.write(rest.first(n));
    rest = rest.subspan(n);
    if (rest.size() >= 3 && rest[0] == 0xfe) {
      screen.resize(rest[1], rest[2]);
      rest = rest.subspan(3);
    } else if (!rest.empty()) {
      expect_harmless(screen.shown());
      rest = rest.subspan(1);
    }
  }
  expect_harmless(screen.shown());
  expect_harmless(screen.transcript());
  return 0;
}
