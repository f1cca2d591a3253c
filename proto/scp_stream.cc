#include "proto/scp_stream.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace bastion::proto {
namespace {

/// take_number reads digits and the blank behind them.
bool take_number(std::string_view& text, int base, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  const auto n = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || n == 0 || n == text.size() || text[n] != ' ') {
    return false;
  }
  text.remove_prefix(n + 1);
  return true;
}

bool leads_elsewhere(std::string_view name) {
  return name == ".." || name == "." || name.find('/') != name.npos;
}

constexpr std::string_view kElsewhere = "a name that leads elsewhere";

}  // namespace

Bytes ScpStream::pass(Leg from, ByteView data, std::int64_t now_us) {
  if (lost_ || (from == Leg::kDownstream) != upload_) {
    if (!lost_) {
      from_sink(data, now_us);
    }
    return {data.begin(), data.end()};
  }
  Bytes spoken;
  from_source(data, now_us, spoken);
  return spoken;
}

void ScpStream::from_source(ByteView data, std::int64_t now_us, Bytes& spoken) {
  const auto take = [&](std::size_t n) {
    spoken.insert(spoken.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(n));
    data = data.subspan(n);
  };
  while (!data.empty() && !lost_) {
    switch (state_) {
      case State::kContent: {
        const std::size_t n = std::min<std::uint64_t>(size_ - passed_, data.size());
        if (digest_ && n > 0) {
          events_.file_data(
              {file_, upload_ ? Leg::kDownstream : Leg::kUpstream, passed_, data.first(n)});
        }
        passed_ += n;
        if (accepted_ && !complained_) {
          data = data.subspan(n);
        } else {
          take(n);  // the sink may take it for lines
        }
        state_ = passed_ == size_ ? State::kStatus : state_;
        break;
      }
      case State::kStatus:
        source_status_ = data[0];
        take(1);
        if (source_status_ > 2) {
          lose("scp content without its end");
          break;
        }
        state_ = source_status_ == 0 ? State::kLine : State::kMessage;
        await(Awaited::kContent);
        break;
      case State::kLine:
      case State::kMessage: {
        const auto end = std::ranges::find(data, std::uint8_t{'\n'});
        const bool whole = end != data.end();
        const auto n = static_cast<std::size_t>(end - data.begin());
        if (line_.size() + n > kLineBytesMax) {
          lose("an scp line that is too long");
          break;
        }
        line_ += as_text(data.first(n));
        take(whole ? n + 1 : n);
        if (whole && state_ == State::kLine) {
          on_line(now_us);
        }
        if (whole) {
          line_.clear();
          state_ = state_ == State::kMessage ? State::kLine : state_;
        }
        break;
      }
    }
  }
  take(data.size());
}

void ScpStream::on_line(std::int64_t now_us) {
  const std::string_view line = line_;
  const std::string_view fields = line.substr(std::min<std::size_t>(1, line.size()));
  switch (line.empty() ? '\0' : line.front()) {
    case 'C': return begin_file(fields, now_us);
    case 'D': {
      std::string_view rest = fields;
      std::uint64_t mode = 0;
      std::uint64_t zero = 0;
      if (!take_number(rest, 8, mode) || !take_number(rest, 10, zero) || rest.empty() ||
          folders_.size() == kFoldersMax) {
        return lose("an scp folder that is none");
      }
      FileEvent event;
      const std::string path = path_of(rest);
      event.tool = FileTool::kScp;
      event.operation = FileOperation::kMkdir;
      event.path = path;
      event.attributes.has_mode = true;
      event.attributes.mode = static_cast<std::uint32_t>(mode);
      event.reason = leads_elsewhere(rest) ? kElsewhere : std::string_view();
      events_.file_event(event);
      folders_.emplace_back(rest);
      return await(Awaited::kFolder);
    }
    case 'E':
      if (folders_.empty()) {
        return lose("the end of an scp folder that never began");
      }
      folders_.pop_back();
      return await(Awaited::kLine);
    case 'T': return await(Awaited::kLine);
    case '\1':
    case '\2':
      // The source could not read something: no answer follows.
      return tell(FileOperation::kOpen, FileOutcome::kFailed, {});
    default: return lose("a line that is none of scp's");
  }
}

