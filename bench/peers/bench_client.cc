// The client of the benchmarks: logins, idle sessions, keystrokes and streams, many in one process.
// Results are lines of JSON on standard output. What holds sessions says {"ready": N} when they are
// there, goes on at a line of its standard input, and ends with that input.

#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "bench/peers/files.h"
#include "bench/peers/modes.h"

namespace bastion::bench {
namespace {

int run(int argc, char** argv) {
  CLI::App app("The client of the benchmarks");
  ClientSetup setup;
  std::string key_file;
  std::string cipher = "aes128-gcm@openssh.com";
  app.add_option("--address", setup.plan.address, "HOST:PORT")->required();
  app.add_option("--user", setup.plan.user)->required();
  app.add_option("--key", key_file)->required();
  app.add_option("--cipher", cipher);
  app.add_option("--tunnel-host", setup.plan.tunnel_host);
  app.add_option("--tunnel-port", setup.plan.tunnel_port);
  app.add_option("--inner-user", setup.plan.inner_user);
  app.require_subcommand(1);

  CLI::App* logins = app.add_subcommand("logins", "log in, run `true`, leave");
  std::size_t concurrent = 1;
  logins->add_option("--count", setup.count)->required();
  logins->add_option("--concurrent", concurrent);
  CLI::App* hold = app.add_subcommand("hold", "keep idle sessions");
  hold->add_option("--count", setup.count)->required();
  hold->add_option("--concurrent", concurrent, "logins at a time");
  CLI::App* keys = app.add_subcommand("keys", "measure keystrokes' round trips");
  int interval_ms = 20;
  keys->add_option("--count", setup.count)->required();
  keys->add_option("--interval-ms", interval_ms);
  CLI::App* streams = app.add_subcommand("streams", "bulk data on some sessions at once");
  std::uint64_t bytes = 0;
  bool up = false;
  streams->add_option("--count", setup.count)->required();
  streams->add_option("--bytes", bytes, "of each")->required();
  streams->add_flag("--up", up);
  CLI11_PARSE(app, argc, argv);

  prctl(PR_SET_TIMERSLACK, 1);
  raise_descriptor_limit();
  const crypto::PrivateKey key = read_key(key_file);
  ChunkPool pool;
  setup.identity.options = client_options(cipher);
  setup.identity.key = &key;
  setup.identity.pool = &pool;
  if (logins->parsed()) {
    run_logins(setup, concurrent);
  } else if (hold->parsed()) {
    run_hold(setup, concurrent);
  } else if (keys->parsed()) {
    run_keys(setup, interval_ms);
  } else {
    run_streams(setup, bytes, up);
  }
  std::quick_exit(0);  // ten thousand destructors are of no use
}

}  // namespace
}  // namespace bastion::bench

int main(int argc, char** argv) { return bastion::bench::run(argc, argv); }
