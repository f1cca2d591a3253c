// A target for benchmarks: many sessions in one process, each almost free. ssh_server.h says what
// it runs. It prints the port that it listens on and ends when its standard input does.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "bench/peers/files.h"
#include "bench/peers/link.h"
#include "bench/peers/ssh_server.h"

namespace bastion::bench {
namespace {

class Listener final : public Loop::Watcher {
 public:
  Listener(Loop& loop, const TargetSetup& setup)
      : loop_(loop), setup_(setup), fd_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (bind(fd_.get(), any, length) != 0 || listen(fd_.get(), 4096) != 0 ||
        getsockname(fd_.get(), any, &length) != 0) {
      die("listening failed");
    }
    std::printf("listening on 127.0.0.1 port %d\n", ntohs(address.sin_port));
    std::fflush(stdout);
    loop.watch(fd_.get(), *this);
  }
  void readable() override {
    while (true) {
      daemon::UniqueFd socket(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket) {
        return;
      }
      const int on = 1;
      setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      loop_.add(std::move(socket), std::make_unique<SshServer>(setup_));
    }
  }

 private:
  Loop& loop_;
  const TargetSetup& setup_;
  daemon::UniqueFd fd_;
};

class InputEnd final : public Loop::Watcher {
 public:
  void readable() override {
    char byte;
    ended = read(STDIN_FILENO, &byte, 1) <= 0 || ended;
  }
  bool ended = false;
};

int run(int argc, char** argv) {
  CLI::App app("A target for benchmarks");
  std::string host_key;
  std::string cipher = "aes128-gcm@openssh.com";
  app.add_option("--host-key", host_key)->required();
  app.add_option("--cipher", cipher);
  CLI11_PARSE(app, argc, argv);

  raise_descriptor_limit();
  ChunkPool pool;
  const crypto::PrivateKey key = read_key(host_key);
  TargetSetup setup;
  setup.options = server_options(key, cipher);
  setup.host_key = &key;
  setup.pool = &pool;
  Loop loop;
  Listener listener(loop, setup);
  InputEnd input;
  loop.watch(STDIN_FILENO, input);
  while (!input.ended) {
    loop.turn(-1);
  }
  std::quick_exit(0);  // ten thousand destructors are of no use
}

}  // namespace
}  // namespace bastion::bench

int main(int argc, char** argv) { return bastion::bench::run(argc, argv); }
