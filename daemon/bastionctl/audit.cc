#include "daemon/bastionctl/audit.h"

#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "daemon/audit/chain.h"
#include "daemon/bastionctl/audit_commands.h"
#include "daemon/bastionctl/client.h"
#include "daemon/unique_fd.h"

namespace bastion::ctl {
namespace {

// In the order of the line.
using Json = nlohmann::ordered_json;

std::size_t terminal_width() {
  winsize size{};
  return isatty(STDOUT_FILENO) != 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col
                                                                                    : 0;
}

void print_line(std::string_view line, bool json) {
  if (!json) {
    std::puts(line_text(line, terminal_width()).c_str());
    return;
  }
  const Json parsed = Json::parse(line, nullptr, false);
  std::puts(parsed.dump(-1, ' ', true, Json::error_handler_t::replace).c_str());
}

std::uint64_t now_us() { return static_cast<std::uint64_t>(std::time(nullptr)) * 1'000'000; }

std::string file_of(const AuditOptions& options, const std::string& socket) {
  if (!options.file.empty()) {
    return options.file;
  }
  const DaemonLog daemon = ask_daemon_log(socket);
  return daemon.file.empty() ? kUsualFile : daemon.file;
}

bool read_times(AuditOptions& options) {
  const auto read = [](const std::string& text, std::uint64_t& out) {
    const auto moment = text.empty() ? std::optional(out) : parse_moment(text, now_us());
    out = moment.value_or(0);
    return moment.has_value();
  };
  return read(options.since, options.filter.since_us) &&
         read(options.until, options.filter.until_us);
}

int search(AuditOptions options, const std::string& socket, bool json) {
  if (!read_times(options)) {
    return usage_error("a time is such as 2026-03-01, 2026-03-01T09:14:02Z, 30m, 12h or 7d");
  }
  const std::string path = file_of(options, socket);
  bool found = false;
  for (const std::string& file : log_files(path)) {
    std::ifstream in(file);
    if (!in) {
      return usage_error("cannot read " + file + ": " + std::strerror(errno));
    }
    for (std::string line; std::getline(in, line);) {
      if (options.filter.matches(line)) {
        print_line(line, json);
        found = true;
      }
    }
  }
  return found ? kYes : kNo;
}

/// Follower reads what is added to a file, and the one of its name that takes its place.
class Follower {
 public:
  explicit Follower(std::string path) : path_(std::move(path)), in_(path_) {}
  bool good() const { return in_.is_open(); }
  template <typename Take>
  void read(Take take) {
    std::string piece;
    while (std::getline(in_, piece)) {
      partial_ += piece;
      if (in_.eof()) {
        break;  // not whole yet
      }
      take(std::exchange(partial_, {}));
    }
    in_.clear();
  }
  /// renewed says that another file has the name now; it is read from its beginning.
  void reopen() {
    partial_.clear();
    in_.close();
    in_.open(path_);
  }

