#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "daemon/bastionctl/recordings.h"
#include "daemon/bastionctl/terminal.h"
#include "daemon/indexer/update.h"
#include "daemon/unique_fd.h"

namespace bastion::ctl {
namespace {

constexpr std::size_t kIdentityFileMax = 64 * 1024;
/// So many are read before anybody has waited for it.
constexpr std::uint64_t kFilesWorthAnIndex = 200;

std::expected<recording::Identity, std::string> read_identity(const std::string& path) {
  const daemon::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  SecretBytes text(kIdentityFileMax);
  const ssize_t n = fd ? read(fd.get(), text.data(), text.size()) : -1;
  if (n < 0) {
    return std::unexpected("cannot read the identity " + path + ": " + std::strerror(errno));
  }
  text.resize(static_cast<std::size_t>(n));
  auto identity = recording::Identity::parse(as_text(text));
  if (!identity) {
    return std::unexpected("the identity " + path + ": " + std::string(identity.error().text));
  }
  return *std::move(identity);
}

}  // namespace

std::expected<Recordings, std::string> Recordings::open(const RecordingsOptions& options) {
  auto files = index::Files::open(options.dir);
  if (!files) {
    return std::unexpected(files.error());
  }
  Recordings recordings(*std::move(files));
  recordings.index_path_ = options.index;
  if (options.index.empty()) {
    std::filesystem::path dir(options.dir);
    if (!dir.has_filename()) {
      dir = dir.parent_path();
    }
    recordings.index_path_ = (dir.parent_path() / "index" / "recordings.sqlite").string();
  }
  for (const std::string& path : options.identity_files) {
    auto identity = read_identity(path);
    if (!identity) {
      return std::unexpected(identity.error());
    }
    recordings.identities_.push_back(*std::move(identity));
  }
  return recordings;
}

std::expected<index::File, std::string> Recordings::find(const std::string& prefix) const {
  if (prefix.empty() || !std::ranges::all_of(prefix, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
      })) {
    return std::unexpected("an id has small letters and digits only");
  }
  const std::vector<index::File> found = files_.with_prefix(prefix);
  if (found.empty()) {
    return std::unexpected("no recording begins with " + prefix);
  }
  if (found.size() > 1) {
    std::string text = std::to_string(found.size()) + " recordings begin with " + prefix + ":";
    for (std::size_t i = 0; i < std::min<std::size_t>(found.size(), 4); ++i) {
      text += " " + found[i].session.substr(0, prefix.size() + 4);
    }
    return std::unexpected(text + (found.size() > 4 ? " ..." : ""));
  }
  return found.front();
}

std::expected<index::Index, std::string> Recordings::open_index() const {
  const bool there = access(index_path_.c_str(), F_OK) == 0;
  if (there && identities_.empty()) {
    return index::Index::open(index_path_, index::Index::Mode::kRead);
  }
  // With an identity the text of encrypted recordings is searched, and kept nowhere.
  auto made = index::Index::open("", index::Index::Mode::kWrite);
  if (made) {
    index::Updater updater(files_, *made, identities_);
    const auto counts = updater.update();
    if (!counts) {
      return std::unexpected(counts.error());
    }
    if (!there && counts->read >= kFilesWorthAnIndex) {
      (void)complain("no index at " + index_path_ + "; read all " + std::to_string(counts->read) +
                         " files instead (bastiond-indexer keeps one)",
                     0);
    }
    if (counts->unreadable != 0) {
      (void)complain(std::to_string(counts->unreadable) +
                         (counts->unreadable == 1 ? " recording" : " recordings") +
                         " could not be read: bastionctl recordings verify says why",
                     0);
    }
  }
  return made;
}

std::expected<Recordings::Outcome, std::string> Recordings::read(const index::File& file,
                                                                 const Take& take) const {
  recording::Decompressor decompressor;
  recording::RecordingReader reader(decompressor, identities_);
  bool told_to_stop = false;
  const auto result = files_.read(file, [&](ByteView piece) {
    reader.feed(piece);
    while (true) {
      const auto item = reader.next();
      if (std::holds_alternative<recording::RecordingReader::NeedBytes>(item)) {
        return true;
      }
      if (std::holds_alternative<recording::Problem>(item)) {
        return false;
      }
      if (!take(item)) {
        told_to_stop = true;
        return false;
      }
    }
  });
  if (!result) {
    return std::unexpected(result.error());
  }
  return Outcome{told_to_stop ? std::nullopt : reader.finish(), reader.hidden()};
}

int say_outcome(const Recordings::Outcome& outcome) {
  if (outcome.hidden) {
    return complain(*outcome.hidden == recording::ProblemKind::kNoIdentity
                        ? "the recording is encrypted: --identity FILE reads it"
                        : "the recording is encrypted, and to none of the identities given",
                    1);
  }
  if (outcome.problem && outcome.problem->kind == recording::ProblemKind::kUnsealed) {
    return complain("the recording has no end: it is still being made, or its tail is missing", 0);
  }
  if (outcome.problem) {
    return complain("damaged: " + recording::describe(*outcome.problem), 1);
  }
  return 0;
}

std::expected<std::optional<MainChannel>, std::string> main_channel(const Recordings& recordings,
                                                                    const index::File& file) {
  std::vector<std::uint32_t> started;
  const auto read = recordings.read(file, [&](const recording::RecordingReader::Item& item) {
    const auto* entry = std::get_if<recording::Entry>(&item);
    if (entry != nullptr && entry->kind == recording::EntryKind::kStart &&
        std::ranges::find(started, entry->channel) == started.end()) {
      started.push_back(entry->channel);
    }
    return true;
  });
  if (!read) {
    return std::unexpected(read.error());
  }
  if (started.empty()) {
    return std::nullopt;
  }
  return MainChannel{started.front(), started.size() - 1};
}

std::optional<std::uint64_t> parse_time(const std::string& text, std::int64_t now) {
  constexpr std::int64_t kDay = 86'400;
  const auto us = [](std::int64_t seconds) -> std::optional<std::uint64_t> {
    return seconds < 0 ? 0 : static_cast<std::uint64_t>(seconds) * 1'000'000;
  };
  char* end = nullptr;
  const long ago = std::strtol(text.c_str(), &end, 10);
  if (text.size() > 1 && end == text.c_str() + text.size() - 1 && ago >= 0 && ago < 1'000'000) {
    switch (*end) {
      case 'w': return us(now - ago * 7 * kDay);
      case 'd': return us(now - ago * kDay);
      case 'h': return us(now - ago * 3600);
      case 'm': return us(now - ago * 60);
      default: return std::nullopt;
    }
  }
  std::tm tm{};
  if (text == "today" || text == "yesterday") {
    const std::time_t now_time = now;
    localtime_r(&now_time, &tm);
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    tm.tm_mday -= text == "yesterday" ? 1 : 0;
    tm.tm_isdst = -1;
    return us(mktime(&tm));
  }
  for (const char* format :
       {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"}) {
    tm = {};
    const char* rest = strptime(text.c_str(), format, &tm);
    if (rest != nullptr && *rest == '\0') {
      tm.tm_isdst = -1;
      return us(mktime(&tm));
    }
  }
  return std::nullopt;
}

}  // namespace bastion::ctl
