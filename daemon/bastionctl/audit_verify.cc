#include "daemon/audit/verify.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <expected>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "daemon/bastionctl/audit.h"
#include "daemon/bastionctl/audit_commands.h"

namespace bastion::ctl {
namespace {

// In the order of the line.
using Json = nlohmann::ordered_json;

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

}  // namespace

int verify_audit(const AuditOptions& options, const std::string& socket, bool json) {
  auto keys = read_keys(options.keys);
  if (!keys) {
    return usage_error(keys.error());
  }
  audit::Verifier verifier(std::move(*keys));
  if (!options.head.empty()) {
    const auto head = parse_head(options.head);
    if (!head) {
      return usage_error("--head is a line's number and hash: 1234:0f3a…");
    }
    verifier.expect(*head);
  }
  const DaemonLog daemon = ask_daemon_log(socket);
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
      return usage_error("cannot read " + file + ": " + std::strerror(errno));
    }
  }
  const audit::Report report = verifier.finish();
  print_report(report, json);
  return report.ok() ? kYes : kNo;
}

}  // namespace bastion::ctl