void ScpStream::begin_file(std::string_view fields, std::int64_t now_us) {
  std::uint64_t mode = 0;
  if (!take_number(fields, 8, mode) || !take_number(fields, 10, size_) || fields.empty() ||
      file_open_) {
    return lose("an scp file that is none");
  }
  ++file_;
  file_open_ = true;
  path_ = path_of(fields);
  mode_ = static_cast<std::uint32_t>(mode);
  passed_ = 0;
  accepted_ = false;
  source_status_ = 0;
  opened_us_ = now_us;
  FileEvent event;
  event.tool = FileTool::kScp;
  event.operation = FileOperation::kOpen;
  event.file = file_;
  event.path = path_;
  event.attributes.has_mode = true;
  event.attributes.mode = mode_;
  event.attributes.has_size = true;
  event.attributes.size = size_;
  event.reason = leads_elsewhere(fields) ? kElsewhere : std::string_view();
  events_.file_event(event);
  state_ = size_ == 0 ? State::kStatus : State::kContent;
  await(Awaited::kFile);
}

void ScpStream::from_sink(ByteView data, std::int64_t now_us) {
  for (std::size_t i = 0; i < data.size() && !lost_; ++i) {
    if (in_message_) {
      in_message_ = data[i] != '\n';
    } else if (data[i] > 2) {
      lose("an scp answer that is none");
    } else {
      in_message_ = data[i] != 0;
      on_answer(data[i], now_us);
    }
  }
}

void ScpStream::on_answer(std::uint8_t answer, std::int64_t now_us) {
  complained_ = complained_ || answer != 0;
  if (awaited_.empty()) {
    // A sink may complain at any time; what it takes, it takes in order.
    return answer == 0 ? lose("an scp answer that nobody asked for") : void();
  }
  const Awaited what = awaited_.front();
  awaited_.pop_front();
  if (what == Awaited::kFolder && answer != 0 && !folders_.empty()) {
    folders_.pop_back();  // the source leaves it out
  } else if (what == Awaited::kFile && file_open_) {
    accepted_ = answer == 0;
    if (answer != 0) {
      tell_file(FileOperation::kClose, FileOutcome::kFailed, answer, now_us);
      if (passed_ > 0) {
        return lose("scp content that was sent before its file was refused");
      }
      state_ = State::kLine;  // … and the file
    }
  } else if (what == Awaited::kContent && file_open_) {
    const bool good = answer == 0 && source_status_ == 0;
    tell_file(FileOperation::kClose, good ? FileOutcome::kDone : FileOutcome::kFailed,
              std::max(answer, source_status_), now_us);
  }
}

void ScpStream::tell_file(FileOperation operation, FileOutcome outcome, std::uint32_t status,
                          std::int64_t now_us) {
  file_open_ = false;
  FileEvent event;
  event.tool = FileTool::kScp;
  event.operation = operation;
  event.outcome = outcome;
  event.file = file_;
  event.path = path_;
  event.status = status;
  event.duration_us = now_us - opened_us_;
  (upload_ ? event.bytes_written : event.bytes_read) = passed_;
  (upload_ ? event.whole_written : event.whole_read) =
      outcome == FileOutcome::kDone && passed_ == size_;
  if (operation == FileOperation::kClose && !event.whole_written && !event.whole_read) {
    event.why_not_whole = "the copy did not end well";
  }
  events_.file_event(event);
}

void ScpStream::tell(FileOperation operation, FileOutcome outcome, std::string_view path) {
  FileEvent event;
  event.tool = FileTool::kScp;
  event.operation = operation;
  event.outcome = outcome;
  event.path = path;
  event.status = outcome == FileOutcome::kFailed ? 1 : 0;
  events_.file_event(event);
}

void ScpStream::await(Awaited what) {
  if (awaited_.size() == kAwaitedMax) {
    return lose("too many lines of scp without an answer");
  }
  awaited_.push_back(what);
}

void ScpStream::lose(std::string_view why) {
  lost_ = true;
  FileEvent event;
  event.tool = FileTool::kScp;
  event.operation = FileOperation::kSession;
  event.outcome = FileOutcome::kFailed;
  event.reason = why;
  events_.file_event(event);
}

std::string ScpStream::path_of(std::string_view name) const {
  std::string path;
  for (const std::string& folder : folders_) {
    path += folder + "/";
  }
  return path + std::string(name);
}

void ScpStream::finish(std::int64_t now_us) {
  if (!std::exchange(finished_, true) && file_open_) {
    tell_file(FileOperation::kClose, FileOutcome::kUnanswered, 0, now_us);
  }
}

}  // namespace bastion::proto
