#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

struct sqlite3;

namespace bastion::index {

/// Row is what the index knows of one recording.
struct Row {
  std::string session;
  std::string day;  // its folder
  std::string user;
  std::string login;
  std::string target;
  std::string rule;
  std::string from;
  std::uint64_t start_us = 0;
  std::uint64_t end_us = 0;  // of what is there so far
  std::string state;         // "open", "complete", "interrupted", "failed", "damaged"
  bool encrypted = false;
  /// "shell", "exec: uname -a", "sftp", and whether only the beginning can be searched; empty where
  /// that is encrypted.
  std::string what;
  std::uint64_t size = 0;
  std::int64_t changed_ns = 0;  // the file's st_mtim
};

/// Content is what a recording can be searched by. Of an encrypted one there is none.
struct Content {
  std::string command;
  std::string screen;
  std::string input;
  std::string file;
};

/// Filter: empty members do not filter. Texts are matched by words, in order, without regard for
/// case; the last may be a word's beginning.
struct Filter {
  std::string user;
  std::string login;
  std::string target;
  std::uint64_t since_us = 0;
  std::uint64_t until_us = UINT64_MAX;
  std::string text;  // in any of the content's members
  std::string command;
  std::string screen;
  std::string file;
  std::size_t limit = 50;

  bool by_text() const {
    return !text.empty() || !command.empty() || !screen.empty() || !file.empty();
  }
};

struct Found {
  Row row;
  std::string snippet;  // where the text was found; empty without one
};

using Error = std::string;
template <typename T>
using Expected = std::expected<T, Error>;

/// Index is the SQLite file (or memory, for an empty path) of all recordings. A row's key is its
/// start in µs, made unique, so that the newest come first without sorting.
class Index {
 public:
  enum class Mode : std::uint8_t { kRead, kWrite };
  /// open makes or migrates the file in kWrite; in kRead it must be there. Another version of the
  /// schema is made anew in kWrite, and an error that says the cure in kRead.
  static Expected<Index> open(const std::string& path, Mode mode);
  ~Index();
  Index(Index&& other) noexcept;
  Index& operator=(Index&&) = delete;

  Expected<void> begin();
  Expected<void> commit();
  Expected<void> rollback();
  /// put adds a recording or replaces what is known of it.
  Expected<void> put(const Row& row, const Content& content);
  Expected<void> remove(const std::string& session);
  Expected<void> clear();

  /// find gives the newest first, at most filter.limit.
  Expected<std::vector<Found>> find(const Filter& filter) const;
  /// by_prefix gives recordings whose session begins so, at most `limit`.
  Expected<std::vector<Row>> by_prefix(const std::string& prefix, std::size_t limit) const;
  /// in_day gives all of one folder, and open_ones all that are still being recorded.
  Expected<std::vector<Row>> in_day(const std::string& day) const;
  Expected<std::vector<Row>> open_ones() const;
  Expected<std::uint64_t> count() const;
  /// plan is SQLite's query plan for a filter, one step a line: for tests.
  Expected<std::string> plan(const Filter& filter) const;

 private:
  explicit Index(sqlite3* database) : database_(database) {}
  Expected<void> run(const char* sql) const;

  sqlite3* database_;
};

}  // namespace bastion::index
