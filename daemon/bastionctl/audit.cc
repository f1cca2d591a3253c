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
#include <expected>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "daemon/audit/verify.h"
#include "daemon/bastionctl/client.h"
#include "daemon/unique_fd.h"

namespace bastion::ctl {
namespace {

// In the order of the line.
using Json = nlohmann::ordered_json;

constexpr const char* kUsualFile = "/var/log/bastiond/audit.jsonl";
constexpr const char* kUsualKey = "/etc/bastiond/audit_key.pub";
constexpr int kYes = 0;
constexpr int kNo = 1;
constexpr int kUsage = 2;

struct Options {
  std::string file;
  std::vector<std::string> files;
  AuditFilter filter;
  std::string since;
  std::string until;
  std::vector<std::string> keys;
  std::string head;
  std::size_t lines = 20;
  bool follow = false;
};

/// safe shows a text of a line: what our own log holds stays as it is.
std::string safe(std::string_view text) {
  const auto bytes = unescaped(text);
  return bytes && escaped(*bytes, SIZE_MAX) == text ? std::string(text) : escaped(text, SIZE_MAX);
}

std::string text_of(const Json& json, std::string_view key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? safe(at->get<std::string>()) : std::string();
}

std::string value_text(const Json& value) {
  if (value.is_string()) {
    return safe(value.get<std::string>());
  }
  if (value.is_array()) {
    std::string out;
    for (const Json& element : value) {
      out += (out.empty() ? "" : ",") + value_text(element);
    }
    return out;
  }
  return safe(value.dump(-1, ' ', true, Json::error_handler_t::replace));
}

/// cut leaves `width` columns of a text: one for each code point that is not ASCII, which is more
/// than it may take for none of the scripts that names are written in.
std::string cut(const std::string& text, std::size_t width) {
  std::size_t columns = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    if (begins && ++columns > width) {
      return text.substr(0, i - 1) + "~";
    }
  }
  return text;
}

std::string column(std::string text, std::size_t width) {
  text = cut(text, width);
  text.resize(std::max(text.size(), width), ' ');
  return text + "  ";
}

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

int usage(const std::string& text) {
  std::fprintf(stderr, "bastionctl: %s\n", escaped(text, 1024).c_str());
  return kUsage;
}

/// Daemon is what a running daemon says of its audit log; empty where none answers.
struct Daemon {
  std::string file;
  audit::Head head;
};
Daemon ask_daemon(const std::string& socket) {
  Daemon out;
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

std::string file_of(const Options& options, const std::string& socket) {
  if (!options.file.empty()) {
    return options.file;
  }
  const Daemon daemon = ask_daemon(socket);
  return daemon.file.empty() ? kUsualFile : daemon.file;
}

bool read_times(Options& options) {
  const auto read = [](const std::string& text, std::uint64_t& out) {
    const auto moment = text.empty() ? std::optional(out) : parse_moment(text, now_us());
    out = moment.value_or(0);
    return moment.has_value();
  };
  return read(options.since, options.filter.since_us) &&
         read(options.until, options.filter.until_us);
}

int search(Options options, const std::string& socket, bool json) {
  if (!read_times(options)) {
    return usage("a time is such as 2026-03-01, 2026-03-01T09:14:02Z, 30m, 12h or 7d");
  }
  const std::string path = file_of(options, socket);
  bool found = false;
  for (const std::string& file : log_files(path)) {
    std::ifstream in(file);
    if (!in) {
      return usage("cannot read " + file + ": " + std::strerror(errno));
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

int tail(Options options, const std::string& socket, bool json) {
  if (!read_times(options)) {
    return usage("a time is such as 2026-03-01, 2026-03-01T09:14:02Z, 30m, 12h or 7d");
  }
  const std::string path = file_of(options, socket);
  Follower file(path);
  if (!file.good()) {
    return usage("cannot read " + path + ": " + std::strerror(errno));
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

std::optional<audit::Head> parse_head(const std::string& text) {
  const std::size_t colon = text.find(':');
  audit::Head head;
  if (colon == 0 || colon == std::string::npos || colon > 19 ||
      text.find_first_not_of("0123456789") != colon) {
    return std::nullopt;
  }
  head.seq = std::stoull(text.substr(0, colon));
  head.hash = text.substr(colon + 1);
  return audit::hash_bytes(head.hash) ? std::optional(head) : std::nullopt;
}

std::expected<std::vector<crypto::PublicKey>, std::string> read_keys(
    std::vector<std::string> files) {
  if (files.empty()) {
    files = {kUsualKey};
  }
  std::vector<crypto::PublicKey> keys;
  for (const std::string& file : files) {
    std::ifstream in(file);
    if (!in) {
      return std::unexpected("cannot read the public audit key " + file + ": " +
                             std::strerror(errno) + " (--key names another)");
    }
    for (std::string line; std::getline(in, line);) {
      auto key = crypto::PublicKey::parse_line(line);
      if (!key) {
        return std::unexpected(file + " holds no public key");
      }
      keys.push_back(std::move(*key));
    }
  }
  return keys;
}

bool verify_file(audit::Verifier& verifier, const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    return false;
  }
  verifier.begin_file(file);
  std::vector<char> buffer(1 << 20);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    verifier.feed({buffer.data(), static_cast<std::size_t>(in.gcount())});
  }
  verifier.end_file();
  return true;
}

void print_report(const audit::Report& report, bool json) {
  if (json) {
    Json problems = Json::array();
    for (const audit::Problem& problem : report.problems) {
      problems.push_back(
          {{"file", problem.file}, {"line", problem.line}, {"problem", problem.text}});
    }
    const Json out = {{"ok", report.ok()},
                      {"lines", report.num_lines},
                      {"first_seq", report.first_seq},
                      {"last_seq", report.head.seq},
                      {"head", report.head.hash},
                      {"signatures", report.num_signatures},
                      {"signed_seq", report.signed_seq},
                      {"torn", report.num_torn},
                      {"num_problems", report.num_problems},
                      {"problems", std::move(problems)}};
    std::puts(out.dump(2, ' ', true, Json::error_handler_t::replace).c_str());
    return;
  }
  for (const audit::Problem& problem : report.problems) {
    const std::string where =
        problem.line == 0 ? ""
                          : escaped(problem.file, 512) + ":" + std::to_string(problem.line) + ": ";
    std::printf("%s%s\n", where.c_str(), escaped(problem.text, 512).c_str());
  }
  const auto number = [](std::uint64_t n) { return std::to_string(n); };
  std::string text = report.ok() ? "good: " : number(report.num_problems) + " problems: ";
  text += number(report.num_lines) + " lines";
  if (report.first_seq != 0) {
    text += " (" + number(report.first_seq) + " to " + number(report.head.seq) + ")";
  }
  text += ", " + number(report.num_signatures) + " signatures";
  if (report.head.seq > report.signed_seq + 1) {
    text += ", the last " + number(report.head.seq - report.signed_seq) + " lines not signed yet";
  }
  if (report.num_torn != 0) {
    text += ", " + number(report.num_torn) + " torn by a crash";
  }
  std::puts(text.c_str());
  if (report.first_seq > 1) {
    std::printf("lines 1 to %s are in files that were not given\n",
                number(report.first_seq - 1).c_str());
  }
  std::printf("head %s:%s\n", number(report.head.seq).c_str(), report.head.hash.c_str());
}

int verify(const Options& options, const std::string& socket, bool json) {
  auto keys = read_keys(options.keys);
  if (!keys) {
    return usage(keys.error());
  }
  audit::Verifier verifier(std::move(*keys));
  if (!options.head.empty()) {
    const auto head = parse_head(options.head);
    if (!head) {
      return usage("--head is a line's number and hash: 1234:0f3a…");
    }
    verifier.expect(*head);
  }
  const Daemon daemon = ask_daemon(socket);
  std::vector<std::string> files = options.files;
  if (files.empty()) {
    const std::string path = !options.file.empty() ? options.file
                             : daemon.file.empty() ? kUsualFile
                                                   : daemon.file;
    files = log_files(path);
    // The daemon knows the last line that was signed: one that is cut off must not pass unseen.
    if (path == daemon.file) {
      verifier.expect(daemon.head);
    }
  }
  for (const std::string& file : files) {
    if (!verify_file(verifier, file)) {
      return usage("cannot read " + file + ": " + std::strerror(errno));
    }
  }
  const audit::Report report = verifier.finish();
  print_report(report, json);
  return report.ok() ? kYes : kNo;
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

bool AuditFilter::matches(std::string_view line) const {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) {
    return false;
  }
  const std::string name = text_of(json, "event");
  const auto time = audit::parse_time(text_of(json, "time"));
  const bool named = event.empty() || name == event || name.starts_with(event + ".");
  const auto same = [&](const std::string& wanted, std::string_view key) {
    return wanted.empty() || text_of(json, key) == wanted;
  };
  return named && time && *time >= since_us && *time <= until_us && same(user, "user") &&
         same(target, "target") &&
         (session.empty() || text_of(json, "session").starts_with(session));
}

std::optional<std::uint64_t> parse_moment(std::string_view text, std::uint64_t now_us) {
  const std::string whole(text);
  if (const auto exact = audit::parse_time(whole)) {
    return exact;
  }
  if (text.size() == 20 && text.back() == 'Z') {
    return audit::parse_time(whole.substr(0, 19) + ".000000Z");
  }
  if (text.size() == 10 && text.find('-') == 4) {
    return audit::parse_time(whole + "T00:00:00.000000Z");
  }
  constexpr std::pair<char, std::uint64_t> kUnits[] = {
      {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}};
  if (text.size() < 2 || text.size() > 8 ||
      text.find_first_not_of("0123456789") != text.size() - 1) {
    return std::nullopt;
  }
  for (const auto& [letter, seconds] : kUnits) {
    if (text.back() == letter) {
      const std::uint64_t ago = std::stoull(whole) * seconds * 1'000'000;
      return now_us - std::min(now_us, ago);
    }
  }
  return std::nullopt;
}

std::string line_text(std::string_view line, std::size_t width) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) {
    return cut("not an event: " + escaped(line, 512), width == 0 ? SIZE_MAX : width);
  }
  std::string out = text_of(json, "time").substr(0, 19) + "  " +
                    column(text_of(json, "event"), 16) + column(text_of(json, "session"), 8) +
                    column(text_of(json, "user"), 10);
  for (const auto& [key, value] : json.items()) {
    if (key != "v" && key != "seq" && key != "time" && key != "event" && key != "session" &&
        key != "user" && key != "prev") {
      out += safe(key) + "=" + value_text(value) + " ";
    }
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return cut(out, width == 0 ? SIZE_MAX : width);
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
  const auto options = std::make_shared<Options>();
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
  verify_command->callback([&, options] { status = verify(*options, socket, json); });
}

}  // namespace bastion::ctl
