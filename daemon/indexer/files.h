#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "daemon/unique_fd.h"

namespace bastion::index {

/// File is one recording on disk: <recordings>/<day>/<session>.rec.
struct File {
  std::string day;
  std::string session;
  std::uint64_t size = 0;
  std::int64_t changed_ns = 0;
};

/// Files is the recordings' folder, which is only read. Whatever is not named as a recording is
/// passed over, and no symbolic link is followed below it.
class Files {
 public:
  /// The error is one line for the user.
  static std::expected<Files, std::string> open(const std::string& path);

  const std::string& path() const { return path_; }
  /// days are the folders named YYYY-MM-DD, in order.
  std::vector<std::string> days() const;
  /// day_changed_ns is the folder's st_mtim: files were added or removed. 0 where it is gone.
  std::int64_t day_changed_ns(const std::string& day) const;
  std::vector<File> in_day(const std::string& day) const;
  /// with_prefix gives all recordings whose session begins so.
  std::vector<File> with_prefix(const std::string& prefix) const;

  /// hold is what stands in the file beside a recording that keeps it from being removed (JSON
  /// where bastionctl had it made, else as a rule nothing); nullopt: it is not held.
  std::optional<std::string> hold(const File& file) const;
  bool held(const std::string& day, const std::string& session) const;

  /// read gives the file's bytes piece by piece until `take` returns false or they end.
  std::expected<void, std::string> read(const File& file,
                                        const std::function<bool(ByteView)>& take) const;

 private:
  Files(std::string path, daemon::UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  daemon::UniqueFd fd_;
};

}  // namespace bastion::index
