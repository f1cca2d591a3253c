#include "proto/sftp_stream.h"

#include <algorithm>

namespace bastion::proto {
namespace {

constexpr std::size_t kTypeAt = 4;
constexpr std::size_t kSpareMax = 256;
/// A kept request of more than this gives its memory back.
constexpr std::size_t kHeadBytesKept = 1024;

void clear_head(Bytes& head) {
  if (head.capacity() > kHeadBytesKept) {
    Bytes().swap(head);
  } else {
    head.clear();
  }
}

std::size_t total_of(ByteView message) { return kTypeAt + std::size_t{load_u32(message.data())}; }

}  // namespace

std::unexpected<Error> SftpStream::broken(Error error) {
  broken_ = true;
  FileEvent event;
  event.operation = FileOperation::kSession;
  event.outcome = FileOutcome::kFailed;
  event.reason = error.text;
  events_.file_event(event);
  return std::unexpected(error);
}

Result<std::size_t> SftpStream::from_client(MutBytes data, std::int64_t now_us, SftpOutput& out) {
  std::size_t at = 0;
  std::size_t unsent = 0;  // where the piece begins that goes on next
  std::size_t dropped = 0;
  const auto send_up_to = [&](std::size_t end) {
    if (end > unsent) {
      out.pass(data.subspan(unsent, end - unsent));
    }
    unsent = end;
  };
  while (at < data.size()) {
    if (up_.left > 0) {
      const std::size_t n = std::min(up_.left, data.size() - at);
      if (up_.dropped) {
        send_up_to(at);
        unsent = at + n;
        dropped += n;
      } else if (up_.file != nullptr) {
        on_content(*up_.file, Leg::kDownstream, up_.offset, data.subspan(at, n));
        up_.offset += n;
      }
      up_.left -= n;
      at += n;
      continue;
    }
    if (up_.head.empty()) {
      // The usual case: the deciding part lies whole in this packet.
      const auto need = sftp_request_need(data.subspan(at));
      if (!need) {
        return broken(need.error());
      }
      if (*need <= data.size() - at) {
        const MutBytes message = data.subspan(at, *need);
        const auto passes = decide(message, now_us);
        if (!passes) {
          return broken(passes.error());
        }
        if (!*passes) {
          send_up_to(at);
          unsent = at + *need;
          dropped += *need;
        }
        at += *need;
        continue;
      }
    }
    const bool kept = keeps();
    if (kept) {
      send_up_to(at);
    }
    bool whole = false;
    while (at < data.size() && !whole) {
      const auto need = sftp_request_need(up_.head);
      if (!need) {
        return broken(need.error());
      }
      const std::size_t n = std::min(*need - up_.head.size(), data.size() - at);
      up_.head.insert(up_.head.end(), data.begin() + static_cast<std::ptrdiff_t>(at),
                      data.begin() + static_cast<std::ptrdiff_t>(at + n));
      at += n;
      const auto then = sftp_request_need(up_.head);
      if (!then) {
        return broken(then.error());
      }
      whole = *then <= up_.head.size();
    }
    unsent = kept ? at : unsent;
    if (!whole) {
      break;
    }
    const auto passes = decide(up_.head, now_us);
    if (!passes) {
      return broken(passes.error());
    }
    if (!*passes) {
      dropped += up_.head.size();
    } else if (kept) {
      out.pass_kept(up_.head);
    }
    clear_head(up_.head);
  }
  send_up_to(data.size());
  return dropped;
}

/// decide reads the deciding part of a client's message, says whether it passes, and notes it.
Result<bool> SftpStream::decide(MutBytes message, std::int64_t now_us) {
  up_.left = total_of(message) - message.size();
  up_.file = nullptr;
  up_.dropped = false;
  if (!init_seen_) {
    if (static_cast<SftpType>(message[kTypeAt]) != SftpType::kInit) {
      return fail(ErrorCode::kProtocol, "an sftp request before INIT", message[kTypeAt]);
    }
    init_seen_ = true;
    // Later versions are other protocols; each server takes the lower number.
    std::uint8_t* version = message.data() + kTypeAt + 1;
    store_u32(version, std::min(load_u32(version), kSftpVersion));
    return true;
  }
  auto parsed = parse_sftp_request(message);
  if (!parsed) {
    return std::unexpected(parsed.error());
  }
  SftpRequest& request = *parsed;
  if (request.type == SftpType::kInit || requests_.contains(request.id)) {
    return fail(ErrorCode::kProtocol, "an sftp request whose number is in use", request.id);
  }
  File* file = file_of(request.handle);
  File* other_file = file_of(request.other_handle);
  if (restricts()) {
    const bool handles_known = (request.handle.empty() || file != nullptr) &&
                               (request.other_handle.empty() || other_file != nullptr);
    const Refusal refusal = check(request, message, file, other_file, handles_known);
    if (refusal) {
      tell_refused(request, file, refusal.text);
      answers_.push_back({request.id, refusal});
      up_.dropped = true;
      return false;
    }
    if (request.type == SftpType::kRead) {
      request.length = load_u32(message.data() + message.size() - 4);  // it may be shorter now
    }
  }
  // A handle that was guessed before the server gave it, or kept after its close: what passes by it
  // would be told of no file. A READ is looked at when it is answered (on_reply), since some
  // clients send some more after they have closed, which come to nothing.
  const bool changes_by_handle = request.type == SftpType::kWrite ||
                                 request.type == SftpType::kFsetstat ||
                                 request.extension == SftpExtension::kCopyData;
  if (changes_by_handle &&
      (file == nullptr || (!request.other_handle.empty() && other_file == nullptr))) {
    return fail(ErrorCode::kProtocol, "an sftp request to change a file that is not open",
                request.id);
  }
  BASTION_TRY(note(request, file, other_file, now_us));
  return true;
}

/// note enters a request that passes.
Status SftpStream::note(const SftpRequest& request, File* file, File* other_file,
                        std::int64_t now_us) {
  Requests::node_type node;
  if (spare_.empty()) {
    Requests one;
    one[request.id] = {};
    node = one.extract(one.begin());
  } else {
    node = std::move(spare_.back());
    spare_.pop_back();
    node.key() = request.id;
  }
  Request& entry = node.mapped();
  entry = Request{.type = request.type,
                  .extension = request.extension,
                  .file = file,
                  .other_file = other_file,
                  .offset = request.offset,
                  .length = request.length,
                  .asked_us = now_us,
                  .names = nullptr};
  if (file != nullptr) {
    ++file->uses;
  }
  if (other_file != nullptr) {
    ++other_file->uses;
  }
  const bool of_content = request.type == SftpType::kRead || request.type == SftpType::kWrite;
  if (!of_content) {
    entry.names = std::make_unique<Names>(
        Names{std::string(request.path), std::string(request.other_path), std::string(request.name),
              request.open_flags, request.attributes});
    name_bytes_ += entry.names->size();
  }
  requests_.insert(std::move(node));

  if (file == nullptr) {
    return {};
  }
  if (request.type == SftpType::kWrite) {
    file->bytes_written += request.length;
    up_.file = file;
    up_.offset = request.offset;
    if (request.offset != file->written.next) {
      file->written.kept = false;
    }
  } else if (request.type == SftpType::kClose && file->mapped) {
    // The server may give the same handle to the next file before it answers.
    file->mapped = false;
    handles_.erase(handles_.find(request.handle));
  } else if (request.type == SftpType::kFsetstat && request.attributes.has_size) {
    // scp opens without truncating, and cuts off what may be left behind what it has written.
    entry.trims = request.attributes.size == file->written.next && file->written.kept;
    file->spoilt = file->spoilt || !entry.trims;
  } else if (request.extension == SftpExtension::kCopyData && other_file != nullptr) {
    other_file->spoilt = true;
  }
  return {};
}

void SftpStream::on_content(File& file, Leg from, std::uint64_t offset, ByteView bytes) {
  Order& order = from == Leg::kUpstream ? file.read : file.written;
  if (from == Leg::kUpstream) {
    file.bytes_read += bytes.size();
  }
  if (offset != order.next) {
    order.kept = false;
  }
  if (!order.kept) {
    return;
  }
  order.next = offset + bytes.size();
  if (rules_.digest) {
    events_.file_data({file.number, from, offset, bytes});
  }
}

Bytes SftpStream::next_answer() const {
  if (answers_.empty()) {
    return {};
  }
  const Answer& answer = answers_.front();
  return make_sftp_status(answer.id, answer.refusal.status, answer.refusal.text);
}

SftpStream::File* SftpStream::file_of(std::string_view handle) const {
  const auto found = handles_.find(handle);
  return found == handles_.end() ? nullptr : found->second;
}

void SftpStream::release(File* file) {
  if (file != nullptr && --file->uses == 0 && !file->mapped) {
    // What is still under way belongs to nobody then.
    up_.file = up_.file == file ? nullptr : up_.file;
    down_.file = down_.file == file ? nullptr : down_.file;
    files_.erase(file->number);
  }
}

void SftpStream::erase_request(Requests::iterator at) {
  Request& request = at->second;
  if (request.names != nullptr) {
    name_bytes_ -= request.names->size();
    request.names.reset();
  }
  File* const file = request.file;
  File* const other_file = request.other_file;
  Requests::node_type node = requests_.extract(at);
  if (spare_.size() < kSpareMax) {
    spare_.push_back(std::move(node));
  }
  release(file);
  release(other_file);
}

void SftpStream::tell_close(const File& file, FileOutcome outcome, std::uint32_t status,
                            std::int64_t now_us) {
  FileEvent event;
  event.operation = FileOperation::kClose;
  event.outcome = outcome;
  event.status = status;
  event.file = file.number;
  event.path = file.path;
  event.open_flags = file.flags;
  event.bytes_read = file.bytes_read;
  event.bytes_written = file.bytes_written;
  event.duration_us = now_us - file.opened_us;
  const auto why_part_read = [&]() -> std::string_view {
    if (!file.read.kept || file.bytes_read != file.read.next) {
      return "read out of order";
    }
    return file.read.end_seen || (file.size_known && file.size == file.read.next)
               ? ""
               : "not read to its end";
  };
  const auto why_part_written = [&]() -> std::string_view {
    if (!file.fresh || (file.flags & kFileAppend) != 0) {
      return "what the file held before was kept";
    }
    if (file.spoilt) {
      return "a write failed, or the file was changed by other means";
    }
    return file.written.kept && file.bytes_written == file.written.next ? ""
                                                                        : "written out of order";
  };
  const bool done = outcome == FileOutcome::kDone;
  const bool writes = (file.flags & kFileWrite) != 0;
  // Servers open for reading where neither is asked for.
  const bool reads = (file.flags & kFileRead) != 0 || !writes;
  event.whole_read = done && reads && why_part_read().empty();
  event.whole_written = done && writes && why_part_written().empty();
  if (!done) {
    event.why_not_whole = "it was not closed";
  } else if ((file.bytes_written > 0 || file.spoilt) && !event.whole_written) {
    event.why_not_whole = why_part_written();
  } else if (file.bytes_read > 0 && !event.whole_read) {
    event.why_not_whole = why_part_read();
  }
  events_.file_event(event);
}

void SftpStream::finish(std::int64_t now_us) {
  if (finished_) {
    return;
  }
  finished_ = true;
  for (const auto& [id, request] : requests_) {
    if (request.type != SftpType::kRead && request.type != SftpType::kWrite &&
        request.type != SftpType::kClose) {
      FileEvent event = event_of(request);
      event.outcome = FileOutcome::kUnanswered;
      event.duration_us = now_us - request.asked_us;
      if (event.operation != FileOperation::kLookup) {
        events_.file_event(event);
      }
    }
  }
  for (const auto& [number, file] : files_) {
    if (!file.folder) {
      tell_close(file, FileOutcome::kUnanswered, 0, now_us);
    }
  }
}

}  // namespace bastion::proto
