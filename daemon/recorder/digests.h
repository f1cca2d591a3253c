#pragma once

#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "crypto/hash.h"
#include "daemon/ipc/recorder_messages.h"
#include "daemon/record_ring/record_ring.h"

namespace bastion::daemon::recorder {

/// Digests hashes what passes of files (SHA-256), from the rings; nothing of it is stored. A digest
/// is there only if every piece from the file's first octet came by here, so none outlives the
/// process: what a recorder that is killed had begun is missing, and said to be.
class Digests {
 public:
  /// Under way or not yet asked for, of one worker: 3 MiB. Each has its own share, so that one that
  /// is taken over costs the others' files nothing. Those that ended first make room.
  static constexpr std::size_t kPerWorkerMax = 8'192;

  /// Name is which one: a worker can name those of its own sessions alone.
  struct Name {
    std::uint32_t worker = 0;
    ipc::SessionId session = 0;
    std::uint32_t digest = 0;
  };

  /// take handles one frame of kKindDigest from that worker's ring. What makes no sense is ignored:
  /// a digest is missing then.
  void take(std::uint32_t worker, std::uint32_t generation, const record::Frame& frame);
  /// find gives "sha256:HEX" of one that has ended.
  std::optional<std::string> find(const Name& name) const;
  void forget(const Name& name);
  /// ring_gone: what was under way in that ring will not end.
  void ring_gone(std::uint32_t generation);
  std::size_t size() const;

  /// complete makes the JSON of a file entry (kKindFileWithDigest) from its frame: with the
  /// digests, or why there are none. Empty where the frame is malformed.
  Bytes complete(std::uint32_t worker, const record::Frame& frame) const;
  /// complete does the same for an event of the audit log.
  void complete(ipc::AuditEvent& message) const;
  /// The two ways in which a completed event goes on, behind all that its worker said.
  static constexpr std::string_view kCompletedBy[] = {",\"digest_", ",\"no_digest\""};

 private:
  using Key = std::pair<ipc::SessionId, std::uint32_t>;  // of a worker's: session and digest
  struct Digest {
    crypto::Hash hash{crypto::HashAlgorithm::kSha256};
    std::uint64_t bytes = 0;
    std::uint32_t generation = 0;       // of its ring
    std::string value;                  // when it has ended, and then …
    std::list<Key>::iterator ended_at;  // … its place among those
  };
  struct Share {
    std::map<Key, Digest> digests;
    std::list<Key> ended;  // the oldest first

    bool make_room();
    void erase(std::map<Key, Digest>::iterator at);
  };

  std::map<std::uint32_t, Share> shares_;  // by worker
};

}  // namespace bastion::daemon::recorder
