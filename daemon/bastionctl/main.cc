// bastionctl: asks a running bastiond, and reads what it recorded. Exit status: 0 yes, 1 no, 2
// usage, 3 no daemon reached, or no files read.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/version.h"
#include "daemon/bastionctl/audit.h"
#include "daemon/bastionctl/client.h"
#include "daemon/bastionctl/recordings.h"
#include "daemon/bastionctl/reply.h"
#include "daemon/bastionctl/table.h"
#include "daemon/bastionctl/terminal.h"

namespace bastion::ctl {
namespace {

using Json = nlohmann::json;

struct Options {
  std::string socket = "/run/bastiond/control.sock";
  bool json = false;
  std::string id;
  std::string reason;
  std::string user;
  std::string where;
  std::string action;
  std::string from;
};

void print_status(const Json& reply) {
  const std::int64_t workers = number(reply, "workers");
  std::printf("bastiond %s  up %s · %lld worker%s", printable(text(reply, "version")).c_str(),
              human_seconds(number(reply, "uptime_s")).c_str(), static_cast<long long>(workers),
              workers == 1 ? "" : "s");
  if (const Json policy = part(reply, "policy"); policy.is_object()) {
    const std::int64_t tests = number(policy, "tests");
    std::printf(" · policy %s (loaded %s by %s, %lld test%s passed)",
                printable(text(policy, "hash")).substr(0, 6).c_str(),
                clock_time(number(policy, "loaded_at"), std::time(nullptr)).c_str(),
                printable(text(policy, "loaded_by")).c_str(), static_cast<long long>(tests),
                tests == 1 ? "" : "s");
  }
  const Json sessions = part(reply, "sessions");
  const Json logins = part(reply, "logins");
  const Json strangers = part(reply, "unauthenticated");
  std::printf("\nsessions %s (routed %s, jump %s) · logins %s ok, %s refused",
              grouped(count(sessions, "total")).c_str(), grouped(count(sessions, "routed")).c_str(),
              grouped(count(sessions, "menu")).c_str(), grouped(count(logins, "ok")).c_str(),
              grouped(count(logins, "refused")).c_str());
  if (const Json recordings = part(reply, "recordings"); recordings.is_object()) {
    const std::uint64_t disk = std::max<std::uint64_t>(1, count(recordings, "disk_bytes"));
    std::printf(" · recordings %s, disk %llu%% free",
                human_bytes(count(recordings, "bytes")).c_str(),
                static_cast<unsigned long long>(count(recordings, "disk_free_bytes") * 100 / disk));
    if (const std::string why = text(recordings, "why"); !why.empty()) {
      std::printf("\nnothing can be recorded: %s", printable(why).c_str());
    }
  }
  std::putchar('\n');
  std::printf("not yet authenticated %s of at most %s, from %s sources\n",
              grouped(count(strangers, "total")).c_str(),
              grouped(count(strangers, "limit")).c_str(),
              grouped(count(strangers, "sources")).c_str());
  std::printf("%s\n", printable(text(reply, "uids")).c_str());
}

void print_sessions(const Json& reply) {
  const Json list = part(reply, "sessions");
  if (!list.is_array() || list.empty()) {
    std::puts("no sessions");
    return;
  }
  Table table({{"ID"},
               {"USER"},
               {"AS@TARGET"},
               {"FROM"},
               {"SINCE"},
               {"IDLE", true},
               {"CHANNELS"},
               {"UP / DOWN", true}});
  const std::int64_t now = std::time(nullptr);
  for (const Json& session : list) {
    const std::string target = text(session, "target");
    table.add(
        {text(session, "id"), text(session, "user"),
         target.empty() ? "(" + text(session, "mode") + ")" : text(session, "login") + "@" + target,
         text(session, "from"), clock_time(number(session, "since"), now),
         human_seconds(number(session, "idle_s")), text(session, "channels"),
         human_bytes(count(session, "bytes_up")) + " / " +
             human_bytes(count(session, "bytes_down"))});
  }
  std::fputs(table.text(terminal_width(), colour()).c_str(), stdout);
}

void print_lines(const std::string& lines, std::FILE* to) {
  std::size_t begin = 0;
  while (begin < lines.size()) {
    const std::size_t end = std::min(lines.find('\n', begin), lines.size());
    std::fprintf(to, "%s\n", printable(lines.substr(begin, end - begin)).c_str());
    begin = end + 1;
  }
}

/// run asks and prints; `print` is for a good reply that is read by a person. A good reply that
/// says that something is not allowed is a no, too.
int run(const Options& options, const Json& request, void (*print)(const Json&)) {
  const auto line =
      ask(options.socket, request.dump(-1, ' ', true, Json::error_handler_t::replace));
  if (!line) {
    std::fprintf(stderr, "bastionctl: %s\n", line.error().c_str());
    return 3;
  }
  const Json reply = Json::parse(*line, nullptr, false);
  const Json ok = part(reply, "ok");
  const bool good = ok.is_boolean() && ok.get<bool>();
  const Json allowed = part(reply, "allowed");
  const bool yes = good && !(allowed.is_boolean() && !allowed.get<bool>());
  if (options.json) {
    // dump keeps control bytes of strings as escapes.
    std::puts(reply.dump(2, ' ', true, Json::error_handler_t::replace).c_str());
    return yes ? 0 : 1;
  }
  if (!good) {
    print_lines(text(reply, "error"), stderr);
    return 1;
  }
  print(reply);
  return yes ? 0 : 1;
}

void print_reload(const Json& reply) {
  print_lines("policy loaded: " + text(reply, "text"), stdout);
}

void print_explained(const Json& reply) { print_lines(text(reply, "text"), stdout); }

void print_ended(const Json& reply) {
  const Json ended = part(reply, "ended");
  print_lines("ended " + text(ended, "id") + ": " + text(ended, "user") + " as " +
                  text(ended, "login") + "@" + text(ended, "target") + " from " +
                  text(ended, "from"),
              stdout);
}

}  // namespace
}  // namespace bastion::ctl

