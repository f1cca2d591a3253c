#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/boot_clock.h"
#include "daemon/ipc/recorder_messages.h"
#include "daemon/recorder/recordings.h"

/// How recordings end: closed or interrupted, their end block written, kept by the disk, signed.
namespace bastion::daemon::recorder {

using recording::EndState;

void Recordings::close(const ipc::CloseRecording& message) {
  const auto found = by_session_.find(message.session);
  if (found == by_session_.end()) {
    ipc::RecordingSealed unknown;
    unknown.session = message.session;
    return outward_.sealed(unknown);
  }
  Recording& recording = *found->second;
  recording.confirmed = true;
  if (!recording.closing) {
    recording.closing = true;
    recording.complete = message.complete;
    if (!recording.failed) {
      recording.reason = message.reason;
    }
  }
  attend(recording);
}

void Recordings::interrupt(Recording& recording, std::string_view reason) {
  if (recording.closing) {
    return;
  }
  recording.closing = true;
  if (!recording.failed) {
    recording.reason = reason;
  }
  attend(recording);
}

void Recordings::resync() {
  for (const auto& [session, recording] : by_session_) {
    if (!recording->confirmed) {
      interrupt(*recording, "the bastion's warden ended");
    }
  }
}

void Recordings::ring_retired(std::uint32_t generation) {
  for (const auto& [place, recording] : by_place_) {
    if (place.first == generation) {
      interrupt(*recording, "its worker ended");
    }
  }
}

// time_us is the time now as the recording's entries have it: setting the clock does not change it.
std::uint64_t Recordings::time_us(const Recording& recording) {
  const std::int64_t us = table_[recording.entry].clock_ahead_us + boot_now().ns / 1000;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, us));
}

// end writes the end block. When the disk has it the file needs its signature alone.
void Recordings::end(Recording& recording) {
  recording::BlockWriter& writer = writer_of(recording);
  const EndState state = recording.failed     ? EndState::kFailed
                         : recording.complete ? EndState::kComplete
                                              : EndState::kInterrupted;
  const bool whole = state == EndState::kComplete;
  writer.end(state, whole ? std::string_view() : std::string_view(recording.reason),
             time_us(recording), recording.next.mark, recording.unwritten);
  recording.next.writer = writer.state();
  recording.next.end_step = EndStep::kWritten;
  recording.next.end_state = state;
  recording.next.end_head = writer.state().head;
  release_writer(recording);
  std::erase(touched_, &recording);
  (void)write_out(recording);
}

// end_is_kept: it is on the disk, and stands.
bool Recordings::end_is_kept(const Recording& recording) {
  return recording.next.end_step >= EndStep::kKept;
}

// take_back_end: an end that says "complete" stands behind what is on the disk, not behind what may
// be lost. It is overwritten by another.
void Recordings::take_back_end(Recording& recording) {
  recording.unwritten.clear();
  recording.end_sync = 0;
  std::erase(ended_, &recording);
  const std::uint64_t allocated = recording.next.allocated;
  recording.next = table_.progress(recording.entry);
  recording.next.allocated = allocated;
  ++recording.next.writer.writer;  // as a successor does: no nonce is used twice
  table_.commit(recording.entry, recording.next);
}

// settle_syncs: in this order, so that no failure is overlooked that came before a sync which went
// well.
void Recordings::settle_syncs() {
  const std::uint64_t kept = store_.kept_sync();
  if (const int error = store_.take_sync_error(); error != 0) {
    lost(error);
  }
  settle_kept(kept);
}

// settle_kept notes the ends that are on the disk since that sync.
void Recordings::settle_kept(std::uint64_t sync) {
  if (sync == std::exchange(kept_sync_, sync)) {
    return;
  }
  std::erase_if(ended_, [&](Recording* recording) {
    if (recording->end_sync > sync) {
      return false;
    }
    recording->end_sync = 0;
    recording->next.end_step = EndStep::kKept;
    table_.commit(recording->entry, recording->next);
    attend(*recording);
    return true;
  });
}

