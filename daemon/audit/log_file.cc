#include "daemon/audit/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/open_below.h"

namespace bastion::audit {
namespace {

constexpr std::string_view kStateSuffix = ".chain";
/// "SEQ HASH\n", padded to one length so that a shorter number leaves nothing of a longer one.
constexpr std::size_t kStateBytes = 20 + 1 + kHashTextLen + 1;

std::unexpected<Error> io_error(std::string_view text) { return fail(ErrorCode::kIo, text, errno); }

std::unexpected<Error> write_error() {
  return io_error(errno == EFBIG ? "the audit log is as large as a file may be: move or rotate it, "
                                   "raise LimitFSIZE= or ulimit -f"
                                 : "cannot write the audit log");
}

/// read_at reads `size` bytes at `offset`, or fewer where the file ends.
Result<std::string> read_at(int fd, std::uint64_t offset, std::size_t size) {
  std::string out(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = pread(fd, out.data() + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return io_error("cannot read the audit log");
    }
    if (n == 0) {
      break;
    }
    done += static_cast<std::size_t>(n);
  }
  out.resize(done);
  return out;
}

}  // namespace

Result<daemon::UniqueFd> LogFile::open_in_folder(const std::string& name, int flags) const {
  daemon::UniqueFd fd(open_below(folder_, name, flags, 0640));
  if (!fd) {
    return io_error("cannot open the audit log");
  }
  return fd;
}

Result<Opened> LogFile::open() {
  Opened out;
  auto fd = open_in_folder(name_, O_RDWR | O_APPEND);
  if (!fd && fd.error().detail == ENOENT) {
    out.made = true;
    fd = open_in_folder(name_, O_RDWR | O_APPEND | O_CREAT | O_EXCL);
  }
  if (!fd) {
    return std::unexpected(fd.error());
  }
  auto state = open_in_folder(name_ + std::string(kStateSuffix), O_RDWR | O_CREAT);
  if (!state) {
    return std::unexpected(state.error());
  }
  struct stat status{};
  if (fstat(fd->get(), &status) != 0) {
    return io_error("cannot open the audit log");
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kMalformed, "the audit log is not a regular file");
  }
  fd_ = std::move(*fd);
  state_ = std::move(*state);
  size_ = promised_ = static_cast<std::uint64_t>(status.st_size);
  can_promise_ = true;
  bool ends_line = true;
  if (const Status found = size_ == 0 ? Status() : find_end(out, ends_line); !found) {
    fd_.reset();
    return std::unexpected(found.error());
  }
  if (size_ == 0) {
    read_state(out);
  }
  if (!ends_line) {
    waiting_.insert(0, "\n");
  }
  if (waiting_.size() <= 1) {
    waiting_head_ = out.head;
  }
  return out;
}

