#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "proto/file_events.h"
#include "proto/sftp_stream.h"

namespace bastion::proto {

/// ScpStream follows the old scp protocol (what `scp -t` and `scp -f` speak: lines C, D, E and T,
/// the content, and an octet of answer for each) as it passes, unchanged. The source is the side
/// whose files are sent: the user for -t. Where it cannot be followed any more it says so once, as
/// a failed kSession, and is silent from then on; nothing is decided by it.
///
/// A name that holds a "/" or is ".." is told with a `reason`: a source that sends one wants to
/// write elsewhere than it was asked to.
class ScpStream {
 public:
  ScpStream(bool upload, bool digest, FileEvents& events)
      : upload_(upload), digest_(digest), events_(events) {}

  /// pass follows these bytes and gives a copy of what of them is not content of a file: all of
  /// them where the stream cannot be followed. Content is what comes after the sink took the file,
  /// while it has complained of nothing: what was sent without waiting for its answer, or after a
  /// refusal, it may read as lines, which name other files.
  Bytes pass(Leg from, ByteView data, std::int64_t now_us);
  void finish(std::int64_t now_us);

 private:
  enum class State : std::uint8_t { kLine, kContent, kStatus, kMessage };
  enum class Awaited : std::uint8_t { kBegin, kLine, kFolder, kFile, kContent };
  static constexpr std::size_t kLineBytesMax = 8 * 1024;
  static constexpr std::size_t kAwaitedMax = 64;
  static constexpr std::size_t kFoldersMax = 256;

  void from_source(ByteView data, std::int64_t now_us, Bytes& spoken);
  void from_sink(ByteView data, std::int64_t now_us);
  void on_line(std::int64_t now_us);
  void on_answer(std::uint8_t answer, std::int64_t now_us);
  void begin_file(std::string_view fields, std::int64_t now_us);
  void tell_file(FileOperation operation, FileOutcome outcome, std::uint32_t status,
                 std::int64_t now_us);
  void tell(FileOperation operation, FileOutcome outcome, std::string_view path);
  void await(Awaited what);
  void lose(std::string_view why);
  std::string path_of(std::string_view name) const;

  bool upload_;
  bool digest_;
  FileEvents& events_;
  bool lost_ = false;
  bool finished_ = false;
  State state_ = State::kLine;
  std::string line_;
  std::deque<Awaited> awaited_{Awaited::kBegin};
  bool in_message_ = false;  // of the sink
  std::vector<std::string> folders_;

  bool file_open_ = false;
  std::uint32_t file_ = 0;
  std::string path_;
  std::uint32_t mode_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t passed_ = 0;
  bool accepted_ = false;    // the sink took the line that begins the file
  bool complained_ = false;  // the sink did, of whatever
  std::uint8_t source_status_ = 0;
  std::int64_t opened_us_ = 0;
};

}  // namespace bastion::proto