int main(int argc, char** argv) {
  using bastion::ctl::Json;
  bastion::ctl::Options options;
  CLI::App app{"bastionctl: asks a running bastiond, and reads what it recorded"};
  app.footer(
      "Example: bastionctl sessions --json\nExit status: 0, 1 (no), 2 (usage), 3 (cannot "
      "reach the daemon).");
  app.set_version_flag("--version", "bastionctl " + std::string(bastion::kVersion) + " (" +
                                        std::string(bastion::kRevision) + ")");
  app.add_option("--socket", options.socket, "The daemon's control socket")
      ->envname("BASTIOND_SOCKET")
      ->capture_default_str();
  app.add_flag("--json", options.json, "Print the daemon's answer as JSON");
  app.require_subcommand(1);
  app.fallthrough();

  int status = 0;
  auto* show = app.add_subcommand("status", "How the daemon is, which policy it has");
  show->footer("Example: bastionctl status");
  show->callback([&] {
    status = bastion::ctl::run(options, {{"command", "status"}}, bastion::ctl::print_status);
  });
  auto* sessions = app.add_subcommand("sessions", "Who is where");
  sessions->footer("Example: bastionctl sessions");
  sessions->callback([&] {
    status = bastion::ctl::run(options, {{"command", "sessions"}}, bastion::ctl::print_sessions);
  });
  auto* end = app.add_subcommand("end", "End a session");
  end->footer("Example: bastionctl end 7q2m --reason \"maintenance at noon\"");
  end->add_option("id", options.id, "The session's id, or a unique beginning of it")->required();
  end->add_option("--reason", options.reason, "What the user is told");
  end->callback([&] {
    status = bastion::ctl::run(options,
                               {{"command", "end"}, {"id", options.id}, {"reason", options.reason}},
                               bastion::ctl::print_ended);
  });
  auto* reload = app.add_subcommand("reload", "Read the configuration and the policy again");
  reload->footer("Example: bastionctl reload");
  reload->callback([&] {
    status = bastion::ctl::run(options, {{"command", "reload"}}, bastion::ctl::print_reload);
  });
  auto* policy = app.add_subcommand("policy", "The policy in force: why it decides as it does");
  policy->require_subcommand(1);
  auto* explain = policy->add_subcommand("explain", "What it decides, and each rule's part in it");
  explain->footer(
      "Example: bastionctl policy explain alice root@web1 shell\n"
      "Exit status: 0 allowed, 1 denied, 2 usage, 3 cannot reach the daemon.");
  explain->add_option("user", options.user, "A user of the policy")->required();
  explain->add_option("where", options.where, "LOGIN@TARGET; for jump TARGET will do")->required();
  explain
      ->add_option(
          "action", options.action,
          "As in the policy's tests: shell, exec, sftp, jump, forward_local:HOST:PORT, ...")
      ->required();
  explain->add_option("--from", options.from,
                      "The user's address; without it no rule with when: {from: ...} covers this");
  explain->callback([&] {
    status = bastion::ctl::run(options,
                               {{"command", "explain"},
                                {"user", options.user},
                                {"where", options.where},
                                {"action", options.action},
                                {"from", options.from}},
                               bastion::ctl::print_explained);
  });
  bastion::ctl::add_audit_commands(app, options.socket, options.json, status);
  bastion::ctl::add_recordings(app, options.socket, options.json, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    // CLI11 says only that a command is missing, also where one is there that it does not know.
    const std::vector<std::string> rest = app.remaining(true);
    const auto chosen = app.get_subcommands();
    if (rest.empty() || (!chosen.empty() && chosen.front()->get_subcommands({}).empty())) {
      return app.exit(error) == 0 ? 0 : 2;
    }
    const std::string above = chosen.empty() ? "" : " " + chosen.front()->get_name();
    std::string commands;
    for (const CLI::App* known : (chosen.empty() ? &app : chosen.front())->get_subcommands({})) {
      commands += (commands.empty() ? "" : ", ") + known->get_name();
    }
    std::fprintf(stderr, "bastionctl%s: there is no command \"%s\"; there are %s\n", above.c_str(),
                 bastion::ctl::printable(rest.front()).c_str(), commands.c_str());
    return 2;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return status;
}
