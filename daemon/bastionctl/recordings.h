#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemon/indexer/files.h"
#include "daemon/indexer/index.h"
#include "daemon/recording/reader.h"

namespace CLI {
class App;
}

namespace bastion::ctl {

/// What `bastionctl recordings …` was told.
struct RecordingsOptions {
  std::string dir = "/var/lib/bastiond/recordings";
  std::string index;  // empty: ../index/recordings.sqlite beside dir
  std::vector<std::string> identity_files;
  const bool* json = nullptr;
  const std::string* socket = nullptr;  // the daemon's, for hold and release

  std::string id;
  std::vector<std::string> ids;
  index::Filter filter;
  std::string since;
  std::string until;

  std::optional<std::uint32_t> channel;
  double speed = 1;
  double idle_limit = 0;  // seconds; 0: none
  double start_at = 0;    // seconds
  bool safe = false;
  bool show_input = false;

  std::string format = "asciicast";
  int cast_version = 2;
  std::string stream = "stdout";
  std::string output;

  bool all = false;
  bool chain_only = false;
  bool allow_open = false;
  std::vector<std::string> key_files;
  std::string audit_log;  // empty: not compared with it
  bool rebuild = false;
  std::string reason;  // of a hold
};

/// add_recordings gives the program its `recordings` commands. `status` gets the exit status: 0, 1
/// (no), 2 (usage), 3 (the recordings cannot be read, or the daemon not reached).
void add_recordings(CLI::App& app, const std::string& socket, const bool& json, int& status);

/// Recordings is where the commands read from. Errors are one line for the user.
class Recordings {
 public:
  static std::expected<Recordings, std::string> open(const RecordingsOptions& options);

  const index::Files& files() const { return files_; }
  std::span<const recording::Identity> identities() const { return identities_; }
  /// find gives the one recording whose session begins so, as git does with commits.
  std::expected<index::File, std::string> find(const std::string& prefix) const;
  /// open_index gives the index, or one in memory made from the files where there is none or an
  /// identity was given (`told` then says so on stderr).
  std::expected<index::Index, std::string> open_index() const;
  const std::string& index_path() const { return index_path_; }

  /// Items of one recording, in order, until `take` returns false or they end. The result is what
  /// is wrong with the file, if anything; an error where it cannot be read at all.
  using Take = std::function<bool(const recording::RecordingReader::Item&)>;
  struct Outcome {
    std::optional<recording::Problem> problem;
    std::optional<recording::ProblemKind> hidden;  // entries left out for want of an identity
  };
  std::expected<Outcome, std::string> read(const index::File& file, const Take& take) const;

 private:
  explicit Recordings(index::Files files) : files_(std::move(files)) {}

  index::Files files_;
  std::string index_path_;
  std::vector<recording::Identity> identities_;
};

/// say_outcome prints to stderr what was left out or is wrong, and gives the exit status, 0 or 1.
int say_outcome(const Recordings::Outcome& outcome);

/// main_channel is the channel that a command is about where none was given: the first on which
/// something was started; nullopt where nothing was. `others` is how many more there are.
struct MainChannel {
  std::uint32_t number = 0;
  std::size_t others = 0;
};
std::expected<std::optional<MainChannel>, std::string> main_channel(const Recordings& recordings,
                                                                    const index::File& file);

/// parse_time reads "7d", "12h", "30m" (ago), "today", "yesterday", "2026-11-25" and
/// "2026-11-25 14:02[:30]" (local time, a T or a blank between) as µs since 1970.
std::optional<std::uint64_t> parse_time(const std::string& text, std::int64_t now);

int recordings_list(const RecordingsOptions& options);
int recordings_show(const RecordingsOptions& options);
int recordings_play(const RecordingsOptions& options);
int recordings_export(const RecordingsOptions& options);
int recordings_verify(const RecordingsOptions& options);
int recordings_index(const RecordingsOptions& options);
int recordings_keygen(const RecordingsOptions& options);
int recordings_hold(const RecordingsOptions& options);
int recordings_release(const RecordingsOptions& options);

}  // namespace bastion::ctl