// find_end looks for the last whole line that is an event, and closes what stands behind it.
Status LogFile::find_end(Opened& out, bool& ends_line) {
  const std::uint64_t from = size_ > kTailBytes ? size_ - kTailBytes : 0;
  auto tail = read_at(fd_.get(), from, static_cast<std::size_t>(size_ - from));
  if (!tail) {
    return std::unexpected(tail.error());
  }
  std::string_view text = *tail;
  if (from != 0) {
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  std::string_view rest = text.substr(text.rfind('\n') + 1);
  text.remove_suffix(rest.size());
  const auto chain_on = [&](std::string_view line) {
    const auto parsed = parse_line(line);
    if (parsed) {
      out.head = {parsed->seq, hash_text(line)};
    }
    return parsed.has_value();
  };
  if (!rest.empty() && chain_on(rest)) {
    // Whole but for its line end, or torn at the very end of it.
    rest = {};
  } else {
    std::string_view lines = text;
    bool found = false;
    while (!found && !lines.empty()) {
      lines.remove_suffix(1);
      const std::size_t begin = lines.rfind('\n') + 1;
      found = chain_on(lines.substr(begin));
      lines = lines.substr(0, begin);
    }
    if (!found && !text.empty()) {
      return fail(ErrorCode::kMalformed, "the file is not an audit log of this version");
    }
    if (!found) {
      read_state(out);
    }
  }
  out.torn = rest;
  out.last_lines = text;
  ends_line = tail->ends_with('\n');
  const auto first = read_at(
      fd_.get(), 0, static_cast<std::size_t>(std::min<std::uint64_t>(size_, kLineBytesMax)));
  if (first) {
    constexpr std::string_view kTime = "\"time\":\"";
    const std::size_t at = first->find(kTime);
    if (at != std::string::npos) {
      out.begun_us = parse_time(std::string_view(*first).substr(at + kTime.size(), 27)).value_or(0);
    }
  }
  return {};
}

void LogFile::read_state(Opened& out) {
  const auto text = read_at(state_.get(), 0, kStateBytes);
  if (!text || text->size() != kStateBytes) {
    return;
  }
  Head head;
  const auto [end, error] = std::from_chars(text->data(), text->data() + 20, head.seq);
  head.hash = text->substr(21, kHashTextLen);
  if (error == std::errc() && signed_head(head)) {
    out.head = head;
  }
}

void LogFile::write_state() {
  std::string text = std::to_string(waiting_head_.seq);
  text.resize(21, ' ');
  text += waiting_head_.hash + "\n";
  // Should this fail, the file itself says where the chain is; the next one tries again.
  [[maybe_unused]] const ssize_t n = pwrite(state_.get(), text.data(), text.size(), 0);
}

void LogFile::add(std::string_view lines, const Head& head) {
  waiting_ += lines;
  waiting_head_ = head;
}

Status LogFile::flush() {
  if (written_ == waiting_.size()) {
    return {};
  }
  while (written_ < waiting_.size()) {
    const ssize_t n = ::write(fd_.get(), waiting_.data() + written_, waiting_.size() - written_);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return write_error();
    }
    written_ += static_cast<std::size_t>(n);
    size_ += static_cast<std::uint64_t>(n);
  }
  waiting_.clear();
  written_ = 0;
  write_state();
  return {};
}

Status LogFile::room() {
  while (can_promise_ && promised_ < size_ + kLeastBytes) {
    const std::uint64_t from = std::max(promised_, size_);
    if (fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
                  static_cast<off_t>(kAheadBytes)) == 0) {
      promised_ = from + kAheadBytes;
    } else if (errno == EOPNOTSUPP || errno == ENOSYS) {
      can_promise_ = false;
    } else if (errno != EINTR) {
      return write_error();
    }
  }
  return {};
}

Place LogFile::place() const {
  struct stat ours{};
  if (fstat(fd_.get(), &ours) != 0 || ours.st_nlink == 0) {
    return Place::kMissing;
  }
  const auto named = open_in_folder(name_, O_RDONLY | O_NONBLOCK);
  struct stat theirs{};
  if (!named || fstat(named->get(), &theirs) != 0 || ours.st_dev != theirs.st_dev ||
      ours.st_ino != theirs.st_ino) {
    return Place::kMoved;
  }
  return static_cast<std::uint64_t>(ours.st_size) < size_ ? Place::kShorter : Place::kThere;
}

Status LogFile::move(const std::string& new_name) {
  if (syscall(SYS_renameat2, folder_, name_.c_str(), folder_, new_name.c_str(),
              1U /* RENAME_NOREPLACE */) != 0) {
    return io_error("cannot rotate the audit log");
  }
  return {};
}

void LogFile::close() {
  // The line that is under way begins anew in the next file, so this one ends before it.
  const std::size_t begin = written_ == 0 ? 0 : waiting_.rfind('\n', written_ - 1) + 1;
  const std::uint64_t end = size_ - (written_ - begin);
  struct stat status{};
  // What was promised and is not used goes back, too; where that fails it only takes space. A file
  // that somebody has cut must not grow again.
  if (fd_ && std::max(promised_, size_) > end && fstat(fd_.get(), &status) == 0 &&
      static_cast<std::uint64_t>(status.st_size) == size_) {
    [[maybe_unused]] const int given_back = ftruncate(fd_.get(), static_cast<off_t>(end));
  }
  waiting_.erase(0, begin);
  written_ = 0;
  fd_.reset();
}

}  // namespace bastion::audit
