// bastiond: the supervisor, and, started again by it with --role, each of the other processes but
// the resolver.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "base/version.h"
#include "config/load.h"
#include "crypto/backend.h"
#include "daemon/gate/gate_main.h"
#include "daemon/log.h"
#include "daemon/process.h"
#include "daemon/recorder/recorder_main.h"
#include "daemon/sandbox/sandbox.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/warden/warden_main.h"
#include "daemon/worker/worker_main.h"

namespace bastion::daemon {
namespace {

int role_main(ProcessContext& context) {
  switch (context.role) {
    case ipc::Role::kGate: return gate_main(context);
    case ipc::Role::kWorker: return worker_main(context);
    case ipc::Role::kWarden: return warden_main(context);
    case ipc::Role::kRecorder: return recorder_main(context);
    case ipc::Role::kSupervisor:
    case ipc::Role::kResolver: break;
  }
  context.log.error("this role has a program of its own");
  return 2;
}

int run_role(const std::string& name, std::uint32_t index, const std::string& level_name) {
  const Result<ipc::Role> role = parse_role(name);
  const LogLevel level = parse_log_level(level_name).value_or(LogLevel::kInfo);
  const bool one = role && (*role == ipc::Role::kWarden || *role == ipc::Role::kRecorder);
  Log log(one ? name : name + " " + std::to_string(index), level);
  if (!role) {
    log.error("no role of that name");
    return 2;
  }
  if (const Status started = start_role(*role); !started) {
    log.error(describe(started.error()));
    return 2;
  }
  ProcessContext context{*role, index, log, UniqueFd(kSupervisorFd),
                         UniqueFd(*role == ipc::Role::kWarden ? -1 : kWardenFd)};
  if (*role == ipc::Role::kWorker) {
    context.record_ring.reset(kRecordRingFd);
    context.record_bell.reset(kRecordBellFd);
  }
  return role_main(context);
}

int check(const std::string& path) {
  const config::CheckReport report = config::check_configuration(config::SystemFiles(), path);
  std::fputs(report.text.c_str(), stdout);
  return report.ok ? 0 : 1;
}

int print(const std::string& path) {
  const auto loaded = config::load_configuration(config::SystemFiles(), path);
  std::fputs(loaded.problems.text().c_str(), stderr);
  if (!loaded) {
    return 1;
  }
  std::fputs(config::print_config(*loaded.value).c_str(), stdout);
  return 0;
}

int self_test() {
  std::string table;
  const bool good = sandbox::self_test(table);
  std::fputs(table.c_str(), stdout);
  return good ? 0 : 1;
}

struct Arguments {
  std::string config = "/etc/bastiond/bastiond.yaml";
  bool check = false;
  bool print = false;
  bool self_test = false;
  bool one_uid = false;
  std::string role;
  std::uint32_t index = 0;
  std::string log_level = "info";
};

int run(const Arguments& arguments) {
  if (!arguments.role.empty()) {
    const int status = run_role(arguments.role, arguments.index, arguments.log_level);
    // Nothing else may run behind the sandbox: no leak check of a sanitizer, no destructors.
    std::fflush(stdout);
    _exit(status);
  }
  if (arguments.self_test) {
    return self_test();
  }
  if (arguments.check) {
    return check(arguments.config);
  }
  if (arguments.print) {
    return print(arguments.config);
  }
  Log log("supervisor", LogLevel::kInfo);
  return Supervisor({arguments.config, arguments.one_uid}, log).run();
}

}  // namespace
}  // namespace bastion::daemon

int main(int argc, char** argv) {
  bastion::daemon::Arguments arguments;
  CLI::App app{"bastiond: the one SSH door to your servers"};
  app.footer(
      "Example: bastiond --config /etc/bastiond/bastiond.yaml --check\n"
      "SIGHUP reloads the policy, SIGTERM ends the sessions with a message and stops.");
  app.set_version_flag("--version", "bastiond " + std::string(bastion::kVersion) + " (" +
                                        std::string(bastion::kRevision) + "), BoringSSL API " +
                                        std::to_string(bastion::crypto::backend_api_version()));
  app.add_option("-c,--config", arguments.config, "The service's configuration")
      ->capture_default_str();
  app.add_flag("--check", arguments.check, "Check the configuration and the policy, and end");
  app.add_flag("--print-config", arguments.print,
               "Print what is in force, defaults included, and end");
  app.add_flag("--sandbox-self-test", arguments.self_test,
               "Try in each role's sandbox what must not work, and end");
  app.add_flag("--one-uid", arguments.one_uid,
               "As root: run all processes but the supervisor as uid 65534, not each kind as a "
               "user of its own");
  app.add_option("--role", arguments.role)->group("");
  app.add_option("--index", arguments.index)->group("");
  app.add_option("--log-level", arguments.log_level)->group("");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return bastion::daemon::run(arguments);
}
