#include "proto/file_commands.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

namespace bastion::proto {
namespace {

using Words = std::vector<std::string>;
using WordSpan = std::span<const std::string>;

constexpr std::size_t kCommandBytesMax = 32 * 1024;

/// split_words takes a command apart as a shell does; nothing where a shell would do more than
/// that.
std::optional<Words> split_words(std::string_view text) {
  if (text.size() > kCommandBytesMax) {
    return std::nullopt;
  }
  Words words;
  std::string word;
  bool in_word = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ' || c == '\t') {
      if (in_word) {
        words.push_back(std::move(word));
        word.clear();
      }
      in_word = false;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      return std::nullopt;
    }
    if (c == '#' && !in_word) {
      return std::nullopt;
    }
    in_word = true;
    if (c == '\'') {
      const std::size_t end = text.find('\'', i + 1);
      if (end == text.npos) {
        return std::nullopt;
      }
      word += text.substr(i + 1, end - i - 1);
      i = end;
    } else if (c == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) {
          ++i;
        } else if (std::string_view("$`!\\").find(text[i]) != std::string_view::npos) {
          return std::nullopt;
        }
        word += text[i];
      }
      if (i == text.size()) {
        return std::nullopt;
      }
    } else if (c == '\\') {
      if (++i == text.size()) {
        return std::nullopt;
      }
      word += text[i];
    } else if (std::string_view("$`;&|<>()!^").find(c) != std::string_view::npos) {
      return std::nullopt;
    } else {
      word += c;
    }
  }
  if (in_word) {
    words.push_back(std::move(word));
  }
  // Control bytes within quotes: a shell takes a newline there as it is, but nobody needs it.
  const auto has_control = [](const std::string& each) {
    return std::ranges::any_of(each, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  };
  return std::ranges::any_of(words, has_control) ? std::nullopt : std::optional(std::move(words));
}

/// program_of is the program's own name, where it is named bare or in a folder of the system's.
std::string_view program_of(std::string_view word) {
  const std::size_t slash = word.rfind('/');
  if (slash == word.npos) {
    return word;
  }
  constexpr std::array<std::string_view, 12> kFolders{"/bin",
                                                      "/usr/bin",
                                                      "/usr/local/bin",
                                                      "/usr/libexec",
                                                      "/usr/lib",
                                                      "/usr/lib/ssh",
                                                      "/usr/lib/openssh",
                                                      "/usr/libexec/openssh",
                                                      "/usr/lib/git-core",
                                                      "/usr/libexec/git-core",
                                                      "/usr/local/libexec",
                                                      "/usr/lib/misc"};
  const bool known = std::ranges::find(kFolders, word.substr(0, slash)) != kFolders.end();
  return known ? word.substr(slash + 1) : std::string_view();
}

/// strip_sudo takes "exec" and "sudo [-nEH] [-u USER]" off the front.
WordSpan strip_prefixes(WordSpan words, bool& out_plain) {
  if (words.size() > 1 && words[0] == "exec") {
    words = words.subspan(1);
  }
  out_plain = words.empty() || program_of(words[0]) != "sudo";
  if (out_plain) {
    return words;
  }
  words = words.subspan(1);
  while (!words.empty() && words[0].starts_with('-')) {
    if (words[0] == "-u" && words.size() > 1) {
      words = words.subspan(2);
    } else if (words[0] == "-n" || words[0] == "-E" || words[0] == "-H" || words[0] == "--") {
      words = words.subspan(1);
    } else {
      return {};
    }
  }
  return words;
}

FileCommand read_scp(WordSpan words) {
  bool to = false;
  bool from = false;
  while (!words.empty() && words[0].size() > 1 && words[0][0] == '-') {
    const std::string_view letters = std::string_view(words[0]).substr(1);
    words = words.subspan(1);
    if (letters == "-") {
      break;
    }
    if (letters.find_first_not_of("tfvrpdq") != letters.npos) {
      return {};
    }
    to = to || letters.find('t') != letters.npos;
    from = from || letters.find('f') != letters.npos;
  }
  if (to == from || words.empty() || (to && words.size() != 1)) {
    return {};
  }
  return {.kind = FileCommand::Kind::kScp,
          .downloads = from,
          .uploads = to,
          .plain = false,
          .paths = {words.begin(), words.end()}};
}