void Recordings::ask_signature(Recording& recording) {
  const recording::Head& head = recording.next.end_head;
  const std::uint32_t request = next_request_++;
  if (outward_.sign(request, {ipc::HeadKind::kRecording, recording.session, head.seq, head.hash})) {
    recording.sign_request = request;
    signing_[request] = recording.session;
  }
}

void Recordings::signed_head(std::uint32_t request, const ipc::HeadSigned& message) {
  const auto asked = signing_.find(request);
  if (asked == signing_.end()) {
    return;
  }
  const auto found = by_session_.find(asked->second);
  signing_.erase(asked);
  if (found == by_session_.end()) {
    return;
  }
  Recording& recording = *found->second;
  if (!message.key.empty()) {
    recording::BlockWriter writer(compressor_);
    writer.resume(recording.next.writer);
    writer.sign({message.key, message.signature}, recording.unwritten);
    recording.next.writer = writer.state();
    recording.next.end_step = EndStep::kSigned;
    if (!write_out(recording)) {
      return;
    }
  }
  finish(recording);
}

// finish lets go of a file that is whole.
void Recordings::finish(Recording& recording) {
  Entry& entry = table_[recording.entry];
  cut_after(recording, recording.next.writer.head.offset);
  const Progress& next = recording.next;
  const ipc::RecordingSealed sealed{
      .session = recording.session,
      .recording = name_of(recording),
      .state = std::string(recording::end_state_name(next.end_state)),
      .reason = next.end_state == EndState::kComplete ? std::string() : recording.reason,
      .blocks = next.end_head.seq,
      .hash = next.end_head.hash,
      .bytes = next.writer.head.offset};
  store_.remove_mark(text_of(entry.day), recording.session);
  store_.written();
  by_place_.erase({recording.ring.generation, entry.slot});
  table_.remove(recording.entry);
  std::erase(attention_, &recording);
  std::erase(ended_, &recording);
  std::erase(touched_, &recording);
  wipe(MutBytes(reinterpret_cast<std::uint8_t*>(&recording.next), sizeof recording.next));
  by_session_.erase(sealed.session);
  outward_.sealed(sealed);
}

// lost: the disk took what was written and did not keep it. Which files it is missing from nobody
// tells.
void Recordings::lost(int error) {
  trouble_ = disk_error(error);
  log_.error("what was last written to recordings may be lost: the disk did not keep it",
             {{"error", trouble_}});
  for (const auto& [session, recording] : by_session_) {
    if (end_is_kept(*recording)) {
      continue;
    }
    if (recording->next.end_step != EndStep::kOpen) {
      take_back_end(*recording);
    }
    trouble_with(*recording, error);
  }
}

void Recordings::end_all(std::string_view reason) {
  flush();
  store_.stop_syncing();
  settle_syncs();
  for (const auto& [session, recording] : by_session_) {
    interrupt(*recording, reason);
    if (recording->next.end_step == EndStep::kOpen && recording->unwritten.empty()) {
      end(*recording);
    }
    // Its mark stays: whoever starts next has it signed.
    if (recording->unwritten.empty()) {
      cut_after(*recording, recording->next.writer.head.offset);
    }
  }
  if (store_.sync_now()) {
    return;
  }
  log_.error("what was last written to recordings may be lost: the disk did not keep it");
  for (Recording* recording : ended_) {
    // Without its end it is one that was interrupted.
    cut_after(*recording, table_.progress(recording->entry).writer.head.offset);
  }
}

// cut_after gives back what was reserved behind there, and takes away what stands there.
void Recordings::cut_after(Recording& recording, std::uint64_t offset) {
  if (ftruncate(recording.file.get(), static_cast<off_t>(offset)) != 0) {
    log_.warning("cannot give back what was reserved for a recording",
                 {{"session", recording.session}, {"error", disk_error(errno)}});
  }
}

}  // namespace bastion::daemon::recorder