 private:
  std::string path_;
  std::ifstream in_;
  std::string partial_;
};

int tail(AuditOptions options, const std::string& socket, bool json) {
  if (!read_times(options)) {
    return usage_error("a time is such as 2026-03-01, 2026-03-01T09:14:02Z, 30m, 12h or 7d");
  }
  const std::string path = file_of(options, socket);
  Follower file(path);
  if (!file.good()) {
    return usage_error("cannot read " + path + ": " + std::strerror(errno));
  }
  // The watch is there before the first reading, so nothing falls between the two.
  const daemon::UniqueFd watch(inotify_init1(IN_CLOEXEC));
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (options.follow) {
    inotify_add_watch(watch.get(), folder.empty() ? "." : folder.c_str(),
                      IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM);
  }
  std::deque<std::string> last;
  file.read([&](std::string line) {
    if (options.filter.matches(line)) {
      last.push_back(std::move(line));
      if (last.size() > options.lines) {
        last.pop_front();
      }
    }
  });
  for (const std::string& line : last) {
    print_line(line, json);
  }
  const auto show = [&](const std::string& line) {
    if (options.filter.matches(line)) {
      print_line(line, json);
    }
  };
  while (options.follow && std::fflush(stdout) == 0) {
    alignas(inotify_event) char buffer[16384];
    const ssize_t n = read(watch.get(), buffer, sizeof buffer);
    if (n <= 0) {
      break;
    }
    file.read(show);
    for (ssize_t at = 0; at < n;) {
      inotify_event event{};
      std::memcpy(&event, buffer + at, sizeof event);
      const char* name = buffer + at + sizeof event;
      if (event.len != 0 && (event.mask & (IN_CREATE | IN_MOVED_TO)) != 0 &&
          std::filesystem::path(path).filename() == name) {
        file.reopen();
        file.read(show);
      }
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  }
  return kYes;
}

/// first_seq of a file; 0 where its first line is no event.
std::uint64_t first_seq(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  const auto parsed = audit::parse_line(line);
  return parsed ? parsed->seq : 0;
}

}  // namespace

int usage_error(const std::string& text) {
  std::fprintf(stderr, "bastionctl: %s\n", escaped(text, 1024).c_str());
  return kUsage;
}

DaemonLog ask_daemon_log(const std::string& socket) {
  DaemonLog out;
  const auto reply = ask(socket, R"({"command":"status"})");
  const Json json = reply ? Json::parse(*reply, nullptr, false) : Json();
  if (!json.is_object() || !json.contains("audit") || !json["audit"].is_object()) {
    return out;
  }
  const Json& audit = json["audit"];
  if (audit.contains("file") && audit["file"].is_string()) {
    out.file = audit["file"];
  }
  if (audit.contains("signed_seq") && audit["signed_seq"].is_number_unsigned() &&
      audit.contains("signed_hash") && audit["signed_hash"].is_string()) {
    out.head = {audit["signed_seq"], audit["signed_hash"]};
  }
  return out;
}

std::vector<std::string> log_files(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string prefix = file.filename().string() + ".";
  std::vector<std::pair<std::uint64_t, std::string>> found;
  std::error_code error;
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    const bool ours =
        name.starts_with(prefix) && !name.ends_with(".chain") && entry.is_regular_file(error);
    if (const std::uint64_t seq = ours ? first_seq(entry.path()) : 0; seq != 0) {
      found.emplace_back(seq, entry.path());
    }
  }
  std::ranges::sort(found);
  std::vector<std::string> files;
  for (auto& [seq, name] : found) {
    files.push_back(std::move(name));
  }
  files.push_back(path);
  return files;
}

void add_audit_commands(CLI::App& app, const std::string& socket, const bool& json, int& status) {
  const auto options = std::make_shared<AuditOptions>();
  auto* audit = app.add_subcommand("audit", "The audit log: show, search, verify");
  audit->require_subcommand(1);
  audit->footer("Example: bastionctl audit search --user alice --since 7d");
  const auto add_filters = [options](CLI::App& command) {
    command.add_option("--file", options->file, "The log's file; without it the running daemon's");
    command.add_option("--session", options->filter.session, "A session's id, or its beginning");
    command.add_option("--user", options->filter.user, "A user");
    command.add_option("--target", options->filter.target, "A target");
    command.add_option("--event", options->filter.event,
                       "An event, or its first word: channel.open, channel");
    command.add_option("--since", options->since, "2026-03-01, 2026-03-01T09:14:02Z, 30m, 12h, 7d");
    command.add_option("--until", options->until, "As --since");
  };
  auto* tail_command = audit->add_subcommand("tail", "The last events; -f: and those that come");
  add_filters(*tail_command);
  tail_command->add_option("-n,--lines", options->lines, "So many at first")->capture_default_str();
  tail_command->add_flag("-f,--follow", options->follow, "Go on with what comes");
  tail_command->footer("Example: bastionctl audit tail -f --event login");
  tail_command->callback([&, options] { status = tail(*options, socket, json); });

  auto* search_command = audit->add_subcommand("search", "Events of all files of the log");
  add_filters(*search_command);
  search_command->footer("Example: bastionctl audit search --session 7q2m --json");
  search_command->callback([&, options] { status = search(*options, socket, json); });

  auto* verify_command =
      audit->add_subcommand("verify", "Whether each line is there, unchanged and signed");
  verify_command->add_option("--file", options->file,
                             "The log's file; without it the running daemon's");
  verify_command->add_option("files", options->files, "Files, oldest first, instead");
  verify_command
      ->add_option(
          "--key", options->keys,
          "A file with public audit keys; may be repeated (default " + std::string(kUsualKey) + ")")
      ->allow_extra_args(false)
      ->envname("BASTIOND_AUDIT_KEY");
  verify_command->add_option("--head", options->head, "A line that must be there: NUMBER:HASH");
  verify_command->footer(
      "Example: bastionctl audit verify --key /etc/bastiond/audit_key.pub\n"
      "Exit status: 0 good, 1 not, 2 usage or a file that cannot be read.");
  verify_command->callback([&, options] { status = verify_audit(*options, socket, json); });
}

}  // namespace bastion::ctl
