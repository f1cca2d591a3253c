#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/boot_clock.h"
#include "daemon/recorder/recordings.h"
#include "daemon/recording/reader.h"

/// Going on with what a recorder, a warden or a machine that died has left.
namespace bastion::daemon::recorder {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;

}  // namespace

void Recordings::recover(const std::vector<RingPort>& rings) {
  for (std::uint32_t index = 0; index < table_.used_max(); ++index) {
    Entry& entry = table_[index];
    if (entry.used == 0) {
      continue;
    }
    auto recording = std::make_unique<Recording>();
    recording->entry = index;
    recording->session = text_of(entry.session);
    recording->next = table_.progress(index);
    recording->window = kWindowMin;
    auto file = store_.open(text_of(entry.day), recording->session);
    if (!file) {
      log_.error("a recording that was open cannot be opened again",
                 {{"session", recording->session}, {"error", describe(file.error())}});
      table_.remove(index);
      continue;
    }
    recording->file = std::move(*file);
    // What the one before us wrote last and did not come to note is still in the ring; a nonce is
    // never used again, since each of us has a number of its own.
    Progress& next = recording->next;
    struct stat found{};
    const auto end = static_cast<off_t>(next.writer.head.offset);
    if (fstat(recording->file.get(), &found) == 0 && found.st_size > end &&
        ftruncate(recording->file.get(), end) == 0) {
      promise_again(*recording);
    }
    ++next.writer.writer;
    table_.commit(index, next);
    const auto ring = std::ranges::find(rings, entry.ring_generation, &RingPort::generation);
    const bool has_ring = entry.ring_generation != 0 && ring != rings.end();
    if (has_ring) {
      recording->ring = *ring;
      recording->granted = std::min(ring->consumer->granted(entry.slot), next.charged + kWindowMax);
    }
    Recording& adopted = adopt(std::move(recording));
    if (!has_ring) {
      interrupt(adopted, "the bastion ended");
    } else if (next.end_step != EndStep::kOpen) {
      adopted.closing = true;
      attend(adopted);
    } else {
      (void)top_up(adopted);
    }
  }
}

// promise_again: a file that was cut has lost what the disk had promised it. That was its own, so
// neither the reserve nor how much others leave free is asked; what is gone by now is asked for
// with the next credit, and nothing of what is in the file.
void Recordings::promise_again(Recording& recording) {
  Progress& next = recording.next;
  const std::uint64_t end = next.writer.head.offset;
  const bool again = next.allocated > end &&
                     (fallocate(recording.file.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(end),
                                static_cast<off_t>(next.allocated - end)) == 0 ||
                      errno == EOPNOTSUPP);
  if (!again) {
    next.allocated = end;
  }
}

void Recordings::sweep() {
  for (const OpenMark& mark : store_.marks()) {
    if (!by_session_.contains(mark.session)) {
      seal_leftover(mark);
    }
  }
}

// seal_leftover goes on with a file of which nothing is known but itself, cut after its last whole
// block. No key is needed for its end.
void Recordings::seal_leftover(const OpenMark& mark) {
  auto file = store_.open(mark.day, mark.session);
  if (!file) {
    return store_.remove_mark(mark.day, mark.session);
  }
  recording::BlockReader reader;
  Bytes piece(kReadBytes);
  off_t at = 0;
  bool good = true;
  std::optional<recording::End> end;
  recording::Head end_head;
  Progress before_end;  // what its end stands behind
  const auto note = [&reader](Progress& progress) {
    progress.writer.head = reader.head();
    progress.writer.writer = reader.last_header().writer + 1;
    progress.writer.last_time_us = reader.last_time_us();
    progress.writer.streams_counted = 0;
    progress.writer.totals = reader.totals();
  };
  while (good) {
    const ssize_t n = pread(file->get(), piece.data(), piece.size(), at);
    if (n <= 0) {
      break;
    }
    at += n;
    reader.feed(ByteView(piece).first(static_cast<std::size_t>(n)));
    auto block = reader.next();
    while (block && *block) {
      if ((*block)->header.type == recording::BlockType::kEnd) {
        end = recording::parse_end((*block)->payload).value_or(recording::End());
        end_head = (*block)->head;
      } else if (!end) {
        note(before_end);
      }
      block = reader.next();
    }
    good = block.has_value();
  }
  if (reader.num_blocks() == 0) {
    // Nothing was accepted yet, or no octet of it had reached the disk.
    store_.remove(mark.day, mark.session);
    return outward_.removed(mark.session, recording_name(mark.day, mark.session));
  }
  const recording::BlockHeader& last = reader.last_header();
  auto recording = std::make_unique<Recording>();
  recording->session = mark.session;
  recording->file = std::move(*file);
  recording->confirmed = true;
  recording->closing = true;
  recording->reason = end ? end->reason : "the bastion ended";
  Progress& next = recording->next;
  note(next);
  next.end_step = last.type == recording::BlockType::kSignature ? EndStep::kSigned
                  : last.type == recording::BlockType::kEnd     ? EndStep::kWritten
                                                                : EndStep::kOpen;
  next.end_state = end ? end->state : recording::EndState::kInterrupted;
  next.end_head = end_head;
  if (ftruncate(recording->file.get(), static_cast<off_t>(next.writer.head.offset)) != 0) {
    log_.error("cannot cut a recording after its last whole block",
               {{"session", mark.session}, {"error", disk_error(errno)}});
    return;
  }
  if (next.end_step == EndStep::kWritten) {
    recording->end_sync = store_.next_sync();
    store_.written();
  }
  Entry entry;
  put_text(entry.session, mark.session);
  put_text(entry.day, mark.day);
  // How long it went on after its last entry nobody knows.
  entry.clock_ahead_us = static_cast<std::int64_t>(next.writer.last_time_us) - boot_now().ns / 1000;
  entry.progress[0] = next.end_step == EndStep::kWritten ? before_end : next;
  recording->entry = table_.add(entry);
  if (recording->entry == kEntriesMax) {
    return;
  }
  if (next.end_step == EndStep::kOpen) {
    log_.info("a recording is sealed that the end of the bastion interrupted",
              {{"session", mark.session}});
  }
  Recording& adopted = adopt(std::move(recording));
  if (adopted.end_sync != 0) {
    ended_.push_back(&adopted);
  } else {
    attend(adopted);
  }
}

}  // namespace bastion::daemon::recorder
