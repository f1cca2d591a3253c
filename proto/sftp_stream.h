#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/file_events.h"
#include "proto/permissions.h"
#include "proto/sftp_messages.h"

namespace bastion::proto {

/// FileEvents takes what a stream tells.
class FileEvents {
 public:
  virtual ~FileEvents() = default;
  virtual void file_event(const FileEvent& event) = 0;
  virtual void file_data(const FileData& data) = 0;
};

/// SftpOutput takes, in order, what of the client's bytes goes on to the server: pieces of the
/// packet where they lie, and what was kept back of earlier packets.
class SftpOutput {
 public:
  virtual ~SftpOutput() = default;
  virtual void pass(MutBytes piece) = 0;
  virtual void pass_kept(ByteView bytes) = 0;
};

/// SftpStream watches one sftp conversation (version 3 and OpenSSH's extensions) as it passes, in
/// pieces of any size, and where the rules restrict anything keeps back what they do not allow. It
/// does no I/O and reads no clock: `now_us` is a monotonic time in µs.
///
/// The client's bytes: INIT's version is lowered to 3 in place. Without restricting rules all else
/// passes unchanged and at once. With them a request is kept back (copied) while a packet ends
/// within its deciding part: all of it, at most kSftpSmallFrameBytesMax, or of a WRITE what comes
/// before its content. Content is never copied. A refused request is taken out; its answer waits in
/// take_answer() for a moment when at_boundary() holds.
/// The server's bytes are never changed.
///
/// Memory: requests without an answer and refusals not yet delivered, and their paths. While
/// congested() nobody should let the client send more; so they are at most kRequestsMax and what
/// one window holds on top of it. At most kFilesMax open handles.
///
/// Every error means that the conversation cannot be followed any more: end the channel. It has
/// been told as a kSession event. After it, and when the channel ends, call finish().
class SftpStream {
 public:
  static constexpr std::size_t kRequestsMax = 16 * 1024;  // 512 MiB in READs of 32 KiB
  static constexpr std::size_t kNameBytesMax = 256 * 1024;
  static constexpr std::size_t kFilesMax = 4096;

  /// The rules and events are borrowed.
  SftpStream(const FileRules& rules, FileEvents& events) : rules_(rules), events_(events) {}
  SftpStream(const SftpStream&) = delete;
  SftpStream& operator=(const SftpStream&) = delete;

  /// from_client handles a piece of the client's stream; gives the bytes that were taken out of the
  /// stream for good (kept ones are in kept_bytes()).
  Result<std::size_t> from_client(MutBytes data, std::int64_t now_us, SftpOutput& out);
  /// from_server follows a piece of the server's stream; gives how many of its bytes are up to the
  /// first place between two messages, data.size() + 1 where there is none. 0 is never given: that
  /// place was there before.
  Result<std::size_t> from_server(ByteView data, std::int64_t now_us);
  /// finish tells of everything that is open or unanswered. Once.
  void finish(std::int64_t now_us);

  std::size_t kept_bytes() const { return keeps() ? up_.head.size() : 0; }
  bool at_boundary() const { return down_.head.empty() && down_.left == 0; }
  bool congested() const {
    return requests_.size() + answers_.size() > kRequestsMax || name_bytes_ > kNameBytesMax;
  }
  /// next_answer is a whole message for the client; empty where there is none. pop_answer takes it.
  Bytes next_answer() const;
  bool has_answer() const { return !answers_.empty(); }
  void pop_answer() { answers_.pop_front(); }

