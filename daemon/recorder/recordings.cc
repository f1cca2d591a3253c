#include "daemon/recorder/recordings.h"

#include "base/boot_clock.h"
#include "daemon/audit/chain.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "daemon/ipc/recorder_messages.h"

namespace bastion::daemon::recorder {
namespace {

/// Disk beyond what frames need: what blocks add where they are small, end and signature.
constexpr std::uint64_t kSlackBytes = 64 * 1024;
constexpr std::uint64_t kSlackLeftMin = 16 * 1024;
constexpr std::size_t kSpareWriters = 16;
/// How often the disk is tried again that refused, and asked how full it is.
constexpr std::int64_t kTryAgainNs = 200 * kNsPerMs;
/// How long a session waits for credit before it is told why there is none: less than the two
/// seconds after which its worker ends it without knowing.
constexpr std::int64_t kStarvedNsMax = kNsPerSecond;
/// How often it is seen whether all files are still there.
constexpr std::int64_t kCheckFilesNs = kNsPerSecond;

/// disk_bytes is what so many bytes of frames take in a file at most: their entries are no longer
/// than they are, and 64 KiB of them make a block.
std::uint64_t disk_bytes(std::uint64_t frame_bytes) { return frame_bytes + frame_bytes / 64; }

bool is_of_the_disk(int error) {
  return error == ENOSPC || error == EDQUOT || error == EROFS || error == EIO;
}

}  // namespace

Recordings::Recordings(Store& store, Table& table, Log& log, Outward outward)
    : store_(store), table_(table), log_(log), outward_(std::move(outward)) {}

// --- finding, opening ----------------------------------------------------------------------------

Recordings::Recording* Recordings::find(std::uint32_t generation, std::uint32_t slot) {
  const auto found = by_place_.find({generation, slot});
  return found == by_place_.end() ? nullptr : found->second;
}

Recordings::Recording& Recordings::adopt(std::unique_ptr<Recording> recording) {
  Recording& added = *recording;
  if (added.ring.generation != 0) {
    by_place_[{added.ring.generation, table_[added.entry].slot}] = &added;
  }
  by_session_[added.session] = std::move(recording);
  return added;
}

bool Recordings::has_space(std::uint64_t bytes) {
  const MonoTime now = mono_now();
  if (now >= after(disk_asked_, kTryAgainNs)) {
    disk_asked_ = now;
    const auto disk = store_.disk();
    free_bytes_ = disk ? disk->free_bytes : 0;
  }
  return free_bytes_ >= reserve_bytes_ + bytes;
}

void Recordings::open(const ipc::OpenRecording& message, const RingPort& ring) {
  if (const auto found = by_session_.find(message.session); found != by_session_.end()) {
    found->second->confirmed = true;
    if (!found->second->failed && found->second->next.end_step == EndStep::kOpen) {
      outward_.opened({message.session, name_of(*found->second)});
    } else if (!found->second->closing) {
      outward_.failed({message.session, "its recording has ended"});
    }
    return;
  }
  auto recording = std::make_unique<Recording>();
  recording->session = message.session;
  recording->ring = ring;
  recording->confirmed = true;
  recording->window = kWindowMin;
  if (!begin(*recording, message)) {
    const int error = errno;
    if (is_of_the_disk(error)) {
      trouble_ = disk_error(error);
    }
    return outward_.failed({message.session, disk_error(error)});
  }
  const std::string name = name_of(adopt(std::move(recording)));
  outward_.opened({message.session, name});
}

std::string Recordings::name_of(const Recording& recording) {
  return recording_name(text_of(table_[recording.entry].day), recording.session);
}

// begin makes the file with its first block, and the table's entry. False: errno says why.
bool Recordings::begin(Recording& recording, const ipc::OpenRecording& message) {
  const std::string day = day_of(message.start_us);
  if (ring_in_use(recording.ring.generation) && find(recording.ring.generation, message.slot)) {
    errno = EBUSY;
    return false;
  }
  auto file = store_.create(day, message.session);
  if (!file) {
    errno = file.error().code == ErrorCode::kIo ? static_cast<int>(file.error().detail) : EINVAL;
    return false;
  }
  recording.file = std::move(*file);
  recording::Metadata metadata;
  metadata.session = message.session;
  metadata.user = message.user;
  metadata.login = message.login;
  metadata.target = message.target;
  metadata.address = message.address;
  metadata.rule = message.rule;
  metadata.mode = message.mode;
  metadata.from = message.from;
  metadata.host = message.host;
  metadata.start_us = message.start_us;
  metadata.records_input = message.records_input;
  recording::BlockWriter writer(compressor_);
  int error = 0;
  if (!writer.begin(std::move(metadata), recipients_, recording.unwritten)) {
    error = EINVAL;
  } else {
    error = allocate(recording, recording.unwritten.size() + disk_bytes(kWindowMin) + kSlackBytes);
  }
  if (error == 0) {
    const auto n =
        pwrite(recording.file.get(), recording.unwritten.data(), recording.unwritten.size(), 0);
    error = n == static_cast<ssize_t>(recording.unwritten.size()) ? 0 : n < 0 ? errno : ENOSPC;
  }
  if (error == 0) {
    recording.unwritten.clear();
    recording.next.writer = writer.state();
    Entry entry;
    entry.records_input = message.records_input ? 1 : 0;
    entry.slot = message.slot;
    entry.ring_generation = recording.ring.generation;
    entry.session_number = message.session_number;
    entry.clock_ahead_us = store_.wall_us() - boot_now().ns / 1000;
    put_text(entry.session, message.session);
    put_text(entry.day, day);
    entry.progress[0] = recording.next;
    recording.entry = table_.add(entry);
    error = recording.entry == kEntriesMax ? ENFILE : 0;
  }
  if (error != 0) {
    store_.remove(day, message.session);
    errno = error;
    return false;
  }
  store_.written();
  recording.granted = kWindowMin;
  recording.ring.consumer->grant(message.slot, kWindowMin);
  return true;
}

// --- frames --------------------------------------------------------------------------------------

recording::BlockWriter& Recordings::writer_of(Recording& recording) {
  if (recording.writer == nullptr) {
    if (spare_writers_.empty()) {
      spare_writers_.push_back(std::make_unique<recording::BlockWriter>(compressor_));
    }
    recording.writer = std::move(spare_writers_.back());
    spare_writers_.pop_back();
    recording.writer->resume(recording.next.writer);
    touched_.push_back(&recording);
  }
  return *recording.writer;
}

void Recordings::release_writer(Recording& recording) {
  if (recording.writer != nullptr && spare_writers_.size() < kSpareWriters) {
    spare_writers_.push_back(std::move(recording.writer));
  }
  recording.writer.reset();
}

Status Recordings::take(std::uint32_t generation, const record::Frame& frame) {
  Recording* recording = find(generation, frame.header.slot);
  if (recording == nullptr || recording->next.end_step != EndStep::kOpen ||
      table_[recording->entry].session_number != frame.header.session) {
    return {};  // of a session that is sealed already
  }
  Progress& next = recording->next;
  if (next.mark.generation == generation && frame.end <= next.mark.position) {
    return {};  // the recorder before us has written it
  }
  if (recording->overdrawn ||
      next.charged + frame.header.total_len > recording->granted + record::kBeyondCreditMax) {
    recording->overdrawn = true;
    return fail(ErrorCode::kLimit, "a session's frames go beyond the room that it has");
  }
  recording::BlockWriter& writer = writer_of(*recording);
  if (!writer.fits(frame.payload.size())) {
    put_block(*recording);
  }
  const Status added = writer.add(
      {.time_us = static_cast<std::uint64_t>(std::max<std::int64_t>(0, frame.header.time_us)),
       .channel = frame.header.channel,
       .kind = static_cast<recording::EntryKind>(frame.header.kind),
       .bytes = frame.payload});
  if (!added) {
    trouble_with(*recording, EINVAL);
    return {};
  }
  next.charged += frame.header.total_len;
  next.mark = {generation, frame.end};
  if (writer.full()) {
    put_block(*recording);
  }
  return {};
}

// put_block makes a block of what the writer has, and writes it.
void Recordings::put_block(Recording& recording) {
  recording.writer->flush(recording.next.mark, recording.unwritten);
  recording.next.writer = recording.writer->state();
  (void)write_out(recording);
}

// write_out puts what is to be written behind what is. It is in the table when it is in the file,
// an end when it is on the disk: until then a successor, too, takes it back and makes it anew.
bool Recordings::write_out(Recording& recording) {
  std::uint64_t offset = table_.progress(recording.entry).writer.head.offset;
  ByteView rest = recording.unwritten;
  while (!rest.empty()) {
    const ssize_t n =
        pwrite(recording.file.get(), rest.data(), rest.size(), static_cast<off_t>(offset));
    if (n <= 0) {
      if (n < 0 && errno == EINTR) {
        continue;
      }
      trouble_with(recording, n < 0 ? errno : ENOSPC);
      return false;
    }
    offset += static_cast<std::uint64_t>(n);
    rest = rest.subspan(static_cast<std::size_t>(n));
  }
  recording.unwritten.clear();
  recording.unwritten.shrink_to_fit();
  store_.written();
  if (recording.next.end_step == EndStep::kWritten) {
    recording.end_sync = store_.next_sync();
    ended_.push_back(&recording);
  } else {
    table_.commit(recording.entry, recording.next);
  }
  return true;
}

void Recordings::trouble_with(Recording& recording, int error) {
  if (is_of_the_disk(error)) {
    trouble_ = disk_error(error);
  }
  if (!recording.failed) {
    recording.failed = true;
    recording.reason = disk_error(error);
    outward_.failed({recording.session, recording.reason});
  }
  attend(recording);
}

void Recordings::flush() {
  for (Recording* recording : touched_) {
    if (recording->writer != nullptr) {
      if (recording->writer->pending_bytes() > 0) {
        put_block(*recording);
      }
      release_writer(*recording);
    }
    (void)top_up(*recording);
  }
  touched_.clear();
}

// --- credit --------------------------------------------------------------------------------------

// allocate has the disk promise the file's bytes up to there. An errno, or 0.
int Recordings::allocate(Recording& recording, std::uint64_t up_to) {
  Progress& next = recording.next;
  if (up_to <= next.allocated) {
    return 0;
  }
  if (up_to > file_bytes_max_) {
    return EFBIG;
  }
  const std::uint64_t more = up_to - next.allocated;
  if (!has_space(more)) {
    return ENOSPC;
  }
  // A file system that cannot promise (EOPNOTSUPP) is taken at its word of how much is free.
  if (fallocate(recording.file.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(next.allocated),
                static_cast<off_t>(more)) != 0 &&
      errno != EOPNOTSUPP) {
    return errno;
  }
  free_bytes_ -= std::min(free_bytes_, more);
  next.allocated = up_to;
  return 0;
}

// top_up keeps a recording's credit and the disk behind it ahead of what comes.
bool Recordings::top_up(Recording& recording) {
  Progress& next = recording.next;
  if (recording.failed || recording.closing || next.end_step != EndStep::kOpen ||
      recording.ring.consumer == nullptr) {
    return true;
  }
  const std::uint64_t written = next.writer.head.offset;
  const std::uint64_t left = recording.granted - std::min(recording.granted, next.charged);
  if (left >= recording.window / 2 &&
      next.allocated >= written + disk_bytes(left) + kSlackLeftMin) {
    return true;
  }
  if (next.charged - recording.charged_at_grant > recording.window / 2) {
    recording.window = std::min(recording.window * 2, kWindowMax);
  }
  std::uint64_t granted = 0;
  const auto promise = [&] {
    granted = std::max(recording.granted, next.charged + recording.window);
    return allocate(recording, written + disk_bytes(granted - next.charged) + kSlackBytes);
  };
  int error = promise();
  while (error == EFBIG && recording.window > kWindowMin) {
    recording.window /= 2;  // the file is nearly as large as it may be: less at a time
    error = promise();
  }
  const bool slack_used_up = next.allocated < written + disk_bytes(left) + kSlackLeftMin;
  if (error != 0 && slack_used_up) {
    trouble_with(recording, error);  // many small blocks: what is left is for its end
    return false;
  }
  if (error != 0) {
    if (is_of_the_disk(error)) {
      trouble_ = disk_error(error);
    }
    recording.starved = true;
    attend(recording);
    const MonoTime now = mono_now();
    if (left >= record::kPacketCredit) {
      recording.used_up = {};
    } else if (recording.used_up.ns == 0) {
      recording.used_up = now;
    } else if (now >= after(recording.used_up, kStarvedNsMax)) {
      trouble_with(recording, error);
    }
    return false;
  }
  recording.starved = false;
  recording.used_up = {};
  recording.granted = granted;
  recording.charged_at_grant = next.charged;
  recording.ring.consumer->grant(table_[recording.entry].slot, granted);
  return true;
}

// --- what time brings ----------------------------------------------------------------------------

void Recordings::attend(Recording& recording) {
  if (std::ranges::find(attention_, &recording) == attention_.end()) {
    attention_.push_back(&recording);
  }
}

bool Recordings::ring_in_use(std::uint32_t generation) const {
  const auto first = by_place_.lower_bound({generation, 0});
  for (auto at = first; at != by_place_.end() && at->first.first == generation; ++at) {
    const Recording& recording = *at->second;
    if (!end_is_kept(recording) || !recording.unwritten.empty()) {
      return true;
    }
  }
  return false;
}

void Recordings::forget_ring(std::uint32_t generation) {
  std::erase_if(by_place_, [generation](const auto& entry) {
    if (entry.first.first == generation) {
      entry.second->ring = {};
    }
    return entry.first.first == generation;
  });
}

// check_file: bytes written to a file that has no name any more are lost. One whose end is on the
// disk was whole; it is like one that is removed later.
void Recordings::check_file(Recording& recording) {
  struct stat found{};
  if (end_is_kept(recording) || recording.failed || fstat(recording.file.get(), &found) != 0 ||
      found.st_nlink != 0) {
    return;
  }
  log_.error("a recording's file was removed while it was written",
             {{"session", recording.session}});
  if (recording.next.end_step != EndStep::kOpen) {
    take_back_end(recording);
  }
  trouble_with(recording, ENOENT);
}

void Recordings::settle(MonoTime now) {
  settle_syncs();
  if (!trouble_.empty() && now >= after(probed_, kTryAgainNs)) {
    probed_ = now;
    if (has_space(kWindowMin + kSlackBytes) && store_.keeps() && store_.probe()) {
      trouble_.clear();
    }
  }
  if (now >= after(checked_, kCheckFilesNs)) {
    checked_ = now;
    for (const auto& [session, recording] : by_session_) {
      check_file(*recording);
    }
  }
  std::vector<Recording*> due;
  due.swap(attention_);
  for (Recording* recording : due) {
    if (!recording->unwritten.empty()) {
      if (now < after(recording->tried, kTryAgainNs) || !write_again(*recording, now)) {
        attend(*recording);
        continue;
      }
    }
    if (recording->next.end_step == EndStep::kSigned) {
      finish(*recording);
      continue;
    }
    if (recording->closing && recording->next.end_step == EndStep::kOpen) {
      end(*recording);
    }
    const bool is_kept = recording->next.end_step == EndStep::kKept;
    if (is_kept && recording->sign_request == 0) {
      ask_signature(*recording);
    }
    if (recording->starved && !recording->closing) {
      (void)top_up(*recording);
    }
    if (is_kept && recording->sign_request == 0) {
      attend(*recording);
    }
  }
}

bool Recordings::write_again(Recording& recording, MonoTime now) {
  recording.tried = now;
  return write_out(recording);
}

std::vector<std::string> Recordings::heads() const {
  std::vector<std::string> out;
  out.reserve(by_session_.size());
  for (const auto& [session, recording] : by_session_) {
    const recording::Head& head = table_.progress(recording->entry).writer.head;
    out.push_back(session + " " + std::to_string(head.seq) + " " + audit::hex_of(head.hash));
  }
  return out;
}

}  // namespace bastion::daemon::recorder
