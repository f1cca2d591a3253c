#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "daemon/audit/event.h"
#include "daemon/ipc/message.h"
#include "daemon/log.h"

/// The recorder's channels: with the supervisor, which gives it folder and rings, and with the
/// warden, which opens and closes recordings, signs heads and sends the events of the audit log.
namespace bastion::daemon::ipc {

/// AuditSink: one that gets the audit log's lines beside its file.
struct AuditSink {
  audit::SinkKind kind{};
  std::string path;      // of a socket; empty: an address
  std::string endpoint;  // "10.0.0.5:601"
  bool drops = false;    // instead of stopping the service
  void fields(auto& f) {
    f(kind);
    f(path);
    f(endpoint);
    f(drops);
  }
};
/// AuditSettings: the audit log. The folder, the file and the sinks count at the start only.
struct AuditSettings {
  std::string folder;  // empty: no audit log
  std::string file;    // its name there
  bool drops = false;
  std::uint64_t rotate_bytes = 0, rotate_seconds = 0;
  std::string host;  // as syslog names us
  std::vector<AuditSink> sinks;
  void fields(auto& f) {
    f(folder);
    f(file);
    f(drops);
    f(rotate_bytes);
    f(rotate_seconds);
    f(host);
    f(sinks);
  }
};
/// RecorderSettings: where and how it records. The first one comes before everything else and
/// decides the folders; a later one (after a reload) the rest.
struct RecorderSettings {  // + O_PATH: the folder of recordings, if recording; the audit log's
  static constexpr Type kType = Type::kRecorderSettings;
  bool recording = false;  // else it keeps the audit log alone
  std::string folder;      // its path, for the log; it is the recorder's own
  std::vector<std::string> recipients;
  std::uint64_t retention_seconds = 0, retention_bytes = 0;  // 0: no limit
  std::uint64_t reserve_bytes = 0;
  LogLevel log_level = LogLevel::kInfo;
  AuditSettings audit;
  void fields(auto& f) {
    f(recording);
    f(folder);
    f(recipients);
    f(retention_seconds);
    f(retention_bytes);
    f(reserve_bytes);
    f(log_level);
    f(audit);
  }
};
/// RecorderTable: the memory in which a recorder leaves its open recordings to its successor.
struct RecorderTable {  // + memfd
  static constexpr Type kType = Type::kRecorderTable;
  void fields(auto& /*f*/) {}
};
/// AddRing: a worker's ring (daemon/record_ring) and the eventfd by which it rings the bell.
struct AddRing {  // + memfd, eventfd
  static constexpr Type kType = Type::kAddRing;
  std::uint32_t worker = 0;      // index
  std::uint32_t generation = 0;  // of the ring: never the same twice, never 0
  void fields(auto& f) {
    f(worker);
    f(generation);
  }
};
/// RetireRing: its worker is dead. What is in it is written down, its recordings are sealed as
/// interrupted, then RingDone says that the memory may go.
struct RetireRing {
  static constexpr Type kType = Type::kRetireRing;
  std::uint32_t generation = 0;
  void fields(auto& f) { f(generation); }
};
/// RingsComplete: every ring that there is has been told; a successor may begin.
struct RingsComplete {
  static constexpr Type kType = Type::kRingsComplete;
  void fields(auto& /*f*/) {}
};
struct RingDone {
  static constexpr Type kType = Type::kRingDone;
  std::uint32_t generation = 0;
  void fields(auto& f) { f(generation); }
};
/// RingBroken: the worker wrote what cannot be; it is taken over or broken, and must end.
struct RingBroken {
  static constexpr Type kType = Type::kRingBroken;
  std::uint32_t generation = 0;
  std::string why;
  void fields(auto& f) {
    f(generation);
    f(why);
  }
};

/// OpenRecording: a session that is to be recorded. Answer: RecordingOpened or RecordingFailed.
/// Sent again to a successor, which then answers for what it has found.
struct OpenRecording {
  static constexpr Type kType = Type::kOpenRecording;
  SessionId session_number = 0;
  std::uint32_t worker = 0;
  std::uint32_t slot = 0;  // in that worker's ring
  std::string session;     // long id
  std::string user, login, target, address, rule, mode, from, host;
  std::uint64_t start_us = 0;
  bool records_input = false;
  void fields(auto& f) {
    f(session_number);
    f(worker);
    f(slot);
    f(session);
    f(user);
    f(login);
    f(target);
    f(address);
    f(rule);
    f(mode);
    f(from);
    f(host);
    f(start_us);
    f(records_input);
  }
};
/// CloseRecording: the session is over, and all of it is in the ring. Answer: RecordingSealed.
struct CloseRecording {
  static constexpr Type kType = Type::kCloseRecording;
  std::string session;
  bool complete = false;  // false: its worker died
  std::string reason;
  void fields(auto& f) {
    f(session);
    f(complete);
    f(reason);
  }
};
/// Resync: all live sessions and all that are to be closed have been told to a new recorder; what
/// it has open beside them is sealed as interrupted.
struct Resync {
  static constexpr Type kType = Type::kResync;
  void fields(auto& /*f*/) {}
};
struct RecordingOpened {
  static constexpr Type kType = Type::kRecordingOpened;
  std::string session;
  std::string recording;  // its name, below the folder: "2026-11-25/ID.rec"
  void fields(auto& f) {
    f(session);
    f(recording);
  }
};
/// RecordingFailed: it cannot be opened, or went wrong; the session must end.
struct RecordingFailed {
  static constexpr Type kType = Type::kRecordingFailed;
  std::string session;
  std::string why;  // "no space left on the disk"
  void fields(auto& f) {
    f(session);
    f(why);
  }
};
/// RecordingSealed: its file is whole. Told also of those that nobody closed, which a warden or a
/// machine that died has left. `recording` is empty where there is no file, or where the recorder
/// before this one has finished it: the rest then says nothing.
struct RecordingSealed {
  static constexpr Type kType = Type::kRecordingSealed;
  std::string session;
  std::string recording;  // as in RecordingOpened
  std::string state;      // complete, interrupted or failed
  std::string reason;
  std::uint64_t blocks = 0;             // the end block's number, …
  std::array<std::uint8_t, 32> hash{};  // … and its hash: what is signed
  std::uint64_t bytes = 0;              // of the file
  void fields(auto& f) {
    f(session);
    f(recording);
    f(state);
    f(reason);
    f(blocks);
    f(hash);
    f(bytes);
  }
};
/// SignHead asks for the audit key's signature over one of two structures that the warden makes
/// itself from these fields. Answer: HeadSigned, with no signature where there is no key.
enum class HeadKind : std::uint8_t { kRecording, kAuditLog };
constexpr HeadKind last_of(HeadKind) { return HeadKind::kAuditLog; }
struct SignHead {
  static constexpr Type kType = Type::kSignHead;
  HeadKind kind{};
  std::string session;  // kRecording
  std::uint64_t seq = 0;
  std::array<std::uint8_t, 32> hash{};
  void fields(auto& f) {
    f(kind);
    f(session);
    f(seq);
    f(hash);
  }
};
struct HeadSigned {
  static constexpr Type kType = Type::kHeadSigned;
  std::string key;  // "ssh-ed25519 BASE64"; empty: there is none
  Bytes signature;
  void fields(auto& f) {
    f(key);
    f(signature);
  }
};
/// HoldRecording: an administrator wants a recording kept whatever retention says, or lets it go
/// again. Twice: kFind says which one is meant and whether that can be; when the act is on record,
/// the same without kFind does it, where it is done already too. Answer, after it is done:
/// RecordingHeld.
enum class HoldStep : std::uint8_t { kFind, kDo };
constexpr HoldStep last_of(HoldStep) { return HoldStep::kDo; }
struct HoldRecording {
  static constexpr Type kType = Type::kHoldRecording;
  HoldStep step{};
  bool hold = false;  // else release
  std::string id;     // kFind: the beginning of a session's id; kDo: all of it
  std::string by, reason;
  std::uint64_t time_us = 0;
  void fields(auto& f) {
    f(step);
    f(hold);
    f(id);
    f(by);
    f(reason);
    f(time_us);
  }
};
struct RecordingHeld {
  static constexpr Type kType = Type::kRecordingHeld;
  std::string session;  // its whole id; empty: none was found
  std::string why;      // it cannot be: one line; empty: it can, or it is done
  void fields(auto& f) {
    f(session);
    f(why);
  }
};
/// RecorderState: at the start, when it changes, and now and then for `bastionctl status`.
struct RecorderState {
  static constexpr Type kType = Type::kRecorderState;
  bool can_record = false;
  std::string why;  // it cannot: "no space left on the disk"
  std::uint64_t recordings_bytes = 0, disk_bytes = 0, free_bytes = 0;
  std::uint32_t open = 0;
  void fields(auto& f) {
    f(can_record);
    f(why);
    f(recordings_bytes);
    f(disk_bytes);
    f(free_bytes);
    f(open);
  }
};
/// AuditEvent: one event for the audit log. The warden numbers them from 1; `again` says that the
/// recorder before this one got it, too, and may have written it. AuditState answers.
/// `worker` and `session_number` say whose digests those are.
struct AuditEvent {
  static constexpr Type kType = Type::kAuditEvent;
  std::uint64_t number = 0;
  bool again = false;
  audit::Event event;
  std::uint32_t worker = 0;
  SessionId session_number = 0;
  std::uint32_t digest_read = 0, digest_written = 0;
  void fields(auto& f) {
    f(number);
    f(again);
    f(event);
    f(worker);
    f(session_number);
    f(digest_read);
    f(digest_written);
  }
};
/// AuditState: what the log has accepted, and whether it takes more; after each batch of events and
/// when it changes.
struct AuditState {
  static constexpr Type kType = Type::kAuditState;
  std::uint64_t accepted = 0;  // all events up to this number are in the file
  bool failing = false;
  std::string why;
  bool settled = true;  // the last line is signed, or there is no key
  void fields(auto& f) {
    f(accepted);
    f(failing);
    f(why);
    f(settled);
  }
};

}  // namespace bastion::daemon::ipc