 private:
  /// Order follows content of one direction.
  struct Order {
    std::uint64_t next = 0;
    bool kept = true;
    bool end_seen = false;
  };
  struct File {
    std::uint32_t number = 0;
    bool folder = false;
    bool mapped = true;   // its handle is in handles_
    bool fresh = false;   // nothing is left of what it held when it was opened
    bool spoilt = false;  // a write failed, or it was changed by other means
    std::uint32_t flags = 0;
    std::uint32_t uses = 0;  // requests_ that point here
    std::string path;
    std::int64_t opened_us = 0;
    std::uint64_t bytes_read = 0;
    std::uint64_t bytes_written = 0;
    std::uint64_t size = 0;
    bool size_known = false;
    Order read;
    Order written;
  };
  struct Names {
    std::string path;
    std::string other_path;
    std::string name;
    std::uint32_t open_flags = 0;
    FileAttributes attributes;
    std::size_t size() const { return path.size() + other_path.size() + name.size(); }
  };
  struct Request {
    SftpType type{};
    SftpExtension extension = SftpExtension::kNone;
    File* file = nullptr;
    File* other_file = nullptr;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::int64_t asked_us = 0;
    bool trims = false;  // it makes the file end where what was written in order ends
    std::unique_ptr<Names> names;
  };
  using Requests = std::map<std::uint32_t, Request>;
  /// Refusal is why a request does not pass; no text: it does.
  struct Refusal {
    std::string_view text;
    std::uint32_t status = kSftpPermissionDenied;
    explicit operator bool() const { return !text.empty(); }
  };
  struct Answer {
    std::uint32_t id = 0;
    Refusal refusal;
  };
  struct Side {
    Bytes head;            // of a message that began in an earlier packet
    std::size_t left = 0;  // of the message under way, its deciding part excluded
    File* file = nullptr;  // whose content that is
    std::uint64_t offset = 0;
    bool dropped = false;  // it is taken out
  };

  bool restricts() const { return rules_.restricts(); }
  bool keeps() const { return restricts() || !init_seen_; }
  std::unexpected<Error> broken(Error error);
  Result<bool> decide(MutBytes message, std::int64_t now_us);
  Status note(const SftpRequest& request, File* file, File* other_file, std::int64_t now_us);
  Refusal check(const SftpRequest& request, MutBytes message, const File* file,
                const File* other_file, bool handles_known) const;
  Refusal check_open(const SftpRequest& request) const;
  Refusal check_transfer(const SftpRequest& request, MutBytes message, const File& file) const;
  Refusal check_change(std::string_view path, bool moves) const;
  Refusal check_lookup(std::string_view path) const;
  bool may_touch(std::string_view path) const;
  bool is_denied(std::string_view normal) const;
  bool covers(const std::string& pattern, std::string_view normal, bool when_unknown,
              bool below) const;
  void tell_refused(const SftpRequest& request, const File* file, std::string_view reason);

  Result<std::size_t> reply_need(ByteView seen) const;
  Status on_reply(ByteView message, std::size_t total, std::int64_t now_us);
  Status on_handle(Request& request, std::string_view handle, std::int64_t now_us);
  void on_attributes(const Request& request, std::uint64_t size);
  void settle(Request& request, std::uint32_t status, bool told_status, std::int64_t now_us);
  void on_content(File& file, Leg from, std::uint64_t offset, ByteView bytes);
  void tell_close(const File& file, FileOutcome outcome, std::uint32_t status, std::int64_t now_us);
  FileEvent event_of(const Request& request) const;
  void erase_request(Requests::iterator at);
  void release(File* file);
  File* file_of(std::string_view handle) const;

  const FileRules& rules_;
  FileEvents& events_;
  bool init_seen_ = false;
  bool version_seen_ = false;
  bool broken_ = false;
  bool finished_ = false;
  Side up_;
  Side down_;
  Requests requests_;
  std::vector<Requests::node_type> spare_;  // so that the data path allocates nothing
  std::size_t name_bytes_ = 0;
  std::deque<Answer> answers_;
  std::map<std::uint32_t, File> files_;  // by number
  std::map<std::string, File*, std::less<>> handles_;
  std::uint32_t next_file_ = 1;
  std::string home_;  // where relative paths start, once the server has said so
  struct Seen {
    std::string path;
    std::uint64_t size = 0;
  };
  std::deque<Seen> sizes_;  // of paths that were looked at last
};

}  // namespace bastion::proto
