#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/audit/chain.h"
#include "daemon/unique_fd.h"

namespace bastion::audit {

/// Opened is how a log file was found.
struct Opened {
  Head head;               // where the chain goes on
  bool made = false;       // the file was not there
  std::string torn;        // the beginning of a line that a crash cut off; it has its line end now
  std::string last_lines;  // the last kTailBytes of the file, from a line's beginning
  std::uint64_t begun_us = 0;  // the time of its first line; 0: none
};

/// Place is what became of a log file under its name.
enum class Place : std::uint8_t { kThere, kMoved, kMissing, kShorter };

/// LogFile is the file of an audit log: lines are only ever added at its end. It works with a
/// folder's descriptor and names in it, as the recorder's sandbox allows. Beside it, NAME.chain
/// keeps the number and hash of the last line, so that the chain goes on though the file was moved
/// away while nobody ran.
///
/// Space is promised by the file system ahead (fallocate), so that the end of sessions that a full
/// disk ends can still be written.
class LogFile {
 public:
  /// Promised ahead at a time, and what must be left for the file to count as good: 500 sessions'
  /// last events.
  static constexpr std::uint64_t kAheadBytes = 1 << 20;
  static constexpr std::uint64_t kLeastBytes = kAheadBytes / 2;
  static constexpr std::size_t kTailBytes = 4 << 20;

  /// `folder` is borrowed and outlives this.
  LogFile(int folder, std::string name) : folder_(folder), name_(std::move(name)) {}

  /// open opens or makes the file, and finds where the chain goes on: behind its last whole line;
  /// in a new file where NAME.chain says. Lines that wait from before go to it. kIo with errno;
  /// kMalformed where the file is something else.
  Result<Opened> open();
  bool is_open() const { return static_cast<bool>(fd_); }

  /// add takes whole lines (with their line ends); `head` is the chain behind them. They wait until
  /// flush.
  void add(std::string_view lines, const Head& head);
  /// flush writes what waits, as far as it goes: kIo with errno, and what is left waits on.
  Status flush();
  std::size_t waiting_bytes() const { return waiting_.size() - written_; }
  /// owes_line_end: the line that a crash tore has not its line end yet, which belongs to this file
  /// and no other.
  bool owes_line_end() const { return written_ == 0 && waiting_.starts_with('\n'); }
  /// room says whether kLeastBytes are promised, and tries to have them: kIo with errno.
  Status room();
  int fd() const { return fd_.get(); }

  /// place says whether the file is still the one of its name: nobody moved, removed or cut it.
  Place place() const;
  std::uint64_t size() const { return size_; }
  /// move gives the file another name, in its folder; close ends the work with it: what waits, and
  /// the line of which a part went out, is for the next. Not while owes_line_end().
  Status move(const std::string& new_name);
  void close();

  const std::string& name() const { return name_; }

 private:
  Result<daemon::UniqueFd> open_in_folder(const std::string& name, int flags) const;
  Status find_end(Opened& out, bool& ends_line);
  void read_state(Opened& out);
  void write_state();

  int folder_;
  std::string name_;
  daemon::UniqueFd fd_;
  daemon::UniqueFd state_;
  std::uint64_t size_ = 0;
  std::uint64_t promised_ = 0;  // up to here space is promised
  bool can_promise_ = true;     // the file system knows how
  std::string waiting_;
  std::size_t written_ = 0;  // of waiting_
  Head waiting_head_;
};

}  // namespace bastion::audit
