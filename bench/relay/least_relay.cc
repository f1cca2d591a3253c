// The least relay that opens and seals, as a measure for bastiond: relays.h says what it does. It
// prints its port, serves one connection after the other, and ends when its standard input does.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "bench/peers/files.h"
#include "bench/relay/relays.h"
#include "bench/relay/socket.h"

namespace bastion::bench {
namespace {

int run(int argc, char** argv) {
  CLI::App app("The least relay that opens and seals");
  std::string mode;
  std::string host_key_file;
  std::string key_file;
  RelaySetup setup;
  app.add_option("--mode", mode, "bare, routed or tunnel")->required();
  app.add_option("--host-key", host_key_file)->required();
  app.add_option("--key", key_file)->required();
  app.add_option("--login", setup.login)->required();
  app.add_option("--cipher", setup.cipher)->required();
  app.add_option("--target", setup.target)->required();
  CLI11_PARSE(app, argc, argv);
  const crypto::PrivateKey host_key = read_key(host_key_file);
  const crypto::PrivateKey key = read_key(key_file);
  setup.host_key = &host_key;
  setup.key = &key;
  const auto relay = mode == "bare" ? relay_bare : mode == "routed" ? relay_routed : relay_tunnel;

  const daemon::UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener.get(), any, length) != 0 || listen(listener.get(), 16) != 0 ||
      getsockname(listener.get(), any, &length) != 0) {
    die("listening failed");
  }
  std::printf("listening on 127.0.0.1 port %d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  while (wait_for_input(listener.get(), STDIN_FILENO) == 1) {
    const daemon::UniqueFd user(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const int on = 1;
    setsockopt(user.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // A child for each, so that whatever ends one connection ends no other.
    if (const pid_t child = fork(); child == 0) {
      relay(user.get(), setup);
      _exit(0);
    } else if (child > 0) {
      waitpid(child, nullptr, 0);
    }
  }
  return 0;
}

}  // namespace
}  // namespace bastion::bench

int main(int argc, char** argv) { return bastion::bench::run(argc, argv); }
