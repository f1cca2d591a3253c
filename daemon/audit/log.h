#pragma once

#include <string>
#include <vector>

#include "daemon/audit/formats.h"
#include "daemon/audit/log_file.h"
#include "daemon/audit/socket_sink.h"
#include "daemon/audit/syncer.h"

namespace bastion::audit {

struct LogSettings {
  std::string file;  // its name in the folder
  OnFailure on_failure = OnFailure::kStop;
  std::uint64_t rotate_bytes = 0;   // 0: never by size
  std::int64_t rotate_seconds = 0;  // 0: never by age
  std::int64_t head_interval_ns = 10 * kNsPerSecond;
  SyslogIdentity identity;
  std::vector<std::pair<SinkAddress, OnFailure>> sinks;
};

/// LogOwner is whose log it is: the recorder's process, or a test.
class LogOwner {
 public:
  virtual ~LogOwner() = default;
  /// sign asks for the audit key's signature of this head; Log::on_signature is the answer.
  virtual void sign(const Head& head) = 0;
  /// open_recordings gives "SESSION BLOCK HASH" of each recording that is open.
  virtual std::vector<std::string> open_recordings() = 0;
  virtual MonoTime now() = 0;
  virtual std::uint64_t now_us() = 0;
};

/// Log is the audit log as one process keeps it: events in, lines in their chain out to the file
/// and the other sinks, signatures now and then, files rotated. It never waits for a sink. An event
/// is accepted when its line is in the file; accepted() counts those.
class Log {
 public:
  /// Lines that may wait for the file. With OnFailure::kStop nobody adds that much: sessions have
  /// ended long before. More is dropped, counted and told.
  static constexpr std::size_t kWaitingBytesMax = 16 << 20;

  /// `folder` is borrowed, like the owner.
  Log(int folder, LogSettings settings, LogOwner& owner);

  /// start opens the file. Where that fails the log is failing(), and tries again.
  void start();

  /// add takes an event; what is not of the schema is refused and counted as ours. It is written by
  /// the next flush.
  void add(const Event& event);
  void flush();
  /// on_time does what is due: another try, a signature, a rotation, the sync of the file.
  void on_time();
  MonoTime due() const;
  /// finish writes the last lines. A signature that was asked for before is among them.
  void finish();

  /// on_signature: `key` is a fingerprint; both empty where there is no key.
  void on_signature(std::string_view key, std::string_view signature);
  /// ask_signature asks for one at once, where there are lines without; true where one is awaited.
  bool ask_signature();

  /// settled: every line but the signatures' own is signed, or there is no key.
  bool settled() const { return file_.waiting_bytes() == 0 && (no_key_ || head_ == signed_); }

  /// failing: a sink with OnFailure::kStop does not take events; why says so in one line.
  bool failing() const;
  std::string why() const;
  /// accepted counts the events of add(), in their order, that are in the file.
  std::uint64_t accepted() const { return accepted_; }
  const Head& head() const { return head_; }
  const std::string& last_lines() const { return last_lines_; }

  /// sinks: their descriptors are to be polled; then flush.
  const std::vector<SocketSink>& sinks() const { return sinks_; }

 private:
  void open(std::string_view reason, const std::string& previous_file);
  void append(const Event& event);
  void append_own(Event event);
  void note_file(std::string why);
  void tick();
  void note_room();
  void sync();
  void tell_of(SocketSink& sink);
  void rotate_if_due();
  void rotate();

  LogSettings settings_;
  LogOwner& owner_;
  LogFile file_;
  Syncer syncer_;
  std::vector<SocketSink> sinks_;
  Head head_;
  bool opened_once_ = false;
  std::string file_why_;     // why the file takes no lines; empty: it does
  std::vector<Event> held_;  // until the file was first opened
  std::uint64_t added_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t dropped_ = 0;
  std::string last_lines_;       // of the file as it was opened
  std::uint64_t opened_us_ = 0;  // the time of the file's first line
  Head signed_;                  // nothing came since the signature of this one
  Head asked_;
  bool awaiting_ = false;  // the signature of asked_
  bool rotating_ = false;  // after that signature
  std::string rotate_reason_;
  MonoTime head_due_{};
  MonoTime tick_due_{};
  bool unsynced_ = false;
  bool no_key_ = false;  // nobody signs
};

}  // namespace bastion::audit
