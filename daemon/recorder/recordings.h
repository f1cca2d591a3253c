#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/ipc/recorder_messages.h"
#include "daemon/log.h"
#include "daemon/record_ring/record_ring.h"
#include "daemon/recorder/store.h"
#include "daemon/recorder/table.h"
#include "daemon/recording/writer.h"

namespace bastion::daemon::recorder {

/// RingPort is what recordings need of the ring that they are in: its credit.
struct RingPort {
  std::uint32_t generation = 0;
  record::Consumer* consumer = nullptr;
};

/// Recordings are the files that are being written: opened for the warden, filled from the rings,
/// sealed and signed. A recording that waits costs an entry of the table, a descriptor and this
/// object; buffers exist while a ring is being emptied.
class Recordings {
 public:
  /// Outward is whom they tell.
  struct Outward {
    std::function<void(const ipc::RecordingOpened&)> opened;
    std::function<void(const ipc::RecordingFailed&)> failed;
    std::function<void(const ipc::RecordingSealed&)> sealed;
    /// sign asks the warden; the answer comes to signed_head with the number. False: nobody to ask.
    std::function<bool(std::uint32_t request, const ipc::SignHead&)> sign;
    /// removed: a file in which nothing had come to stand.
    std::function<void(const std::string& session, const std::string& recording)> removed;
  };

  Recordings(Store& store, Table& table, Log& log, Outward outward);

  void set_recipients(std::vector<recording::Recipient> recipients) {
    recipients_ = std::move(recipients);
  }
  void set_reserve(std::uint64_t bytes) { reserve_bytes_ = bytes; }
  /// set_file_bytes_max: no file may be larger (RLIMIT_FSIZE). Nothing is accepted that would be
  /// behind it, so that a file can always be ended.
  void set_file_bytes_max(std::uint64_t bytes) { file_bytes_max_ = bytes; }

  /// recover takes over what the recorder before us had open; `rings` are those that still are.
  void recover(const std::vector<RingPort>& rings);
  /// sweep seals what a machine that died left: whatever is marked as open and is in no table.
  void sweep();

  void open(const ipc::OpenRecording& message, const RingPort& ring);
  void close(const ipc::CloseRecording& message);
  /// resync: what the warden has named neither to open nor to close since we began is over.
  void resync();
  void ring_retired(std::uint32_t generation);
  /// ring_in_use: recordings of it are still to be written.
  bool ring_in_use(std::uint32_t generation) const;
  /// forget_ring: the ring goes; none of its recordings needs it any more.
  void forget_ring(std::uint32_t generation);

  /// take puts one frame's entry into its recording; flush writes the blocks of all that were put.
  /// Only then may the ring's tail pass. kLimit: the worker goes on without credit. The frame is
  /// not taken, nor is anything of its recording that comes behind it; other recordings' frames
  /// are.
  Status take(std::uint32_t generation, const record::Frame& frame);
  void flush();
  /// settle grants credit, tries again what the disk refused, and seals what is over.
  void settle(MonoTime now);
  void signed_head(std::uint32_t request, const ipc::HeadSigned& message);
  /// end_all seals everything as interrupted; there is nobody left to sign it.
  void end_all(std::string_view reason);

  /// heads gives "SESSION BLOCK HASH" of each that is open, for the audit log.
  std::vector<std::string> heads() const;
  std::size_t size() const { return by_session_.size(); }
  /// urgent: something waits for a ring to be emptied, or for the disk.
  bool urgent() const { return !attention_.empty(); }
  /// trouble is why nothing can be recorded; empty: it can.
  const std::string& trouble() const { return trouble_; }

 private:
  /// Credit that a recording has ahead: a packet of each kind at first, and as much as the disk
  /// takes in a moment where much passes.
  static constexpr std::uint64_t kWindowMin = 128 * 1024;
  static constexpr std::uint64_t kWindowMax = std::uint64_t{4} << 20;

  struct Recording {
    std::uint32_t entry = 0;  // in the table
    RingPort ring;
    UniqueFd file;
    std::string session;
    std::unique_ptr<recording::BlockWriter> writer;  // while a ring is emptied
    Progress next;                                   // what the table will hold
    Bytes unwritten;                                 // blocks that the disk did not take
    std::uint64_t granted = 0;                       // what the ring's slot says
    std::uint64_t window = 0;                        // how much credit is kept ahead
    std::uint64_t charged_at_grant = 0;
    std::uint32_t sign_request = 0;
    std::uint64_t end_sync = 0;  // the sync that its end waits for; 0: none
    MonoTime tried{};            // to write it again
    bool starved = false;        // there was no space for its credit
    MonoTime used_up{};          // since when no packet has had credit; 0: one has
    bool overdrawn = false;      // frames came beyond its credit: nothing more is taken
    bool failed = false;         // the warden was told
    bool confirmed = false;      // the warden has named it since we began
    bool closing = false;
    bool complete = false;
    std::string reason;
  };
  using Place = std::pair<std::uint32_t, std::uint32_t>;  // ring generation, slot

  Recording* find(std::uint32_t generation, std::uint32_t slot);
  Recording& adopt(std::unique_ptr<Recording> recording);
  recording::BlockWriter& writer_of(Recording& recording);
  void release_writer(Recording& recording);
  bool begin(Recording& recording, const ipc::OpenRecording& message);
  void put_block(Recording& recording);
  bool write_again(Recording& recording, MonoTime now);
  bool write_out(Recording& recording);
  void trouble_with(Recording& recording, int error);
  bool top_up(Recording& recording);
  int allocate(Recording& recording, std::uint64_t up_to);
  void check_file(Recording& recording);
  void lost(int error);
  void attend(Recording& recording);
  void interrupt(Recording& recording, std::string_view reason);
  std::uint64_t time_us(const Recording& recording);
  void end(Recording& recording);
  static bool end_is_kept(const Recording& recording);
  void take_back_end(Recording& recording);
  void settle_syncs();
  void settle_kept(std::uint64_t sync);
  void ask_signature(Recording& recording);
  std::string name_of(const Recording& recording);
  void finish(Recording& recording);
  void cut_after(Recording& recording, std::uint64_t offset);
  void seal_leftover(const OpenMark& mark);
  static void promise_again(Recording& recording);
  bool has_space(std::uint64_t bytes);

  Store& store_;
  Table& table_;
  Log& log_;
  Outward outward_;
  std::vector<recording::Recipient> recipients_;
  std::uint64_t reserve_bytes_ = 0;
  std::uint64_t file_bytes_max_ = UINT64_MAX;
  recording::Compressor compressor_;
  std::vector<std::unique_ptr<recording::BlockWriter>> spare_writers_;
  std::unordered_map<std::string, std::unique_ptr<Recording>> by_session_;
  std::map<Place, Recording*> by_place_;
  std::vector<Recording*> touched_;
  std::map<std::uint32_t, std::string> signing_;  // request → session
  std::vector<Recording*> attention_;  // starved, unwritten, closing: looked at in each turn
  std::vector<Recording*> ended_;      // their ends wait for the disk to have them
  std::uint64_t kept_sync_ = 0;        // what was looked at after it
  std::string trouble_;
  MonoTime probed_{};
  MonoTime checked_{};            // whether the files are there
  std::uint64_t free_bytes_ = 0;  // of the disk, less what was promised since it was asked
  MonoTime disk_asked_{};
  std::uint32_t next_request_ = 1;
};

}  // namespace bastion::daemon::recorder
