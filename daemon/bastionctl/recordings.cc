#include "daemon/bastionctl/recordings.h"

#include <CLI/CLI.hpp>

#include "daemon/bastionctl/terminal.h"

namespace bastion::ctl {
namespace {

void add_filters(CLI::App& command, RecordingsOptions& options) {
  command.add_option("--user", options.filter.user, "Of this user");
  command.add_option("--login", options.filter.login, "As this account on the target");
  command.add_option("--target", options.filter.target, "On this target");
  command.add_option("--since", options.since, "7d, 12h, today, 2026-11-25, \"2026-11-25 14:02\"");
  command.add_option("--until", options.until, "Likewise");
  command.add_option("--command", options.filter.command, "With these words in a command");
  command.add_option("--screen", options.filter.screen, "With these words on the screen");
  command.add_option("--file", options.filter.file, "With these words in a file's name");
  command.add_option("--limit", options.filter.limit, "At most so many, the newest first")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
}

CLI::Option* add_identity(CLI::App& command, RecordingsOptions& options) {
  return command
      .add_option("--identity", options.identity_files,
                  "A file that keygen made, to read encrypted recordings; may be repeated")
      ->allow_extra_args(false);
}

void add_id(CLI::App& command, RecordingsOptions& options) {
  command.add_option("id", options.id, "The session's id, or a unique beginning of it")->required();
  add_identity(command, options);
}

}  // namespace

void add_recordings(CLI::App& app, const std::string& socket, const bool& json, int& status) {
  // It lives as long as the callbacks, which the program runs once.
  static RecordingsOptions options;
  options.json = &json;
  options.socket = &socket;
  CLI::App* all = app.add_subcommand("recordings", "What was recorded: list, show, play, prove");
  all->footer(
      "Examples: bastionctl recordings list --user alice --since 7d\n"
      "          bastionctl recordings play 7q2m\n"
      "These read files; they need no daemon, but for hold and release. What they print of a "
      "recording has its control\n"
      "characters shown, but for `play` without --safe on a terminal.");
  all->require_subcommand(1);
  all->fallthrough();
  all->add_option("--dir", options.dir, "The recordings' folder")
      ->envname("BASTIOND_RECORDINGS")
      ->capture_default_str();
  all->add_option("--index", options.index,
                  "The index's file (default: ../index/recordings.sqlite beside --dir)");
  const auto add = [&](const char* name, const char* what, const char* example,
                       int (*run)(const RecordingsOptions&)) {
    CLI::App* command = all->add_subcommand(name, what);
    command->footer("Example: bastionctl recordings " + std::string(example));
    command->callback([&status, run] { status = run(options); });
    return command;
  };

  CLI::App* list = add("list", "Which there are", "list --user alice --since 7d", recordings_list);
  add_filters(*list, options);
  add_identity(*list, options);

  CLI::App* search = add("search", "Which have these words in a command, file name or on screen",
                         "search \"drop table\" --since 7d", recordings_list);
  search->add_option("text", options.filter.text, "The words, in order; case does not matter")
      ->required();
  add_filters(*search, options);
  add_identity(*search, options);

  CLI::App* show = add("show", "What is in one", "show 7q2m", recordings_show);
  add_id(*show, options);

  CLI::App* play =
      add("play", "Play one as it was seen", "play 7q2m --speed 2 --idle-limit 2", recordings_play);
  add_id(*play, options);
  play->add_option("--speed", options.speed, "Times as fast")
      ->check(CLI::Range(0.01, 10'000.0))
      ->capture_default_str();
  play->add_option("--idle-limit", options.idle_limit, "Longest pause in seconds; 0: as it was")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  play->add_option("--start-at", options.start_at, "Begin so many seconds into it")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  play->add_option("--channel", options.channel, "Another channel than the first");
  play->add_flag("--safe", options.safe,
                 "Show control characters instead of running them (always, where stdout is no "
                 "terminal)");
  play->add_flag("--keys", options.show_input,
                 "Also show what was typed, where it was recorded (always with --safe)");

  CLI::App* to_file =
      add("export", "Write one out", "export 7q2m -o session.cast", recordings_export);
  add_id(*to_file, options);
  to_file->add_option("--format", options.format, "asciicast, text (as it stood on screen) or raw")
      ->check(CLI::IsMember({"asciicast", "text", "raw"}))
      ->capture_default_str();
  to_file->add_option("--cast-version", options.cast_version, "Of asciicast: 2 or 3")
      ->check(CLI::IsMember({2, 3}))
      ->capture_default_str();
  to_file->add_option("--stream", options.stream, "Of raw: stdout, stderr or stdin")
      ->check(CLI::IsMember({"stdout", "stderr", "stdin"}))
      ->capture_default_str();
  to_file->add_option("--channel", options.channel, "Another channel than the first");
  to_file->add_option("-o,--output", options.output, "The file to write; otherwise stdout");

  CLI::App* verify = add("verify", "Prove that recordings are as they were made",
                         "verify --all --audit-log /var/log/bastiond/audit.log", recordings_verify);
  verify->add_option("ids", options.ids, "Sessions' ids, or unique beginnings");
  verify->add_flag("--all", options.all, "All that there are");
  verify->add_option("--key", options.key_files, "The audit key's public half; may be repeated")
      ->allow_extra_args(false)
      ->envname("BASTIOND_AUDIT_KEY");
  verify->add_flag("--chain-only", options.chain_only,
                   "Without a key: finds damage, but not what somebody made anew");
  verify->add_flag("--allow-open", options.allow_open,
                   "Those that are still being recorded count as good");
  verify->add_option("--audit-log", options.audit_log,
                     "The audit log's file: it must be good, and each recording be the one that it "
                     "tells of; with --all none may be missing");

  CLI::App* index = add("index", "Bring the index up to date", "index --rebuild", recordings_index);
  index->add_flag("--rebuild", options.rebuild, "Make it anew from the files");
  add_identity(*index, options);

  const auto add_held = [&](const char* name, const char* what, const char* example,
                            int (*run)(const RecordingsOptions&)) {
    CLI::App* command = add(name, what, example, run);
    command->add_option("id", options.id, "The session's id, or a unique beginning of it")
        ->required();
    command->add_option("--reason", options.reason, "Why, for whoever reads it later");
  };
  add_held("hold", "Keep one, whatever retention says", "hold 7q2m --reason \"incident 4711\"",
           recordings_hold);
  add_held("release", "Leave one that is held to retention again",
           "release 7q2m --reason \"incident 4711 is closed\"", recordings_release);

  CLI::App* keygen = add("keygen", "Make an identity, for recordings encrypted to it",
                         "keygen security-team.identity", recordings_keygen);
  keygen->add_option("file", options.output, "The file to make; it must not exist")->required();
}

}  // namespace bastion::ctl
