// Does one kind of work N times, for an instrument that counts instructions (tests/instructions):
//   packets CIPHER N   a routed session moves N packets of 32 KiB from the target to the user
//   logins N           N routed logins: gate and worker in memory, and the warden
// With N = 0 it does what comes before the first.

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "bench/memory/memory_relay.h"
#include "daemon/ipc/session_messages.h"
#include "tests/support/warden_world.h"

namespace {

void packets(const char* cipher, std::uint64_t count) {
  bastion::bench::MemoryRelay relay(cipher);
  relay.log_in();
  relay.pull(32 * 1024);
  relay.pull((count + 1) * 32 * 1024);
  std::printf("copied share %.4f\n", relay.copied_share());
}

void logins(std::uint64_t count) {
  bastion::test::World world;
  for (std::uint64_t i = 0; i <= count; ++i) {
    bastion::bench::MemoryRelay("aes128-gcm@openssh.com").log_in();
    const auto connection = world.verified("deploy@web1");
    world.say(bastion::test::kWorker0, connection.session,
              bastion::daemon::ipc::SessionEnded{"closed", 0, 0});
    world.io.sent.clear();
    world.io.connects.clear();
    world.io.lines.clear();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "packets" && argc == 4) {
    packets(argv[2], std::strtoull(argv[3], nullptr, 10));
  } else if (what == "logins" && argc == 3) {
    logins(std::strtoull(argv[2], nullptr, 10));
  } else {
    std::fputs("usage: bench-instructions packets CIPHER N | logins N\n", stderr);
    return 2;
  }
  return 0;
}