/// is_rsync_option: those of rsync's options that a server is given and that name no program and no
/// file of their own but where the content goes (not: --daemon, --config, --log-file, …).
bool is_rsync_option(std::string_view name) {
  constexpr std::array<std::string_view, 62> kNames{"sender",
                                                    "delete",
                                                    "delete-before",
                                                    "delete-during",
                                                    "delete-delay",
                                                    "delete-after",
                                                    "delete-excluded",
                                                    "force",
                                                    "ignore-errors",
                                                    "partial",
                                                    "partial-dir",
                                                    "backup-dir",
                                                    "suffix",
                                                    "compare-dest",
                                                    "copy-dest",
                                                    "link-dest",
                                                    "inplace",
                                                    "append",
                                                    "append-verify",
                                                    "numeric-ids",
                                                    "timeout",
                                                    "bwlimit",
                                                    "compress-level",
                                                    "compress-choice",
                                                    "new-compress",
                                                    "old-compress",
                                                    "checksum-choice",
                                                    "checksum-seed",
                                                    "existing",
                                                    "ignore-existing",
                                                    "size-only",
                                                    "modify-window",
                                                    "max-size",
                                                    "min-size",
                                                    "safe-links",
                                                    "copy-unsafe-links",
                                                    "munge-links",
                                                    "log-format",
                                                    "out-format",
                                                    "info",
                                                    "debug",
                                                    "iconv",
                                                    "from0",
                                                    "fuzzy",
                                                    "max-delete",
                                                    "mkpath",
                                                    "open-noatime",
                                                    "list-only",
                                                    "block-size",
                                                    "protocol",
                                                    "skip-compress",
                                                    "usermap",
                                                    "groupmap",
                                                    "super",
                                                    "no-implied-dirs",
                                                    "no-r",
                                                    "no-W",
                                                    "remove-source-files",
                                                    "remove-sent-files",
                                                    "delay-updates",
                                                    "ignore-missing-args",
                                                    "msgs2stderr"};
  return std::ranges::find(kNames, name) != kNames.end();
}

FileCommand read_rsync(WordSpan words) {
  if (words.empty() || words[0] != "--server") {
    return {};
  }
  words = words.subspan(1);
  bool sender = false;
  bool removes = false;
  while (!words.empty() && words[0].starts_with('-')) {
    std::string_view word = words[0];
    words = words.subspan(1);
    if (!word.starts_with("--")) {
      // "-vlogDtpre.iLsfxCIvu": behind the e is what the client can do.
      const std::string_view letters = word.substr(1, word.find('e') - 1);
      if (letters.find_first_not_of("vqlLogDtpAXHSWBznrRuUNOJKkmcxyIbidChaE") != letters.npos ||
          (word.find('e') != word.npos && !word.substr(word.find('e')).starts_with("e."))) {
        return {};
      }
      continue;
    }
    const std::string_view name = word.substr(2, word.find('=') - 2);
    if (!is_rsync_option(name)) {
      return {};
    }
    sender = sender || name == "sender";
    removes = removes || name == "remove-source-files" || name == "remove-sent-files";
    const bool with_word = word.find('=') == word.npos &&
                           (name == "partial-dir" || name == "backup-dir" || name == "link-dest" ||
                            name == "compare-dest" || name == "copy-dest" || name == "suffix");
    if (with_word && !words.empty()) {
      words = words.subspan(1);
    }
  }
  if (words.empty() || words[0] != ".") {
    return {};
  }
  return {.kind = FileCommand::Kind::kRsync,
          .downloads = sender,
          .uploads = !sender || removes,
          .plain = false,
          .paths = {words.begin() + 1, words.end()}};
}

}  // namespace

FileCommand recognise_command(std::string_view command) {
  const auto words = split_words(command);
  bool plain = false;
  if (!words) {
    return {};
  }
  WordSpan rest = strip_prefixes(*words, plain);
  if (rest.empty()) {
    return {};
  }
  std::string_view program = program_of(rest[0]);
  rest = rest.subspan(1);
  FileCommand out;
  if (program == "scp") {
    out = read_scp(rest);
  } else if (program == "rsync") {
    out = read_rsync(rest);
  } else if (program == "sftp-server" || program == "internal-sftp") {
    out = {.kind = FileCommand::Kind::kSftp, .downloads = true, .uploads = true, .paths = {}};
  } else {
    std::string joined;
    if (program == "git" && !rest.empty()) {
      joined = "git-" + rest[0];
      program = joined;
      rest = rest.subspan(1);
    }
    const bool sends = program == "git-upload-pack" || program == "git-upload-archive";
    if ((sends || program == "git-receive-pack") && !rest.empty()) {
      out = {.kind = FileCommand::Kind::kGit,
             .downloads = sends,
             .uploads = !sends,
             .paths = {rest.begin(), rest.end()}};
    }
  }
  out.plain = plain && out.kind != FileCommand::Kind::kNone;
  return out;
}

}  // namespace bastion::proto
