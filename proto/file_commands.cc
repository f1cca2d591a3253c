#include "proto/file_commands.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

namespace bastion::proto {
namespace {

/// Word is one word of a command as the shell gives it on, but for what its globs stand for.
struct Word {
  std::string text;
  bool has_glob = false;
  bool begins_with_glob = false;  // it may become any words, also ones that begin with "-"
};
using Words = std::vector<Word>;
using WordSpan = std::span<const Word>;

constexpr std::size_t kCommandBytesMax = 32 * 1024;

/// split_words takes a command apart as a shell does; nothing where a shell would do more than
/// that, or another shell something else: bash and csh make several words of one with braces.
std::optional<Words> split_words(std::string_view text) {
  if (text.size() > kCommandBytesMax) {
    return std::nullopt;
  }
  Words words;
  Word word;
  bool in_word = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ' || c == '\t') {
      if (in_word) {
        words.push_back(std::exchange(word, {}));
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
      word.text += text.substr(i + 1, end - i - 1);
      i = end;
    } else if (c == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) {
          ++i;
        } else if (std::string_view("$`!\\").find(text[i]) != std::string_view::npos) {
          return std::nullopt;
        }
        word.text += text[i];
      }
      if (i == text.size()) {
        return std::nullopt;
      }
    } else if (c == '\\') {
      if (++i == text.size()) {
        return std::nullopt;
      }
      word.text += text[i];
    } else if (std::string_view("$`;&|<>()!^{}").find(c) != std::string_view::npos) {
      return std::nullopt;
    } else {
      if (c == '*' || c == '?' || c == '[') {
        word.has_glob = true;
        word.begins_with_glob = word.begins_with_glob || word.text.empty();
      }
      word.text += c;
    }
  }
  if (in_word) {
    words.push_back(std::move(word));
  }
  // Control bytes within quotes: a shell takes a newline there as it is, but nobody needs it.
  const auto has_control = [](const Word& each) {
    return std::ranges::any_of(each.text,
                               [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  };
  return std::ranges::any_of(words, has_control) ? std::nullopt : std::optional(std::move(words));
}

std::vector<std::string> texts_of(WordSpan words) {
  std::vector<std::string> out;
  for (const Word& word : words) {
    out.push_back(word.text);
  }
  return out;
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

/// strip_prefixes takes "exec" and "sudo [-nEH] [-u USER]" off the front.
WordSpan strip_prefixes(WordSpan words, bool& out_plain) {
  if (words.size() > 1 && words[0].text == "exec") {
    words = words.subspan(1);
  }
  out_plain = words.empty() || program_of(words[0].text) != "sudo";
  if (out_plain) {
    return words;
  }
  words = words.subspan(1);
  while (!words.empty() && words[0].text.starts_with('-')) {
    const std::string& option = words[0].text;
    if (option == "-u" && words.size() > 1) {
      words = words.subspan(2);
    } else if (option == "-n" || option == "-E" || option == "-H" || option == "--") {
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
  bool options_end = false;
  while (!words.empty() && words[0].text.size() > 1 && words[0].text[0] == '-' && !options_end) {
    if (words[0].has_glob) {
      return {};
    }
    const std::string_view letters = std::string_view(words[0].text).substr(1);
    words = words.subspan(1);
    if (letters == "-") {
      options_end = true;
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
  if (to && words[0].begins_with_glob && !options_end) {
    return {};  // of a file "-f" it would make an option, which wins over -t
  }
  return {.kind = FileCommand::Kind::kScp,
          .downloads = from,
          .uploads = to,
          .plain = false,
          .paths = texts_of(words)};
}

/// RsyncOption is one of rsync's options that a server is given and that name no program and no
/// file of their own but where the content goes (not: --daemon, --config, --log-file, …).
struct RsyncOption {
  enum class Value : std::uint8_t { kNone, kInWord, kAlsoNextWord };
  std::string_view name;
  Value value = Value::kNone;
};
constexpr auto kNone = RsyncOption::Value::kNone;
constexpr auto kInWord = RsyncOption::Value::kInWord;
constexpr auto kAlsoNextWord = RsyncOption::Value::kAlsoNextWord;

constexpr std::array<RsyncOption, 62> kRsyncOptions{{
    {"append", kNone},
    {"append-verify", kNone},
    {"backup-dir", kAlsoNextWord},
    {"block-size", kInWord},
    {"bwlimit", kInWord},
    {"checksum-choice", kInWord},
    {"checksum-seed", kInWord},
    {"compare-dest", kAlsoNextWord},
    {"compress-choice", kInWord},
    {"compress-level", kInWord},
    {"copy-dest", kAlsoNextWord},
    {"copy-unsafe-links", kNone},
    {"debug", kInWord},
    {"delay-updates", kNone},
    {"delete", kNone},
    {"delete-after", kNone},
    {"delete-before", kNone},
    {"delete-delay", kNone},
    {"delete-during", kNone},
    {"delete-excluded", kNone},
    {"existing", kNone},
    {"force", kNone},
    {"from0", kNone},
    {"fuzzy", kNone},
    {"groupmap", kInWord},
    {"iconv", kInWord},
    {"ignore-errors", kNone},
    {"ignore-existing", kNone},
    {"ignore-missing-args", kNone},
    {"info", kInWord},
    {"inplace", kNone},
    {"link-dest", kAlsoNextWord},
    {"list-only", kNone},
    {"log-format", kInWord},
    {"max-delete", kInWord},
    {"max-size", kInWord},
    {"min-size", kInWord},
    {"mkpath", kNone},
    {"modify-window", kInWord},
    {"msgs2stderr", kNone},
    {"munge-links", kNone},
    {"new-compress", kNone},
    {"no-implied-dirs", kNone},
    {"no-r", kNone},
    {"no-W", kNone},
    {"numeric-ids", kNone},
    {"old-compress", kNone},
    {"open-noatime", kNone},
    {"out-format", kInWord},
    {"partial", kNone},
    {"partial-dir", kAlsoNextWord},
    {"protocol", kInWord},
    {"remove-sent-files", kNone},
    {"remove-source-files", kNone},
    {"safe-links", kNone},
    {"sender", kNone},
    {"size-only", kNone},
    {"skip-compress", kInWord},
    {"suffix", kAlsoNextWord},
    {"super", kNone},
    {"timeout", kInWord},
    {"usermap", kInWord},
}};

/// are_rsync_letters: "vlogDtpre.iLsfxCIvu" without its "-". Behind the e is what the client can
/// do; a number belongs to B (block size) and @ (modify window) alone.
bool are_rsync_letters(std::string_view word) {
  if (word.starts_with('B') || word.starts_with('@')) {
    return word.size() > 1 && word.find_first_not_of("0123456789", 1) == word.npos;
  }
  const std::size_t e = std::min(word.find('e'), word.size());
  return !word.empty() &&
         word.substr(0, e).find_first_not_of("vqlLogDtpAXHSWznrRuUNOJKkmcxyIbidChaE") ==
             word.npos &&
         (e == word.size() || word.substr(e).starts_with("e."));
}

/// read_rsync: rsync takes options from anywhere among its words, and the next word as the value of
/// an option that wants one. So neither may be in doubt: whose word begins with "-" is an option
/// that we know, before the ".", and its value is where rsync looks for it.
FileCommand read_rsync(WordSpan words) {
  if (words.empty() || words[0].text != "--server") {
    return {};
  }
  words = words.subspan(1);
  bool sender = false;
  bool removes = false;
  while (!words.empty() && words[0].text.starts_with('-')) {
    const Word& word = words[0];
    words = words.subspan(1);
    if (word.has_glob) {
      return {};
    }
    if (!word.text.starts_with("--")) {
      if (!are_rsync_letters(std::string_view(word.text).substr(1))) {
        return {};
      }
      continue;
    }
    const std::size_t equals = word.text.find('=');
    const std::string_view name = std::string_view(word.text).substr(2, equals - 2);
    const auto* const option = std::ranges::find(kRsyncOptions, name, &RsyncOption::name);
    const bool value_in_word = equals != std::string::npos;
    if (option == kRsyncOptions.end() || (value_in_word && option->value == kNone) ||
        (!value_in_word && option->value == kInWord)) {
      return {};
    }
    sender = sender || name == "sender";
    removes = removes || name == "remove-source-files" || name == "remove-sent-files";
    if (!value_in_word && option->value == kAlsoNextWord) {
      if (words.empty() || words[0].has_glob || words[0].text.starts_with('-')) {
        return {};
      }
      words = words.subspan(1);
    }
  }
  if (words.empty() || words[0].text != ".") {
    return {};
  }
  words = words.subspan(1);
  const auto may_be_option = [](const Word& word) {
    return word.begins_with_glob || word.text.starts_with('-');
  };
  if (std::ranges::any_of(words, may_be_option)) {
    return {};
  }
  return {.kind = FileCommand::Kind::kRsync,
          .downloads = sender,
          .uploads = !sender || removes,
          .plain = false,
          .paths = texts_of(words)};
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
  std::string_view program = program_of(rest[0].text);
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
      joined = "git-" + rest[0].text;
      program = joined;
      rest = rest.subspan(1);
    }
    const bool sends = program == "git-upload-pack" || program == "git-upload-archive";
    if ((sends || program == "git-receive-pack") && !rest.empty()) {
      out = {.kind = FileCommand::Kind::kGit,
             .downloads = sends,
             .uploads = !sends,
             .paths = texts_of(rest)};
    }
  }
  out.plain = plain && out.kind != FileCommand::Kind::kNone;
  return out;
}

}  // namespace bastion::proto
